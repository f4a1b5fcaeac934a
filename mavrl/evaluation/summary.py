"""Metrics of all replicates as numbers, with means and standard errors."""

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor

from mavrl.statistics import mean_and_stderr


def summarize(values: Mapping[str, Tensor], failed: Collection[int] = ()) -> dict[str, Any]:
    """The parts `final`, `mean` and `stderr` of metrics.json.

    Args:
        values: metrics by name, each of shape (R,).
        failed: replicates that are left out of means and standard errors.
    """
    final: dict[str, list[float]] = {name: value.double().tolist() for name, value in values.items()}
    kept = {name: [x for k, x in enumerate(numbers) if k not in failed] for name, numbers in final.items()}
    summary = {name: mean_and_stderr(numbers) for name, numbers in kept.items()}
    return {
        "final": final,
        "mean": {name: mean for name, (mean, _) in summary.items()},
        "stderr": {name: error for name, (_, error) in summary.items() if error is not None},
    }
