"""A reward that is a weighted sum of an environment's parts, computed by hand."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from mavrl.envs.control import ControlEnvironment
from mavrl.envs.teacher_reward import TeacherReward, check_step
from mavrl.errors import ConfigurationError, EnvironmentFault


class Steps(gym.Env):
    """Counts its steps n: observation (n, -n), a reward vector (n, 10), and infos; it ends after 3 steps."""

    def __init__(self, scalar: bool = False, broken: Any = None) -> None:
        self.observation_space = spaces.Box(-10, 10, (2,), np.float32)
        self.action_space = spaces.Discrete(3, start=5)
        if not scalar:
            self.reward_space = spaces.Box(-np.inf, np.inf, (2,), np.float64)
        self._scalar = scalar
        self._broken = broken
        self._n = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._n = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self._n += 1
        assert action in (5, 6, 7)
        reward = 0.5 * self._n if self._scalar else np.array([self._n, 10.0])
        info = {"speed": np.float32(2 * self._n), "crashed": self._n == 2, "car": {"lane": 4}, "name": "x"}
        if self._broken is not None:
            info["car"] = {"lane": self._broken}
        return np.array([self._n, -self._n], np.float32), reward, self._n == 3, False, info


@pytest.fixture
def steps() -> Any:
    gym.register("Steps-v0", entry_point=Steps, max_episode_steps=5)
    yield "Steps-v0"
    del gym.registry["Steps-v0"]


def rewards(environment: ControlEnvironment, actions: list[int]) -> list[float]:
    env = environment.make()
    env.reset(seed=0)
    paid = [env.step(action)[1] for action in actions]
    assert all(isinstance(x, float) for x in paid)
    return paid


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([{"reward": 0, "weight": 2.0}], [2, 4, 6]),
        ([{"reward": 1, "weight": -1}], [-10, -10, -10]),
        ([{"observation": 1, "weight": 3.0}], [-3, -6, -9]),
        ([{"observation": 0, "weight": 10.0, "clip": [1.5, 2.5]}], [15, 20, 25]),
        ([{"observation": 0, "weight": -1.0, "clip": None}], [-1, -2, -3]),
        ([{"info": "speed", "weight": 0.5}], [1, 2, 3]),
        ([{"info": "crashed", "weight": -7.0}], [0, -7, 0]),
        ([{"info": "car.lane", "weight": 0.25}], [1, 1, 1]),
        ([{"action": 2, "weight": -1.0}], [-1, 0, -1]),
        ([{"constant": 0.125}], [0.125] * 3),
        (
            [
                {"constant": 1.0}, {"reward": 0, "weight": 1.0}, {"action": 0, "weight": 5.0},
                {"info": "speed", "weight": -1},
            ],
            [1 + 1 - 2, 1 + 2 + 5 - 4, 1 + 3 - 6],
        ),
    ],
)  # fmt: skip
def test_the_weighted_sum(steps: str, parts: list, expected: list) -> None:
    environment = ControlEnvironment(steps, teacher_reward=parts)
    environment.check()
    assert rewards(environment, [2, 0, 2]) == expected


def test_a_reward_that_is_a_number_is_entry_0(steps: str) -> None:
    environment = ControlEnvironment(steps, {"scalar": True}, teacher_reward=[{"reward": 0, "weight": 4.0}])
    assert rewards(environment, [0, 0, 0]) == [2, 4, 6]
    with pytest.raises(ConfigurationError, match=r"^env\.teacher_reward\[0\]\.reward=1: .*below 1"):
        ControlEnvironment(steps, {"scalar": True}, teacher_reward=[{"reward": 1, "weight": 1.0}]).check()


def test_after_the_end_of_a_fixed_horizon_nothing_is_paid(steps: str) -> None:
    environment = ControlEnvironment(steps, fixed_horizon=True, teacher_reward=[{"constant": 3.0}])
    assert rewards(environment, [0] * 5) == [3, 3, 3, 0, 0]


def test_observations_are_those_that_wrappers_give(steps: str) -> None:
    wrappers = [{"DelayObservation": {"delay": 1}}]
    environment = ControlEnvironment(steps, wrappers=wrappers, teacher_reward=[{"observation": 0, "weight": 1.0}])
    assert rewards(environment, [0] * 3) == [0, 1, 2]


def test_experts_and_policies_meet_it_in_every_copy(steps: str) -> None:
    envs = ControlEnvironment(steps, teacher_reward=[{"action": 1, "weight": 1.0}]).training_vector(2)
    envs.reset(seed=0)
    assert envs.step(np.array([0, 1]))[1].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"observation": 2, "weight": 1.0}, r"env\.teacher_reward\[1\]\.observation=2: .*below 2, the number of feat"),
        ({"action": 3, "weight": 1.0}, r"env\.teacher_reward\[1\]\.action=3: .*below 3, the number of actions"),
        ({"reward": 2, "weight": 1.0}, r"env\.teacher_reward\[1\]\.reward=2: .*below 2, the number of entries"),
        ({"info": "sped", "weight": 1.0}, r"\[1\]\.info=sped: must name .*; there are: speed, crashed, car\.l"),
        ({"info": "car", "weight": 1.0}, r"\[1\]\.info=car: must name a number"),
        ({"info": "name", "weight": 1.0}, r"\[1\]\.info=name: must name a number"),
        ({"speed": 1, "weight": 1.0}, r"\[1\]=.*: must have one of reward, observation, info, action, constant"),
        ({"action": 1, "constant": 1, "weight": 1.0}, r"\[1\]=.*: must have one of"),
    ],
)  # fmt: skip
def test_a_part_that_there_is_not_is_refused_before_any_work(steps: str, part: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        ControlEnvironment(steps, teacher_reward=[{"constant": 1.0}, part]).check()
    assert not isinstance(caught.value, EnvironmentFault)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken", [np.nan, np.inf, "fast", [1, 2]])
def test_an_info_that_is_no_finite_number_is_refused(steps: str, broken: Any) -> None:
    parts = [{"info": "car.lane", "weight": 1.0}]
    with pytest.raises(ConfigurationError, match=r"\[0\]\.info=car\.lane: must name a number"):
        ControlEnvironment(steps, {"broken": broken}, teacher_reward=parts).check()


def test_without_parts_a_vector_is_no_reward(steps: str) -> None:
    environment = ControlEnvironment(steps)
    environment.check()
    with pytest.raises(ConfigurationError, match="gives the reward"):
        rewards(environment, [0])


class TestOthersEnvironments:
    def test_the_parts_of_mo_lunar_lander_add_up_to_lunar_lander(self):
        pytest.importorskip("mo_gymnasium")
        weights = [1.0, 1.0, 0.3, 0.03]
        parts = [{"reward": k, "weight": weight} for k, weight in enumerate(weights)]
        summed = ControlEnvironment("mo_gymnasium:mo-lunar-lander-v3", teacher_reward=parts)
        summed.check()
        actions = [int(x) for x in np.random.default_rng(0).integers(4, size=60)]
        expected = rewards(ControlEnvironment("LunarLander-v3"), actions)
        assert rewards(summed, actions) == pytest.approx(expected, abs=1e-4)
        assert min(expected) < -0.3

    @pytest.mark.parametrize("torque", [0.25, 1.0])
    def test_parts_of_a_cheetah_s_infos_and_actions(self, torque: float):
        pytest.importorskip("mujoco")
        parts = [
            {"info": "x_velocity", "weight": -2.0},
            {"info": "reward_ctrl", "weight": 1.0},
            {"action": 5, "weight": 4.0},
        ]
        env = TeacherReward(gym.make("HalfCheetah-v5"), parts, "HalfCheetah-v5")
        check_step(env)
        action = np.full(6, torque, dtype=np.float32)
        paid, info = env.step(action)[1::3]
        assert paid == pytest.approx(-2 * info["x_velocity"] - 0.6 * torque**2 + 4 * torque)
        with pytest.raises(ConfigurationError, match=r"\[0\]\.action=6: .*below 6, the number of numbers"):
            TeacherReward(gym.make("HalfCheetah-v5"), [{"action": 6, "weight": 1.0}], "HalfCheetah-v5")

    def test_the_parts_of_mo_halfcheetah_add_up_to_half_cheetah(self):
        pytest.importorskip("mujoco")
        pytest.importorskip("mo_gymnasium")
        parts = [{"reward": 0, "weight": 1.0}, {"reward": 1, "weight": 0.1}]
        summed = TeacherReward(gym.make("mo-halfcheetah-v5", disable_env_checker=True), parts, "mo-halfcheetah-v5")
        own = gym.make("HalfCheetah-v5")
        for env in (summed, own):
            env.reset(seed=0)
        for action in np.random.default_rng(0).uniform(-1, 1, (20, 6)).astype(np.float32):
            assert summed.step(action)[1] == pytest.approx(own.step(action)[1], abs=1e-5)

    def test_speed_on_the_highway(self):
        pytest.importorskip("highway_env")
        config = {"lanes_count": 2, "vehicles_count": 0, "simulation_frequency": 3, "duration": 1000}
        wrappers = ["FlattenObservation"]
        parts = [{"info": "speed", "weight": 0.1}, {"action": 3, "weight": -1.0}]
        environment = ControlEnvironment(
            "highway_env:highway-v0", {"config": config}, 10, wrappers=wrappers, teacher_reward=parts
        )
        environment.check()
        idle, faster = rewards(environment, [1] * 5)[-1], rewards(environment, [3, 1, 1, 1, 1])
        assert idle == pytest.approx(2.5, abs=0.05)  # 25 m/s
        assert faster[-1] == pytest.approx(3.0, abs=0.1)
        assert faster[0] < 2.0
