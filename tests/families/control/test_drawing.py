"""What the figures of control environments are made of."""

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mavrl.actions import NumberedActions
from mavrl.families.control import drawing
from mavrl.families.control.drawing import coverage, reward_slices
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.reward_model import RewardModel
from mavrl.simulation.base import Segments, Simulated
from mavrl.types import Transitions


class Made(RewardModel):
    """A reward model that nobody has learned."""

    kind = "made"

    @classmethod
    def from_tensors(cls, tensors: Any, description: Any) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return 1

    def _replicate(self, row: int, number: int) -> Any:
        raise NotImplementedError

    def sample(self, state: Any, action: Any, next_state: Any, seed: int = 0) -> Any:
        raise NotImplementedError


class Linear(Made):
    """A reward that is linear in the state, times one more than the action's number."""

    def __init__(self, weights: list[float], domain: str = "sa") -> None:
        super().__init__({"reward_domain": domain, "n_actions": 2})
        self.weights = np.array(weights)

    def mean(self, state: Any, action: Any, next_state: Any) -> Any:
        return np.asarray(state) @ self.weights * (1 + np.asarray(action))

    def std(self, state: Any, action: Any, next_state: Any) -> Any:
        return np.ones(len(state))


@pytest.fixture
def steps() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    state = random.normal(size=(200, 4)).astype(np.float32)
    return {"state": state, "action": random.integers(0, 2, 200), "next_state": state + 0.5}


def _panels(figure: Figure | None) -> list[Any]:
    assert figure is not None
    return [axes for axes in figure.axes if axes.images]


def test_the_two_dimensions_that_the_reward_varies_most_along(steps: Any) -> None:
    panels = _panels(reward_slices(Linear([0.1, 3.0, 0.2, -2.0]), steps, "CartPole-v1", "a run"))
    assert [axes.get_title(loc="left") for axes in panels[:2]] == ["left", "right"]
    assert panels[0].get_ylabel() == "pole velocity"
    assert panels[2].get_xlabel() == "cart velocity"
    one, two = (np.asarray(axes.images[0].get_array()) for axes in panels[:2])
    assert np.allclose(two, 2 * one)
    assert (np.diff(one, axis=1) > 0).all()  # x: weight 3
    assert (np.diff(one, axis=0) < 0).all()  # y: weight -2


def test_a_reward_of_states_alone_has_one_column_and_unknown_names_are_numbers(steps: Any) -> None:
    panels = _panels(reward_slices(Linear([0.1, 3.0, 0.2, -2.0], "s"), steps, "Mine-v3", "a run"))
    assert len(panels) == 2
    assert panels[0].get_title(loc="left") == "all actions"
    assert (panels[1].get_xlabel(), panels[0].get_ylabel()) == ("observation 1", "observation 3")
    assert len(np.asarray(panels[0].lines[0].get_xdata())) == 200


def test_nothing_is_drawn_of_nothing(steps: Any) -> None:
    assert reward_slices(Linear([1.0]), {}, "CartPole-v1", "a run") is None
    single = {**steps, "state": steps["state"][:, :1]}
    assert reward_slices(Linear([1.0]), single, "CartPole-v1", "a run") is None


class Unsure(Made):
    """A reward of 0 with a deviation of 1, of two replicates."""

    def mean(self, state: torch.Tensor, action: Any, next_state: Any) -> torch.Tensor:
        return torch.zeros(2, len(state))

    def std(self, state: torch.Tensor, action: Any, next_state: Any) -> torch.Tensor:
        return torch.ones(2, len(state))


def _simulated(reward: torch.Tensor) -> Simulated:
    n = reward.shape[-1]
    zeros, state = torch.zeros(1, n, 1, dtype=torch.int64), torch.zeros(1, n, 1, 3)
    no = torch.zeros(1, n, 1, dtype=torch.bool)
    moves = Transitions(state, zeros, state, zeros, no, ~no)
    names = Segments(*[torch.zeros(1, n, dtype=torch.int64)] * 3)
    return Simulated(names, moves, reward.view(1, n, 1), torch.zeros(1, n, 1))


def test_coverage_of_a_posterior_that_is_right() -> None:
    figure = coverage(Unsure({}), _simulated(torch.randn(4000)), "a run")
    assert figure is not None
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert np.allclose(*lines["mean"].get_data(), atol=0.05)


def test_a_constant_reward_has_no_coverage() -> None:
    assert coverage(Unsure({}), _simulated(torch.ones(10)), "a run") is None


def test_steps_of_the_feedback_are_spread_over_all_of_it(
    simulators: Any, make_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {kind: make_source(kind, 6).module(simulators["control"], [0, 1]) for kind in ("rating", "stop")}
    data = CombinedDataModule(modules)
    data.setup()
    monkeypatch.setattr(drawing, "_MOST_STEPS", 7)
    kept = drawing.feedback_steps(data, NumberedActions(2))
    assert {name: len(array) for name, array in kept.items()} == {"state": 7, "action": 7, "next_state": 7}
    first = next(iter(data.train_sets.values())).transitions.flatten()
    assert np.allclose(kept["state"][0], first.state[0][first.valid[0]][0])
