"""Policies of vectors as actions: a network that tells a Gaussian, and critics that value what was done."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import ndtri
from torch import Tensor, nn

from mavrl.actions import VectorActions
from mavrl.policies.storing import (
    Layers,
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

Squash = Literal["tanh", "clip"]
_LOG_STD = (-20.0, 2.0)  # as Stable-Baselines3's SAC limits it
_LEAST = 1e-12  # a draw of exactly 0 would be a deviation without end


@dataclass(frozen=True)
class GaussianPolicy:
    """A Gaussian whose draws are put into the unit box, number by number.

    It reads the first observation features that it was trained on, as `mavrl.policies.network.NetworkPolicy` does.

    Args:
        network: from an observation to mean and logarithm of the standard deviation of each number, shape (2 D,).
        squash: how draws get into the box: by tanh, as SAC has it, or clipped, as PPO has it.
        activation: of the network: "relu" or "tanh".
        actions: of the environment.
        critics: from an observation and an action in the unit box to an action value in units of return, of which the
            lowest counts; empty where nobody values actions.
        card: where it comes from and how good it is.
    """

    network: nn.Sequential
    squash: Squash
    activation: str
    actions: VectorActions
    critics: tuple[nn.Sequential, ...] = ()
    card: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_layers(
        cls,
        layers: Layers,
        activation: str,
        squash: Squash,
        actions: VectorActions,
        critics: tuple[Layers, ...] = (),
        card: dict[str, Any] | None = None,
    ) -> "GaussianPolicy":
        """A policy with these (weight, bias) pairs, as `torch.nn.Linear` holds them, rounded to float32.

        Raises:
            ValueError: a network has not as many inputs or outputs as there are observations and actions.
        """
        network, of_values = perceptron(layers, activation), tuple(perceptron(each, "relu") for each in critics)
        n_inputs, size = sizes_of(network)[0], actions.size
        wanted, found = (n_inputs + size, 1), {tuple(sizes_of(each)[:: len(sizes_of(each)) - 1]) for each in of_values}
        if sizes_of(network)[-1] != 2 * size or found - {wanted}:
            raise ValueError(f"networks of {sizes_of(network)} and {found} do not fit {size} numbers an action")
        return cls(network, squash, activation, actions, of_values, card or {})

    @property
    def n_inputs(self) -> int:
        return sizes_of(self.network)[0]

    @property
    def finite(self) -> bool:
        """Whether all weights are."""
        return finite(self._networks)

    @property
    def _networks(self) -> dict[str, nn.Sequential]:
        return {"actor.": self.network, **{f"critic{k}.": each for k, each in enumerate(self.critics)}}

    def __call__(self, observation: Float[Tensor, "*batch O"]) -> tuple[Float[Tensor, "*b D"], Float[Tensor, "*b D"]]:
        """Mean and standard deviation before they are squashed, in float64."""
        mean, log_std = self.network(observation[..., : self.n_inputs].double()).chunk(2, dim=-1)
        return mean, log_std.clamp(*_LOG_STD).exp()

    @property
    def n_draws(self) -> int:
        return 1 + self.actions.size

    def choose(
        self,
        observation: Float[Tensor, "N O"],
        rationality: float,
        epsilon: float,
        draws: Float[np.ndarray, "N n"],
    ) -> Float[np.ndarray, "N D"]:
        """An action in the unit box for each observation.

        Args:
            rationality: divides the variance: infinity takes the mean, 1 the policy's own draws, and 0 any action of
                the box equally often.
        """
        uniform = 2 * draws[:, 1:] - 1
        if rationality == 0:
            unit = uniform
        else:
            mean, std = (each.numpy() for each in self(observation))
            noise = 0.0 if math.isinf(rationality) else ndtri(np.clip(draws[:, 1:], _LEAST, 1 - _LEAST))
            unit = self._squashed(mean + std / math.sqrt(rationality) * noise)
            unit = np.where(draws[:, :1] < epsilon, uniform, unit)
        return unit.astype(np.float32)

    def act(self, observation: Float[np.ndarray, "N O"]) -> Float[np.ndarray, "N D"]:
        """The action at the mean, in the environment's units."""
        mean, _ = self(torch.from_numpy(observation))
        return self.actions.from_unit(self._squashed(mean.numpy())).astype(np.float32)

    def _squashed(self, x: Float[np.ndarray, "*batch D"]) -> Float[np.ndarray, "*batch D"]:
        return np.tanh(x) if self.squash == "tanh" else np.clip(x, -1.0, 1.0)

    def regret(self, state: Float[Tensor, "*batch O"], action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """How much lower the value of an action is than that of the policy's mean; 0 where it is higher, in float64.

        NaN where nobody values actions.
        """
        if not self.critics:
            return torch.full(action.shape[:-1], torch.nan, dtype=torch.float64)
        mean, _ = self(state)
        best = mean.tanh() if self.squash == "tanh" else mean.clamp(-1.0, 1.0)
        return (self._value(state, best) - self._value(state, action.double())).clamp(min=0.0)

    def _value(self, state: Float[Tensor, "*batch O"], unit: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        inputs = torch.cat([state[..., : self.n_inputs].double(), unit], dim=-1)
        return torch.stack([critic(inputs).squeeze(-1) for critic in self.critics]).amin(0)

    @property
    def fingerprint(self) -> str:
        """A checksum that differs between policies that act or value differently."""
        form = f"{self.squash} {self.activation} {self.actions.low} {self.actions.high}"
        return checksum(form.encode() + weights_of(self._networks))

    def save(self, directory: Path) -> None:
        """Write the weights as safetensors, and the card as JSON with the checksum of the weights."""
        form = {
            "squash": self.squash,
            "activation": self.activation,
            "sizes": sizes_of(self.network),
            "critics": [sizes_of(each) for each in self.critics],
            **self.actions.described,
        }
        write_networks(directory, self._networks, form, self.card)

    @classmethod
    def load(cls, directory: Path) -> "GaussianPolicy":
        """The policy in this directory.

        Raises:
            StorageError: it is missing or damaged.
        """
        with of_policy(directory):
            form, card, tensors = read_form(directory)
            if form["squash"] not in get_args(Squash):
                raise ValueError(f"unknown squash {form['squash']}")
            actions = VectorActions(tuple(form["action_low"]), tuple(form["action_high"]))
            critics = tuple(layers_in(tensors, sizes, f"critic{k}.") for k, sizes in enumerate(form["critics"]))
            layers = layers_in(tensors, form["sizes"], "actor.")
            return cls.from_layers(layers, form["activation"], form["squash"], actions, critics, card)
