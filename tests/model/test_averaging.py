"""Products and mixtures of posteriors: by conjugacy, and as models."""

from pathlib import Path

import torch

from mavrl.model.averaging import AveragedRewardModel, averaged, product_of_posteriors
from mavrl.model.loading import load_reward_model
from mavrl.model.tabular_reward import TabularRewardModel


def _posterior(prior_mean, prior_variance, observed, noise):
    precision = 1 / prior_variance + 1 / noise
    return (prior_mean / prior_variance + observed / noise) / precision, 1 / precision


def test_the_product_of_conjugate_posteriors_is_that_of_all_data_together() -> None:
    prior_mean, prior_variance = torch.tensor([0.0, 1.0]).double(), torch.tensor(0.5).double()
    observed, noise = (
        torch.tensor([[2.0, -1.0], [1.0, 0.0], [0.3, 0.4]]).double(),
        torch.tensor([0.3, 0.7, 2.0]).double(),
    )
    each = [_posterior(prior_mean, prior_variance, observed[k], noise[k]) for k in range(3)]
    mean, variance = (torch.stack(rows)[:, None] for rows in zip(*each, strict=True))
    found = product_of_posteriors(mean, variance[..., None].expand_as(mean), prior_mean, prior_variance.expand(3, 1))
    precision = 1 / prior_variance + (1 / noise).sum()
    together = (prior_mean / prior_variance + (observed / noise[:, None]).sum(0)) / precision
    torch.testing.assert_close(found[0], together[None])
    torch.testing.assert_close(found[1], (1 / precision).expand(1, 2))


def test_posteriors_that_say_nothing_give_the_prior_and_so_do_wider_ones() -> None:
    prior_mean, prior = torch.tensor([1.0]).double(), torch.tensor([[0.4], [0.4]]).double()
    mean, variance = torch.tensor([[[1.0]], [[5.0]]]).double(), torch.tensor([[[0.4]], [[0.6]]]).double()
    found = product_of_posteriors(mean, variance, prior_mean, prior)
    torch.testing.assert_close(found, (torch.tensor([[1.0]]).double(), torch.tensor([[0.4]]).double()))


def test_priors_that_differ_leave_their_geometric_mean() -> None:
    prior = torch.tensor([[0.1], [0.9]]).double()
    found = product_of_posteriors(
        torch.zeros(2, 1, 3).double(), prior[..., None].expand(2, 1, 3), torch.zeros(3), prior
    )
    torch.testing.assert_close(found[1], torch.full((1, 3), 0.3).double())


def _models() -> list[TabularRewardModel]:
    about = {"replicates": 2, "members": 1}
    return [TabularRewardModel(torch.randn(2, 1, 4), torch.rand(2, 1, 4) + 0.1, about) for _ in range(2)]


def test_a_mixture_has_the_moments_of_its_parts_and_draws_either(tmp_path: Path) -> None:
    models = _models()
    tensors = averaged("mixture", models, torch.zeros(4), torch.ones(2, 2))
    model = AveragedRewardModel(tensors["mean"], tensors["std"], {"kind": "averaged", "replicates": 2, "members": 2})
    means = torch.stack([each.mean_table() for each in models])
    variances = torch.stack([each.std_table() for each in models]).square()
    torch.testing.assert_close(model.mean_table(), means.mean(0))
    torch.testing.assert_close(model.std_table(), (variances.mean(0) + means.var(0, correction=0)).sqrt())
    model.save(tmp_path)
    loaded = load_reward_model(tmp_path)
    assert isinstance(loaded, AveragedRewardModel)
    torch.testing.assert_close(loaded.std_table(), model.std_table())
    torch.testing.assert_close(loaded[1].mean_table(), model.mean_table()[1:])
    assert isinstance(TabularRewardModel.load(tmp_path), AveragedRewardModel)


def test_a_product_is_one_gaussian() -> None:
    models = _models()
    tensors = averaged("product", models, torch.zeros(4), torch.full((2, 2), 4.0))
    assert tensors["mean"].shape == (2, 1, 4)
    std = torch.stack([each.std_table() for each in models])
    assert (tensors["std"][:, 0] < std.amin(0)).all()
