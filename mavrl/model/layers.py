"""Networks of all models at once: every parameter has a leading axis R, every layer is a batched matrix product."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BatchedLinear(nn.Module):
    """A linear layer y = x W + b of each model, initialised like `torch.nn.Linear`, model r from generators[r]."""

    def __init__(self, in_features: int, out_features: int, generators: list[torch.Generator]) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)

        def draw(*shape: int) -> nn.Parameter:
            values = [torch.empty(*shape).uniform_(-bound, bound, generator=g) for g in generators]
            return nn.Parameter(torch.stack(values))

        self.weight = draw(in_features, out_features)
        self.bias = draw(1, out_features)

    def forward(self, x: Float[Tensor, "R N I"]) -> Float[Tensor, "R N O"]:
        return torch.baddbmm(self.bias, x, self.weight)

    def on_one_hot(self) -> Float[Tensor, "R I O"]:
        """The outputs for every one-hot input: the weights' rows, without a matrix product."""
        return self.weight + self.bias


class Standardization(nn.Module):
    """The standardization (x - mean) / std of each feature for each model, clipped.

    Far from the data a network sees the edge of them.

    Args:
        mean, std: of the features, shape (R, O).

    Attributes:
        active: False when it leaves every feature as it is.
    """

    mean: Tensor
    std: Tensor
    LARGEST = 5.0

    def __init__(self, mean: Float[Tensor, "R O"], std: Float[Tensor, "R O"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean[:, None].float())
        self.register_buffer("std", std[:, None].float())
        self.active = self._scales()  # asked once: on a GPU the question waits for all that was begun before
        self.register_load_state_dict_post_hook(_notice_loaded)

    @classmethod
    def identity(cls, n_models: int, n_features: int) -> "Standardization":
        """A standardization that leaves every feature as it is."""
        return cls(torch.zeros(n_models, n_features), torch.full((n_models, n_features), torch.inf))

    def _scales(self) -> bool:
        return not bool(self.std[0, 0, 0].isinf())

    def forward(self, x: Float[Tensor, "#R N O"]) -> Float[Tensor, "R N O"]:
        if not self.active:
            return x.expand(len(self.std), -1, -1)
        return ((x - self.mean) / self.std).clamp(-self.LARGEST, self.LARGEST)


@torch.no_grad()
def restandardize(layer: BatchedLinear, columns: slice, before: Standardization, after: Standardization) -> None:
    """Change a layer so that its outputs stay when the inputs in `columns` are standardized otherwise.

    With x' = (x - m') / s' in place of x = (x - m) / s, that is W' = W s' / s and b' = b + W (m' - m) / s. Clipped
    inputs are the exception.
    """
    if not (before.active and after.active):
        return
    weight = layer.weight[:, columns].clone()
    shift = (after.mean - before.mean) / before.std
    layer.bias.add_(torch.bmm(shift, weight))
    layer.weight[:, columns] = weight * (after.std / before.std).transpose(1, 2)


def _notice_loaded(module: Standardization, keys: object) -> None:
    module.active = module._scales()


class BatchedMLP(nn.Module):
    """A multilayer perceptron of each model: linear layers with a LeakyReLU after each hidden one.

    Args:
        in_features: size of the input.
        hidden_sizes: size of each hidden layer; at least one.
        out_features: size of the output, from a last linear layer.
        generators: one source of initial weights per model.
    """

    def __init__(
        self, in_features: int, hidden_sizes: Sequence[int], out_features: int, generators: list[torch.Generator]
    ) -> None:
        super().__init__()
        sizes = [in_features, *hidden_sizes, out_features]
        self.layers = nn.ModuleList(BatchedLinear(i, o, generators) for i, o in pairwise(sizes))

    def forward(self, x: Float[Tensor, "R N I"]) -> Float[Tensor, "R N O"]:
        return self._after_first(self.layers[0](x))

    def on_one_hot(self) -> Float[Tensor, "R I O"]:
        """The outputs for every one-hot input, which for a finite environment is every state."""
        return self._after_first(self.layers[0].on_one_hot())  # type: ignore[operator]

    def _after_first(self, x: Tensor) -> Tensor:
        for layer in list(self.layers)[1:]:
            x = layer(torch.nn.functional.leaky_relu_(x))  # in place: nothing else reads it
        return x
