"""The learned reward as its users see it: mean, uncertainty and samples for transitions; saved and loaded safely."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import load, save
from torch import Tensor

from mavrl.errors import StorageError
from mavrl.model.posterior import RewardPosterior
from mavrl.results.files import read_json, replacing, write_json
from mavrl.streams import torch_stream

Values = TypeVar("Values", np.ndarray, Tensor)
_WEIGHTS, _DESCRIPTION = "weights.safetensors", "description.json"


class RewardModel:
    """Reward posteriors of R replicates, each the mixture of M members, over the states of a finite environment.

    `mean`, `std` and `sample` take arrays or tensors of states, actions and next states, of any one shape (N...), and
    return the same kind of array, of shape (R, N...). States are numbers, or one-hot vectors with a last axis of size
    S. `model[k]` is replicate k alone, whose results have shape (N...).

    Args:
        mean: posterior mean of each member, shape (R, M, S), in units of reward.
        std: posterior standard deviation of each member.
        description: what the model was trained on.
    """

    def __init__(
        self,
        mean: Float[Tensor, "R M S"],
        std: Float[Tensor, "R M S"],
        description: dict[str, Any],
        replicate: int | None = None,
    ) -> None:
        self._mean, self._std = mean, std
        self._replicate = replicate
        self.description = description

    @property
    def n_states(self) -> int:
        return self._mean.shape[-1]

    def __len__(self) -> int:
        return len(self._mean)

    def __getitem__(self, replicate: int) -> "RewardModel":
        if not -len(self) <= replicate < len(self):
            raise IndexError(f"replicate {replicate}: the model has {len(self)}")
        row = replicate % len(self)
        number = row if self._replicate is None else self._replicate
        return RewardModel(self._mean[row : row + 1], self._std[row : row + 1], self.description, number)

    def mean_table(self) -> Float[Tensor, "R S"]:
        """Posterior mean of every state, over members."""
        return self._mean.mean(1)

    def std_table(self) -> Float[Tensor, "R S"]:
        """Posterior standard deviation of every state: within members and between them."""
        return (self._std.square().mean(1) + self._mean.var(1, correction=0)).sqrt()

    def member_spread(self) -> Float[Tensor, "R S"]:
        """Standard deviation of the members' means; 0 for a single member."""
        return self._mean.std(1, correction=0)

    def mean(self, state: Values, action: Values, next_state: Values) -> Values:
        """Posterior mean of the reward of each transition."""
        return self._look_up(self.mean_table(), state)

    def std(self, state: Values, action: Values, next_state: Values) -> Values:
        """Posterior standard deviation of the reward of each transition."""
        return self._look_up(self.std_table(), state)

    def sample(self, state: Values, action: Values, next_state: Values, seed: int = 0) -> Values:
        """The reward of each transition under one reward function drawn from the posterior; a seed is a function."""
        return self._look_up(self.sample_table(seed), state)

    def sample_table(self, seed: int) -> Float[Tensor, "R S"]:
        """One reward function drawn from each replicate's posterior."""
        rows = []
        for row in range(len(self)):
            replicate = row if self._replicate is None else self._replicate
            stream = torch_stream(seed, "reward sample", replicate)
            member = int(torch.randint(self._mean.shape[1], (), generator=stream))
            noise = torch.randn(self._mean.shape[-1], generator=stream)
            rows.append(self._mean[row, member] + self._std[row, member] * noise)
        return torch.stack(rows)

    def _look_up(self, table: Float[Tensor, "R S"], state: Any) -> Any:
        index = torch.as_tensor(np.asarray(state) if not isinstance(state, Tensor) else state)
        n_states = table.shape[-1]
        if index.is_floating_point() and index.ndim and index.shape[-1] == n_states:
            index = index.argmax(-1)
        if index.is_floating_point() or bool(((index < 0) | (index >= n_states)).any()):
            raise ValueError(f"states must be numbers from 0 to {n_states - 1} or one-hot vectors of size {n_states}")
        values = table[:, index.long()]
        values = values if self._replicate is None else values[0]
        return values if isinstance(state, Tensor) else values.numpy()


def save_reward_model(
    directory: Path, weights: dict[str, Tensor], description: dict[str, Any], prior: dict[str, Tensor]
) -> None:
    """Write the encoder's weights and the prior as safetensors, and what they are as JSON."""
    tensors = {f"encoder.{name}": t.detach().contiguous() for name, t in weights.items()}
    tensors |= {f"prior.{name}": t.detach().contiguous() for name, t in prior.items()}
    with replacing(directory / _WEIGHTS) as path:
        path.write_bytes(save(tensors))
    write_json(directory / _DESCRIPTION, description)


def load_reward_model(path: Path | str) -> RewardModel:
    """The reward model of a run.

    Args:
        path: a run directory, or the `reward_model` directory in it.

    Raises:
        StorageError: there is no reward model there, or its files are damaged.
    """
    directory = Path(path)
    if (directory / "reward_model").is_dir():
        directory = directory / "reward_model"
    description = read_json(directory / _DESCRIPTION)
    if description is None:
        raise StorageError(f"{path}: no reward model there (a finished run has {_DESCRIPTION} in reward_model/)")
    try:
        tensors = load((directory / _WEIGHTS).read_bytes())
        return _rebuild(tensors, description)
    except Exception as error:  # whatever a damaged file makes of itself
        raise StorageError(f"{directory / _WEIGHTS}: damaged or missing ({error})") from error


def _rebuild(tensors: dict[str, Tensor], description: dict[str, Any]) -> RewardModel:
    replicates, members = description["replicates"], description["members"]
    unused = [torch.Generator()] * (replicates * members)
    posterior = RewardPosterior(description["n_states"], description["hidden_sizes"], unused)
    weights = {name.removeprefix("encoder."): t for name, t in tensors.items() if name.startswith("encoder.")}
    posterior.encoder.load_state_dict(weights)
    return from_posterior(posterior, replicates, members, description)


@torch.no_grad()
def from_posterior(
    posterior: RewardPosterior, replicates: int, members: int, description: dict[str, Any]
) -> RewardModel:
    """The reward model of trained posteriors."""
    mean, logvar = posterior()
    shape: Sequence[int] = (replicates, members, mean.shape[-1])
    return RewardModel(mean.view(shape), (0.5 * logvar).exp().view(shape), description)
