"""Every modality and every kind of model runs."""

import itertools
import math
from typing import Any

import pytest

from mavrl.storage.files import read_json

pytestmark = [pytest.mark.integration, pytest.mark.slow]

MODALITIES = ["".join(c) for n in range(1, 5) for c in itertools.combinations("pdrs", n)]
QUICK = ("replicates=1", "trainer.max_epochs=2")


def _finite(metrics: Any) -> bool:
    return all(math.isfinite(value) for values in metrics["final"].values() for value in values)


def test_all_modalities_run_in_one_multirun(fresh_app: Any) -> None:
    outcome = fresh_app("-m", f"modality={','.join(MODALITIES)}", *QUICK)
    assert outcome.status == 0, outcome.err
    kinds = {"p": "preference", "d": "demonstration", "r": "rating", "s": "stop"}
    for modality in MODALITIES:
        (path,) = fresh_app.directory.glob(f"runs/grid_trap/{modality}/*/metrics.json")
        metrics = read_json(path)
        assert _finite(metrics)
        assert {kind for kind, n in metrics["n_samples"].items() if n} == {kinds[letter] for letter in modality}


def test_objectives_sources_of_q_backups_and_members(fresh_app: Any) -> None:
    models = "model.objective=elbo,weighted", "model.q=planned,learned", "model.backup=optimal,soft,behaviour"
    outcome = fresh_app("-m", *models, "members=2", "modality=pd", *QUICK)
    assert outcome.status == 0, outcome.err
    paths = list(fresh_app.directory.glob("runs/grid_trap/pd/*/metrics.json"))
    assert len(paths) == 8  # a planned Q has no backup: once is enough
    seen = set()
    for path in paths:
        metrics = read_json(path)
        assert _finite(metrics)
        assert metrics["final"]["member_spread"][0] > 0
        seen.add(tuple(metrics["protocol"][name] for name in ("objective", "q", "backup")))
    backups = ("optimal", "soft", "behaviour")
    expected = {(o, "learned", b) for o in ("elbo", "weighted") for b in backups}
    assert seen == expected | {("elbo", "planned", "exact"), ("weighted", "planned", "exact")}


def test_a_noisy_grid_of_every_layout_with_mini_batches_and_validation(fresh_app: Any) -> None:
    layouts = ",".join(f"grid_{name}" for name in ("trap", "cliff", "sparse", "dense", "path", "center"))
    settings = ("env.p_rand=0.2", "optim.batch_size=32", "trainer.validation=true", "trainer.patience=1")
    outcome = fresh_app("-m", f"env={layouts}", *settings, "selection=best", *QUICK)
    assert outcome.status == 0, outcome.err
    paths = list(fresh_app.directory.glob("runs/*/pdrs/*/metrics.json"))
    assert len(paths) == 6
    assert all(_finite(read_json(path)) for path in paths)


def test_opposed_teachers_of_a_grid_in_one_multirun(fresh_app: Any) -> None:
    envs = ("grid_two_goals_first", "grid_two_goals_second")
    outcome = fresh_app("-m", "experiment=opposed", f"env={','.join(envs)}", *QUICK)
    assert outcome.status == 0, outcome.err
    for env in envs:
        (path,) = fresh_app.directory.glob(f"runs/{env}/pr/*/metrics.json")
        metrics = read_json(path)
        assert _finite(metrics)
        assert metrics["protocol"]["termination"] == "neutral"
        assert "normalized_return" in metrics["final"]


@pytest.mark.parametrize("reward", ["lower_bound", "true_reward"])
def test_a_teacher_of_a_cart_on_the_command_line(reward: str, fresh_control_app: Any) -> None:
    wanted = "env.teacher_reward=[{observation:0,weight:-10.0,clip:[-0.5,0.5]}]"
    nobody = ("env.fixed_horizon=true", "env.behaviour_expert=uniform", "env.demonstration_expert=null")
    outcome = fresh_control_app("experiment=opposed", wanted, *nobody, f"policy.reward={reward}", *QUICK)
    assert outcome.status == 0, outcome.err
    metrics = read_json(outcome.run / "metrics.json")
    assert _finite(metrics)
    assert metrics["protocol"]["reward"] == reward
    assert metrics["final"].keys() == {"mean_return", "spearman", "posterior_std", "bound"}


@pytest.mark.parametrize("words", [("teacher=shuffled",), ("trainer.max_epochs=0",)])
def test_baselines_of_a_grid(words: tuple[str, ...], fresh_app: Any) -> None:
    outcome = fresh_app("experiment=opposed", "env=grid_two_goals_first", *QUICK, *words)
    assert outcome.status == 0, outcome.err
    (path,) = fresh_app.directory.glob("runs/grid_two_goals_first/pr/*/metrics.json")
    metrics = read_json(path)
    assert _finite(metrics)
    assert ("bound" in metrics["final"]) == (words == ("teacher=shuffled",))
