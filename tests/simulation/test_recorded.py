"""Segments of recorded episodes as samples."""

import numpy as np
import pytest
import torch

from mavrl.folder.episodes import Episodes
from mavrl.folder.labels import Segment
from mavrl.simulation.base import Behaviour
from mavrl.simulation.recorded import RecordedBehaviour, cut

LENGTHS = np.array([3, 5])
STATES = np.arange(10, dtype=np.int64)  # 0 to 3 of the first episode, 4 to 9 of the second
ACTIONS = np.array([1, 0, 1, 0, 1, 1, 0, 1])


def _episodes(vectors: bool = False, rewards: bool = True) -> Episodes:
    states = np.stack([STATES, -STATES], axis=1).astype(np.float32) if vectors else STATES
    return Episodes(states, ACTIONS, np.arange(8.0) if rewards else None, LENGTHS, np.array([True, False]))


def test_a_segment_is_where_its_name_says() -> None:
    found = cut(_episodes(), [Segment(1, 1, 4), Segment(0, 1, 3), Segment(1)], 2)
    steps = found.transitions
    assert steps.valid[0].tolist() == [[True] * 3 + [False] * 2, [True] * 2 + [False] * 3, [True] * 5]
    assert steps.state[0].tolist() == [[5, 6, 7, 0, 0], [1, 2, 0, 0, 0], [4, 5, 6, 7, 8]]
    assert steps.next_state[0].tolist() == [[6, 7, 8, 0, 0], [2, 3, 0, 0, 0], [5, 6, 7, 8, 9]]
    assert steps.action[0].tolist() == [[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 1, 1, 0, 1]]
    assert steps.next_action[0].tolist() == [[1, 0, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 0, 1, 0]]
    assert steps.terminal[0].tolist() == [[False] * 5, [False, True, False, False, False], [False] * 5]
    assert found.reward[0].tolist() == [[4, 5, 6, 0, 0], [1, 2, 0, 0, 0], [3, 4, 5, 6, 7]]
    assert found.segments.start[0].tolist() == [1, 1, 0]
    assert found.segments.stop[0].tolist() == [4, 3, 5]
    assert steps.state[1].equal(steps.state[0])


def test_observations_can_be_vectors() -> None:
    steps = cut(_episodes(vectors=True), [Segment(1, 3, 5), Segment(0, 0, 1)], 1).transitions
    assert steps.state[0].tolist() == [[[7, -7], [8, -8]], [[0, 0], [0, 0]]]
    assert steps.next_state[0].tolist() == [[[8, -8], [9, -9]], [[1, -1], [0, 0]]]


def test_unknown_rewards_are_nan() -> None:
    found = cut(_episodes(rewards=False), [Segment(1, 3, 5), Segment(0, 0, 1)], 1)
    assert found.reward[found.transitions.valid].isnan().all()
    assert found.regret[found.transitions.valid].isnan().all()


def test_each_kind_has_its_own_in_order() -> None:
    recorded = RecordedBehaviour(
        _episodes(), {"rating": [Segment(0, 0, 1), Segment(0, 1, 2)], "demonstration": [Segment(1)]}
    )
    streams = [(0, "rating", "train"), (7, "rating", "train")]
    found = recorded.segments(streams, Behaviour(5.0), 3, 1024, 32, 2)
    assert found.transitions.state.tolist() == [[[0], [1]]] * 2
    assert recorded.segments(streams, Behaviour(5.0), 3, 1, 32, 2).transitions.state.tolist() == [[[0]]] * 2
    shown = recorded.episodes([(0, "demonstration", "train")], Behaviour(5.0), 1)
    assert shown.transitions.state.tolist() == [[[4, 5, 6, 7, 8]]]


@pytest.mark.parametrize("n_replicates", [1, 3])
def test_replicates_have_memory_of_their_own(n_replicates: int) -> None:
    steps = cut(_episodes(), [Segment(1)], n_replicates).transitions
    assert isinstance(steps.state, torch.Tensor)
    assert steps.state.is_contiguous()
    assert len(steps.state) == n_replicates
