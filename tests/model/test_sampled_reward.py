"""A posterior that is known by draws: as a model for users, and as a belief."""

from pathlib import Path

import numpy as np
import torch

import mavrl
from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.model.loading import load_reward_model
from mavrl.model.sampled_reward import SampledBelief, SampledRewardModel
from mavrl.model.tabular_reward import TabularRewardModel

DESCRIPTION = {"kind": "sampled", "replicates": 2, "members": 1, "seeds": [3, 4], "n_states": 4, "modality": "p"}


def _model() -> SampledRewardModel:
    generator = torch.Generator().manual_seed(0)
    return SampledRewardModel(torch.randn(2, 3, 5, 4, generator=generator), torch.ones(2, 3, 5), dict(DESCRIPTION))


def test_mean_and_deviation_are_those_of_all_draws_of_all_chains() -> None:
    model = _model()
    rows = model.draws.reshape(2, 15, 4)
    torch.testing.assert_close(model.mean_table(), rows.mean(1))
    torch.testing.assert_close(model.std_table(), rows.std(1))
    states = np.array([[0, 3], [2, 2]])
    np.testing.assert_allclose(model.mean(states, states, states), rows.mean(1).numpy()[:, states], rtol=1e-5)


def test_a_sample_is_one_draw_of_all_states() -> None:
    model = _model()
    rows = model.draws.reshape(2, 15, 4)
    seen = set()
    for seed in range(40):
        table = model.sample_table(seed)
        for replicate in range(2):
            same = (rows[replicate] == table[replicate]).all(-1)
            assert same.sum() == 1
            seen.add((replicate, int(same.int().argmax())))
        torch.testing.assert_close(model[1].sample_table(seed), table[1:])
    assert len(seen) > 15


def test_it_is_saved_and_loaded_without_loss_also_as_a_table(tmp_path: Path) -> None:
    model = _model()
    model.save(tmp_path)
    for loaded in (load_reward_model(tmp_path), TabularRewardModel.load(tmp_path), mavrl.load_reward_model(tmp_path)):
        assert isinstance(loaded, SampledRewardModel)
        assert torch.equal(loaded.draws, model.draws)
        assert torch.equal(loaded.scale, model.scale)
    model[1].save(tmp_path / "alone")
    alone = load_reward_model(tmp_path / "alone")
    assert isinstance(alone, SampledRewardModel)
    assert torch.equal(alone.draws, model.draws[1:])
    assert alone.description["seeds"] == [4]


def test_a_belief_draws_each_replicates_own_functions() -> None:
    problem = TabularProblem.of_grid(GridEnv("trap", 3), 0.9)
    draws = torch.arange(2 * 15 * 9, dtype=torch.float32).reshape(2, 3, 5, 9)
    model = SampledRewardModel(draws, torch.ones(2, 3, 5), dict(DESCRIPTION))
    belief = SampledBelief(model, problem.transitions, problem.gamma)
    rewards = belief.rewards(200, [1, 2])
    assert rewards.shape == (2, 200, 9)
    for replicate in range(2):
        known = {tuple(row.tolist()) for row in draws[replicate].reshape(15, 9)}
        assert {tuple(row.tolist()) for row in rewards[replicate]} == known
    assert torch.equal(rewards, belief.rewards(200, [1, 2]))
    assert belief.action_values(3, [1, 2]).shape == (2, 3, 9, problem.transitions.n_actions)
