"""Evaluation of what a run has stored: at the end of training, and again at any time."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mavrl.evaluation.summary import mean_and_stderr, to_numbers
from mavrl.families.base import Family
from mavrl.storage.files import read_json


def evaluate(family: Family, directory: Path, failed: list[int]) -> dict[str, Any]:
    """The result part of metrics.json, computed from what a run has saved.

    Args:
        failed: replicates whose training failed; they are left out of means.
    """
    with one_thread():
        result = summarised({**family.judge(directory), **_bound(directory)}, failed)
        comparison = family.comparison()
    with_comparison = {**result, "comparison": comparison} if comparison else result
    return {**with_comparison, "objective": result["mean"]["normalized_return"]}


def _bound(directory: Path) -> dict[str, Tensor]:
    """The evidence lower bound that the training ended with, where that is what was trained."""
    description = read_json(directory / "reward_model" / "description.json") or {}
    return {"bound": torch.tensor(description["bound"])} if "bound" in description else {}


def summarised(values: Mapping[str, Tensor], failed: list[int]) -> dict[str, Any]:
    """Metrics of shape (R,) as numbers, with their means and standard errors over the replicates that did not fail."""
    keep = torch.ones(len(next(iter(values.values()))), dtype=torch.bool)
    keep[failed] = False
    summary = {name: mean_and_stderr(value, keep) for name, value in values.items()}
    return {
        "final": {name: to_numbers(value) for name, value in values.items()},
        "mean": {name: mean for name, (mean, _) in summary.items()},
        "stderr": {name: error for name, (_, error) in summary.items() if error is not None},
    }


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Runs torch on one thread: the same sums in the same order, whatever the run was told."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
