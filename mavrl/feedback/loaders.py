"""Batches of a data set, in orders that are addressed by seed and epoch."""

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch

from mavrl.feedback.base import FeedbackBatch
from mavrl.streams import numpy_stream

Batch = TypeVar("Batch", bound=FeedbackBatch)


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

    def __init__(
        self, data: Batch, seeds: Sequence[int], batch_size: int | None, purpose: str, passes: int = 1
    ) -> None:
        self.data = data
        self.sampler = self  # Lightning announces each epoch to a loader's sampler, and asks for a batch sampler too
        self.batch_sampler = None
        self._seeds = seeds
        self._n_samples = data.transitions.valid.shape[1]
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
