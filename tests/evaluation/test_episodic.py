"""Metrics of policies that were trained on a learned reward, by hand."""

from typing import Any

import numpy as np
import pytest
import torch

from mavrl.evaluation.episodic import EpisodicJudgement
from mavrl.evaluation.returns import Scale
from mavrl.metrics import measure
from mavrl.model.reward_model import RewardModel
from mavrl.simulation.base import Segments, Simulated
from mavrl.types import Transitions


class Known(RewardModel):
    """One replicate, whose reward is the first feature of the state, known to a tenth of it."""

    kind = "known"

    @classmethod
    def from_tensors(cls, tensors: Any, description: Any) -> "Known":
        return cls(description)

    def __len__(self) -> int:
        return 1

    def _replicate(self, row: int, number: int) -> "Known":
        return self

    def mean(self, state: Any, action: Any, next_state: Any) -> Any:
        return state[None, :, 0]

    def std(self, state: Any, action: Any, next_state: Any) -> Any:
        return state[None, :, 0] / 10

    def sample(self, state: Any, action: Any, next_state: Any, seed: int = 0) -> Any:
        return self.mean(state, action, next_state)


def steps(reward: list[float], valid: list[bool] | None = None) -> Simulated:
    """Steps in states whose first feature is 1, 2, ..., with these true rewards."""
    n = len(reward)
    state = torch.arange(1.0, n + 1).view(1, n, 1, 1).expand(1, n, 1, 2)
    action = torch.zeros(1, n, 1, dtype=torch.int64)
    real = torch.tensor(valid or [True] * n).view(1, n, 1)
    transitions = Transitions(state, action, state, action, torch.zeros_like(real), real)
    true = torch.tensor(reward).view(1, n, 1)
    number = torch.arange(n).view(1, n)
    names = Segments(number, torch.zeros_like(number), torch.ones_like(number))
    return Simulated(names, transitions, true, torch.zeros_like(true))


def judged(held_out: Simulated, optimal: float = 30.0, **description: object) -> EpisodicJudgement:
    returns = np.array([[10.0, 20.0], [40.0, 40.0]])
    scale = Scale.between(optimal, 10.0)
    return EpisodicJudgement(Known(description), returns, np.array([30.0, 20.0]), scale, held_out)


def test_returns() -> None:
    found = measure("episodic", judged(steps([0.0, 0.0])))
    assert {name: values.tolist() for name, values in found.items()} == {
        "normalized_return": [25, 150], "mean_return": [15, 40], "regret": [10, -15]
    }  # fmt: skip


@pytest.mark.parametrize("optimal", [10.0, 5.0])
def test_where_the_expert_is_no_better_than_chance(optimal: float) -> None:
    found = measure("episodic", judged(steps([0.0, 0.0]), optimal=optimal))
    assert found.keys() == {"mean_return", "regret"}


def test_agreement_on_held_out_steps() -> None:
    found = measure("episodic", judged(steps([1.0, 5.0, 7.0, -9.0], [True, True, True, False])))
    assert found["spearman"].tolist() == pytest.approx([1])
    assert found["posterior_std"].tolist() == pytest.approx([0.2])
    opposite = measure("episodic", judged(steps([3.0, 2.0, 1.0])))
    assert opposite["spearman"].tolist() == pytest.approx([-1])


def test_the_bound_is_what_the_training_ended_with() -> None:
    assert measure("episodic", judged(steps([0.0, 0.0]), bound=[-1.5]))["bound"].tolist() == [-1.5]


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_the_unit_of_the_reward_does_not_matter(unit: float) -> None:
    varying, constant = ([unit * x for x in rewards] for rewards in ([0.1, 0.3, 0.2], [0.1, 0.1, 0.1]))
    assert measure("episodic", judged(steps(varying)))["spearman"].tolist() == pytest.approx([0.5])
    assert "spearman" not in measure("episodic", judged(steps(constant)))
