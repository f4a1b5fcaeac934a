"""The figures of a search as one page to point at and zoom in, made by Optuna with plotly."""

import html
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from optuna import Study
from optuna.importance import BaseImportanceEvaluator
from optuna.trial import FrozenTrial

from mavrl.metrics import words_of
from mavrl.search.record import StudyRecord
from mavrl.search.snapshot import drawn_name, snapshot

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_TRIALS = 2000  # of a figure with a line or some points for each
_MOST_IN_CONTOUR = 200  # whose grid has a cell for each two of them
_MOST_PARAMETERS = 4  # whose contours are drawn, of each two of them
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; margin: 2em">
<h1 style="font-size: 1.2em">{title}</h1>
<p>{remark}</p>
{figures}
</body>
</html>
"""


def study_page(record: StudyRecord, study: Study, importances: Mapping[str, float] | str) -> str:
    """An HTML page that needs no network: history, importances, slices, parallel coordinates and contours.

    Args:
        record: the study as it was read, with one completed trial at least.
        study: the study itself.
        importances: shares of the parameters, the largest first, or why there are none.

    Raises:
        ImportError: plotly is not installed.
    """
    from plotly.io import to_html

    figures = [
        to_html(figure, full_html=False, include_plotlyjs=number == 0, default_height="560px")
        for number, figure in enumerate(_figures(record, study, importances).values())
    ]
    remark = f"{len(record.ranked())} completed trials; {words_of(record.metric)}, to {record.direction}."
    if isinstance(importances, str):
        remark += f" Importances: {importances}."
    texts = {"title": html.escape(record.name), "remark": html.escape(remark)}
    return _PAGE.format(**texts, figures="\n".join(figures))


def _figures(record: StudyRecord, study: Study, importances: Mapping[str, float] | str) -> "dict[str, Figure]":
    from optuna import visualization

    few, fewer = (snapshot(record, study, thinned(record, most)) for most in (_MOST_TRIALS, _MOST_IN_CONTOUR))
    metric = words_of(record.metric)
    found: dict[str, Figure] = {"history": visualization.plot_optimization_history(few, target_name=metric)}
    names = varied_parameters(few, importances)
    if not isinstance(importances, str):
        known = {drawn_name(name): share for name, share in importances.items()}
        found["importances"] = visualization.plot_param_importances(few, evaluator=_Known(known), params=list(known))
    if names:
        found["slice"] = visualization.plot_slice(few, params=names, target_name=metric)
        found["parallel_coordinate"] = visualization.plot_parallel_coordinate(few, params=names, target_name=metric)
    if len(names) > 1:
        found["contour"] = visualization.plot_contour(fewer, params=names[:_MOST_PARAMETERS], target_name=metric)
    return found


def thinned(record: StudyRecord, most: int) -> set[int]:
    """Numbers of so many completed trials at most: the best half of these, and others from all over the search."""
    ranked = [trial.number for trial in record.ranked()]
    if len(ranked) <= most:
        return set(ranked)
    best, others = ranked[: most // 2], sorted(ranked[most // 2 :])
    step = len(others) / (most - len(best))
    return {*best, *(others[int(k * step)] for k in range(most - len(best)))}


def varied_parameters(study: Study, importances: Mapping[str, float] | str) -> list[str]:
    """Parameters that have several values, those first that matter most."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.params]
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    varied = [name for name in names if len({str(trial.params.get(name)) for trial in trials}) > 1]
    order = [] if isinstance(importances, str) else [drawn_name(name) for name in importances]
    return sorted(varied, key=lambda name: order.index(name) if name in order else len(order))


class _Known(BaseImportanceEvaluator):
    """Importances that have been computed before.

    Args:
        shares: of the parameters.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        self._shares = dict(shares)

    def evaluate(
        self, study: Study, params: list[str] | None = None, *, target: Callable[[FrozenTrial], float] | None = None
    ) -> dict[str, float]:
        return self._shares
