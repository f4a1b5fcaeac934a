"""Policies of control environments: a network that scores actions, stored without anything that runs code."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from mavrl.errors import StorageError
from mavrl.policies.boltzmann import boltzmann_policy
from mavrl.storage.files import checksum, read_checked, read_json, write_checked, write_json

Scores = Literal["q", "log_probability"]
_WEIGHTS, _CARD = "policy.safetensors", "card.json"
_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


@runtime_checkable
class Policy(Protocol):
    """A policy: the probability of each action, given observations."""

    def probabilities(
        self, observation: Float[Tensor, "*batch O"], rationality: float, epsilon: float = 0.0
    ) -> Float[Tensor, "*batch A"]:
        """Probability of each action of the Boltzmann policy over its scores."""
        ...


@dataclass(frozen=True)
class UniformPolicy:
    """A policy that takes every action equally often, whatever it sees and however rational it is."""

    n_actions: int

    def probabilities(
        self, observation: Float[Tensor, "*batch O"], rationality: float, epsilon: float = 0.0
    ) -> Float[Tensor, "*batch A"]:
        """Probability 1 / A of every action."""
        return torch.full((*observation.shape[:-1], self.n_actions), 1 / self.n_actions, dtype=torch.float64)


@dataclass(frozen=True)
class NetworkPolicy:
    """A multilayer perceptron from observations to one score an action.

    It reads the first observation features that it was trained on, so it acts unchanged in an environment that appends
    features, such as `mavrl.envs.fixed_horizon.FixedHorizon`.

    Args:
        network: linear layers with activations between them, in float64: the score of an observation must not depend on
            how many are scored together, and float32 rounds differently in a batch of another size.
        scores: what its outputs are: action values in units of return, or unnormalised log-probabilities.
        activation: "relu" or "tanh".
        card: where it comes from and how good it is.
    """

    network: nn.Sequential
    scores: Scores
    activation: str
    card: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_layers(
        cls,
        layers: Sequence[tuple[Tensor, Tensor]],
        activation: str,
        scores: Scores,
        card: dict[str, Any] | None = None,
    ) -> "NetworkPolicy":
        """A policy with these (weight, bias) pairs, as `torch.nn.Linear` holds them, rounded to float32."""
        modules: list[nn.Module] = []
        for weight, bias in layers:
            # skip_init: first values that nobody sees would still be drawn from the global generator
            linear = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], dtype=torch.float64)
            linear.load_state_dict({"weight": weight.detach().float(), "bias": bias.detach().float()})
            modules += [linear, _ACTIVATIONS[activation]()]
        network = nn.Sequential(*modules[:-1]).requires_grad_(False)
        return cls(network, scores, activation, card or {})

    @property
    def n_inputs(self) -> int:
        return self.network[0].in_features  # type: ignore[return-value]

    @property
    def n_actions(self) -> int:
        return self.network[-1].out_features  # type: ignore[return-value]

    @property
    def finite(self) -> bool:
        """Whether all weights are: one that is not scores no action."""
        return all(bool(tensor.isfinite().all()) for tensor in self.network.state_dict().values())

    def __call__(self, observation: Float[Tensor, "*batch O"]) -> Float[Tensor, "*batch A"]:
        """Scores of all actions, in float64."""
        return self.network(observation[..., : self.n_inputs].double())

    def probabilities(
        self, observation: Float[Tensor, "*batch O"], rationality: float, epsilon: float = 0.0
    ) -> Float[Tensor, "*batch A"]:
        """Probability of each action of the Boltzmann policy over the scores."""
        return boltzmann_policy(self(observation), rationality, epsilon)

    def act(self, observation: Float[np.ndarray, "N O"]) -> Int[np.ndarray, "N"]:
        """The action of the highest score."""
        return self(torch.from_numpy(observation)).argmax(-1).numpy()

    @property
    def fingerprint(self) -> str:
        """A checksum that differs between policies that act differently."""
        return checksum(self.activation.encode() + self.scores.encode() + self._weights())

    def _weights(self) -> bytes:
        return save({name: tensor.float().contiguous() for name, tensor in self.network.state_dict().items()})

    def save(self, directory: Path) -> None:
        """Write the weights as safetensors, and the card as JSON with the checksum of the weights."""
        written = write_checked(directory / _WEIGHTS, self._weights())
        linear = [module for module in self.network if isinstance(module, nn.Linear)]
        sizes = [linear[0].in_features, *(module.out_features for module in linear)]
        form = {"scores": self.scores, "activation": self.activation, "sizes": sizes, "sha256": written}
        write_json(directory / _CARD, {**self.card, "network": form})

    @classmethod
    def load(cls, directory: Path) -> "NetworkPolicy":
        """The policy in this directory.

        Raises:
            StorageError: it is missing or damaged.
        """
        card = read_json(directory / _CARD)
        if card is None:
            raise StorageError(f"{directory}: no policy there (it would have {_CARD} and {_WEIGHTS})")
        try:
            form = card.pop("network")
            weights = read_checked(directory / _WEIGHTS, form["sha256"])
            if form["scores"] not in get_args(Scores):
                raise ValueError(f"unknown scores {form['scores']}")
            tensors, sizes = load(weights), list(pairwise(form["sizes"]))
            layers = [(tensors[f"{2 * i}.weight"], tensors[f"{2 * i}.bias"]) for i in range(len(sizes))]
            shapes = [(tuple(weight.shape), tuple(bias.shape)) for weight, bias in layers]
            if not layers or shapes != [((outputs, inputs), (outputs,)) for inputs, outputs in sizes]:
                raise ValueError(f"the weights have not the sizes {form['sizes']}")
            return cls.from_layers(layers, form["activation"], form["scores"], card)
        except (AttributeError, KeyError, ValueError, TypeError, SafetensorError) as error:
            raise StorageError(f"{directory}: its policy is damaged or incomplete ({error!r})") from error
