"""Perturbed classic control against mechanics worked out by hand."""

import gymnasium as gym
import numpy as np
import pytest

from mavrl.envs.perturbation import perturbed


def swings(env: gym.Env) -> np.ndarray:
    """Observations under torques that take turns, shape (60, O)."""
    env.reset(seed=3)
    return np.array([env.step(k // 10 % 3)[0] for k in range(60)])


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
        np.testing.assert_array_equal(swings(twice), swings(self.make(0.5)))


class TestPendulum:
    def spin(self, perturbation: dict[str, float], angle: float, torque: float) -> float:
        """Angular acceleration of one step from rest, from the change of the velocity in 0.05 s."""
        env = perturbed(gym.make("Pendulum-v1"), perturbation).unwrapped
        env.reset(seed=0)
        env.state = np.array([angle, 0.0])
        env.step(np.array([torque]))
        return float(env.state[1] / 0.05)

    @pytest.mark.parametrize(
        ("perturbation", "fall", "push"),
        [
            ({}, 15.0, 3.0),
            ({"gravity": 5.0}, 7.5, 3.0),
            ({"length": 2.0}, 7.5, 0.75),
            ({"mass": 2.0}, 15.0, 1.5),
            ({"gravity": 20.0, "length": 0.5, "mass": 4.0}, 60.0, 3.0),
        ],
    )
    def test_a_rod_hinged_at_its_end(self, perturbation, fall, push):
        # Its inertia is m l^2 / 3: gravity turns a level one with 3 g / (2 l), a torque of 1 N m with 3 / (m l^2).
        assert self.spin(perturbation, np.pi / 2, 0.0) == pytest.approx(fall)
        assert self.spin(perturbation, 0.0, 1.0) == pytest.approx(push)


class TestMountainCar:
    @pytest.mark.parametrize("power", [0.0005, 0.0015, 0.003])
    def test_a_push_where_the_ground_is_level(self, power):
        env = perturbed(gym.make("MountainCarContinuous-v0"), {"power": power}).unwrapped
        env.reset(seed=0)
        env.state = np.array([-np.pi / 6, 0.0])
        env.step(np.array([1.0], dtype=np.float32))
        assert env.state[1] == pytest.approx(power, rel=1e-6)
