"""Wind against that of LunarLander's own constructor."""

import gymnasium as gym
import numpy as np
import pytest

from mavrl.envs.perturbation import perturbed
from mavrl.errors import ConfigurationError


def flight(env: gym.Env) -> np.ndarray:
    """Observations and rewards of a fall, shape (60, O + 1)."""
    env.reset(seed=3)
    idle = np.zeros(2, dtype=np.float32) if isinstance(env.action_space, gym.spaces.Box) else 0
    rows = [env.step(idle) for _ in range(60)]
    return np.array([[*observation, reward] for observation, reward, *_ in rows])


class TestLunarLander:
    @pytest.mark.parametrize("env_id", ["LunarLander-v3", "LunarLanderContinuous-v3"])
    @pytest.mark.parametrize(
        ("perturbation", "arguments"),
        [
            ({"wind_power": 12.0}, {"wind_power": 12.0, "turbulence_power": 0.0}),
            ({"turbulence_power": 1.0}, {"wind_power": 0.0, "turbulence_power": 1.0}),
            ({"wind_power": 3.0, "turbulence_power": 2.0}, {"wind_power": 3.0, "turbulence_power": 2.0}),
        ],
    )
    def test_wind_is_that_of_the_constructor(self, env_id, perturbation, arguments):
        env = perturbed(gym.make(env_id), perturbation)
        expected = gym.make(env_id, enable_wind=True, **arguments)
        np.testing.assert_array_equal(flight(env), flight(expected))

    def test_wind_is_given_once(self):
        env = gym.make("LunarLander-v3", enable_wind=True)
        with pytest.raises(ConfigurationError, match=r"env\.perturbation\.wind_power=3\.0: .*enable_wind"):
            perturbed(env, {"wind_power": 3.0})
