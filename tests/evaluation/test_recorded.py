"""A learned reward judged by recorded transitions alone."""

from typing import Any

import numpy as np
import pytest
import torch

from mavrl.evaluation import recorded
from mavrl.evaluation.recorded import RecordedJudgement
from mavrl.folder.episodes import Episodes
from mavrl.metrics import measure
from mavrl.model.reward_model import RewardModel

STATES = np.array([[1.0], [2.0], [9.0], [4.0], [5.0], [6.0], [9.0]], dtype=np.float32)  # 9 follows a last step
ACTIONS = np.array([0, 1, 0, 1, 1])


class Known(RewardModel):
    """Two replicates whose rewards are the state, and minus the state; known to the next state, and to 1."""

    kind = "known"

    @classmethod
    def from_tensors(cls, tensors: Any, description: Any) -> "Known":
        return cls(description)

    def __len__(self) -> int:
        return 2

    def _replicate(self, row: int, number: int) -> "Known":
        return self

    def mean(self, state: Any, action: Any, next_state: Any) -> Any:
        return torch.stack([state[:, 0], -state[:, 0]])

    def std(self, state: Any, action: Any, next_state: Any) -> Any:
        return torch.stack([next_state[:, 0], torch.ones(len(state))])

    def sample(self, state: Any, action: Any, next_state: Any, seed: int = 0) -> Any:
        return self.mean(state, action, next_state)


def _judgement(rewards: list[float] | None) -> RecordedJudgement:
    known = None if rewards is None else np.array(rewards)
    episodes = Episodes(STATES, ACTIONS, known, np.array([2, 3]), np.array([True, False]))
    return RecordedJudgement(Known({"bound": [-1.0, -2.0]}), episodes)


def test_each_step_has_its_own_states() -> None:
    judgement = _judgement(None)
    assert judgement.mean[0].tolist() == [1, 2, 4, 5, 6]
    assert judgement.std[0].tolist() == [2, 9, 5, 6, 9]


def test_ranks_like_the_recorded_rewards() -> None:
    found = measure("recorded", _judgement([0.0, 1.0, 2.0, 30.0, 40.0]))
    assert found["spearman"].tolist() == pytest.approx([1, -1])
    assert found["posterior_std"].tolist() == pytest.approx([31 / 5, 1])
    assert found["bound"].tolist() == [-1, -2]


@pytest.mark.parametrize("rewards", [None, [1.0, 1.0, 1.0, 1.0, 1.0]])
def test_rewards_that_tell_nothing(rewards: Any) -> None:
    assert measure("recorded", _judgement(rewards)).keys() == {"posterior_std", "bound"}


def test_means_of_episodes() -> None:
    numbers, learned, true = _judgement([0.0, 1.0, 2.0, 30.0, 40.0]).of_episodes()
    assert numbers.tolist() == [0, 1]
    assert learned.tolist() == [[1.5, 5.0], [-1.5, -5.0]]
    assert true is not None
    assert true.tolist() == [0.5, 24.0]
    assert _judgement(None).of_episodes()[2] is None


def test_of_many_steps_some_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "_MOST_STEPS", 3)
    assert _judgement(None).mean[0].tolist() == [1, 2, 5]
    monkeypatch.setattr(recorded, "_MOST_STEPS_OF_EPISODE", 1)
    assert _judgement(None).of_episodes()[1][0].tolist() == [1, 4]
    monkeypatch.setattr(recorded, "_MOST_EPISODES", 1)
    assert _judgement(None).of_episodes()[0].tolist() == [0]
