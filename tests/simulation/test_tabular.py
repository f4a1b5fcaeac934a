"""The simulator of finite environments: steps with what the tables say of them."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.planning import uniform_policy
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Simulated
from mavrl.simulation.rollouts import simulate_episodes
from mavrl.simulation.segments import sample_segments
from mavrl.simulation.tabular import TabularSimulator
from mavrl.streams import numpy_stream

WALK = Behaviour(0.0)


def streams(*seeds: int) -> list[tuple[int, str, str]]:
    return [(seed, "rating", "train") for seed in seeds]


def several_rewards(problem: TabularProblem) -> TabularProblem:
    """Three replicates with rewards of their own."""
    return dataclasses.replace(problem, reward=torch.cat([problem.reward, -problem.reward, 3 * problem.reward]))


def check_truth(simulated: Simulated, problem: TabularProblem) -> None:
    """Reward and regret of each step are the tables' entries."""
    steps = simulated.transitions
    for r, b, t in steps.valid.nonzero().tolist():
        row = min(r, len(problem.reward) - 1)
        state, action = int(steps.state[r, b, t]), int(steps.action[r, b, t])
        q = problem.q[row, state]
        assert simulated.reward[r, b, t] == problem.reward[row, state]
        assert simulated.regret[r, b, t] == q.max() - q[action]


@pytest.mark.parametrize("each", [False, True])
def test_rewards_and_regrets_are_those_of_the_tables(each: bool, make_problem: Any) -> None:
    problem = several_rewards(make_problem()) if each else make_problem()
    simulator = TabularSimulator(problem)
    seeds = streams(0, 1, 2)
    check_truth(simulator.segments(seeds, WALK, 10, 20, 5, 1), problem)
    check_truth(simulator.episodes(seeds, Behaviour(1.0), 3), problem)


def test_segments_are_those_of_the_episodes_of_the_stream(make_problem: Any) -> None:
    problem = make_problem(p_rand=0.2)
    found = TabularSimulator(problem).segments(streams(3), WALK, 10, 20, 4, 1).transitions
    policy = uniform_policy(problem.transitions).numpy()
    episodes = simulate_episodes(problem, policy, 10, [numpy_stream(3, "rating", "train", "episodes")])
    _, expected = sample_segments(episodes, 20, 4, [numpy_stream(3, "rating", "train", "segments")])
    for field in dataclasses.fields(expected):
        assert getattr(found, field.name).equal(getattr(expected, field.name))


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 1.0])
def test_actions_follow_the_behaviour_policy(epsilon: float, make_problem: Any) -> None:
    problem = make_problem(size=3)
    steps = TabularSimulator(problem).segments(streams(0), Behaviour(0.5, epsilon), 2000, 2000, 1, 1).transitions
    state, action = steps.state[0, :, 0].numpy(), steps.action[0, :, 0].numpy()
    weight = torch.exp(0.5 * problem.q[0]).numpy()
    policy = (1 - epsilon) * weight / weight.sum(-1, keepdims=True) + epsilon / 5
    tested = 0
    for here in range(9):
        taken = np.bincount(action[state == here], minlength=5)
        expected = policy[here] * taken.sum()
        if expected.min() > 5:
            assert stats.chisquare(taken, expected).pvalue > 1e-4
            tested += 1
    assert tested >= 3


def test_the_first_episodes_do_not_depend_on_how_many_follow(make_problem: Any) -> None:
    simulator = TabularSimulator(make_problem(p_rand=0.3))
    many = simulator.episodes(streams(0, 1), Behaviour(1.0), 40)  # of three groups
    assert many.transitions.valid.any(-1).all()
    for count in (1, 16, 17):
        few = simulator.episodes(streams(0, 1), Behaviour(1.0), count)
        shared = min(few.reward.shape[-1], many.reward.shape[-1])
        for name in ("state", "action", "next_state", "next_action", "terminal", "valid"):
            here, there = getattr(few.transitions, name), getattr(many.transitions, name)
            assert here[..., :shared].equal(there[:, :count, :shared])
            assert not here[..., shared:].any()  # padding for episodes that were not asked for
            assert not there[:, :count, shared:].any()


def test_a_replicate_is_the_same_alone_and_beside_others(make_problem: Any) -> None:
    problem = several_rewards(make_problem())
    simulator = TabularSimulator(problem)
    together = simulator.segments(streams(4, 5, 6), Behaviour(2.0), 10, 20, 5, 1)
    for row, seed in enumerate((4, 5, 6)):
        alone = simulator.subset([row]).segments(streams(seed), Behaviour(2.0), 10, 20, 5, 1)
        assert together.transitions.state[row].equal(alone.transitions.state[0])
        assert together.reward[row].equal(alone.reward[0])
        torch.testing.assert_close(together.regret[row], alone.regret[0])  # planned until the slowest is done


def test_some_replicates_only(make_problem: Any) -> None:
    problem = several_rewards(make_problem())
    assert TabularSimulator(problem).subset([2, 0]).problem.reward.equal(problem.reward[[2, 0]])
    shared = TabularSimulator(make_problem())
    assert shared.subset([2, 0]) is shared


def test_what_does_not_fit_into_the_episodes_is_refused(make_problem: Any) -> None:
    simulator = TabularSimulator(make_problem(size=6, max_steps=5))  # too short to reach the goal
    simulator.segments(streams(0, 1), WALK, 3, 4, 5, 15)
    with pytest.raises(EpisodesTooShort) as caught:
        simulator.segments(streams(0, 1), WALK, 3, 4, 6, 1)
    assert (caught.value.longest, caught.value.places) == (5, 15)
    with pytest.raises(EpisodesTooShort):
        simulator.segments(streams(0, 1), WALK, 3, 4, 5, 16)


def test_a_minimum_return_is_refused(make_problem: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be null") as caught:
        TabularSimulator(make_problem()).episodes(streams(0), Behaviour(1.0, minimum_return=0.0), 1)
    assert caught.value.key == "feedback.demonstration.minimum_return"
    assert caught.value.value == 0.0


def test_first_takes_samples_of_every_replicate(make_problem: Any) -> None:
    simulated = TabularSimulator(make_problem()).segments(streams(0, 1), WALK, 10, 20, 5, 1)
    first = simulated.first(3)
    assert first.transitions.state.equal(simulated.transitions.state[:, :3])
    assert first.reward.equal(simulated.reward[:, :3])
    assert first.regret.equal(simulated.regret[:, :3])
