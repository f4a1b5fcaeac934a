"""Perturbed dynamics against mechanics worked out by hand, and against Gymnasium's own where nothing is perturbed."""

import copy

import gymnasium as gym
import numpy as np
import pytest

from mavrl.envs import perturbation as module
from mavrl.envs.perturbation import PERTURBATIONS, Perturbation, perturbed
from mavrl.errors import ConfigurationError

NOMINAL = [(env_id, {name: s.nominal}) for env_id, settings in PERTURBATIONS.items() for name, s in settings.items()]
NOMINAL += [(env_id, {name: s.nominal for name, s in settings.items()}) for env_id, settings in PERTURBATIONS.items()]
NOMINAL += [(env_id, {}) for env_id in PERTURBATIONS]
CHANGED = [
    ("CartPole-v1", {"pole_length": 0.8}),
    ("CartPole-v1", {"gravity": 5.0}),
    ("Acrobot-v1", {"link_asymmetry": 1.3}),
    ("LunarLander-v3", {"wind_power": 15.0}),
    ("LunarLander-v3", {"turbulence_power": 1.5}),
]


def trajectory(env: gym.Env, seed: int = 3, steps: int = 120) -> np.ndarray:
    """Observations, rewards and ends under actions that only the seed decides, shape (steps, O + 2)."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    rows = []
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
        rows.append([*observation, reward, terminated])
        if terminated or truncated:
            env.reset()
    return np.array(rows)


@pytest.mark.parametrize(("env_id", "perturbation"), NOMINAL)
def test_nominal_dynamics_are_those_of_gymnasium(env_id, perturbation):
    env = perturbed(gym.make(env_id), perturbation)
    np.testing.assert_array_equal(trajectory(env), trajectory(gym.make(env_id)))


@pytest.mark.parametrize(("env_id", "perturbation"), CHANGED)
def test_perturbed_dynamics_differ_and_are_reproduced_by_the_seed(env_id, perturbation):
    first, second = (trajectory(perturbed(gym.make(env_id), perturbation)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, trajectory(gym.make(env_id)))
    assert not np.array_equal(first, trajectory(perturbed(gym.make(env_id), perturbation), seed=4))


@pytest.mark.parametrize(("env_id", "perturbation"), CHANGED)
def test_the_environment_itself_is_perturbed_under_its_wrappers(env_id, perturbation):
    env = gym.make(env_id, max_episode_steps=7)
    inside = env.unwrapped
    assert perturbed(env, perturbation) is env
    assert env.unwrapped is inside
    env.reset(seed=0)
    assert [env.step(0)[3] for _ in range(7)] == [False] * 6 + [True]


@pytest.mark.parametrize(("env_id", "perturbation"), CHANGED)
def test_a_copy_is_perturbed_too(env_id, perturbation):
    env = perturbed(gym.make(env_id), perturbation)
    np.testing.assert_array_equal(trajectory(copy.deepcopy(env)), trajectory(env))


class TestCartPole:
    def step(self, perturbation: dict[str, float], state: list[float], action: int) -> np.ndarray:
        """Accelerations (cart, pole) of one step, from the change of the velocities in 0.02 s."""
        env = perturbed(gym.make("CartPole-v1"), perturbation).unwrapped
        env.reset(seed=0)
        env.state = np.array(state)
        env.step(action)
        return (env.state[[1, 3]] - np.array(state)[[1, 3]]) / 0.02

    @pytest.mark.parametrize(("pole_length", "pole"), [(0.5, -600 / 41), (1.0, -300 / 41), (2.0, -150 / 41)])
    def test_a_push_on_an_upright_pole(self, pole_length, pole):
        # F = 10, M + m = 1.1: theta'' = -(10 / 1.1) / (l (4/3 - 0.1 / 1.1)), and x'' does not depend on l, which it
        # would if the product of mass and length were not recomputed.
        acceleration = self.step({"pole_length": pole_length}, [0, 0, 0, 0], action=1)
        np.testing.assert_allclose(acceleration, [400 / 41, pole], rtol=1e-12)

    @pytest.mark.parametrize(
        ("perturbation", "pole"),
        [({}, 14.7), ({"gravity": 4.9}, 7.35), ({"gravity": 0.0}, 0.0), ({"gravity": 4.9, "pole_length": 1.0}, 3.675)],
    )
    def test_a_level_pole_falls_like_a_rod(self, perturbation, pole):
        # A rod hinged at its end falls with 3 g / (4 l), whatever its mass and the cart do; it spins at 2 rad/s, and
        # pulls the cart with m l theta'^2.
        acceleration = self.step(perturbation, [0, 0, np.pi / 2, 2], action=0)
        pull = 0.1 * perturbation.get("pole_length", 0.5) * 4
        np.testing.assert_allclose(acceleration, [(-10 + pull) / 1.1, pole], rtol=1e-12, atol=1e-12)


class TestAcrobot:
    def make(self, factor: float, **arguments) -> gym.Env:
        env = perturbed(gym.make("Acrobot-v1", **arguments), {"link_asymmetry": factor})
        env.reset(seed=0)
        return env

    def energy(self, state: np.ndarray, length: float, mass: float, inertia: float) -> float:
        """Kinetic and potential energy from the motion of both links' centres of mass; the first link is all ones."""
        theta1, theta2, dtheta1, dtheta2 = state
        angle, spin = theta1 + theta2, dtheta1 + dtheta2
        first = 0.5 * np.array([np.cos(theta1), np.sin(theta1)]) * dtheta1
        second = 2 * first + length / 2 * np.array([np.cos(angle), np.sin(angle)]) * spin
        kinetic = 0.5 * (first @ first + dtheta1**2 + mass * second @ second + inertia * spin**2)
        potential = -9.8 * (0.5 * np.cos(theta1) + mass * (np.cos(theta1) + length / 2 * np.cos(angle)))
        return float(kinetic + potential)

    @pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.5, 2.0])
    def test_energy_is_conserved_without_torque(self, factor):
        env = self.make(factor).unwrapped
        env.dt = 0.01
        env.state = np.array([1.2, -0.7, 0.5, -1.0])
        states = [env.state]
        for _ in range(300):
            env.step(1)
            states.append(env.state)
        energies = [self.energy(s, length=factor, mass=factor, inertia=factor**3) for s in states]
        np.testing.assert_allclose(energies, energies[0], rtol=1e-6)
        # The comparison can tell: with the inertia that Gymnasium takes for both links, it is not conserved.
        wrong = [self.energy(s, length=factor, mass=factor, inertia=1.0) for s in states]
        assert (np.ptp(wrong) > 0.1) == (factor != 1.0)

    @pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
    def test_torque_does_work_on_the_joint(self, factor):
        env = self.make(factor).unwrapped
        env.dt = 1e-4
        env.state = np.array([0.4, 0.3, 0.2, 0.7])
        before = self.energy(env.state, factor, factor, factor**3)
        env.step(2)
        power = (self.energy(env.state, factor, factor, factor**3) - before) / env.dt
        assert power == pytest.approx(0.7, rel=1e-2)  # 1 N m at 0.7 rad/s between the links

    @pytest.mark.parametrize(
        ("factor", "theta1", "theta2", "height"),
        [
            (1.0, np.pi, 0.0, 2.0),  # upright
            (0.5, np.pi, 0.0, 1.5),
            (0.5, np.pi, np.pi, 0.5),  # folded
            (0.5, 2 * np.pi / 3, np.pi / 3 + 0.1, 0.998),  # equal links: 1.495
            (0.5, 2 * np.pi / 3 + 0.1, np.pi / 3 - 0.1, 1.084),
            (2.0, np.pi / 2, np.pi / 6 - 0.1, 0.822),
            (2.0, np.pi / 2, np.pi / 6 + 0.1, 1.168),  # equal links: 0.584
            (1.5, 0.0, np.pi, 0.5),  # first link down, second up
            (0.5, 0.0, 0.0, -1.5),  # hanging
        ],
    )
    def test_the_target_is_a_height_in_true_lengths(self, factor, theta1, theta2, height):
        env = self.make(factor).unwrapped
        env.dt = 1e-12  # a step that does not move
        env.state = np.array([theta1, theta2, 0.0, 0.0])
        _, reward, terminated, *_ = env.step(1)
        assert terminated == (height > 1)
        assert reward == (0 if height > 1 else -1)

    @pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
    def test_the_picture_shows_the_length(self, factor):
        pytest.importorskip("pygame")
        env = self.make(factor, render_mode="rgb_array")
        env.unwrapped.state = np.zeros(4)
        picture = env.render()
        env.close()
        links = (picture == (0, 204, 204)).all(axis=-1).any(axis=1)
        lowest = links.nonzero()[
            0
        ].max()  # the picture is 2 (1 + f + 0.2) m wide and 500 pixels, the joint in its middle
        assert lowest == pytest.approx(250 + 500 * (1 + factor) / (2 * (1 + factor + 0.2)), abs=2)

    def test_another_factor_replaces_the_first(self):
        twice = perturbed(self.make(2.0), {"link_asymmetry": 0.5})
        np.testing.assert_array_equal(trajectory(twice), trajectory(self.make(0.5)))


class TestLunarLander:
    @pytest.mark.parametrize(
        ("perturbation", "arguments"),
        [
            ({"wind_power": 12.0}, {"wind_power": 12.0, "turbulence_power": 0.0}),
            ({"turbulence_power": 1.0}, {"wind_power": 0.0, "turbulence_power": 1.0}),
            ({"wind_power": 3.0, "turbulence_power": 2.0}, {"wind_power": 3.0, "turbulence_power": 2.0}),
        ],
    )
    def test_wind_is_that_of_the_constructor(self, perturbation, arguments):
        env = perturbed(gym.make("LunarLander-v3"), perturbation)
        expected = gym.make("LunarLander-v3", enable_wind=True, **arguments)
        np.testing.assert_array_equal(trajectory(env), trajectory(expected))

    def test_wind_is_given_once(self):
        env = gym.make("LunarLander-v3", enable_wind=True)
        with pytest.raises(ConfigurationError, match=r"env\.perturbation\.wind_power=3\.0: .*enable_wind"):
            perturbed(env, {"wind_power": 3.0})


class TestTable:
    def test_every_environment_of_the_table_can_be_perturbed(self):
        assert module._APPLY.keys() == PERTURBATIONS.keys()

    @pytest.mark.parametrize("settings", PERTURBATIONS.values(), ids=list(PERTURBATIONS))
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
                r"env\.perturbation\.gravity=1\.0: MountainCar-v0 has no .*; CartPole-v1, Acrobot-v1, LunarLander-v3",
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
