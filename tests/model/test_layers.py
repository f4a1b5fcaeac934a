"""Batched layers against one `torch.nn` network per model."""

import math

import pytest
import torch
from torch import nn

from mavrl.model.layers import BatchedLinear, BatchedMLP, Standardization


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

    def test_inputs_stay_as_they_are(self):
        """Activations are computed in place, but never in what was given."""
        mlp, x = BatchedMLP(5, (8, 6), 2, generators(0)), torch.randn(1, 7, 5)
        before, weight = x.clone(), mlp.layers[0].weight.detach().clone()
        mlp(x).sum().backward()
        mlp.on_one_hot().sum().backward()
        assert x.equal(before)
        assert mlp.layers[0].weight.equal(weight)

    def test_gradients_are_those_of_torch(self):
        mlp = BatchedMLP(5, (8, 6), 2, generators(0, 1))
        x = torch.randn(2, 7, 5)
        mlp(x).square().sum().backward()
        for r in range(2):
            network = one_network(mlp, r)
            network(x[r]).square().sum().backward()
            for batched, linear in zip(mlp.layers, network[::2], strict=True):
                torch.testing.assert_close(batched.weight.grad[r], linear.weight.grad.T)
                torch.testing.assert_close(batched.bias.grad[r, 0], linear.bias.grad)


class TestStandardization:
    MEAN, STD = torch.tensor([[0.0, 10.0], [1.0, -1.0]]), torch.tensor([[1.0, 2.0], [0.5, 4.0]])

    def test_by_hand(self):
        x = torch.tensor([[[3.0, 14.0]], [[0.0, 3.0]]])
        assert Standardization(self.MEAN, self.STD)(x).tolist() == [[[3.0, 2.0]], [[-2.0, 1.0]]]

    def test_one_input_for_all_models(self):
        x = torch.tensor([[[3.0, 14.0], [0.0, 3.0]]])
        expected = [[[3.0, 2.0], [0.0, -3.5]], [[4.0, 3.75], [-2.0, 1.0]]]
        assert Standardization(self.MEAN, self.STD)(x).tolist() == expected

    def test_clipped_at_five(self):
        x = torch.tensor([[[4.9, 19.8], [5.1, 20.2], [1e9, -1e9], [-torch.inf, torch.inf]]])
        found = Standardization(self.MEAN[:1], self.STD[:1])(x)
        expected = torch.tensor([[[4.9, 4.9], [5.0, 5.0], [5.0, -5.0], [-5.0, 5.0]]])
        torch.testing.assert_close(found, expected)

    def test_none_leaves_everything_as_it_is(self):
        none, x = Standardization.identity(3, 2), torch.tensor([[[1e9, -7.0], [0.1, 0.0]]])
        found = none(x)
        assert found.shape == (3, 2, 2)
        assert (found == x).all()
        each = torch.randn(3, 4, 2)
        assert none(each).equal(each)

    @pytest.mark.parametrize("whole", [True, False])
    def test_it_is_saved_with_its_weights(self, whole):
        """Also that there is none."""
        scale = Standardization(self.MEAN, self.STD) if whole else Standardization.identity(2, 2)
        restored = Standardization.identity(2, 2) if whole else Standardization(self.MEAN, self.STD)
        restored.load_state_dict(scale.state_dict())
        x = 20 * torch.randn(2, 5, 2)
        assert restored(x).equal(scale(x))

    def test_nothing_of_it_is_learned(self):
        assert not list(Standardization(self.MEAN, self.STD).parameters())
