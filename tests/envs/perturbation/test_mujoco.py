"""Perturbed MuJoCo models: numbers read back from them, and how a body then falls, slides and turns."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest

from mavrl.envs.perturbation import perturbed
from mavrl.envs.perturbation.mujoco import MUJOCO

mujoco = pytest.importorskip("mujoco")

RUNNERS = ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5"]


def inside(env_id: str, perturbation: dict[str, float]):
    env = perturbed(gym.make(env_id), perturbation)
    env.reset(seed=0)
    return env.unwrapped


def inertia(env) -> np.ndarray:
    """The matrix of inertia in the present state, without the rotors in the joints, shape (V, V)."""
    mujoco.mj_forward(env.model, env.data)
    matrix = np.zeros((env.model.nv, env.model.nv))
    mujoco.mj_fullM(env.model, env.data, matrix)
    return matrix - np.diag(env.model.dof_armature)


def accelerations(env, position: np.ndarray) -> np.ndarray:
    """Of all degrees of freedom at rest and without torque, shape (V,)."""
    env.set_state(position, np.zeros(env.model.nv))
    env.data.ctrl[:] = 0
    mujoco.mj_forward(env.model, env.data)
    return env.data.qacc.copy()


@pytest.mark.parametrize("env_id", RUNNERS)
@pytest.mark.parametrize("gravity", [0.0, 1.62, 9.81, 24.8])
def test_a_body_in_the_air_falls_with_gravity(env_id, gravity):
    env = inside(env_id, {"gravity": gravity})
    position = env.init_qpos.copy()
    position[1] += 3.0  # m, above the ground
    fall = np.zeros(env.model.nv)
    fall[1] = -gravity
    np.testing.assert_allclose(accelerations(env, position), fall, atol=1e-9)
    np.testing.assert_array_equal(env.model.opt.gravity, [0, 0, -gravity])


@pytest.mark.parametrize("env_id", RUNNERS)
def test_a_factor_of_masses_is_one_of_the_inertia(env_id):
    light, heavy = inside(env_id, {}), inside(env_id, {"mass": 2.5})
    np.testing.assert_allclose(inertia(heavy), 2.5 * inertia(light), rtol=1e-12)
    np.testing.assert_array_equal(heavy.model.body_mass, 2.5 * light.model.body_mass)
    assert heavy.model.body_subtreemass[0] == pytest.approx(2.5 * light.model.body_mass.sum())
    np.testing.assert_array_equal(heavy.model.dof_armature, light.model.dof_armature)


@pytest.mark.parametrize("env_id", RUNNERS)
def test_friction_is_a_factor_of_every_contact(env_id):
    found = []
    for factor in (1.0, 0.3):
        env = inside(env_id, {"friction": factor})
        position = env.init_qpos.copy()
        position[1] -= 0.1  # m, into the ground
        accelerations(env, position)
        assert env.data.ncon > 0
        found.append(env.data.contact.friction[:, 0].copy())
    np.testing.assert_allclose(found[1], 0.3 * found[0])


def test_a_sliding_cheetah_is_slowed_down_by_friction():
    def stops_after(factor: float) -> float:
        env = inside("HalfCheetah-v5", {"friction": factor})
        env.set_state(env.init_qpos, np.array([5.0, *np.zeros(env.model.nv - 1)]))
        for _ in range(20):
            env.step(np.zeros(6, dtype=np.float32))
        return float(env.data.qvel[0])

    assert stops_after(0.05) > stops_after(1.0) + 1.0  # m/s


def test_a_reacher_s_torque_turns_it_by_inertia_and_damping():
    def slows(perturbation: dict[str, float]) -> float:
        """Acceleration of the shoulder at 1 rad/s."""
        env = inside("Reacher-v5", perturbation)
        env.set_state(env.init_qpos, np.array([1.0, 0.0, 0.0, 0.0]))
        env.data.ctrl[:] = 0
        mujoco.mj_forward(env.model, env.data)
        return float(env.data.qacc[0])

    nominal = slows({})
    assert nominal == pytest.approx(-1.0, rel=0.01)  # damping 1, and a rotor of 1
    assert slows({"inertia": 4.0}) == pytest.approx(nominal / 4)
    assert slows({"damping": 3.0}) == pytest.approx(3 * nominal, rel=0.01)
    assert slows({"damping": 0.0}) == pytest.approx(0.0, abs=1e-3)


def test_another_value_replaces_the_first():
    twice = perturbed(perturbed(gym.make("Hopper-v5"), {"mass": 2.0, "friction": 0.5}), {"mass": 3.0})
    once = inside("Hopper-v5", {"mass": 3.0})
    np.testing.assert_array_equal(twice.unwrapped.model.body_mass, once.model.body_mass)
    np.testing.assert_array_equal(twice.unwrapped.model.geom_friction, once.model.geom_friction)
    assert copy.deepcopy(twice).unwrapped.model.body_mass[1] == once.model.body_mass[1]


def test_a_copy_and_a_pickle_are_of_the_same_class_and_dynamics():
    env = perturbed(gym.make("Hopper-v5", ctrl_cost_weight=0.5), {"mass": 2.0})
    for again in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert again.unwrapped.spec.id == "Hopper-v5"
        assert again.unwrapped._ctrl_cost_weight == 0.5
        assert again.unwrapped.model.body_mass[1] == env.unwrapped.model.body_mass[1]
        assert again.unwrapped.model is not env.unwrapped.model
        assert type(again.unwrapped).__mro__[1] is type(env.unwrapped).__mro__[1]


@pytest.mark.parametrize("env_id", [env_id for env_id in MUJOCO if not env_id.startswith("mo-")])
@pytest.mark.parametrize("edge", ["low", "high"])
def test_the_simulation_is_stable_at_the_edges_of_all_ranges(env_id, edge):
    env = perturbed(gym.make(env_id), {name: getattr(s, edge) for name, s in MUJOCO[env_id].settings.items()})
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(300):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        assert np.isfinite(observation).all()
        if terminated or truncated:
            env.reset()
    assert not env.unwrapped.data.warning.number.any()  # such as: "huge value in QACC. The simulation is unstable."
