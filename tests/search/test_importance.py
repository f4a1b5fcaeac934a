"""Importances where it is known what matters."""

from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from mavrl.search.importance import LEAST_TRIALS, importances

SPACE = {
    "optim.lr": FloatDistribution(0, 1), "idle": FloatDistribution(0, 1), "same": CategoricalDistribution(["a", "b"])
}  # fmt: skip


def study_of(value: Callable[[float], float], n: int, direction: str = "minimize") -> optuna.Study:
    """Trials over a grid of learning rates; `idle` is unrelated to them, `same` is always a."""
    study = optuna.create_study(direction=direction)
    for k in range(n):
        params = {"optim.lr": k / n, "idle": (k * 37 % n) / n, "same": "a"}
        study.add_trial(create_trial(params=params, distributions=SPACE, value=value(k / n)))
    return study


@pytest.mark.parametrize(("direction", "sign"), [("minimize", 1.0), ("maximize", -1.0)])
def test_what_decides_the_value_takes_nearly_all(direction: str, sign: float) -> None:
    found = importances(study_of(lambda lr: sign * abs(lr - 0.1), 100, direction))
    assert isinstance(found, dict)
    assert next(iter(found)) == "optim.lr"
    assert found["optim.lr"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert "same" not in found


def test_the_direction_decides_which_trials_are_the_best() -> None:
    """With a plateau at the high end only the low end sets trials apart."""
    rising = study_of(lambda lr: min(lr, 0.1), 100, "maximize")
    falling = study_of(lambda lr: min(lr, 0.1), 100, "minimize")
    low, high = importances(falling), importances(rising)
    assert isinstance(low, dict)
    assert isinstance(high, dict)
    assert low["optim.lr"] > high["optim.lr"]


def test_there_are_none_of_few_trials_or_of_equal_values() -> None:
    few = importances(study_of(lambda lr: lr, LEAST_TRIALS - 1))
    assert isinstance(few, str)
    assert f"{LEAST_TRIALS - 1} completed trials" in few
    rounding = importances(study_of(lambda lr: 1e-15 * lr, 100))
    assert isinstance(rounding, str)
    assert "same value" in rounding
