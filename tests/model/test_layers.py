"""Batched layers against one `torch.nn` network per model."""

import math

import pytest
import torch
from torch import nn

from mavrl.model.layers import BatchedLinear, BatchedMLP


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def one_network(mlp: BatchedMLP, model: int) -> nn.Sequential:
    """The network of one model, built of torch's own layers."""
    layers = []
    for batched in mlp.layers:
        _, n_in, n_out = batched.weight.shape
        linear = nn.Linear(n_in, n_out)
        with torch.no_grad():
            linear.weight.copy_(batched.weight[model].T)
            linear.bias.copy_(batched.bias[model, 0])
        layers += [linear, nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


class TestBatchedLinear:
    def test_each_model_is_a_linear_layer(self):
        layer = BatchedLinear(4, 3, generators(0, 1))
        x = torch.randn(2, 5, 4)
        for r in range(2):
            expected = x[r] @ layer.weight[r] + layer.bias[r]
            torch.testing.assert_close(layer(x)[r], expected)

    def test_one_hot_inputs(self):
        layer = BatchedLinear(4, 3, generators(0, 1))
        torch.testing.assert_close(layer.on_one_hot(), layer(torch.eye(4).expand(2, -1, -1)))

    @pytest.mark.parametrize("in_features", [1, 16, 100])
    def test_initialised_like_torch(self, in_features):
        """Uniform in +-1 / sqrt(in_features), weights and biases alike."""
        layer = BatchedLinear(in_features, 2000, generators(0))
        bound = 1 / math.sqrt(in_features)
        reference = nn.Linear(in_features, 2000)
        for ours, theirs in ((layer.weight, reference.weight), (layer.bias, reference.bias)):
            assert ours.abs().max() <= bound
            assert ours.abs().max() > 0.99 * bound
            assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.1)
            assert abs(ours.mean().item()) < 5 * bound / math.sqrt(3 * ours.numel())

    def test_a_model_depends_on_its_own_generator_alone(self):
        together, alone = BatchedLinear(4, 3, generators(5, 6)), BatchedLinear(4, 3, generators(6))
        assert torch.equal(together.weight[1:], alone.weight)
        assert torch.equal(together.bias[1:], alone.bias)
        assert not torch.equal(together.weight[0], together.weight[1])


class TestBatchedMLP:
    @pytest.mark.parametrize("hidden_sizes", [(8,), (8, 6), (4, 4, 4)])
    def test_each_model_is_its_own_network(self, hidden_sizes):
        mlp = BatchedMLP(5, hidden_sizes, 2, generators(0, 1, 2))
        x = 3 * torch.randn(3, 7, 5)
        y = mlp(x)
        assert y.shape == (3, 7, 2)
        for r in range(3):
            torch.testing.assert_close(y[r], one_network(mlp, r)(x[r]))

    def test_one_hot_inputs(self):
        mlp = BatchedMLP(6, (8, 8), 3, generators(0, 1))
        torch.testing.assert_close(mlp.on_one_hot(), mlp(torch.eye(6).expand(2, -1, -1)))

    def test_a_model_has_the_same_gradient_alone(self):
        together, alone = BatchedMLP(4, (8, 8), 1, generators(5, 6)), BatchedMLP(4, (8, 8), 1, generators(6))
        together.on_one_hot().square().sum().backward()
        alone.on_one_hot().square().sum().backward()
        for ours, theirs in zip(together.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(ours.grad[1:], theirs.grad)

    def test_number_of_parameters(self):
        mlp = BatchedMLP(5, (8, 6), 2, generators(0, 1, 2))
        per_model = (5 * 8 + 8) + (8 * 6 + 6) + (6 * 2 + 2)
        assert sum(parameter.numel() for parameter in mlp.parameters()) == 3 * per_model
