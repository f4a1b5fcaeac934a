"""Evaluation of what a run has stored: at the end of training, and again at any time."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mavrl.evaluation.summary import summarize
from mavrl.families.base import Family


def evaluate(family: Family, directory: Path, failed: list[int]) -> dict[str, Any]:
    """The result part of metrics.json, computed from what a run has saved.

    Args:
        failed: replicates whose training failed; they are left out of means.
    """
    with one_thread():
        result = summarize(family.judge(directory), failed)
        comparison = family.comparison()
    with_comparison = {**result, "comparison": comparison} if comparison else result
    score = result["mean"].get("normalized_return")
    return with_comparison if score is None else {**with_comparison, "objective": score}


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Runs torch on one thread: the same sums in the same order, whatever the run was told."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
