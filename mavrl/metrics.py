"""Every metric of a run, once: its name, words, unit, direction and digits, and what computes it.

Whoever prints, sorts, searches or explains metrics reads this table. Nothing here imports torch.
"""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Direction = Literal["maximize", "minimize"]
DIGITS = 9  # after the point, beyond which values of metrics differ by rounding errors only
_ROUNDING = 1e-9  # of the larger of two returns, by which they differ at least if not by rounding errors only


@dataclass(frozen=True)
class Metric:
    """A number that a run is judged by, one for each replicate.

    Args:
        name: key in metrics.json.
        words: the name as it is read.
        unit: of the numbers; "none" where they have none.
        direction: which way is better; None where neither is.
        digits: after the point, in tables of several runs.
        computed_by: a function for each sort of judgement that tells the metric ("tabular", "episodic", "recorded"), as
            "module:function". It takes the judgement and returns a tensor of shape (R,), or None where that run has no
            such number.
        remark: what a single number is to be compared with, in a few words.
        listed: whether tables of several runs show it.
        needs: what a run must have to have it, in a few words; empty where every run has it.
    """

    name: str
    words: str
    unit: str
    direction: Direction | None
    digits: int
    computed_by: Mapping[str, str]
    remark: str = ""
    listed: bool = False
    needs: str = ""

    @property
    def label(self) -> str:
        """The words with the remark behind them."""
        return f"{self.words} ({self.remark})" if self.remark else self.words


METRICS: dict[str, Metric] = {}


def register_metric(metric: Metric) -> None:
    """Add a metric to the table.

    Raises:
        ValueError: another metric has the name already.
    """
    if METRICS.setdefault(metric.name, metric) != metric:
        raise ValueError(f"the metric {metric.name} is registered already")


def measure(judged: str, judgement: object) -> "dict[str, torch.Tensor]":
    """All metrics of a run, by name, each of shape (R,).

    Args:
        judged: sort of the judgement, "tabular", "episodic" or "recorded".
        judgement: what the metrics' functions read, such as `mavrl.evaluation.tabular.TabularJudgement`.
    """
    functions = {name: metric.computed_by[judged] for name, metric in METRICS.items() if judged in metric.computed_by}
    values = {name: pkgutil.resolve_name(function)(judgement) for name, function in functions.items()}
    return {name: value for name, value in values.items() if value is not None}


def directions(judged: str | None = None) -> dict[str, Direction]:
    """Which way is better, for each metric that has a direction.

    Args:
        judged: take only the metrics that this sort of judgement tells.
    """
    return {
        name: metric.direction
        for name, metric in METRICS.items()
        if metric.direction is not None and (judged is None or judged in metric.computed_by)
    }


def words_of(name: str) -> str:
    """A metric as it is read, also one whose package is not loaded here."""
    return METRICS[name].words if name in METRICS else name.replace("_", " ")


def what_it_needs(name: str) -> str:
    """The end of a sentence that says that a run lacks a metric; empty where every run has it."""
    return f"; it needs {METRICS[name].needs}" if name in METRICS and METRICS[name].needs else ""


def is_scale(optimal: float, uniform: float) -> bool:
    """Whether returns can be normalized by these two: the optimal one is higher, by more than rounding errors."""
    return optimal - uniform > _ROUNDING * max(abs(optimal), abs(uniform))


def metric_text(value: float | None) -> str:
    """A value in four digits, rounding errors of an exact 0 as 0, and a dash where there is none."""
    return "-" if value is None else f"{round(value, DIGITS) + 0.0:.4g}"


HELD_OUT = {  # words for what is said of held-out labels besides their log-likelihood; docs/metrics.md explains them
    "accuracy": "accuracy",
    "calibration_error": "calibration error",
    "rank_correlation": "rank correlation",
    "stop_probability": "stops predicted",
    "stop_frequency": "stops observed",
    "expected_stop_step": "step predicted",
    "stop_step": "step observed",
}

# This package's own --------------------------------------------------------------------------------------------------


def _tabular(function: str) -> dict[str, str]:
    return {"tabular": f"mavrl.evaluation.tabular:{function}"}


def _episodic(function: str) -> dict[str, str]:
    return {"episodic": f"mavrl.evaluation.episodic:{function}"}


def _both(function: str) -> dict[str, str]:
    return _tabular(function) | _episodic(function)


def _all(function: str) -> dict[str, str]:
    return _both(function) | {"recorded": f"mavrl.evaluation.recorded:{function}"}


_BOUND = "mavrl.evaluation.bound:bound"

for _metric in (
    Metric(
        "normalized_return", "normalized return", "percent", "maximize", 1, _both("normalized_return"),
        remark="100 is optimal", listed=True, needs="an optimal policy, or expert, that is better than the uniform one",
    ),
    Metric("mean_return", "mean return", "return", "maximize", 1, _episodic("mean_return")),
    Metric(
        "regret", "regret", "return", "minimize", 3, _both("regret"), needs="an optimal policy, or a demonstrator",
    ),
    Metric("discounted_value", "discounted value", "return", "maximize", 3, _tabular("discounted_value")),
    Metric(
        "epic_distance", "EPIC distance", "none", "minimize", 3, _tabular("epic_distance"),
        remark="0 is best", listed=True,
    ),
    Metric(
        "spearman", "Spearman correlation", "none", "maximize", 3, _all("spearman"),
        needs="true rewards that differ",
    ),
    Metric("posterior_std", "posterior standard deviation", "reward", None, 3, _all("posterior_std")),
    Metric(
        "member_spread", "spread of the members", "reward", None, 3, _tabular("member_spread"),
        needs="several members",
    ),
    Metric("coverage_50", "coverage of 50 % intervals", "share", None, 3, _tabular("coverage_50")),
    Metric("coverage_90", "coverage of 90 % intervals", "share", None, 3, _tabular("coverage_90")),
    Metric(
        "segment_coverage_90", "coverage of segments' differences, 90 %", "share", None, 3,
        _tabular("segment_coverage_90"), needs="feedback about segments",
    ),
    Metric(
        "value_coverage_90", "coverage of policies' differences, 90 %", "share", None, 3,
        _tabular("value_coverage_90"),
    ),
    Metric(
        "r_hat", "largest R-hat", "none", "minimize", 2, _tabular("r_hat"), remark="1 where all chains agree",
        needs="model=exact",
    ),
    Metric(
        "bound", "evidence lower bound", "nats", "maximize", 1,
        {"tabular": _BOUND, "episodic": _BOUND, "recorded": _BOUND}, remark="nats",
    ),
):  # fmt: skip
    register_metric(_metric)
