"""Batches of any kind as compact arrays by the names of their fields, and back."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from mavrl.storage.answers import Arrays
from mavrl.types import Tensors

Batch = TypeVar("Batch", bound=Tensors)


def pack(batch: Tensors) -> Arrays:
    """Every tensor of a batch as an array, named like transitions.action; whole numbers in 32 bits."""
    columns = {name: tensor.numpy() for name, tensor in _columns(batch)}
    return {name: c.astype(np.int32) if c.dtype == np.int64 else c for name, c in columns.items()}


def unpack(batch: type[Batch], entries: Sequence[Arrays], n_samples: int) -> Batch:
    """The first `n_samples` samples of every replicate as a batch; shorter samples are padded with zeros.

    Args:
        batch: class to build.
        entries: what `pack` made of each replicate, without the replicate's axis.
    """

    def stacked(name: str) -> Tensor:
        rows = [entry[name][:n_samples] for entry in entries]
        if (last := rows[0].shape[1:]) and any(row.shape[1:] != last for row in rows):
            longest = [max(sizes) for sizes in zip(*(row.shape[1:] for row in rows), strict=True)]
            rows = [_padded(row, longest) for row in rows]
        column = torch.from_numpy(np.stack(rows))
        return column.long() if column.dtype == torch.int32 else column

    def built(cls: Any, prefix: str) -> Any:
        values = {}
        for field in fields(cls):
            name = f"{prefix}{field.name}"
            values[field.name] = built(field.type, f"{name}.") if _is_nested(field) else stacked(name)
        return cls(**values)

    return built(batch, "")


def _columns(batch: Tensors, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for field in fields(batch):  # type: ignore[arg-type]
        value = getattr(batch, field.name)
        if isinstance(value, Tensors):
            yield from _columns(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def _is_nested(field: Any) -> bool:
    return isinstance(field.type, type) and issubclass(field.type, Tensors)


def _padded(row: np.ndarray, longest: Sequence[int]) -> np.ndarray:
    """The array with zeros after its end, up to these lengths of the axes after the first."""
    width = [(0, 0), *((0, length - size) for length, size in zip(longest, row.shape[1:], strict=True))]
    return np.pad(row, width)
