"""The vector environment that Stable-Baselines3 trains in."""

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest

from mavrl.agents.rewards import ConstantReward, StepReward, TrueReward
from mavrl.agents.vector_env import RewardedVecEnv
from mavrl.envs.control import ControlEnvironment

Counters = Callable[..., ControlEnvironment]


class Recorder(StepReward):
    """Pays 10, 20, ... for the first, second, ... environment and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, np.ndarray]] = []
        self.begun: list[list[bool]] = []

    def __call__(self, state, action, next_state, terminated, true_reward):
        names = ("state", "action", "next_state", "terminated", "true_reward")
        values = (state, action, next_state, terminated, true_reward)
        self.asked.append({name: np.array(value) for name, value in zip(names, values, strict=True)})
        return 10 * np.arange(1, len(action) + 1)

    def begin(self, started):
        self.begun.append(started.tolist())


def vector(environment: ControlEnvironment, n: int, reward: StepReward | None = None) -> RewardedVecEnv:
    env = RewardedVecEnv(environment.training_vector(n), reward or Recorder())
    env.seed(0)
    return env


def ones(env: RewardedVecEnv) -> np.ndarray:
    return np.ones(env.num_envs, dtype=np.int64)


def test_spaces_are_those_of_one_environment(counter: Counters) -> None:
    env = vector(counter(), 3)
    assert env.num_envs == 3
    assert env.observation_space.shape == (2,)
    assert env.action_space.n == 2


def test_the_reward_is_asked_for_once_a_step_for_all_environments(counter: Counters) -> None:
    reward = Recorder()
    env = vector(counter(limit=100), 3, reward)
    first = env.reset()
    second, paid, over, infos = env.step(np.array([0, 1, 1]))
    assert len(reward.asked) == 1
    asked = reward.asked[0]
    assert np.array_equal(asked["state"], first)
    assert np.array_equal(asked["next_state"], second)
    assert asked["action"].tolist() == [0, 1, 1]
    assert asked["true_reward"].tolist() == [0, 1, 1]
    assert paid.tolist() == [10, 20, 30]
    assert paid.dtype == np.float32
    assert not over.any()
    assert infos == [{}, {}, {}]
    env.step(ones(env))
    assert len(reward.asked) == 2
    assert np.array_equal(reward.asked[1]["state"], second)


@pytest.mark.parametrize(("limit", "ends_at"), [(3, None), (100, 3), (3, 3)])
def test_the_end_of_an_episode(counter: Counters, limit: int, ends_at: int | None) -> None:
    """A new one has begun in what is returned; the reward and `terminal_observation` see the old one's last state."""
    reward = Recorder()
    env = vector(counter(limit, ends_at), 2, reward)
    first = env.reset()
    for _ in range(2):
        last, _, over, _ = env.step(ones(env))
        assert not over.any()
    observation, _, over, infos = env.step(ones(env))
    assert over.all()
    asked = reward.asked[-1]
    assert np.array_equal(asked["state"], last)
    assert asked["next_state"][:, 1].tolist() == [3, 3]
    assert np.array_equal(asked["next_state"][:, 0], first[:, 0])
    assert observation[:, 1].tolist() == [0, 0]
    assert (observation[:, 0] != first[:, 0]).all()
    assert asked["terminated"].tolist() == [ends_at == 3] * 2
    for info, final in zip(infos, asked["next_state"], strict=True):
        assert np.array_equal(info["terminal_observation"], final)
        assert info["TimeLimit.truncated"] is (ends_at is None)
    env.step(ones(env))
    assert np.array_equal(reward.asked[-1]["state"], observation)


def test_environments_end_their_episodes_one_by_one() -> None:
    """CartPole's do not end together when one of the carts is pushed to one side only."""
    reward = Recorder()
    env = vector(ControlEnvironment("CartPole-v1"), 2, reward)
    env.reset()
    over, step = np.zeros(2, dtype=bool), 0
    while not over.any():
        observation, _, over, infos = env.step(np.array([1, step % 2]))
        step += 1
    assert over.tolist() == [True, False]
    assert "terminal_observation" in infos[0]
    assert infos[1] == {}
    assert abs(infos[0]["terminal_observation"][2]) > 0.2095
    assert (np.abs(observation[0]) < 0.05).all()
    assert np.array_equal(reward.asked[-1]["next_state"][0], infos[0]["terminal_observation"])
    assert np.array_equal(reward.asked[-1]["next_state"][1], observation[1])
    assert reward.asked[-1]["terminated"].tolist() == [True, False]
    assert reward.begun == [[True, True], [True, False]]


def test_the_reward_is_told_of_new_episodes_after_the_last_step_of_the_old(counter: Counters) -> None:
    order: list[str] = []

    class Order(ConstantReward):
        def __call__(self, *step):
            order.append("paid")
            return super().__call__(*step)

        def begin(self, started):
            order.append("begun")

    env = vector(counter(limit=2), 1, Order(1.0))
    env.reset()
    for _ in range(3):
        env.step(ones(env))
    assert order == ["begun", "paid", "paid", "begun", "paid"]


class InPlace(gym.Env):
    """Its state is one array, which its reset overwrites; its info changes its shape."""

    observation_space = gym.spaces.Box(0, 9, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self) -> None:
        self.state = np.zeros(2, np.float32)

    def reset(self, *, seed=None, options=None):
        self.state[:] = 0
        return self.state, {"way": np.zeros(1)}

    def step(self, action):
        self.state += 1
        return self.state, np.array([2.0]), bool(self.state[0] == 3), False, {"way": np.zeros(int(self.state[0]))}


def test_the_last_state_is_not_overwritten_by_the_next_reset() -> None:
    gym.register("InPlace-v0", entry_point=InPlace)
    try:
        reward = Recorder()
        env = vector(ControlEnvironment("InPlace-v0"), 2, reward)
    finally:
        del gym.registry["InPlace-v0"]
    env.reset()
    for _ in range(3):
        _, _, over, infos = env.step(ones(env))
    assert over.all()
    assert reward.asked[-1]["next_state"].tolist() == [[3, 3]] * 2
    assert reward.asked[-1]["true_reward"].tolist() == [2, 2]
    assert infos[0]["terminal_observation"].tolist() == [3, 3]


def test_a_step_s_observation_stays_as_it_was(counter: Counters) -> None:
    env = vector(counter(), 2)
    first = env.reset()
    kept = first.copy()
    env.step(ones(env))
    assert np.array_equal(first, kept)


class TestSeeds:
    def test_a_seed_is_a_sequence_of_episodes(self, counter: Counters):
        def numbers(seed: int) -> list[list[float]]:
            env = RewardedVecEnv(counter(limit=2).training_vector(3), TrueReward())
            env.seed(seed)
            seen = [env.reset()] + [env.step(ones(env))[0] for _ in range(4)]
            return [observation[:, 0].tolist() for observation in seen]

        assert numbers(4) == numbers(4)
        assert numbers(4) != numbers(5)
        assert len({number for row in numbers(4) for number in row}) == 9  # three environments, three episodes

    def test_seeding_again_starts_again(self, counter: Counters):
        env = vector(counter(), 2)
        env.seed(7)
        first = env.reset()
        env.step(ones(env))
        assert not np.array_equal(env.reset(), first)  # not seeded: the streams go on
        env.seed(7)
        assert np.array_equal(env.reset(), first)


def test_rewards_that_need_no_model(counter: Counters) -> None:
    for reward, expected in ((TrueReward(), [0, 1]), (ConstantReward(-1.0), [-1, -1])):
        env = vector(counter(), 2, reward)
        env.reset()
        assert env.step(np.array([0, 1]))[1].tolist() == expected


def test_what_single_environments_could_do(counter: Counters) -> None:
    env = vector(counter(), 2)
    assert env.get_attr("render_mode") == [None, None]
    assert env.env_is_wrapped(object) == [False, False]
    with pytest.raises(AttributeError):
        env.set_attr("steps", 3)
    with pytest.raises(AttributeError):
        env.env_method("reset")
