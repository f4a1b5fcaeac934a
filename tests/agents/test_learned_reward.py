"""An environment that pays a learned reward."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FlattenObservation

from mavrl import LearnedReward
from mavrl.envs import GridEnv
from mavrl.model.tabular_reward import TabularRewardModel


@pytest.fixture
def model() -> TabularRewardModel:
    mean = torch.arange(18.0).view(2, 1, 9) * 10
    return TabularRewardModel(mean, torch.full((2, 1, 9), 0.5), {})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_wrapped_grid_passes_the_environment_checker(model: TabularRewardModel) -> None:
    check_env(LearnedReward(GridEnv("trap", 3, max_steps=20), model[0]), skip_render_check=True)


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("replicate", [0, 1])
def test_each_step_pays_the_learned_reward_of_the_state_acted_in(
    model: TabularRewardModel, flat: bool, replicate: int
) -> None:
    plain = GridEnv("cliff", 3)
    inner: gym.Env = GridEnv("cliff", 3)
    env = LearnedReward(FlattenObservation(inner) if flat else inner, model[replicate])
    state, _ = plain.reset(seed=0)
    env.reset(seed=0)
    for action in (0, 0, 3, 3, 4):
        acted_in = state
        state, true_reward, terminated, _, _ = plain.step(action)
        observation, reward, env_terminated, _, info = env.step(action)
        assert reward == float(model.mean_table()[replicate, acted_in])
        assert info["true_reward"] == true_reward
        assert env_terminated == terminated
        assert (np.argmax(observation) if flat else observation) == state
    assert terminated
    env.reset()
    assert env.step(4)[1] == float(model.mean_table()[replicate, 0])


def test_a_sample_is_one_reward_function(model: TabularRewardModel) -> None:
    def rewards(seed: int) -> list[Any]:
        env = LearnedReward(GridEnv("trap", 3), model[1], use="sample", seed=seed)
        env.reset()
        return [env.step(0)[1] for _ in range(4)]

    table = model.sample_table(3)[1]
    assert rewards(3) == [float(table[s]) for s in (0, 1, 2, 2)]
    assert rewards(3) != rewards(4)


def test_what_cannot_work_is_refused(model: TabularRewardModel) -> None:
    with pytest.raises(ValueError, match="2 replicates"):
        LearnedReward(GridEnv("trap", 3), model)
