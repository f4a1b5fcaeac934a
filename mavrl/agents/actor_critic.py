"""The networks of PPO for all replicates at once: a policy and a value function each, in one table of parameters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.policies.storing import Layers

_ALIGNED = 16  # numbers; a product rounds by where in memory its factors begin, so all rows begin alike
_HIDDEN_GAIN, _POLICY_GAIN, _VALUE_GAIN = math.sqrt(2), 0.01, 1.0  # of Stable-Baselines3


@dataclass(frozen=True)
class ActorCritic:
    """The form of tanh networks whose parameters are rows of a table, shape (R, 2, W).

    Row 0 of a replicate is its policy, whose outputs say a distribution of actions; row 1 its value function. Both have
    the same sizes, so that every layer is one batched product over 2 R networks: the value is the first output of its
    network, and the others are nobody's. Nothing that is computed for a replicate depends on how many there are.

    Args:
        n_inputs: features of an observation, O.
        hidden_sizes: size of each hidden layer.
        n_outputs: of the policy's network, H.
        n_own: parameters that the distribution of actions has beside the network, behind the layers of a row.
    """

    n_inputs: int
    hidden_sizes: tuple[int, ...]
    n_outputs: int
    n_own: int = 0

    @property
    def sizes(self) -> list[int]:
        """Of all layers, from the input to the output."""
        return [self.n_inputs, *self.hidden_sizes, self.n_outputs]

    @cached_property
    def _places(self) -> tuple[list[tuple[int, int]], int]:
        """Where the weight and the bias of each layer begin in a row, and where the layers end."""
        places, end = [], 0
        for inputs, outputs in pairwise(self.sizes):
            bias = end + _whole(inputs * outputs)
            places.append((end, bias))
            end = bias + _whole(outputs)
        return places, end

    @property
    def width(self) -> int:
        """Numbers in a row, W."""
        return self._places[1] + _whole(self.n_own)

    def own(self, rows: Float[Tensor, "K W"]) -> Float[Tensor, "K _"]:
        """A view of the parameters beside the layers."""
        return rows[:, self._places[1] : self._places[1] + self.n_own]

    def layers(self, rows: Float[Tensor, "K W"]) -> list[tuple[Tensor, Tensor]]:
        """Views of the weights, shape (K, I, O), and biases, shape (K, 1, O), of each layer, as in y = x W + b."""
        found = []
        for (inputs, outputs), (weight, bias) in zip(pairwise(self.sizes), self._places[0], strict=True):
            of_weight = rows[:, weight : weight + inputs * outputs].unflatten(1, (inputs, outputs))
            found.append((of_weight, rows[:, None, bias : bias + outputs]))
        return found

    def initial(self, generator: torch.Generator) -> Float[Tensor, "2 W"]:
        """First parameters of one replicate: orthogonal weights with the gains of Stable-Baselines3, biases of 0."""
        rows = torch.zeros(2, self.width)
        layers = self.layers(rows)
        for network, last_gain, outputs in ((0, _POLICY_GAIN, self.n_outputs), (1, _VALUE_GAIN, 1)):
            for number, (weight, _) in enumerate(layers):
                last = number == len(layers) - 1
                drawn = torch.empty(outputs if last else weight.shape[2], weight.shape[1])
                torch.nn.init.orthogonal_(drawn, last_gain if last else _HIDDEN_GAIN, generator)
                weight[network, :, : len(drawn)] = drawn.mT
        return rows

    def outputs(self, rows: Float[Tensor, "K W"], x: Float[Tensor, "K N O"]) -> Float[Tensor, "K N H"]:
        """The outputs of K networks, each on its own inputs."""
        return self.activations(rows, x)[-1]

    def gradient(
        self,
        rows: Float[Tensor, "K W"],
        activations: Sequence[Float[Tensor, "K N _"]],
        of_outputs: Float[Tensor, "K N H"],
    ) -> Float[Tensor, "K W"]:
        """The gradient of a loss in the parameters, from that in the outputs.

        Args:
            activations: inputs, hidden layers and outputs, as `activations` returns them.
        """
        found = torch.zeros_like(rows)
        layers, gradients = self.layers(rows), self.layers(found)
        for number in reversed(range(len(layers))):
            weight, bias = gradients[number]
            weight.copy_(torch.bmm(activations[number].mT, of_outputs))
            bias.copy_(of_outputs.sum(1, keepdim=True))
            if number:
                hidden = activations[number]
                of_outputs = torch.bmm(of_outputs, layers[number][0].mT).mul_(1 - hidden * hidden)
        return found

    def activations(self, rows: Float[Tensor, "K W"], x: Float[Tensor, "K N O"]) -> list[Float[Tensor, "K N _"]]:
        """The inputs, all hidden layers and the outputs of K networks."""
        found = [x]
        for number, (weight, bias) in enumerate(self.layers(rows)):
            inputs = found[-1].tanh_() if number else x
            found.append(torch.baddbmm(bias, inputs, weight))
        return found

    def policy_layers(self, parameters: Float[Tensor, "2 W"]) -> Layers:
        """A copy of one replicate's policy network, as `torch.nn.Linear` holds layers."""
        return [(weight[0].mT.clone(), bias[0, 0].clone()) for weight, bias in self.layers(parameters)]


def _whole(count: int) -> int:
    return -(-count // _ALIGNED) * _ALIGNED
