"""Running moments of observations: those of Stable-Baselines3."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from mavrl.agents.observations import RunningMoments
from mavrl.policies.storing import perceptron

BATCHES = [np.random.default_rng(k).normal(5 * k, 1 + k, (2, 4, 3)) for k in range(3)]  # of two replicates


def after(replicate: int, batches: int = 3) -> RunningMoments:
    moments = RunningMoments.begin(3)
    for batch in BATCHES[:batches]:
        moments = moments.updated(batch[replicate])
    return moments


def test_they_are_those_of_stable_baselines() -> None:
    env = VecNormalize(DummyVecEnv([lambda: gym.make("Pendulum-v1")]), norm_reward=False)
    for batch in BATCHES:
        env.obs_rms.update(batch[1])  # type: ignore[union-attr]
    found = after(1)
    assert found.mean == pytest.approx(env.obs_rms.mean)  # type: ignore[union-attr]
    assert found.variance == pytest.approx(env.obs_rms.var)  # type: ignore[union-attr]
    assert found.count == pytest.approx(env.obs_rms.count)  # type: ignore[union-attr]
    seen = 30 * BATCHES[2][1]
    assert np.abs(found.standardized(seen)).max() == 10
    assert found.standardized(seen) == pytest.approx(env.normalize_obs(seen), abs=1e-6)


def test_replicates_are_what_they_would_be_alone() -> None:
    together = RunningMoments.stacked([RunningMoments.begin(3)] * 2)
    for batch in BATCHES:
        together = together.updated(batch)
    for k in (0, 1):
        assert together[k].mean.tolist() == after(k).mean.tolist()
        assert together[k].variance.tolist() == after(k).variance.tolist()
        assert together[k].count == after(k).count
        assert together.standardized(BATCHES[0])[k].tolist() == after(k).standardized(BATCHES[0][k]).tolist()


def test_a_state_is_all_that_there_is() -> None:
    again = RunningMoments.from_state(after(0, 2).state()).updated(BATCHES[2][0])
    assert again.mean.tolist() == after(0).mean.tolist()
    assert again.variance.tolist() == after(0).variance.tolist()
    assert again.count == after(0).count


def test_a_network_of_observations_is_that_of_standardized_ones() -> None:
    moments, layers = after(0), [(torch.randn(4, 3), torch.randn(4)), (torch.randn(2, 4), torch.randn(2))]
    seen = BATCHES[1][0]
    expected = perceptron(layers, "tanh")(torch.from_numpy(moments.standardized(seen)).double())
    found = perceptron(moments.folded(layers), "tanh")(torch.from_numpy(seen))
    assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
