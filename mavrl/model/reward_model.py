"""Reward models, the learned reward as its users see it: mean, uncertainty and samples; saved and loaded safely."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from safetensors.torch import load, save
from torch import Tensor

from mavrl.errors import StorageError
from mavrl.storage.files import read_checked, read_json, write_checked, write_json

Values = TypeVar("Values", np.ndarray, Tensor)
Model = TypeVar("Model", bound="RewardModel")
_OF_REPLICATES = ("seeds", "bound")  # in a description: a list with one for each replicate
_WEIGHTS, _DESCRIPTION = "weights.safetensors", "description.json"


class RewardModel(ABC):
    """Reward posteriors of R replicates, each the mixture of M members.

    `mean`, `std` and `sample` take arrays or tensors of states, actions and next states of any one shape (N...), and
    return the same kind of array, of shape (R, N...). `model[k]` is replicate k alone, whose results have shape (N...).

    Args:
        description: what the model was trained on.
        replicate: the replicate that this is, when it is one alone.

    Attributes:
        metrics: how good it was found to be, as metrics.json has it; empty where nobody has said.
    """

    kind: ClassVar[str]  # in the description of a saved model

    def __init__(self, description: dict[str, Any], replicate: int | None = None) -> None:
        self.description = description
        self._number = replicate
        self.metrics: dict[str, Any] = {}

    def save(self, path: Path | str) -> None:
        """Write the model into a directory, from which `mavrl.load_reward_model` loads it.

        Raises:
            StorageError: it cannot be written.
        """
        description = {**self.description, "replicates": len(self)}
        if self._number is not None:
            description |= {name: [description[name][self._number]] for name in _OF_REPLICATES if name in description}
        save_reward_model(Path(path), self.tensors(), description)

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name, with the models of all replicates as first axis.

        Raises:
            ValueError: the model has no weights that could be saved.
        """
        raise ValueError(f"{type(self).__name__} has no weights that could be saved")

    @classmethod
    def load(cls: type[Model], path: Path | str) -> Model:
        """The reward model of a run, which must be of this class.

        Args:
            path: a run directory, or the `reward_model` directory in it.

        Raises:
            StorageError: there is no reward model there, or one of another class, or its files are damaged.
        """
        directory, description = find_reward_model(path)
        if description.get("kind") != cls.kind:
            raise StorageError(f"{path}: its reward model is of kind {description.get('kind')}, needed is {cls.kind}")
        weights = read_checked(directory / _WEIGHTS, description.pop("sha256", None))
        try:
            model = cls.from_tensors(load(weights), description)
            if len(model) != description["replicates"]:
                raise ValueError(f"weights of {len(model)} replicates, described as {description['replicates']}")
            return model
        except Exception as error:  # whatever a damaged file makes of itself
            raise StorageError(f"{directory / _WEIGHTS}: damaged ({error})") from error

    @classmethod
    @abstractmethod
    def from_tensors(cls: type[Model], tensors: dict[str, Tensor], description: dict[str, Any]) -> Model:
        """The model with these saved weights."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of replicates R."""

    def __getitem__(self: Model, replicate: int) -> Model:
        if not -len(self) <= replicate < len(self):
            raise IndexError(f"replicate {replicate}: the model has {len(self)}")
        row = replicate % len(self)
        return self._replicate(row, row if self._number is None else self._number)

    @abstractmethod
    def _replicate(self: Model, row: int, number: int) -> Model:
        """Replicate number `number`, which is in this row, alone."""

    @abstractmethod
    def mean(self, state: Values, action: Values, next_state: Values) -> Values:
        """Posterior mean of the reward of each transition."""

    @abstractmethod
    def std(self, state: Values, action: Values, next_state: Values) -> Values:
        """Posterior standard deviation of the reward of each transition: within members and between them."""

    @abstractmethod
    def sample(self, state: Values, action: Values, next_state: Values, seed: int = 0) -> Values:
        """The reward of each transition under one reward function drawn from the posterior; a seed is a function."""


def save_reward_model(directory: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write weights ("encoder.*", "prior.*", ...) as safetensors, and what they are, with their checksum, as JSON."""
    weights = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    write_json(directory / _DESCRIPTION, {**description, "sha256": write_checked(directory / _WEIGHTS, weights)})


def find_reward_model(path: Path | str) -> tuple[Path, dict[str, Any]]:
    """The directory of a run's reward model, and its description.

    Raises:
        StorageError: there is no reward model there.
    """
    directory = Path(path)
    if (directory / "reward_model").is_dir():
        directory = directory / "reward_model"
    description = read_json(directory / _DESCRIPTION)
    if not isinstance(description, dict):
        raise StorageError(f"{path}: no reward model there (a finished run has {_DESCRIPTION} in reward_model/)")
    return directory, description
