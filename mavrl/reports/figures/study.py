"""What a search has tried, and what became of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from mavrl.configuration.registry import KINDS
from mavrl.metrics import words_of
from mavrl.reports.figures.simplex import simplex_figure
from mavrl.reports.figures.style import BLUE, GREY, PAGE, REWARDS, SMALL, VERMILLION, open_axes, sheet, styled
from mavrl.search.record import StudyRecord, TrialRecord

_SPREAD = 0.25  # of the points of one kind, to either side


def study_figures(record: StudyRecord, importances: Mapping[str, float] | str) -> dict[str, Figure]:
    """Figures of a study that has enough trials for them, by name: history, allocation, simplex, importances."""
    figures = {}
    if record.best is not None:
        figures["history"] = history_figure(record)
    if record.best is not None and record.budget is not None:
        figures["allocation"] = allocation_figure(record)
        if len(_divided(record)) in (2, 3, 4):
            figures["simplex"] = division_figure(record)
    if not isinstance(importances, str):
        figures["importances"] = importance_figure(importances, record.name)
    return figures


@styled
def history_figure(record: StudyRecord) -> Figure:
    """Draw the value of each completed trial, the best so far, and which trials failed."""
    trials = sorted(record.ranked(), key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in trials], np.array([_value(trial) for trial in trials])
    best = (np.minimum if _is_low(record) else np.maximum).accumulate(values)
    figure, (axes,) = sheet(1, 1, PAGE, 3.6)
    axes.plot(numbers, values, "o", color=GREY, markersize=3.5, label="trial")
    axes.step(numbers, best, where="post", color=BLUE, linewidth=1.6, label="best so far")
    failed = [trial.number for trial in record.trials if trial.state == "failed"]
    if failed:
        across = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "x", color=VERMILLION, markersize=5, transform=across, label="failed")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(_metric(record))
    axes.set_title(record.name)
    axes.legend(ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    open_axes(axes)
    return figure


@styled
def allocation_figure(record: StudyRecord) -> Figure:
    """Draw a point for each completed trial and kind of feedback, coloured by the trial's value; the best as diamonds.

    Colours are spread over the middle 90 % of the values, so that a few bad trials do not take all of them.
    """
    trials = record.ranked()[::-1]  # the best are drawn last
    kinds = _divided(record)
    counts = np.array([[trial.n_samples.get(kind, 0) for kind in kinds] for trial in trials])
    values, places = np.array([_value(trial) for trial in trials]), np.arange(len(kinds))
    aside = np.random.default_rng(0).uniform(-_SPREAD, _SPREAD, counts.shape)  # so that equal counts are seen
    aside[-1] = 0.0
    low, high = np.quantile(values, [0.05, 0.95])
    figure, (axes,) = sheet(1, 1, PAGE, 3.6)
    points = axes.scatter(
        (places + aside).ravel(),
        counts.ravel(),
        c=values.repeat(len(kinds)),
        cmap=f"{REWARDS}_r" if _is_low(record) else REWARDS,
        norm=Normalize(low, max(high, low + 1e-9), clip=True),
        s=16,
        alpha=0.8,
        edgecolor=GREY,
        linewidth=0.3,
    )
    best = f"best, trial {trials[-1].number}"
    axes.plot(places, counts[-1], "D", color=VERMILLION, markeredgecolor="white", markersize=8, label=best)
    for place, count in zip(places, counts[-1], strict=True):
        beside: dict[str, Any] = {"textcoords": "offset points", "color": VERMILLION, "weight": "bold"}
        label = axes.annotate(str(count), (place, count), (7, 5), **beside)
        label.set_path_effects([withStroke(linewidth=3, foreground="white")])
    axes.set(xticks=places, xlim=(-0.5, len(kinds) - 0.5), ylabel="samples")
    axes.set_xticklabels([f"{kind}s" for kind in kinds])
    axes.set_title(record.name)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0))
    open_axes(axes)
    figure.colorbar(points, ax=axes, label=_metric(record), extend="both")
    return figure


def division_figure(record: StudyRecord) -> Figure:
    """Draw how each completed trial divided its samples among two to four kinds of feedback, as points of a simplex."""
    trials, kinds = record.ranked(), _divided(record)
    counts = np.array([[trial.n_samples.get(kind, 0) for kind in kinds] for trial in trials], dtype=float)
    shares = counts / counts.sum(1, keepdims=True)
    values = np.array([_value(trial) for trial in trials])
    return simplex_figure(shares, values, kinds, _metric(record), _is_low(record), record.name)


@styled
def importance_figure(importances: Mapping[str, float], title: str) -> Figure:
    """Draw the shares of the parameters, the largest at the top."""
    figure, (axes,) = sheet(1, 1, PAGE, 0.9 + 0.3 * len(importances))
    names = list(importances)[::-1]
    bars = axes.barh(names, [importances[name] for name in names], color=BLUE, height=0.65)
    axes.bar_label(bars, fmt=lambda share: f"{100 * share:.0f} %", fontsize=SMALL, padding=3)
    axes.set_xlim(0, 1.12 * max(importances.values()))
    axes.set_xlabel("importance (PED-ANOVA)")
    axes.set_title(title)
    open_axes(axes)
    return figure


def _divided(record: StudyRecord) -> list[str]:
    """The kinds that some trial has given samples to."""
    return [kind for kind in KINDS if any(trial.n_samples.get(kind) for trial in record.ranked())]


def _value(trial: TrialRecord) -> float:
    return float("nan") if trial.value is None else trial.value


def _is_low(record: StudyRecord) -> bool:
    return record.direction == "minimize"


def _metric(record: StudyRecord) -> str:
    return f"{words_of(record.metric)} (to {record.direction})"
