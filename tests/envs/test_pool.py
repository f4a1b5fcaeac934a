"""EnvPool's environments, against Gymnasium's."""

import importlib.util
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from mavrl.envs import pool
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.pool import ALIKE, PooledEnvironments, check_vector, stepped_environments
from mavrl.envs.stepping import GymnasiumEnvironments, SteppedEnvironments
from mavrl.errors import ConfigurationError

installed = pytest.mark.skipif(importlib.util.find_spec("envpool") is None, reason="needs envpool")
CART_POLE = ControlEnvironment("CartPole-v1")


class TestWhereItServes:
    @pytest.mark.parametrize(
        ("environment", "reason"),
        [
            (ControlEnvironment("FrozenLake-v1"), "has CartPole-v1, .*, not FrozenLake-v1"),
            (replace(CART_POLE, kwargs={"sutton_barto_reward": True}), "without env.kwargs="),
            (replace(CART_POLE, perturbation={"gravity": 11.0}), "without env.perturbation="),
            (replace(CART_POLE, wrappers=("FlattenObservation",)), "without env.wrappers="),
        ],
    )
    def test_it_has_the_environments_as_they_are(self, environment: ControlEnvironment, reason: str):
        with pytest.raises(ConfigurationError, match=f"policy.vector=envpool: .*{reason}"):
            check_vector(environment, "envpool")
        check_vector(environment, "gymnasium")

    def test_where_it_is_not_installed(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ConfigurationError, match=r"needs the package envpool: pip install 'mavrl\[envpool\]'"):
            check_vector(CART_POLE, "envpool")

    def test_gymnasium_is_taken_otherwise(self):
        assert isinstance(stepped_environments(CART_POLE, 1, "gymnasium"), GymnasiumEnvironments)


def episodes(envs: SteppedEnvironments, n_actions: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns and lengths of the episodes of a random walk that begin in the first half of the steps."""
    n, stream = 32, np.random.default_rng(seed)
    envs.reset(np.arange(n) + 100 * seed)
    total, length, begun = np.zeros(n), np.zeros(n), np.zeros(n)
    found = []
    for t in range(steps):
        step = envs.step(stream.integers(n_actions, size=n))
        total, length = total + step.reward, length + 1
        over = step.terminated | step.truncated
        found += [(total[i], length[i]) for i in np.flatnonzero(over & (begun < steps // 2))]
        total[over], length[over], begun[over] = 0, 0, t + 1
    return np.array(found)[:, 0], np.array(found)[:, 1]


@installed
class TestSameEpisodes:
    @pytest.mark.parametrize("name", ALIKE)
    def test_observations_and_actions(self, name: str):
        envpool = pool._imported()
        ours, theirs = gym.make(name), envpool.make_gymnasium(name, num_envs=1)
        assert theirs.observation_space.shape == ours.observation_space.shape
        assert theirs.observation_space.dtype == ours.observation_space.dtype
        assert (theirs.action_space.n, theirs.action_space.start) == (ours.action_space.n, ours.action_space.start)

    @pytest.mark.parametrize(
        ("environment", "steps"),
        [
            (CART_POLE, 600),
            (replace(CART_POLE, max_steps=15), 300),
            (ControlEnvironment("LunarLander-v3"), 700),
            (ControlEnvironment("Acrobot-v1"), 2000),
            (ControlEnvironment("MountainCar-v0"), 500),
        ],
        ids=str,
    )
    def test_returns_and_lengths_of_a_random_walk(self, environment: ControlEnvironment, steps: int):
        """The difference of the means is within four standard errors."""
        n = environment.actions.count
        mine = episodes(PooledEnvironments(environment, 32), n, steps, 1)
        theirs = episodes(GymnasiumEnvironments(environment, 32), n, steps, 2)
        for one, other in zip(mine, theirs, strict=True):
            assert min(len(one), len(other)) > 40
            error = np.sqrt(one.var() / len(one) + other.var() / len(other))
            assert abs(one.mean() - other.mean()) <= 4 * error + 1e-9
            assert one.std() == pytest.approx(other.std(), rel=0.35, abs=10)

    @pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0"])
    def test_one_step_from_the_same_state(self, name: str):
        """Gymnasium's environment is put where EnvPool's is; the dynamics have no chance."""
        environment = ControlEnvironment(name)
        envs, one = PooledEnvironments(environment, 1), gym.make(name).unwrapped
        one.reset(seed=0)
        before, stream = envs.reset(np.array([3]))[0], np.random.default_rng(0)
        for _ in range(30):
            action = stream.integers(environment.actions.count, size=1)
            step = envs.step(action)
            if name == "Acrobot-v1":
                angles = np.arctan2(before[[1, 3]], before[[0, 2]])
                one.state = np.array([*angles, *before[4:]], dtype=np.float64)  # type: ignore[attr-defined]
            else:
                one.state = before.astype(np.float64)  # type: ignore[attr-defined]
                one.steps_beyond_terminated = None  # type: ignore[attr-defined]
            after, reward, terminated, _, _ = one.step(int(action[0]))
            assert step.following[0] == pytest.approx(after, abs=2e-4)
            assert (step.reward[0], step.terminated[0]) == (reward, terminated)
            before = step.observation[0]


@installed
class TestSteps:
    def test_an_episode_depends_on_its_seed_alone(self):
        lander = ControlEnvironment("LunarLander-v3", max_steps=60)
        one, other = PooledEnvironments(lander, 2), PooledEnvironments(lander, 3)
        firsts = one.reset(np.array([5, 6])), other.reset(np.array([8, 6, 5]))
        assert firsts[0].tolist() == firsts[1][[2, 1]].tolist()
        stream = np.random.default_rng(0)
        for _ in range(150):
            actions = stream.integers(4, size=3)
            mine, theirs = one.step(actions[[2, 1]]), other.step(actions)
            for name in ("following", "observation", "reward", "terminated", "truncated"):
                assert getattr(mine, name).tolist() == getattr(theirs, name)[[2, 1]].tolist()
        assert one.reset(np.array([5])).tolist() == firsts[0][:1].tolist()

    def test_a_new_episode_begins_in_the_step_that_ends_one(self):
        envs = PooledEnvironments(replace(CART_POLE, max_steps=9), 4)
        envs.reset(np.arange(4))
        ends, before = 0, np.zeros((4, 4))
        for t in range(1, 28):
            step = envs.step(np.full(4, t % 2))
            over = step.terminated | step.truncated
            assert over.all() == (t % 9 == 0)
            assert step.reward.tolist() == [1.0] * 4
            assert (step.observation == step.following).all() == (not over.any())
            if over.any():
                assert np.abs(step.observation).max() <= 0.05
            ends += int(over.sum())
            assert not (step.following == before).all()
            before = step.following
        assert ends == 12

    def test_a_fixed_horizon(self):
        envs = PooledEnvironments(ControlEnvironment("CartPole-v1", max_steps=40, fixed_horizon=True), 2)
        assert envs.reset(np.arange(2)).shape == (2, 5)
        steps = [envs.step(np.array([0, 0])) for _ in range(40)]
        rewards = np.array([step.reward for step in steps]).sum(0)
        assert ((rewards > 5) & (rewards < 15)).all()
        assert not any(step.terminated.any() for step in steps)
        assert [step.truncated.all() for step in steps] == [False] * 39 + [True]
        assert steps[-1].following[:, -1].tolist() == [1, 1]
        assert steps[-1].observation[:, -1].tolist() == [0, 0]
        assert steps[-2].following[0].tolist() == steps[-1].following[0].tolist()
