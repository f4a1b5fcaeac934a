"""What the data of every kind of feedback share: simulated per replicate, cached, and served in batches."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from mavrl.errors import ConfigurationError
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Simulated, Simulator, Stream
from mavrl.storage.answers import Arrays, DatasetCache
from mavrl.streams import numpy_stream, torch_stream
from mavrl.types import FeedbackBatch, Transitions

Batch = TypeVar("Batch", bound=FeedbackBatch)

CALIBRATION_SEGMENTS = 1024  # a teacher is calibrated on this many segments, however many of them it labels
_VERSION = 3  # of what the simulation computes; a change of it makes every cached entry unknown


class ShuffledBatches(Generic[Batch]):
    """The samples of a data set in batches, in a new order on each pass, each replicate in an order of its own.

    The order depends only on the seeds, the epoch and the pass within it, so a resumed run goes on with the same one.

    Args:
        data: all samples, shape (R, N, ...); those that fill up a replicate come last, and stay there.
        seeds: one per replicate.
        batch_size: samples a batch; None for all of them, in their own order.
        purpose: sets these orders apart from those of other data sets.
        passes: passes over the data in one epoch.
    """

    def __init__(self, data: Batch, seeds: list[int], batch_size: int | None, purpose: str, passes: int = 1) -> None:
        self.data = data
        self.sampler = self  # Lightning announces each epoch to a loader's sampler, and asks for a batch sampler too
        self.batch_sampler = None
        self._seeds = seeds
        self._n_samples = data.transitions.action.shape[1]
        self._batch_size = self._n_samples if batch_size is None else min(batch_size, self._n_samples)
        self._purpose = purpose
        self._passes = passes
        self._epoch = self._begun = 0

    def __len__(self) -> int:
        return self._passes * -(-self._n_samples // self._batch_size)

    def set_epoch(self, epoch: int) -> None:
        self._epoch, self._begun = epoch, 0

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(self._passes):
            yield from self._one_pass()

    def _one_pass(self) -> Iterator[Batch]:
        if self._batch_size == self._n_samples:
            yield self.data
            return
        streams = [numpy_stream(seed, "order", self._purpose, self._epoch, self._begun) for seed in self._seeds]
        self._begun += 1
        counts, rest = self.data.valid_samples.sum(-1).tolist(), np.arange(self._n_samples)
        orders = [np.concatenate([s.permutation(n), rest[n:]]) for s, n in zip(streams, counts, strict=True)]
        order = torch.from_numpy(np.stack(orders))
        for index in order.split(self._batch_size, dim=1):
            yield self.data.take(index)


class FeedbackData(ABC, Generic[Batch]):
    """Simulated feedback of one kind for all replicates.

    Args:
        n_samples: samples of feedback per replicate.
        gen_samples: samples to simulate and cache when that is more.
    """

    kind: ClassVar[str]

    def __init__(self, n_samples: int, gen_samples: int) -> None:
        self.n_samples = n_samples
        self.gen_samples = max(n_samples, gen_samples)

    def simulate_all(
        self, simulator: Simulator, seeds: list[int], cache: DatasetCache, split: str, environment: dict[str, Any]
    ) -> tuple[Batch, dict[str, Tensor]]:
        """The first `n_samples` samples of every replicate, from the cache where it has them.

        Args:
            split: "train" or "validation"; they are independent streams.
            environment: what identifies the simulator in the cache.

        Returns:
            The batch, and what the model is told of the teacher, by name, shape (R, ...).
        """
        keys = [self._key(seed, split, environment) for seed in seeds]
        entries = [cache.read(key, self.n_samples) for key in keys]
        missing = [k for k, entry in enumerate(entries) if entry is None]
        if missing:
            simulated = self.simulate(simulator.only(missing), [(seeds[k], self.kind, split) for k in missing])
            for row, k in enumerate(missing):
                entry = {name: array[row] for name, array in simulated.items()}
                cache.write(keys[k], entry, self.gen_samples)
                entries[k] = entry
        return self.assemble([entry for entry in entries if entry is not None])

    @abstractmethod
    def simulate(self, simulator: Simulator, streams: list[Stream]) -> Arrays:
        """`gen_samples` samples for each replicate: arrays of shape (R, N, ...), or (R, ...) if named "teacher_*"."""

    @abstractmethod
    def assemble(self, entries: list[Arrays]) -> tuple[Batch, dict[str, Tensor]]:
        """The batch of all replicates from each one's arrays, cut to `n_samples` samples."""

    @abstractmethod
    def likelihood(self, teacher: dict[str, Tensor], n_models: int) -> FeedbackLikelihood:
        """The likelihood that a model scores this feedback with."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings of behaviour and teacher that the samples depend on, for the cache key."""

    def _key(self, seed: int, split: str, environment: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "version": _VERSION,
            "environment": environment,
            "settings": self.settings(),
            "seed": seed,
            "split": split,
        }


class SegmentData(FeedbackData[Batch]):
    """Simulated feedback about segments of a behaviour policy's episodes.

    Args:
        segment_len: steps T of a segment.
        n_episodes: episodes that the segments of a replicate are drawn from.
        behaviour_rationality: rationality of the policy that acts in them; 0 is a random walk.
        behaviour_epsilon: how often it takes a uniformly random action instead.
    """

    def __init__(
        self,
        n_samples: int,
        gen_samples: int,
        segment_len: int,
        n_episodes: int,
        behaviour_rationality: float,
        behaviour_epsilon: float = 0.0,
    ) -> None:
        super().__init__(n_samples, gen_samples)
        self.segment_len = segment_len
        self.n_episodes = n_episodes
        self.behaviour = Behaviour(behaviour_rationality, behaviour_epsilon)

    def settings(self) -> dict[str, Any]:
        drawn = {"segment_len": self.segment_len, "n_episodes": self.n_episodes}
        return {**drawn, "behaviour": dataclasses.asdict(self.behaviour), "teacher": self.teacher_settings()}

    @abstractmethod
    def teacher_settings(self) -> dict[str, Any]:
        """Settings of the teacher that its labels depend on."""

    def segments(self, simulator: Simulator, streams: list[Stream], count: int, distinct: int) -> Simulated:
        """`count` segments a replicate from episodes of the behaviour policy, shape (R, count, T).

        Raises:
            ConfigurationError: no episode is as long as a segment, or fewer than `distinct` segments exist.
        """
        try:
            return simulator.segments(streams, self.behaviour, self.n_episodes, count, self.segment_len, distinct)
        except EpisodesTooShort as error:
            if self.segment_len > error.longest:
                allowed = f"at most {error.longest}, the length of the longest simulated episode"
                raise ConfigurationError(f"feedback.{self.kind}.segment_len", self.segment_len, allowed) from error
            allowed = f"needs {distinct} segments; only {error.places} exist in {self.n_episodes} simulated episodes"
            raise ConfigurationError(f"feedback.{self.kind}.n_samples", self.n_samples, allowed) from error


def label_streams(streams: list[Stream]) -> list[torch.Generator]:
    """Where the teacher of each replicate draws its labels from."""
    return [torch_stream(seed, kind, split, "labels") for seed, kind, split in streams]


def pack_transitions(transitions: Transitions) -> Arrays:
    """Compact arrays of transitions, for the cache."""
    columns = {field.name: getattr(transitions, field.name).numpy() for field in dataclasses.fields(transitions)}
    return {name: c.astype(np.int32) if c.dtype == np.int64 else c for name, c in columns.items()}


def unpack_transitions(entries: list[Arrays], n_samples: int) -> Transitions:
    """The first `n_samples` samples of every replicate; shorter samples are padded with invalid steps."""
    names = [field.name for field in dataclasses.fields(Transitions)]
    step_axis = entries[0]["action"].ndim - 1
    longest = max(entry["action"].shape[-1] for entry in entries)

    def stacked(name: str) -> Tensor:
        rows = [_padded(entry[name][:n_samples], longest, step_axis) for entry in entries]
        return torch.from_numpy(np.stack(rows))

    columns = {name: stacked(name) for name in names}
    return Transitions(**{name: c.long() if c.dtype == torch.int32 else c for name, c in columns.items()})


def _padded(array: np.ndarray, length: int, axis: int) -> np.ndarray:
    """The array with zeros after its end along one axis, up to this length."""
    width = [(0, length - array.shape[axis] if k == axis else 0) for k in range(array.ndim)]
    return np.pad(array, width)
