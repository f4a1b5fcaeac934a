"""The simulator of control environments, in one where everything is known: rewards, lengths, endings and Q."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import stats

from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.policies.network import NetworkPolicy
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Simulated
from mavrl.simulation.vectorized import ControlSimulator
from mavrl.workers import Workers

LIMIT = 5
WALK = Behaviour(0.0)


class Ladder(gym.Env):
    """Episodes of 1 to 8 steps, all equally likely; step t with action a has reward 10 t + a.

    The observation is the step, the length, and a number that no other episode has.
    """

    observation_space = spaces.Box(0, 10, (3,), np.float32)
    action_space = spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_number, self.length = 0, int(self.np_random.integers(1, 9))
        self.name = self.np_random.random()
        return self._observation(), {}

    def step(self, action):
        reward = 10.0 * self.step_number + int(action)
        self.step_number += 1
        return self._observation(), reward, self.step_number == self.length, False, {}

    def _observation(self) -> np.ndarray:
        return np.array([self.step_number, self.length, self.name], np.float32)


@pytest.fixture
def ladder() -> Iterator[str]:
    gym.register("Ladder-v0", entry_point=Ladder, max_episode_steps=LIMIT)
    yield "Ladder-v0"
    del gym.registry["Ladder-v0"]


def climber() -> NetworkPolicy:
    """Q(s, .) = (0, t / 4, -length / 8, 0.5) from the first two features."""
    weight = torch.tensor([[0.0, 0.0], [0.25, 0.0], [0.0, -0.125], [0.0, 0.0]])
    return NetworkPolicy.from_layers([(weight, torch.tensor([0.0, 0.0, 0.0, 0.5]))], "relu", "q")


def q_of(state: torch.Tensor) -> torch.Tensor:
    step, length = state[..., 0].double(), state[..., 1].double()
    zero = torch.zeros_like(step)
    return torch.stack([zero, step / 4, -length / 8, zero + 0.5], dim=-1)


@pytest.fixture
def make(ladder: str) -> Any:
    def build(**environment: Any) -> ControlSimulator:
        return ControlSimulator(ControlEnvironment(ladder, **environment), climber(), climber(), Workers(1))

    return build


def streams(*seeds: int) -> list[tuple[int, str, str]]:
    return [(seed, "rating", "train") for seed in seeds]


def whole_episodes(simulator: ControlSimulator, seed: int, count: int, behaviour: Behaviour = WALK) -> dict[float, int]:
    """Lengths, as they are recorded, of the first episodes of a stream, by the number that no other episode has."""
    shown = simulator.episodes(streams(seed), behaviour, count).transitions
    return {shown.state[0, n, 0, 2].item(): int(shown.valid[0, n].sum()) for n in range(count)}


def check_steps(simulated: Simulated, limit: int = LIMIT) -> None:
    """Every step against what is known of the environment."""
    steps = simulated.transitions
    valid = steps.valid
    t, length, name = steps.state.unbind(-1)
    until, after = t + 1, steps.next_state
    # each sample goes on step by step in the same episode, from its first step to its end or to that of the segment
    assert (valid[..., 1:] <= valid[..., :-1]).all()
    assert valid[..., 0].all()
    assert (t[..., 1:] - t[..., :-1] == 1)[valid[..., 1:]].all()
    assert after[valid].equal(torch.stack([until, length, name], -1)[valid])
    followed = valid[..., 1:]
    assert steps.next_state[..., :-1, :][followed].equal(steps.state[..., 1:, :][followed])
    assert steps.next_action[..., :-1][followed].equal(steps.action[..., 1:][followed])
    # an end is terminal unless it is only that of time
    assert steps.terminal.equal(valid & (until == length))
    assert (until <= limit)[valid].all()
    assert (steps.next_action[steps.terminal] == 0).all()
    cut = valid & (until == limit) & ~steps.terminal
    assert (length > limit)[cut].all()
    # padding begins where the episode has ended, and is all zeros
    ended = steps.terminal | (valid & (until == limit))
    assert ended[..., :-1][~valid[..., 1:] & valid[..., :-1]].all()
    for column in (steps.state, steps.action, steps.next_state, steps.next_action, simulated.regret, simulated.reward):
        assert (column[~valid] == 0).all()
    # what the teachers know
    reward = 10 * t + steps.action
    assert simulated.reward[valid].equal(reward[valid].double())
    q = q_of(steps.state)
    regret = q.amax(-1) - q.gather(-1, steps.action[..., None]).squeeze(-1)
    torch.testing.assert_close(simulated.regret[valid], regret[valid], rtol=0, atol=1e-6)


# Segments -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 3, 5])
@pytest.mark.parametrize("behaviour", [WALK, Behaviour(2.0, epsilon=0.1)], ids=["walk", "boltzmann"])
def test_segments_are_steps_of_the_environment(length: int, behaviour: Behaviour, make: Any) -> None:
    simulated = make().segments(streams(0, 1), behaviour, 60, 200, length, 100)
    steps = simulated.transitions
    assert steps.state.shape == steps.next_state.shape == (2, 200, length, 3)
    assert steps.state.dtype == torch.float32
    assert steps.action.shape == simulated.reward.shape == simulated.regret.shape == (2, 200, length)
    check_steps(simulated)
    assert steps.terminal.any()
    assert (steps.state[..., 1][steps.valid] > LIMIT).any()
    assert bool((~steps.valid).any()) == (length > 1)


def test_a_unit_divides_what_teachers_know_and_nothing_else(make: Any) -> None:
    plain = make()
    simulator, behaviour = replace(plain, unit=4.0), Behaviour(8.0, minimum_return=25.0)
    for ask in ("segments", "episodes"):
        arguments = (60, 200, 3, 100) if ask == "segments" else (20,)
        # a rationality of 8 in a unit of 4 is one of 2 in the environment's; the return to reach is the environment's
        scaled = getattr(simulator, ask)(streams(0), behaviour, *arguments)
        same = getattr(plain, ask)(streams(0), replace(behaviour, rationality=2.0), *arguments)
        assert scaled.transitions.action.equal(same.transitions.action)
        assert scaled.transitions.state.equal(same.transitions.state)
        assert (4 * scaled.reward).equal(same.reward)
        assert (4 * scaled.regret).equal(same.regret)
        assert same.reward.any()
        assert same.regret.any()
        judged = simulator.judged(replace(same, regret=torch.full_like(same.regret, torch.nan)))
        assert judged.reward.equal(scaled.reward)
        assert judged.regret.equal(scaled.regret)
    # policies that were learned act as they are
    actors = [climber()]
    acting = Behaviour(2.0)
    one, other = (replace(each, actors=actors).segments(streams(0), acting, 9, 9, 2, 1) for each in (plain, simulator))
    assert one.transitions.action.equal(other.transitions.action)


def test_episodes_and_starts_are_uniform(make: Any) -> None:
    simulator = make()
    lengths = whole_episodes(simulator, 3, 8)
    assert len(set(lengths.values())) > 2
    steps = simulator.segments(streams(3), WALK, 8, 20_000, 2, 1).transitions
    name, start = steps.state[0, :, 0, 2].numpy(), steps.state[0, :, 0, 0].numpy().astype(int)
    assert set(np.unique(name).tolist()) == set(lengths)
    assert stats.chisquare([(name == n).sum() for n in lengths]).pvalue > 1e-4
    for episode, length in lengths.items():
        starts = np.bincount(start[name == episode])
        assert len(starts) == length
        if length > 1:
            assert stats.chisquare(starts).pvalue > 1e-4


@pytest.mark.parametrize("behaviour", [WALK, Behaviour(1.5), Behaviour(1.5, epsilon=0.4)], ids=str)
def test_actions_follow_the_behaviour_policy(behaviour: Behaviour, make: Any) -> None:
    """Within 4 standard errors; each step of each episode counts once."""
    steps = make().segments(streams(0), behaviour, 3000, 3000, 1, 1).transitions
    names = steps.state[0, :, 0, 2].numpy()
    _, once = np.unique(names, return_index=True)
    state, action = steps.state[0, once, 0], steps.action[0, once, 0]
    weight = torch.exp(behaviour.rationality * q_of(state))
    probability = (1 - behaviour.epsilon) * weight / weight.sum(-1, keepdim=True) + behaviour.epsilon / 4
    assert len(once) > 1500
    for a in range(4):
        p = probability[:, a]
        error = (p * (1 - p)).sum().sqrt()
        assert ((action == a).sum() - p.sum()).abs() < 4 * error


def test_what_follows_a_cut_is_what_would_have_followed(make: Any) -> None:
    """Under a later time limit the same episodes go on as their cut said."""
    behaviour = Behaviour(1.0)
    cut, later = (make(max_steps=n).episodes(streams(5), behaviour, 60).transitions for n in (3, 8))
    last = cut.valid.sum(-1)[0] - 1
    following = [(e, int(t)) for e, t in enumerate(last) if not cut.terminal[0, e, t]]
    assert len(following) > 20
    for e, t in following:
        assert later.valid[0, e, t + 1]
        assert cut.next_state[0, e, t].equal(later.state[0, e, t + 1])
        assert cut.next_action[0, e, t] == later.action[0, e, t + 1]
    assert len({int(cut.next_action[0, e, t]) for e, t in following}) > 2


def test_an_end_in_the_last_step_allowed_is_an_end(make: Any) -> None:
    steps = make().episodes(streams(2), WALK, 80).transitions
    at_limit = steps.state[0, :, 0, 1] == LIMIT
    assert at_limit.any()
    assert steps.terminal[0, at_limit, LIMIT - 1].all()
    assert not steps.terminal[0, steps.state[0, :, 0, 1] > LIMIT].any()


def test_a_replicate_is_the_same_alone_and_beside_others(make: Any) -> None:
    for draw in (lambda s: make().segments(s, Behaviour(1.0), 40, 30, 3, 1), lambda s: make().episodes(s, WALK, 9)):
        together, alone = draw(streams(4, 5, 6)), draw(streams(5))
        length = alone.transitions.action.shape[-1]
        assert together.transitions.state[1, :, :length].equal(alone.transitions.state[0])
        assert together.transitions.action[1, :, :length].equal(alone.transitions.action[0])
        assert together.reward[1, :, :length].equal(alone.reward[0])
        assert together.regret[1, :, :length].equal(alone.regret[0])
        assert not together.transitions.state[0].equal(together.transitions.state[1])


def test_the_first_samples_do_not_depend_on_how_many_follow(make: Any) -> None:
    few, many = (make().segments(streams(4), Behaviour(1.0), 40, count, 3, 1) for count in (7, 300))
    assert few.transitions.state.equal(many.first(7).transitions.state)
    assert few.transitions.action.equal(many.first(7).transitions.action)
    assert few.regret.equal(many.first(7).regret)
    few, many = (make().episodes(streams(4), WALK, count) for count in (7, 100))
    length = few.transitions.action.shape[-1]
    assert few.transitions.state.equal(many.transitions.state[:, :7, :length])


def test_only_needed_episodes_are_simulated(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = make()
    asked: list[Any] = []
    here = simulator.workers.map
    monkeypatch.setattr(simulator.workers, "map", lambda f, calls: asked.extend(calls[0][-1]) or here(f, calls))
    simulator.segments(streams(0, 1), WALK, 1_000_000, 10, 3, 1)
    assert len(asked) == len(set(asked)) == 20
    assert {address[0] for address in asked} == {0, 1}


# Too few steps --------------------------------------------------------------------------------------------------------


def test_a_segment_longer_than_every_episode_is_refused(make: Any) -> None:
    with pytest.raises(EpisodesTooShort) as caught:
        make().segments(streams(0, 1), WALK, 50, 10, LIMIT + 1, 1)
    assert caught.value.longest == LIMIT


def test_more_distinct_segments_than_there_are_are_refused(make: Any) -> None:
    simulator = make()
    places = min(sum(whole_episodes(simulator, seed, 6).values()) for seed in (0, 1))
    simulator.segments(streams(0, 1), WALK, 6, 100, 2, places)
    with pytest.raises(EpisodesTooShort) as caught:
        simulator.segments(streams(0, 1), WALK, 6, 100, 2, places + 1)
    assert caught.value.places == places


@pytest.mark.parametrize("seed", range(6))
def test_episodes_count_that_no_segment_was_drawn_from(seed: int, make: Any) -> None:
    """Whether a request is refused depends on all episodes, as for grids, not on which of them the first draws meet."""
    simulator = make()
    lengths = list(whole_episodes(simulator, seed, 20).values())
    assert max(lengths) == LIMIT
    steps = simulator.segments(streams(seed), WALK, 20, 1, LIMIT, sum(lengths)).transitions
    many = simulator.segments(streams(seed), WALK, 20, 200, LIMIT, 1).transitions
    assert steps.state.equal(many.state[:, :1])
    with pytest.raises(EpisodesTooShort) as caught:
        simulator.segments(streams(seed), WALK, 20, 1, LIMIT, sum(lengths) + 1)
    assert caught.value.places == sum(lengths)


# Episodes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", [WALK, Behaviour(3.0)], ids=["walk", "boltzmann"])
def test_episodes_are_whole_and_padded_to_the_longest(behaviour: Behaviour, make: Any) -> None:
    simulated = make().episodes(streams(0, 1), behaviour, 30)
    check_steps(simulated)
    steps = simulated.transitions
    assert steps.action.shape == (2, 30, LIMIT)
    assert (steps.state[:, :, 0, 0] == 0).all()
    assert steps.valid.sum(-1).equal(steps.state[:, :, 0, 1].clamp(max=LIMIT).long())
    assert len(steps.valid.sum(-1).unique()) == LIMIT


def test_the_demonstrator_demonstrates_and_the_behaviour_policy_tells_the_regret(ladder: str) -> None:
    always_two = NetworkPolicy.from_layers([(torch.zeros(4, 1), torch.tensor([0.0, 0.0, 9.0, 0.0]))], "relu", "q")
    simulator = ControlSimulator(ControlEnvironment(ladder), climber(), always_two, Workers(1))
    shown = simulator.episodes(streams(0), Behaviour(1e6), 20)
    assert (shown.transitions.action[shown.transitions.valid] == 2).all()
    check_steps(shown)
    walked = simulator.segments(streams(0), Behaviour(1e6), 20, 20, 2, 1)
    assert not (walked.transitions.action[walked.transitions.valid] == 2).any()


def test_episodes_of_a_lower_return_are_left_out(make: Any) -> None:
    simulator = make()
    every = simulator.episodes(streams(1), WALK, 100)
    high = (every.reward.sum(-1) >= 40)[0].nonzero().flatten()
    assert 10 < len(high) < 90
    shown = simulator.episodes(streams(1), Behaviour(0.0, minimum_return=40.0), 10)
    assert (shown.reward.sum(-1) >= 40).all()
    assert shown.transitions.state[0].equal(every.transitions.state[0, high[:10], : shown.reward.shape[-1]])
    few = simulator.episodes(streams(1), Behaviour(0.0, minimum_return=40.0), 3)
    assert few.reward[0].equal(shown.reward[0, :3, : few.reward.shape[-1]])


def test_a_return_that_no_episode_reaches_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"only 0 of 100 episodes .* 1 are needed") as caught:
        make().episodes(streams(0), Behaviour(0.0, minimum_return=1e4), 1)
    assert caught.value.key == "feedback.demonstration.minimum_return"


def test_a_replicate_that_lacks_episodes_is_refused_even_beside_one_that_does_not(make: Any) -> None:
    simulator = make()
    best = {seed: simulator.episodes(streams(seed), WALK, 100).reward.sum(-1).max().item() for seed in range(6)}
    high, low = max(best, key=best.__getitem__), min(best, key=best.__getitem__)
    behaviour = Behaviour(0.0, minimum_return=best[high])
    assert best[low] < best[high]
    simulator.episodes(streams(high), behaviour, 1)
    with pytest.raises(ConfigurationError, match="only 0 of 100"):
        simulator.episodes(streams(high, low), behaviour, 1)


# Other observations ---------------------------------------------------------------------------------------------------


def test_a_fixed_horizon_adds_a_feature_that_the_policies_do_not_read(make: Any) -> None:
    plain, fixed = make(), make(fixed_horizon=True)
    short, long = (simulator.episodes(streams(3), Behaviour(2.0), 40) for simulator in (plain, fixed))
    assert long.transitions.state.shape == (1, 40, LIMIT, 4)
    assert long.transitions.valid.all()
    assert not long.transitions.terminal.any()
    lengths = short.transitions.valid.sum(-1)[0].tolist()
    assert min(lengths) < LIMIT
    for e, length in enumerate(lengths):
        steps = long.transitions
        assert steps.state[0, e, :length, :3].equal(short.transitions.state[0, e, :length])
        assert steps.action[0, e, :length].equal(short.transitions.action[0, e, :length])
        assert long.reward[0, e, :length].equal(short.reward[0, e, :length])
        assert (long.reward[0, e, length:] == 0).all()
        absorbed = torch.arange(LIMIT) >= length
        assert steps.state[0, e, :, 3].equal(absorbed.float())
        if short.transitions.terminal[0, e].any():
            assert steps.next_state[0, e, length - 1, 3] == 1


def test_all_replicates_share_one_environment(make: Any) -> None:
    simulator = make()
    assert simulator.subset([2]) is simulator
