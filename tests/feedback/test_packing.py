"""Batches as arrays by the names of their fields."""

from typing import Any

import numpy as np
import pytest
import torch

from mavrl.feedback.demonstration import DemonstratedEpisodes
from mavrl.feedback.packing import pack, unpack
from mavrl.feedback.preference import PreferenceBatch
from mavrl.feedback.rating import RatingBatch
from mavrl.feedback.stop import StopBatch
from mavrl.types import Transitions

CLASSES = {cls.kind: cls for cls in (PreferenceBatch, DemonstratedEpisodes, RatingBatch, StopBatch)}


def _steps(*shape: int, features: int | None) -> Transitions:
    state = torch.randint(9, shape) if features is None else torch.randn(*shape, features)
    whole, flags = torch.randint(4, shape), torch.rand(shape) < 0.5
    return Transitions(state, whole, state.flip(0), whole.flip(0), flags, flags.flip(0))


def _batch(kind: str, features: int | None, length: int = 5) -> Any:
    if kind == "preference":
        return PreferenceBatch(_steps(2, 4, 2, length, features=features), torch.rand(2, 4) < 0.5)
    steps = _steps(2, 4, length, features=features)
    if kind == "demonstration":
        return DemonstratedEpisodes(steps)
    return CLASSES[kind](steps, torch.randint(3, (2, 4)))


def _rows(batch: Any) -> list[dict[str, np.ndarray]]:
    columns = pack(batch)
    return [{name: column[k] for name, column in columns.items()} for k in range(2)]


@pytest.mark.parametrize("features", [None, 3])
@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_packed_comes_back(kind: str, features: int | None, equal: Any) -> None:
    batch = _batch(kind, features)
    assert equal(unpack(CLASSES[kind], _rows(batch), 4), batch)
    assert equal(unpack(CLASSES[kind], _rows(batch), 3), batch.first(3))


def test_names_are_those_of_the_fields() -> None:
    columns = pack(_batch("rating", None))
    assert set(columns) == {
        "transitions.state", "transitions.action", "transitions.next_state", "transitions.next_action",
        "transitions.terminal", "transitions.valid", "rating", "scale", "annotator",
    }  # fmt: skip
    assert {column.dtype for column in columns.values()} == {np.dtype("int32"), np.dtype("bool")}


@pytest.mark.parametrize("features", [None, 3])
@pytest.mark.parametrize("kind", CLASSES)
def test_shorter_replicates_are_padded_with_steps_that_are_not_valid(kind: str, features: int | None) -> None:
    short, long = _batch(kind, features, 3), _batch(kind, features, 5)
    mixed = unpack(CLASSES[kind], [_rows(short)[0], _rows(long)[1]], 4)
    steps = mixed.transitions
    assert steps.action.shape == long.transitions.action.shape
    assert steps.action[0][..., :3].equal(short.transitions.action[0])
    assert steps.action[1].equal(long.transitions.action[1])
    assert not steps.valid[0][..., 3:].any()
    assert all(mixed.labels[name][0].equal(label[0]) for name, label in short.labels.items())
