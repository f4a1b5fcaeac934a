"""Perturbed dynamics of all environments: Gymnasium's own where nothing is perturbed, and repeated by the seed."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mavrl.envs.perturbation import PERTURBATIONS, Perturbation, perturbed
from mavrl.envs.perturbation.mujoco import MUJOCO
from mavrl.errors import ConfigurationError

SETTINGS = {env_id: dynamics.settings for env_id, dynamics in PERTURBATIONS.items()}
NOMINAL = [(env_id, {name: s.nominal}) for env_id, settings in SETTINGS.items() for name, s in settings.items()]
NOMINAL += [(env_id, {name: s.nominal for name, s in settings.items()}) for env_id, settings in SETTINGS.items()]
NOMINAL += [(env_id, {}) for env_id in SETTINGS]
CHANGED = [
    ("CartPole-v1", {"pole_length": 0.8}),
    ("CartPole-v1", {"gravity": 5.0}),
    ("Acrobot-v1", {"link_asymmetry": 1.3}),
    ("LunarLander-v3", {"wind_power": 15.0}),
    ("LunarLander-v3", {"turbulence_power": 1.5}),
    ("LunarLanderContinuous-v3", {"wind_power": 15.0}),
    ("Pendulum-v1", {"gravity": 5.0}),
    ("Pendulum-v1", {"length": 1.5}),
    ("Pendulum-v1", {"mass": 2.0}),
    ("MountainCarContinuous-v0", {"power": 0.001}),
    ("HalfCheetah-v5", {"gravity": 5.0}),
    ("HalfCheetah-v5", {"mass": 1.5}),
    ("Hopper-v5", {"friction": 0.5}),
    ("Walker2d-v5", {"friction": 0.5}),
    ("Reacher-v5", {"inertia": 2.0}),
    ("Reacher-v5", {"damping": 0.5}),
    ("mo-halfcheetah-v5", {"gravity": 5.0}),
]


def made(env_id: str, **arguments: Any) -> gym.Env:
    """An environment; the test is skipped where its package is not installed."""
    if "mo-" in env_id:
        pytest.importorskip("mo_gymnasium")
    if env_id in MUJOCO:
        pytest.importorskip("mujoco")
    return gym.make(env_id, **arguments)


def trajectory(env: gym.Env, seed: int = 3, steps: int = 120) -> np.ndarray:
    """Observations, rewards and ends under actions that only the seed decides, shape (steps, O + 2);
    a reward of several parts is as many numbers."""
    env.action_space.seed(seed)
    env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rows.append([*observation, *np.atleast_1d(reward), terminated])
        if terminated or truncated:
            env.reset()
    return np.array(rows)


@pytest.mark.parametrize(("env_id", "perturbation"), NOMINAL)
def test_nominal_dynamics_are_those_of_gymnasium(env_id, perturbation):
    env = perturbed(made(env_id), perturbation)
    np.testing.assert_array_equal(trajectory(env), trajectory(made(env_id)))


@pytest.mark.parametrize(("env_id", "perturbation"), CHANGED)
def test_perturbed_dynamics_differ_and_are_reproduced_by_the_seed(env_id, perturbation):
    first, second = (trajectory(perturbed(made(env_id), perturbation)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, trajectory(made(env_id)))
    assert not np.array_equal(first, trajectory(perturbed(made(env_id), perturbation), seed=4))


@pytest.mark.parametrize(("env_id", "perturbation"), CHANGED)
def test_the_environment_itself_is_perturbed_under_its_wrappers(env_id, perturbation):
    env = made(env_id, max_episode_steps=7)
    inside = env.unwrapped
    assert perturbed(env, perturbation) is env
    assert env.unwrapped is inside
    env.reset(seed=0)
    assert [env.step(env.action_space.sample())[3] for _ in range(7)] == [False] * 6 + [True]


@pytest.mark.parametrize(("env_id", "perturbation"), CHANGED)
def test_a_copy_is_perturbed_too(env_id, perturbation):
    env = perturbed(made(env_id), perturbation)
    np.testing.assert_array_equal(trajectory(copy.deepcopy(env)), trajectory(env))


class TestTable:
    @pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
    def test_nominal_values_are_allowed(self, settings):
        for setting in settings.values():
            assert all(setting.allows(value) for value in (setting.nominal, setting.low, setting.high))
            assert setting.unit

    @pytest.mark.parametrize("value", [-0.1, 2.1, float("nan"), float("inf"), "1", None, True])
    def test_what_a_range_refuses(self, value):
        assert not Perturbation("m", 1.0, 0.0, 2.0).allows(value)

    def test_any_kind_of_number_will_do(self):
        assert all(Perturbation("m", 1.0, 0.0, 2.0).allows(value) for value in (1, 1.5, np.float32(1), np.int64(2)))


class TestErrors:
    @pytest.mark.parametrize(
        ("env_id", "perturbation", "message"),
        [
            ("CartPole-v1", {"mass": 1.0}, r"env\.perturbation\.mass=1\.0: .*pole_length, gravity"),
            ("CartPole-v1", {"pole_length": 0.0}, r"env\.perturbation\.pole_length=0\.0: .*0\.05 to 5 .*nominal 0\.5"),
            ("CartPole-v1", {"gravity": float("nan")}, r"env\.perturbation\.gravity=nan: .*0 to 98"),
            ("Acrobot-v1", {"link_asymmetry": -1.0}, r"env\.perturbation\.link_asymmetry=-1\.0: .*0\.5 to 2"),
            ("LunarLander-v3", {"wind_power": 21.0}, r"env\.perturbation\.wind_power=21\.0: .*0 to 20"),
            ("LunarLander-v3", {"turbulence_power": 3.0}, r"env\.perturbation\.turbulence_power=3\.0: .*0 to 2"),
            (
                "MountainCar-v0",
                {"gravity": 1.0},
                r"env\.perturbation\.gravity=1\.0: MountainCar-v0 has no .*; CartPole-v1, Acrobot-v1, .*LunarLander-v3",
            ),
            ("mavrl/GridTrap-v0", {"gravity": 1.0}, r"env\.perturbation\.gravity=1\.0: .*env\.p_rand"),
        ],
    )
    def test_name_key_value_and_what_is_allowed(self, env_id, perturbation, message):
        with pytest.raises(ConfigurationError, match=message):
            perturbed(gym.make(env_id), perturbation)

    def test_nothing_is_changed_when_one_value_is_refused(self):
        env = gym.make("CartPole-v1")
        with pytest.raises(ConfigurationError):
            perturbed(env, {"gravity": 1.0, "pole_length": 100.0})
        assert env.unwrapped.gravity == 9.8

    @pytest.mark.parametrize("env_id", ["MountainCar-v0", "mavrl/GridTrap-v0"])
    def test_an_empty_perturbation_suits_every_environment(self, env_id):
        env = gym.make(env_id)
        assert perturbed(env, {}) is env
