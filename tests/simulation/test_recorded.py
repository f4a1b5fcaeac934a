"""Segments of recorded episodes as samples."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.actions import NumberedActions
from mavrl.errors import ConfigurationError
from mavrl.folder.episodes import Episodes
from mavrl.folder.labels import Segment
from mavrl.policies.base import UniformPolicy
from mavrl.policies.network import NetworkPolicy
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Simulated, Simulator
from mavrl.simulation.recorded import RecordedBehaviour, RecordedEpisodes, cut
from mavrl.simulation.tabular import TabularSimulator

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


class Nothing(Simulator):
    """Knows of no more than what was recorded."""

    def segments(self, *arguments: Any, **named: Any) -> Simulated:
        raise AssertionError

    episodes = segments


class TestDrawing:
    def drawn(self, count: int = 400, length: int = 3, seeds: tuple[int, ...] = (0, 1), distinct: int = 1) -> Simulated:
        simulator = RecordedEpisodes(_episodes(), Nothing())
        return simulator.segments([(s, "rating", "train") for s in seeds], Behaviour(5.0), 2, count, length, distinct)

    def test_steps_are_those_that_the_names_say(self):
        found = self.drawn()
        for r in (0, 1):
            alone = cut(_episodes(), _names(found, r), 1)
            assert found.transitions.state[r].equal(alone.transitions.state[0])
            assert found.transitions.terminal[r].equal(alone.transitions.terminal[0])
            assert found.reward[r].equal(alone.reward[0])

    def test_episode_and_start_are_uniform(self):
        names = self.drawn(4000, seeds=(0,)).segments
        for episode, length in enumerate(LENGTHS.tolist()):
            starts = names.start[names.episode == episode]
            assert len(starts) == pytest.approx(2000, abs=150)
            assert starts.bincount().tolist() == pytest.approx([2000 / length] * length, abs=120)
        assert names.stop.equal(torch.minimum(names.start + 3, torch.from_numpy(LENGTHS)[names.episode]))

    def test_each_replicate_draws_its_own_and_the_first_do_not_depend_on_the_count(self):
        several, few, other = self.drawn(), self.drawn(7), self.drawn(seeds=(1,))
        assert few.segments.start.equal(several.segments.start[:, :7])
        assert other.segments.start[0].equal(several.segments.start[1])
        assert not several.segments.start[0].equal(several.segments.start[1])

    def test_what_does_not_fit_is_refused(self):
        self.drawn(8, 5, distinct=8)
        for length, distinct in ((6, 1), (5, 9)):
            with pytest.raises(EpisodesTooShort) as caught:
                self.drawn(8, length, distinct=distinct)
            assert (caught.value.longest, caught.value.places) == (5, 8)

    def test_nobody_is_known_to_demonstrate(self):
        with pytest.raises(ConfigurationError, match=r"modality=d: .* do not tell who demonstrates"):
            RecordedEpisodes(_episodes(), Nothing()).episodes([(0, "demonstration", "train")], Behaviour(5.0), 1)

    @pytest.mark.parametrize("rewards", [True, False])
    def test_rewards_are_known_where_they_were_recorded(self, rewards: bool):
        assert RecordedEpisodes(_episodes(rewards=rewards), Nothing()).rewarded == rewards


class TestTruth:
    """What the simulators say of recorded steps."""

    def test_a_grid_knows_every_reward_and_regret(self, make_problem: Any):
        problem = make_problem("trap")
        recorded = replace(_episodes(rewards=False), observations=np.arange(10) % 16)
        simulator = RecordedEpisodes(recorded, TabularSimulator(problem))
        assert simulator.rewarded
        found = simulator.segments([(0, "stop", "train")], Behaviour(0.0), 2, 50, 4, 1)
        valid, states, actions = (getattr(found.transitions, n)[0] for n in ("valid", "state", "action"))
        q = problem.q[0]
        assert found.reward[0][valid].equal(problem.reward[0][states[valid]])
        assert found.regret[0][valid].equal(q[states[valid]].amax(-1) - q[states[valid], actions[valid]])
        told = RecordedEpisodes(replace(recorded, rewards=np.arange(8.0)), TabularSimulator(problem))
        kept = told.segments([(0, "stop", "train")], Behaviour(0.0), 2, 50, 4, 1)
        assert kept.reward.equal(cut(told.recorded, _names(kept), 1).reward)
        assert kept.regret.equal(found.regret)

    def test_a_control_environment_knows_regrets_by_its_expert(self, make_control: Any, balance: NetworkPolicy):
        states = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
        recorded = replace(_episodes(), observations=states)
        found = RecordedEpisodes(recorded, make_control()).segments([(0, "stop", "train")], Behaviour(0.0), 2, 50, 4, 1)
        q = balance(found.transitions.state)
        expected = q.amax(-1) - q.gather(-1, found.transitions.action[..., None])[..., 0]
        valid = found.transitions.valid
        assert found.regret[valid].equal(expected[valid])
        assert (found.regret[~valid] == 0).all()
        assert found.reward.equal(cut(recorded, _names(found), 1).reward)
        assert not RecordedEpisodes(replace(recorded, rewards=None), make_control()).rewarded

    def test_a_random_walk_knows_none(self, make_control: Any):
        recorded = replace(_episodes(), observations=np.zeros((10, 4), np.float32))
        found = RecordedEpisodes(
            recorded, replace(make_control(), behaviour=UniformPolicy(NumberedActions(2)))
        ).segments([(0, "stop", "train")], Behaviour(0.0), 2, 5, 4, 1)
        assert found.regret.isnan().all()


def _names(found: Simulated, replicate: int = 0) -> list[Segment]:
    places = (getattr(found.segments, name)[replicate].tolist() for name in ("episode", "start", "stop"))
    return [Segment(*place) for place in zip(*places, strict=True)]
