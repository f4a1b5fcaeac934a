"""Reward models, the learned reward as its users see it: mean, uncertainty and samples; saved and loaded safely."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from safetensors.torch import load, save
from torch import Generator, Tensor

from mavrl import __version__
from mavrl.errors import StorageError
from mavrl.reports.card import model_card
from mavrl.storage.contents import read_metrics
from mavrl.storage.files import read_checked, read_json, write_checked, write_json, write_text
from mavrl.streams import torch_stream

Values = TypeVar("Values", np.ndarray, Tensor)
Model = TypeVar("Model", bound="RewardModel")
_OF_REPLICATES = ("seeds", "bound")  # in a description: a list with one for each replicate
_WEIGHTS, _DESCRIPTION = "weights.safetensors", "description.json"
_METRICS, _CARD = "metrics.json", "README.md"
_FOLDER = "reward_model"  # of a run
_OF_ALL = ("mean", "stderr", "held_out", "comparison", "rounds", "annotators", "objective", "failed_replicates")


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
        """Write the model, with its metrics and its card, into a directory.

        `mavrl.load_reward_model` loads it from there, and model hubs take the directory as it is.

        Raises:
            StorageError: it cannot be written.
        """
        description = {**self.description, "replicates": len(self)}
        if self._number is not None:
            description |= {name: [description[name][self._number]] for name in _OF_REPLICATES if name in description}
        save_reward_model(Path(path), self.tensors(), description)
        write_card(Path(path), self.metrics)

    def _stream(self, seed: int, row: int) -> Generator:
        """The randomness of a replicate's samples, addressed by its own seed: they do not depend on its company."""
        number = row if self._number is None else self._number
        seeds = self.description.get("seeds")
        return torch_stream(seed, "reward sample", number if seeds is None else seeds[number])

    def push_to_hub(self, name: str, private: bool = True) -> str:
        """Save the model as a repository of the Hugging Face hub, which is made if there is none; returns its address.

        Args:
            name: of the repository, such as "user/grid-trap".
            private: whether only its owner sees a repository that is made.

        Raises:
            ConfigurationError: huggingface_hub, of the extra `hub`, is not installed.
            StorageError: the hub refuses it, or cannot be reached.
        """
        from mavrl.model.hub import upload

        with tempfile.TemporaryDirectory(prefix="mavrl-") as folder:
            self.save(folder)
            return upload(folder, name, private)

    def tensors(self) -> dict[str, Tensor]:
        """All weights by name, with the models of all replicates as first axis.

        Raises:
            ValueError: the model has no weights that could be saved.
        """
        raise ValueError(f"{type(self).__name__} has no weights that could be saved")

    @classmethod
    def load(cls: type[Model], path: Path | str) -> Model:
        """The reward model of a run, which must be of this class, or of one derived from it.

        Args:
            path: a run directory, the `reward_model` directory in it, or a copy of that.

        Raises:
            StorageError: there is no reward model there, or one of another class, or its files are damaged.
        """
        directory, description = find_reward_model(path)
        classes = {each.kind: each for each in (cls, *cls.__subclasses__())}
        if description.get("kind") not in classes:
            raise StorageError(f"{path}: its reward model is of kind {description.get('kind')}, needed is {cls.kind}")
        weights = read_checked(directory / _WEIGHTS, description.pop("sha256", None))
        try:
            model = classes[description["kind"]].from_tensors(load(weights), description)
            if len(model) != description["replicates"]:
                raise ValueError(f"weights of {len(model)} replicates, described as {description['replicates']}")
            model.metrics = _metrics_beside(directory)
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
        alone = self._replicate(row, row if self._number is None else self._number)
        alone.metrics = _of_replicate(self.metrics, row)
        return alone

    @abstractmethod
    def _replicate(self: Model, row: int, number: int) -> Model:
        """Replicate number `number`, which is in this row, alone."""

    def in_units(self, action: Values) -> Values:
        """Actions as `mean`, `std` and `sample` take them, from those in the unit box (`mavrl.actions`)."""
        return action

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


def write_card(directory: Path, metrics: Mapping[str, Any]) -> None:
    """Write beside a saved model how good it is, for programs and for people.

    Args:
        directory: of the model.
        metrics: content of metrics.json; empty where nobody has said.
    """
    if metrics:
        write_json(directory / _METRICS, dict(metrics))
    write_text(directory / _CARD, model_card(find_reward_model(directory)[1], metrics, __version__))


def find_reward_model(path: Path | str) -> tuple[Path, dict[str, Any]]:
    """The directory of a run's reward model, and its description.

    Raises:
        StorageError: there is no reward model there.
    """
    directory = Path(path)
    if (directory / _FOLDER).is_dir():
        directory = directory / _FOLDER
    description = read_json(directory / _DESCRIPTION)
    if not isinstance(description, dict):
        raise StorageError(f"{path}: no reward model there (a finished run has {_DESCRIPTION} in reward_model/)")
    return directory, description


def saved_tensors(path: Path | str) -> dict[str, Tensor]:
    """All tensors of a saved model by name, those of its prior among them.

    Raises:
        StorageError: there is no reward model there, or its files are damaged.
    """
    directory, description = find_reward_model(path)
    return load(read_checked(directory / _WEIGHTS, description.get("sha256")))


def _metrics_beside(directory: Path) -> dict[str, Any]:
    """The metrics of a saved model, which runs of earlier versions have beside its directory."""
    if not (directory / _METRICS).exists() and directory.name == _FOLDER:
        directory = directory.parent
    return read_metrics(directory)


def _of_replicate(metrics: Mapping[str, Any], row: int) -> dict[str, Any]:
    """What metrics.json says about one replicate alone."""
    if not metrics:
        return {}
    final = {name: [values[row]] for name, values in metrics["final"].items()}
    skipped = metrics.get("skipped", {})
    own = {
        "seed": metrics["seed"] + row,
        "replicates": 1,
        "final": final,
        "mean": {name: value for name, (value,) in final.items()},
        "stderr": {},
        **({"skipped": {kind: [each[row]] for kind, each in skipped.items()}} if skipped else {}),
        **({"failed_replicates": [0]} if row in metrics.get("failed_replicates", []) else {}),
    }
    return {**{name: value for name, value in metrics.items() if name not in _OF_ALL}, **own}
