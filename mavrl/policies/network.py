"""Policies of numbered actions: a network that scores them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mavrl.actions import NumberedActions, drawn
from mavrl.policies.boltzmann import boltzmann_policy
from mavrl.policies.storing import (
    finite,
    layers_in,
    of_policy,
    perceptron,
    read_form,
    sizes_of,
    weights_of,
    write_networks,
)
from mavrl.storage.files import checksum

Scores = Literal["q", "log_probability"]


@dataclass(frozen=True)
class NetworkPolicy:
    """A multilayer perceptron from observations to one score an action.

    It reads the first observation features that it was trained on, so it acts unchanged in an environment that appends
    features, such as `mavrl.envs.fixed_horizon.FixedHorizon`.

    Args:
        network: linear layers with activations between them, as `mavrl.policies.storing.perceptron` makes them.
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
        return cls(perceptron(layers, activation), scores, activation, card or {})

    @property
    def n_inputs(self) -> int:
        return sizes_of(self.network)[0]

    @property
    def actions(self) -> NumberedActions:
        """The actions that it scores."""
        return NumberedActions(sizes_of(self.network)[-1])

    @property
    def finite(self) -> bool:
        """Whether all weights are: one that is not scores no action."""
        return finite({"": self.network})

    def __call__(self, observation: Float[Tensor, "*batch O"]) -> Float[Tensor, "*batch A"]:
        """Scores of all actions, in float64."""
        return self.network(observation[..., : self.n_inputs].double())

    def probabilities(
        self, observation: Float[Tensor, "*batch O"], rationality: float, epsilon: float = 0.0
    ) -> Float[Tensor, "*batch A"]:
        """Probability of each action of the Boltzmann policy over the scores."""
        return boltzmann_policy(self(observation), rationality, epsilon)

    n_draws = 1

    def choose(
        self,
        observation: Float[Tensor, "N O"],
        rationality: float,
        epsilon: float,
        draws: Float[np.ndarray, "N n"],
    ) -> Int[np.ndarray, "N"]:
        """An action of the Boltzmann policy for each observation."""
        return drawn(self.probabilities(observation, rationality, epsilon).numpy(), draws)

    def act(self, observation: Float[np.ndarray, "N O"]) -> Int[np.ndarray, "N"]:
        """The action of the highest score."""
        return self(torch.from_numpy(observation)).argmax(-1).numpy()

    def regret(self, state: Float[Tensor, "*batch O"], action: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """How much lower the score of an action is than the highest one of its state, in float64."""
        score = self(state)
        return score.amax(-1) - score.gather(-1, action[..., None]).squeeze(-1)

    @property
    def fingerprint(self) -> str:
        """A checksum that differs between policies that act differently."""
        return checksum(self.activation.encode() + self.scores.encode() + weights_of({"": self.network}))

    def save(self, directory: Path) -> None:
        """Write the weights as safetensors, and the card as JSON with the checksum of the weights."""
        form = {"scores": self.scores, "activation": self.activation, "sizes": sizes_of(self.network)}
        write_networks(directory, {"": self.network}, form, self.card)

    @classmethod
    def load(cls, directory: Path) -> "NetworkPolicy":
        """The policy in this directory.

        Raises:
            StorageError: it is missing or damaged.
        """
        with of_policy(directory):
            form, card, tensors = read_form(directory)
            if form["scores"] not in get_args(Scores):
                raise ValueError(f"unknown scores {form['scores']}")
            return cls.from_layers(layers_in(tensors, form["sizes"]), form["activation"], form["scores"], card)
