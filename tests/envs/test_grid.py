"""Grids as Gymnasium environments, and their transition model."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from scipy import stats

from mavrl.envs import LAYOUTS, GridEnv
from mavrl.envs.grid import transition_model
from mavrl.envs.problem import TabularProblem

RIGHT, UP, LEFT, DOWN, STAY = range(5)
NAMES = ("Trap", "Cliff", "Sparse", "Dense", "Path", "Center", "TwoGoals")
IDS = [f"mavrl/Grid{name}-v0" for name in NAMES]


def place(env: GridEnv, state: int) -> GridEnv:
    env._state = state
    return env


class TestGymnasium:
    @pytest.mark.parametrize("env_id", IDS)
    @pytest.mark.parametrize("p_rand", [0.0, 0.3])
    def test_passes_the_checker(self, env_id, p_rand):
        check_env(gym.make(env_id, size=4, p_rand=p_rand, render_mode="rgb_array").unwrapped)

    def test_every_layout_is_registered(self):
        registered = [env_id for env_id in gym.registry if env_id.startswith("mavrl/Grid")]
        assert sorted(registered) == sorted(IDS)
        for env_id, layout in zip(IDS, LAYOUTS, strict=True):
            env = gym.make(env_id).unwrapped
            assert isinstance(env, GridEnv)
            assert env.size == 10
            np.testing.assert_array_equal(env.R, LAYOUTS[layout](10).reshape(-1))

    def test_flattened_observation_is_one_hot(self):
        env = gym.wrappers.FlattenObservation(gym.make("mavrl/GridTrap-v0", size=3))
        observation, _ = env.reset(seed=0)
        assert observation.tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0]
        observation, *_ = env.step(DOWN)
        assert observation.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0]

    def test_text(self):
        env = GridEnv("trap", 3, render_mode="ansi")
        env.reset(seed=0)
        assert env.render() == "@..\n.--\n.-+"

    def test_picture(self):
        env = GridEnv("cliff", 4, render_mode="rgb_array")
        env.reset(seed=0)
        picture = env.render()
        assert picture.shape == (64, 64, 3)
        assert picture.dtype == np.uint8

    def test_nothing_to_render_by_default(self):
        assert GridEnv("trap").render() is None


class TestMoves:
    @pytest.mark.parametrize(
        ("state", "action", "expected"),
        [
            (4, RIGHT, 5),
            (4, UP, 1),
            (4, LEFT, 3),
            (4, DOWN, 7),
            (4, STAY, 4),
            (0, UP, 0),
            (0, LEFT, 0),
            (2, RIGHT, 2),
            (6, DOWN, 6),
            (6, LEFT, 6),
            (2, DOWN, 5),
        ],
    )
    def test_one_cell_at_a_time_and_never_off_the_grid(self, state, action, expected):
        env = GridEnv("trap", 3)  # states 0 1 2 / 3 4 5 / 6 7 8
        env.reset(seed=0)
        observation, *_ = place(env, state).step(action)
        assert observation == expected

    def test_start_and_goal(self):
        env = GridEnv("sparse", 5)
        assert env.reset(seed=0) == (0, {})
        assert env.goal == 24
        assert env.terminal_states.tolist() == [False] * 24 + [True]
        assert env.initial_distribution.tolist() == [1] + [0] * 24

    def test_reward_is_that_of_the_cell_left(self):
        env = GridEnv("trap", 3)
        env.reset(seed=0)
        _, entering, *_ = place(env, 1).step(DOWN)  # from a free cell into a trap
        _, leaving, *_ = env.step(UP)
        assert (entering, leaving) == (0, -4)

    def test_a_step_in_the_goal_terminates(self):
        env = GridEnv("sparse", 3)
        env.reset(seed=0)
        outcomes = [env.step(action) for action in (RIGHT, RIGHT, DOWN, DOWN, STAY)]
        assert [observation for observation, *_ in outcomes] == [1, 2, 5, 8, 8]
        assert [terminated for _, _, terminated, _, _ in outcomes] == [False, False, False, False, True]
        assert [reward for _, reward, *_ in outcomes] == pytest.approx([-0.1, -0.1, -0.1, -0.1, 1])

    @pytest.mark.parametrize("action", range(5))
    def test_any_action_in_the_goal_terminates(self, action):
        env = GridEnv("sparse", 3, p_rand=0.5)
        env.reset(seed=0)
        _, reward, terminated, truncated, _ = place(env, 8).step(action)
        assert (reward, terminated, truncated) == (1, True, False)


class TestTimeLimit:
    def test_truncates_and_does_not_terminate(self):
        env = GridEnv("sparse", 3, max_steps=3)
        for _ in range(2):  # a reset starts the count again
            env.reset(seed=0)
            ends = [env.step(STAY)[2:4] for _ in range(3)]
            assert ends == [(False, False), (False, False), (False, True)]

    def test_the_goal_at_the_last_step_terminates(self):
        env = GridEnv("sparse", 3, max_steps=5)
        env.reset(seed=0)
        for action in (RIGHT, RIGHT, DOWN, DOWN):
            env.step(action)
        assert env.step(STAY)[2:4] == (True, False)

    def test_none_by_default(self):
        env = GridEnv("sparse", 3)
        env.reset(seed=0)
        assert not any(env.step(STAY)[3] for _ in range(1000))


class TestSeeds:
    def rollout(self, env: GridEnv, seed: int | None) -> list[int]:
        env.reset(seed=seed)
        return [env.step(step % 5)[0] for step in range(60)]

    def test_a_seed_reproduces_an_episode(self):
        env, other = GridEnv("trap", p_rand=0.5), GridEnv("trap", p_rand=0.5)
        assert self.rollout(env, 0) == self.rollout(other, 0) == self.rollout(env, 0)

    def test_seed_zero_is_a_seed(self):
        env = GridEnv("trap", p_rand=0.5)
        first = self.rollout(env, 0)
        assert self.rollout(env, None) != first
        assert self.rollout(env, 1) != first
        assert self.rollout(env, 0) == first


class TestTransitions:
    @pytest.mark.parametrize("p_rand", [0.0, 0.1, 0.8, 1.0])
    @pytest.mark.parametrize("size", [3, 5])
    def test_rows_of_p_sum_to_one_and_agree_with_the_list(self, size, p_rand):
        env = GridEnv("trap", size, p_rand)
        n_states = size * size
        assert env.P.shape == (n_states, 5, n_states)
        np.testing.assert_allclose(env.P.sum(-1), 1, atol=1e-12)
        model = env.transitions
        for state in range(n_states):
            for action in range(5):
                row = np.zeros(n_states)
                for k in range(model.successors.shape[2]):
                    row[model.successors[state, action, k]] += model.probabilities[state, action, k].item()
                np.testing.assert_allclose(env.P[state, action], row, atol=1e-12)

    @pytest.mark.parametrize("p_rand", [0.0, 0.3])
    def test_p_by_hand(self, p_rand):
        # From the middle of 3 x 3, every action leads elsewhere: the chosen one with 1 - p, each other one with p / 4.
        row = GridEnv("trap", 3, p_rand).P[4, UP]
        expected = np.zeros(9)
        expected[[5, 3, 7, 4]] = p_rand / 4
        expected[1] = 1 - p_rand
        np.testing.assert_allclose(row, expected)
        # In the corner (0, 0), up, left and stay all stay.
        corner = GridEnv("trap", 3, p_rand).P[0, RIGHT]
        np.testing.assert_allclose(corner[[0, 1, 3]], [3 * p_rand / 4, 1 - p_rand, p_rand / 4])

    def test_deterministic_without_randomness(self):
        assert transition_model(4, 0.0).deterministic
        assert not transition_model(4, 0.2).deterministic

    @pytest.mark.parametrize(("state", "action"), [(4, RIGHT), (0, UP), (2, DOWN), (8, STAY)])
    @pytest.mark.parametrize("p_rand", [0.3, 1.0])
    def test_steps_follow_p(self, state, action, p_rand):
        env = GridEnv("trap", 3, p_rand)
        env.reset(seed=3)
        count = 5000
        visited = np.bincount([place(env, state).step(action)[0] for _ in range(count)], minlength=9)
        row = env.P[state, action]
        assert visited[row == 0].sum() == 0
        possible = row > 0
        assert stats.chisquare(visited[possible], count * row[possible]).pvalue > 1e-3

    def test_a_large_grid_has_no_dense_array(self):
        env = GridEnv("trap", 40)
        with pytest.raises(ValueError, match=r"\.transitions"):
            _ = env.P
        assert env.transitions.n_states == 1600


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"layout": "maze"}, r"layout=maze.*trap, cliff"),
            ({"layout": "trap", "size": 2}, r"size=2.*3"),
            ({"layout": "trap", "p_rand": -0.1}, r"p_rand=-0.1.*\[0, 1\]"),
            ({"layout": "trap", "p_rand": 1.1}, r"p_rand=1.1.*\[0, 1\]"),
            ({"layout": "trap", "p_rand": float("nan")}, "p_rand=nan"),
            ({"layout": "trap", "max_steps": 0}, r"max_steps=0.*1"),
        ],
    )
    def test_bad_arguments_name_key_value_and_cure(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            GridEnv(**arguments)

    @pytest.mark.parametrize("action", [5, -1, 1.5])
    def test_bad_actions(self, action):
        env = GridEnv("trap")
        env.reset(seed=0)
        with pytest.raises(ValueError, match="allowed are 0 to 4"):
            env.step(action)


class TestProblem:
    def test_of_a_grid(self):
        env = GridEnv("cliff", 4, p_rand=0.1, max_steps=7)
        problem = TabularProblem.of_grid(env, 0.9)
        assert problem.reward.tolist() == [env.R.tolist()]
        assert problem.initial_distribution[0] == 1
        assert problem.terminal_states.nonzero().flatten().tolist() == [15]
        assert (problem.gamma, problem.max_steps) == (0.9, 7)
        assert problem.transitions is env.transitions

    def test_q_is_that_of_the_continuing_problem(self):
        q = TabularProblem.of_grid(GridEnv("sparse", 3), 0.5).q
        assert q.dtype == torch.float64
        # Staying in the goal forever: 1 / (1 - 0.5) = 2. One step before: -0.1 + 0.5 * 2 = 0.9.
        assert q[0, 8, STAY].item() == pytest.approx(2, abs=1e-5)
        assert q[0, 5, DOWN].item() == pytest.approx(0.9, abs=1e-5)
