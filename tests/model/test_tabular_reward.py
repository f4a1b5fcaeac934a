"""The learned reward of a finite environment, as its users see it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mavrl.model.correlation import Correlation, LowRankCorrelation, TriangularCorrelation
from mavrl.model.loading import load_reward_model
from mavrl.model.posterior import StatePosterior
from mavrl.model.reward_model import save_reward_model
from mavrl.model.tabular_reward import TabularRewardModel

N_STATES = 6
DESCRIPTION = {"kind": "tabular", "n_states": N_STATES, "hidden_sizes": [5, 4], "replicates": 3, "members": 2}
STATES = np.array([[0, 1, 5], [2, 2, 3]])
ZEROS = np.zeros_like(STATES)


@pytest.fixture
def posterior() -> StatePosterior:
    return StatePosterior(N_STATES, [5, 4], [torch.Generator().manual_seed(k) for k in range(6)])


@pytest.fixture
def model(posterior: StatePosterior) -> TabularRewardModel:
    return TabularRewardModel.from_posterior(posterior, DESCRIPTION)


def _save(posterior: StatePosterior, directory: Path) -> None:
    tensors = {f"encoder.{name}": tensor for name, tensor in posterior.encoder.state_dict().items()}
    save_reward_model(directory, {**tensors, "prior.variance": torch.ones(6, 1)}, DESCRIPTION)


def test_mean_and_std_are_those_of_the_mixture_of_members(model: TabularRewardModel, posterior: StatePosterior) -> None:
    mean, logvar = (t.detach().view(3, 2, N_STATES) for t in posterior())
    variance = logvar.exp()
    for r in range(3):
        for s in range(N_STATES):
            first, second = mean[r, :, s].tolist()
            average = (first + second) / 2
            spread = ((first - average) ** 2 + (second - average) ** 2) / 2
            assert float(model.mean_table()[r, s]) == pytest.approx(average, rel=1e-5)
            assert float(model.member_spread()[r, s]) == pytest.approx(spread**0.5, rel=1e-4)
            total = (float(variance[r, :, s].mean()) + spread) ** 0.5
            assert float(model.std_table()[r, s]) == pytest.approx(total, rel=1e-5)
    assert (model.std_table() > model.member_spread()).all()


def test_the_mixture_is_what_samples_are_drawn_from() -> None:
    mean = torch.tensor([[[0.0, 1.0], [4.0, 1.0]]])
    model = TabularRewardModel(mean, torch.tensor([[[0.5, 2.0], [1.0, 2.0]]]), {})
    draws = torch.cat([model.sample_table(seed) for seed in range(4000)])
    assert torch.allclose(draws.mean(0), model.mean_table()[0], atol=0.12)
    assert torch.allclose(draws.std(0), model.std_table()[0], rtol=0.05)


def test_a_single_member_has_no_spread() -> None:
    model = TabularRewardModel(torch.randn(2, 1, 4), torch.ones(2, 1, 4), {})
    assert (model.member_spread() == 0).all()
    assert torch.allclose(model.std_table(), torch.ones(2, 4))


@pytest.mark.parametrize("method", ["mean", "std", "sample"])
def test_arrays_and_tensors_numbers_and_one_hot_vectors(model: TabularRewardModel, method: str) -> None:
    look_up = getattr(model, method)
    values = look_up(STATES, ZEROS, STATES)
    assert isinstance(values, np.ndarray)
    assert values.shape == (3, 2, 3)
    table = {"mean": model.mean_table(), "std": model.std_table(), "sample": model.sample_table(0)}[method].numpy()
    assert np.array_equal(values, table[:, STATES])
    tensor = torch.from_numpy(STATES)
    from_tensor = look_up(tensor, tensor, tensor)
    assert isinstance(from_tensor, torch.Tensor)
    assert np.array_equal(from_tensor.numpy(), values)
    one_hot = np.eye(N_STATES)[STATES]
    assert np.array_equal(look_up(one_hot, ZEROS, one_hot), values)
    assert np.array_equal(look_up(torch.from_numpy(one_hot).float(), tensor, one_hot).numpy(), values)
    assert np.array_equal(look_up(STATES.astype(np.uint8), ZEROS, STATES), values)


@pytest.mark.parametrize("method", ["mean", "std", "sample"])
def test_one_replicate_drops_the_first_axis(model: TabularRewardModel, method: str) -> None:
    whole = getattr(model, method)(STATES, ZEROS, STATES)
    for k in (0, 2, -1):
        assert np.array_equal(getattr(model[k], method)(STATES, ZEROS, STATES), whole[k])
    scalar = getattr(model[1], method)(np.array(3), np.array(0), np.array(3))
    assert np.shape(scalar) == ()
    assert len(model) == 3
    assert len(model[1]) == 1
    with pytest.raises(IndexError, match="3"):
        model[3]


def test_a_replicate_of_a_replicate_is_itself(model: TabularRewardModel) -> None:
    assert np.array_equal(model[2][0].sample(STATES, ZEROS, STATES), model[2].sample(STATES, ZEROS, STATES))


def test_a_seed_is_one_reward_function(model: TabularRewardModel) -> None:
    first, again, other = (model.sample(STATES, ZEROS, STATES, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert (first[:, 1, 0] == first[:, 1, 1]).all()  # the same state has the same reward everywhere


@pytest.mark.parametrize(
    "states", [np.array([6]), np.array([-1]), np.array([0.5]), np.eye(5)[[1]], torch.tensor([6]), np.array([[0, 9]])]
)
def test_states_out_of_range_are_refused(model: TabularRewardModel, states: Any) -> None:
    with pytest.raises(ValueError, match="from 0 to 5"):
        model.mean(states, states, states)


def test_save_and_load_are_exact(posterior: StatePosterior, model: TabularRewardModel, tmp_path: Path) -> None:
    _save(posterior, tmp_path / "run" / "reward_model")
    for path in (tmp_path / "run", tmp_path / "run" / "reward_model", str(tmp_path / "run")):
        loaded = load_reward_model(path)
        assert isinstance(loaded, TabularRewardModel)
        assert loaded.mean_table().equal(model.mean_table())
        assert loaded.std_table().equal(model.std_table())
        assert loaded.sample_table(5).equal(model.sample_table(5))
        assert loaded.description == DESCRIPTION
    description = json.loads((tmp_path / "run/reward_model/description.json").read_text())
    assert len(description.pop("sha256")) == 64
    assert description == DESCRIPTION
    assert "prior.variance" in load_file(tmp_path / "run/reward_model/weights.safetensors")


# Correlated states ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=["full", "low_rank"])
def correlated(request: pytest.FixtureRequest) -> StatePosterior:
    shape = (6, N_STATES, N_STATES) if request.param == "full" else (6, N_STATES, 2)
    made = TriangularCorrelation if request.param == "full" else LowRankCorrelation
    streams = [torch.Generator().manual_seed(k) for k in range(6)]
    return StatePosterior(N_STATES, [5, 4], streams, made(torch.randn(shape) / 3))


def _described(posterior: StatePosterior) -> dict[str, Any]:
    assert posterior.state_correlation is not None
    return {**DESCRIPTION, "covariance": posterior.state_correlation.covariance}


@torch.no_grad()
def test_the_covariance_is_that_of_the_mixture_of_members(correlated: StatePosterior) -> None:
    model = TabularRewardModel.from_posterior(correlated, _described(correlated))
    mean, logvar = correlated()
    matrix = correlated.correlation(mean).matrix()
    for r in range(3):
        both = [2 * r, 2 * r + 1]
        std = (0.5 * logvar[both]).exp()
        within = (std[:, :, None] * matrix[both] * std[:, None, :]).mean(0)
        between = torch.cov(mean[both].T, correction=0)
        torch.testing.assert_close(model.covariance()[r], within + between, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.covariance().diagonal(dim1=1, dim2=2).sqrt(), model.std_table())
    torch.testing.assert_close(model[1].covariance(), model.covariance()[1:2])


def test_independent_states_have_a_diagonal_covariance_within_members() -> None:
    model = TabularRewardModel(torch.randn(2, 1, 4), torch.rand(2, 1, 4), {})
    torch.testing.assert_close(model.covariance(), torch.diag_embed(model.std_table().square()))


def test_samples_have_that_covariance() -> None:
    correlation = Correlation(torch.tensor([[[[0.0, 0.0], [3.0, 0.0]]]]), 2, torch.zeros(1, 1))
    model = TabularRewardModel(torch.zeros(1, 1, 2), torch.tensor([[[1.0, 2.0]]]), {}, correlation=correlation)
    draws = torch.cat([model.sample_table(seed) for seed in range(4000)])
    expected = torch.tensor([[1.0, 2 * 3 / 10**0.5], [2 * 3 / 10**0.5, 4.0]])
    torch.testing.assert_close(model.covariance()[0], expected)
    torch.testing.assert_close(torch.cov(draws.T), expected, rtol=0.1, atol=0.1)


def test_correlated_models_are_saved_and_loaded_exactly(correlated: StatePosterior, tmp_path: Path) -> None:
    model = TabularRewardModel.from_posterior(correlated, _described(correlated))
    save_reward_model(tmp_path, {**correlated.state_dict(), "prior.variance": torch.ones(6, 1)}, _described(correlated))
    loaded = load_reward_model(tmp_path)
    assert isinstance(loaded, TabularRewardModel)
    model[2].save(tmp_path / "alone")
    alone = load_reward_model(tmp_path / "alone")
    assert isinstance(alone, TabularRewardModel)
    assert loaded.covariance().equal(model.covariance())
    assert loaded.sample_table(5).equal(model.sample_table(5))
    assert loaded[1].sample_table(5).equal(model.sample_table(5)[1:2])
    assert alone.covariance().equal(model.covariance()[2:])
