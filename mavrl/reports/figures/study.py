"""What a search has tried, and what became of it."""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from mavrl.configuration.registry import KINDS
from mavrl.metrics import words_of
from mavrl.search.record import StudyRecord, TrialRecord

_COLOUR, _GREY, _RED = "#2b6cb0", "0.6", "#c53030"
_SPREAD = 0.25  # of the points of one kind, to either side


def study_figures(record: StudyRecord, importances: Mapping[str, float] | str) -> dict[str, Figure]:
    """Figures of a study that has enough trials for them, by name: history, allocation, importances."""
    figures = {}
    if record.best is not None:
        figures["history"] = history_figure(record)
    if record.best is not None and record.budget is not None:
        figures["allocation"] = allocation_figure(record)
    if not isinstance(importances, str):
        figures["importances"] = importance_figure(importances, record.name)
    return figures


def history_figure(record: StudyRecord) -> Figure:
    """Draw the value of each completed trial, the best so far, and which trials failed."""
    trials = sorted(record.ranked(), key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in trials], np.array([_value(trial) for trial in trials])
    best = (np.minimum if _is_low(record) else np.maximum).accumulate(values)
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(numbers, values, "o", color=_GREY, markersize=4, label="trial")
    axes.step(numbers, best, where="post", color=_COLOUR, linewidth=1.6, label="best so far")
    failed = [trial.number for trial in record.trials if trial.state == "failed"]
    if failed:
        across = axes.get_xaxis_transform()
        axes.plot(failed, [0.02] * len(failed), "x", color=_RED, markersize=5, transform=across, label="failed")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.set_ylabel(_metric(record))
    axes.set_title(record.name, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def allocation_figure(record: StudyRecord) -> Figure:
    """Draw a point for each completed trial and kind of feedback, coloured by the trial's value; the best as a line.

    Colours are spread over the middle 90 % of the values, so that a few bad trials do not take all of them.
    """
    trials = record.ranked()[::-1]  # the best are drawn last
    kinds = [kind for kind in KINDS if any(trial.n_samples.get(kind) for trial in trials)]
    counts = np.array([[trial.n_samples.get(kind, 0) for kind in kinds] for trial in trials])
    values, places = np.array([_value(trial) for trial in trials]), np.arange(len(kinds))
    aside = np.random.default_rng(0).uniform(-_SPREAD, _SPREAD, counts.shape)  # so that equal counts are seen
    aside[-1] = 0.0
    low, high = np.quantile(values, [0.05, 0.95])
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.subplots()
    points = axes.scatter(
        (places + aside).ravel(),
        counts.ravel(),
        c=values.repeat(len(kinds)),
        cmap="viridis" if _is_low(record) else "viridis_r",
        norm=Normalize(low, max(high, low + 1e-9), clip=True),
        s=16,
        alpha=0.8,
        linewidth=0,
    )
    axes.plot(places, counts[-1], "o-", color=_RED, linewidth=2, markersize=7, label=f"best, trial {trials[-1].number}")
    for place, count in zip(places, counts[-1], strict=True):
        label = axes.annotate(str(count), (place, count), (7, 5), textcoords="offset points", color=_RED, weight="bold")
        label.set_path_effects([withStroke(linewidth=3, foreground="white")])
    axes.set(xticks=places, xlim=(-0.5, len(kinds) - 0.5), ylabel="samples")
    axes.set_xticklabels([f"{kind}s" for kind in kinds])
    axes.set_title(record.name, loc="left", fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    figure.colorbar(points, ax=axes, label=_metric(record), extend="both")
    return figure


def importance_figure(importances: Mapping[str, float], title: str) -> Figure:
    """Draw the shares of the parameters, the largest at the top."""
    figure = Figure(figsize=(7.2, 0.9 + 0.32 * len(importances)), layout="constrained")
    axes = figure.subplots()
    names = list(importances)[::-1]
    bars = axes.barh(names, [importances[name] for name in names], color=_COLOUR, height=0.65)
    axes.bar_label(bars, fmt=lambda share: f"{100 * share:.0f} %", fontsize=8, padding=3)
    axes.set_xlim(0, 1.12 * max(importances.values()))
    axes.set_xlabel("importance (PED-ANOVA)")
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _value(trial: TrialRecord) -> float:
    return float("nan") if trial.value is None else trial.value


def _is_low(record: StudyRecord) -> bool:
    return record.direction == "minimize"


def _metric(record: StudyRecord) -> str:
    return f"{words_of(record.metric)} (to {record.direction})"
