"""Episodes on tables are those of the Gymnasium environment."""

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.errors import MavrlError
from mavrl.planning import uniform_policy
from mavrl.policies.boltzmann import boltzmann_policy
from mavrl.simulation import rollouts
from mavrl.simulation.rollouts import Episodes, simulate_episodes
from mavrl.simulation.segments import cut

RIGHT, STAY = 0, 4


def _streams(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def _at(episodes: Episodes, number: int, step: int) -> tuple[int, int]:
    states, actions = episodes.at(np.array([number]), np.array([step]))
    return int(states[0]), int(actions[0])


def _random_walks(env: GridEnv, n_episodes: int, *seeds: int) -> Episodes:
    problem = TabularProblem.of_grid(env, 0.9)
    return simulate_episodes(problem, uniform_policy(env.transitions).numpy(), n_episodes, _streams(*seeds))


def _always(action: int, n_states: int) -> np.ndarray:
    return np.eye(5)[np.full(n_states, action)][None]


@pytest.mark.parametrize(("size", "max_steps"), [(3, None), (3, 20), (4, 64), (5, 65), (4, 1), (6, None), (6, 200)])
def test_episodes_agree_with_the_environment_step_by_step(size: int, max_steps: int | None) -> None:
    env = GridEnv("trap", size, max_steps=max_steps)
    n_episodes = 12
    episodes = _random_walks(env, n_episodes, 0, 1)
    ends = set()
    for number in range(2 * n_episodes):
        length, terminated = episodes.length.flat[number], episodes.terminated.flat[number]
        state, _ = env.reset(seed=0)
        for step in range(length):
            here, action = _at(episodes, number, step)
            assert here == state
            state, _, env_terminated, env_truncated, _ = env.step(action)
            assert (env_terminated or env_truncated) == (step == length - 1)
        assert env_terminated == terminated
        assert env_truncated == (not terminated)
        if not terminated:  # where it would have gone on
            following, _ = _at(episodes, number, length)
            assert following == state
        ends.add(bool(terminated))
    assert ends == {None: {True}, 20: {True, False}, 1: {False}}.get(max_steps, ends)


@pytest.mark.parametrize("max_steps", [None, 30, 64])
def test_transitions_of_whole_episodes(max_steps: int | None) -> None:
    env = GridEnv("trap", 4, max_steps=max_steps)
    episodes = _random_walks(env, 20, 3)
    number = np.arange(20)[None]
    length = int(episodes.length.max())
    _, steps = cut(episodes, number, np.zeros_like(number), length)
    for e in range(20):
        end = int(episodes.length[0, e])
        valid = steps.valid[0, e]
        assert valid[:end].all()
        assert not valid[end:].any()
        for t in range(end):
            state, action = int(steps.state[0, e, t]), int(steps.action[0, e, t])
            last = t == end - 1
            assert bool(steps.terminal[0, e, t]) == (state == env.goal)
            if state == env.goal:
                assert last
                assert int(steps.next_action[0, e, t]) == 0
                continue
            assert int(steps.next_state[0, e, t]) == int(env.transitions.successors[state, action, 0])
            _, following = _at(episodes, e, t + 1)
            assert int(steps.next_action[0, e, t]) == following
            if not last:
                assert int(steps.state[0, e, t + 1]) == int(steps.next_state[0, e, t])
                assert int(steps.action[0, e, t + 1]) == int(steps.next_action[0, e, t])


def test_a_cut_off_episode_is_not_terminal() -> None:
    env = GridEnv("trap", 6, max_steps=3)  # too short to reach the goal
    episodes = _random_walks(env, 50, 0)
    assert (episodes.length == 3).all()
    assert not episodes.terminated.any()


def test_the_goal_reached_in_the_last_allowed_step_is_a_cut_and_acted_in_it_a_termination() -> None:
    # 3 x 3: right, right, down, down reaches the goal after 4 steps; the fifth step is the terminal one.
    policy = _always(RIGHT, 9)
    policy[0, [2, 5]] = np.eye(5)[3]
    for limit, terminated in ((4, False), (5, True)):
        problem = TabularProblem.of_grid(GridEnv("trap", 3, max_steps=limit), 0.9)
        episodes = simulate_episodes(problem, policy, 1, _streams(0))
        assert episodes.length.item() == limit
        assert bool(episodes.terminated.item()) is terminated


def test_other_actions_are_executed_with_probability_p_rand() -> None:
    env = GridEnv("trap", 5, p_rand=0.4, max_steps=40)
    problem = TabularProblem.of_grid(env, 0.9)
    episodes = simulate_episodes(problem, _always(RIGHT, 25), 1000, _streams(0))
    number = np.arange(1000)[None]
    _, steps = cut(episodes, number, np.zeros_like(number), 40)
    going_on = steps.valid & ~steps.terminal
    state, following = steps.state[going_on].numpy(), steps.next_state[going_on].numpy()
    assert (steps.action[steps.valid] == RIGHT).all()
    tested = 0
    for here in range(25):
        arrived = np.bincount(following[state == here], minlength=25)
        expected = env.P[here, RIGHT]
        assert not arrived[expected == 0].any()
        if arrived.sum() > 500 and (expected > 0).sum() > 1:
            possible = expected > 0
            assert stats.chisquare(arrived[possible], expected[possible] * arrived.sum()).pvalue > 1e-4
            tested += 1
    assert tested > 5


@pytest.mark.parametrize("rationality", [0.0, 0.2, 0.5])
def test_actions_follow_the_behaviour_policy(rationality: float) -> None:
    problem = TabularProblem.of_grid(GridEnv("cliff", 3, max_steps=30), 0.9)
    policy = boltzmann_policy(problem.q, rationality).numpy()
    episodes = simulate_episodes(problem, policy, 1500, _streams(0))
    number = np.arange(1500)[None]
    _, steps = cut(episodes, number, np.zeros_like(number), 30)
    state, action = steps.state[steps.valid].numpy(), steps.action[steps.valid].numpy()
    tested = 0
    for here in range(9):
        taken = np.bincount(action[state == here], minlength=5)
        expected = policy[0, here] * taken.sum()
        if expected.min() > 5:
            assert stats.chisquare(taken, expected).pvalue > 1e-4
            tested += 1
    assert tested >= 3


def test_each_replicate_may_have_a_policy_of_its_own() -> None:
    problem = TabularProblem.of_grid(GridEnv("trap", 3, max_steps=5), 0.9)
    policy = np.concatenate([_always(RIGHT, 9), _always(STAY, 9)])
    episodes = simulate_episodes(problem, policy, 2, _streams(0, 0))
    for number, action in enumerate((RIGHT, RIGHT, STAY, STAY)):
        assert {_at(episodes, number, t)[1] for t in range(5)} == {action}


@pytest.mark.parametrize("p_rand", [0.0, 0.3])
def test_a_replicate_does_not_depend_on_the_others(p_rand: float) -> None:
    env = GridEnv("trap", 5, p_rand=p_rand)
    together = _random_walks(env, 8, 11, 12, 13)
    alone = _random_walks(env, 8, 12)
    assert np.array_equal(together.length[1], alone.length[0])
    for episode, length in enumerate(alone.length[0]):
        step = np.arange(length)
        here = together.at(np.full(length, 8 + episode), step)
        there = alone.at(np.full(length, episode), step)
        assert np.array_equal(here, there)


def test_an_environment_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollouts, "_LONGEST", 1000)
    problem = TabularProblem.of_grid(GridEnv("trap", 3), 0.9)
    with pytest.raises(MavrlError, match=r"env\.max_steps"):
        simulate_episodes(problem, _always(STAY, 9), 2, _streams(0))


def test_a_random_first_state() -> None:
    env = GridEnv("trap", 3, max_steps=1)
    env.initial_distribution = np.full(9, 1 / 9)
    problem = TabularProblem.of_grid(env, 0.9)
    episodes = simulate_episodes(problem, uniform_policy(env.transitions).numpy(), 4000, _streams(0))
    first, _ = episodes.at(np.arange(4000), np.zeros(4000, dtype=np.int64))
    assert stats.chisquare(np.bincount(first, minlength=9)).pvalue > 1e-4


def test_uniform_policy_is_recognised_as_the_same_everywhere_without_changing_what_it_does() -> None:
    """The fast path of a policy that does not look at the state draws what the general one draws."""
    problem = TabularProblem.of_grid(GridEnv("trap", 4, max_steps=50), 0.9)
    uniform = uniform_policy(problem.transitions).numpy()
    nearly = uniform.copy()
    nearly[0, -1] = [0.2 + 1e-9, 0.2 - 1e-9, 0.2, 0.2, 0.2]
    fast = simulate_episodes(problem, uniform, 30, _streams(4))
    general = simulate_episodes(problem, nearly, 30, _streams(4))
    assert np.array_equal(fast.length, general.length)
    assert np.array_equal(fast.states, general.states)
    assert torch.tensor(fast.actions).equal(torch.tensor(general.actions))
