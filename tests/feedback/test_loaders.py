"""Batches in orders that depend on seed, epoch and pass alone."""

import dataclasses

import pytest
import torch

from mavrl.feedback.loaders import ShuffledBatches
from mavrl.feedback.rating import RatingBatch
from mavrl.types import Transitions


def _numbered(n_replicates: int, n_samples: int) -> RatingBatch:
    """Samples that carry their own number as rating."""
    number = torch.arange(n_samples).expand(n_replicates, -1)
    steps = torch.zeros(n_replicates, n_samples, 2, dtype=torch.int64)
    flags = torch.zeros(n_replicates, n_samples, 2, dtype=torch.bool)
    return RatingBatch(Transitions(steps, steps, steps, steps, flags, ~flags), number)


def _orders(batches: ShuffledBatches, epoch: int = 0) -> torch.Tensor:
    batches.set_epoch(epoch)
    return torch.cat([batch.rating for batch in batches], dim=1)


@pytest.mark.parametrize(("n", "size"), [(10, 3), (10, 5), (10, 1), (7, 6)])
def test_every_sample_comes_once_in_each_pass(n: int, size: int) -> None:
    batches = ShuffledBatches(_numbered(3, n), [0, 1, 2], size, "rating", passes=4)
    found = list(batches)
    assert len(found) == len(batches) == 4 * -(-n // size)
    orders = torch.cat([batch.rating for batch in found], dim=1).unflatten(1, (4, n))
    assert orders.sort(-1).values.equal(torch.arange(n).expand(3, 4, n))
    assert len({tuple(order.tolist()) for order in orders.flatten(0, 1)}) > 1


def test_the_order_of_a_replicate_is_that_of_the_single_run() -> None:
    together = _orders(ShuffledBatches(_numbered(3, 20), [5, 6, 7], 4, "rating", passes=2), epoch=3)
    alone = _orders(ShuffledBatches(_numbered(1, 20), [6], 4, "rating", passes=2), epoch=3)
    assert together[1].equal(alone[0])
    assert not together[0].equal(together[1])


def test_the_order_depends_on_epoch_pass_and_purpose_alone() -> None:
    batches = ShuffledBatches(_numbered(1, 50), [5], 10, "rating", passes=2)
    first, again, other = _orders(batches, 0), _orders(batches, 0), _orders(batches, 1)
    assert first.equal(again)
    assert not first.equal(other)
    assert not first[:, :50].equal(first[:, 50:])
    assert not first.equal(_orders(ShuffledBatches(_numbered(1, 50), [5], 10, "stop", passes=2), 0))


def test_a_loader_that_is_cycled_within_an_epoch_goes_on_with_new_orders() -> None:
    batches = ShuffledBatches(_numbered(1, 50), [5], 10, "rating")
    batches.set_epoch(2)
    first, second = (torch.cat([batch.rating for batch in batches], dim=1) for _ in range(2))
    assert not first.equal(second)
    batches.set_epoch(2)
    assert first.equal(torch.cat([batch.rating for batch in batches], dim=1))


@pytest.mark.parametrize("size", [None, 10, 1000])
def test_a_full_batch_is_the_data_itself(size: int | None) -> None:
    data = _numbered(2, 10)
    batches = ShuffledBatches(data, [0, 1], size, "rating", passes=3)
    assert len(batches) == 3
    assert all(batch is data for batch in batches)


def test_transitions_are_shuffled_along_with_their_labels() -> None:
    data = _numbered(2, 12)
    steps = data.transitions
    state = data.rating[..., None].expand(-1, -1, 2) * 3
    data = RatingBatch(dataclasses.replace(steps, state=state), data.rating)
    for batch in ShuffledBatches(data, [0, 1], 5, "rating"):
        assert batch.transitions.state[..., 0].equal(3 * batch.rating)


def test_observations_are_shuffled_along_with_their_labels() -> None:
    data = _numbered(2, 12)
    steps = data.transitions
    observation = (data.rating[..., None, None] + torch.tensor([[0.0, 0.25, 0.5], [1.0, 1.25, 1.5]])).float()
    data = RatingBatch(dataclasses.replace(steps, state=observation, next_state=observation + 1), data.rating)
    for batch in ShuffledBatches(data, [0, 1], 5, "rating"):
        assert batch.transitions.state[:, :, 1, 2].equal(batch.rating + 1.5)
        assert batch.transitions.next_state.equal(batch.transitions.state + 1)
