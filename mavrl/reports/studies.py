"""What task=study prints."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from mavrl.configuration.plain import written
from mavrl.metrics import METRICS, metric_text
from mavrl.reports.caption import division_in_words, replicate_seeds
from mavrl.reports.overview import print_wide
from mavrl.reports.words import counts_in_words, seeds_in_words, with_error
from mavrl.search.reading import ConfirmedTrial, StudyCell
from mavrl.search.record import StudyRecord, TrialRecord
from mavrl.statistics import mean_and_stderr

_BEST, _LAST_FAILED = 5, 3
_SCORE = METRICS["normalized_return"]  # what cells can be compared by, whatever was searched for
_NOT_CONFIRMED = "not confirmed: searched on the seeds it reports"


def print_cell(cell: StudyCell, importances: Mapping[str, float] | str) -> None:
    """Print all about one cell, the directory of the best trial as the last line.

    Args:
        cell: one environment with one subset of feedback.
        importances: shares of the parameters, or why there are none.
    """
    record, best = cell.record, cell.record.best
    console = Console(highlight=False, markup=False, soft_wrap=True)
    facts = {
        "study": record.name,
        "metric": f"{record.metric}, to {record.direction}",
        "feedback": _feedback_in_words(record),
        "trials": trials_in_words(record),
        **(_best_facts(cell, best) if best is not None else {"best": "no completed trial yet"}),
    }
    length = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"{name:<{length}}  {value}")
    if best is not None:
        print()
        print_wide(_best_trials(cell))
    _print_importances(importances, console)
    _print_failed(record, console)
    if best is not None:
        print(cell.directory(best))


def print_cells(study: str, cells: Sequence[StudyCell]) -> None:
    """Print one row for each cell of a study.

    Args:
        study: name of the study.
        cells: its cells, in the order of the rows.
    """
    first = cells[0].record
    same = len({(cell.record.metric, cell.record.direction) for cell in cells}) == 1
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("env", "modality"):
        table.add_column(name, no_wrap=True)
    for name in ("completed", "running", "failed", first.metric if same else "value", _SCORE.words):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("allocation of the best", no_wrap=True)
    for cell in cells:
        record, best = cell.record, cell.record.best
        asked = f"/{record.asked}" if record.asked is not None else ""
        counts = [f"{record.count('completed')}{asked}", str(record.count("running")), str(record.count("failed"))]
        if best is None:
            table.add_row(record.env, record.modality, *counts, "-", "-", "", "")
            continue
        confirmation = cell.confirmation if cell.is_confirmed else None
        values = confirmation.final if confirmation is not None else cell.values(best)
        value = confirmation.value if confirmation is not None else best.value
        state = "confirmed" if confirmation is not None else "searched"
        allocation = counts_in_words(best.n_samples)
        table.add_row(record.env, record.modality, *counts, metric_text(value), _score(values), state, allocation)
    print(f"study {study}: {len(cells)} cells" + (f", {first.metric} to {first.direction}" if same else ""))
    print_wide(table)
    print("searched: on the seeds that the trial was chosen on; env=... modality=... shows one cell")


def trials_in_words(record: StudyRecord) -> str:
    """The number of trials in each state, and of those that there are to be."""
    states = ", ".join(f"{record.count(state)} {state}" for state in ("completed", "running", "failed"))
    ended = record.count("completed") + record.count("failed")
    return states if record.asked is None else f"{states}; {ended} of {record.asked} asked for have ended"


def _feedback_in_words(record: StudyRecord) -> str:
    kinds = record.space.get("kinds")
    division = division_in_words(record.space)
    return f"{division}, over {', '.join(kinds)}" if kinds else division


def _best_facts(cell: StudyCell, best: TrialRecord) -> dict[str, str]:
    record, values = cell.record, cell.values(best)
    seeds = replicate_seeds(record.fixed)
    facts = {
        "best": f"{record.metric} {metric_text(best.value)}, trial {best.number}",
        "confirmed": _confirmation_in_words(cell.confirmation, cell.is_confirmed, record),
        "score": f"{_SCORE.words} {_score(values)} over {seeds_in_words(seeds)}",
        "allocation": counts_in_words(best.n_samples),
        "settings": _settings_in_words(best.params) or "none searched",
        f"{record.metric} of each seed": " ".join(map(metric_text, values.get(record.metric, []))),
    }
    return {name: value for name, value in facts.items() if value}


def _confirmation_in_words(confirmation: ConfirmedTrial | None, is_current: bool, record: StudyRecord) -> str:
    if confirmation is None:
        return _NOT_CONFIRMED
    error = "" if confirmation.stderr is None else f" ± {metric_text(confirmation.stderr)}"
    score = f", {_SCORE.words} {_score(confirmation.final)}" if _SCORE.name in confirmation.final else ""
    found = f"{record.metric} {metric_text(confirmation.value)}{error}{score} over {seeds_in_words(confirmation.seeds)}"
    if is_current:
        return found
    return f"{_NOT_CONFIRMED}; trial {confirmation.trial}, the best before, was: {found}"


def _score(values: Mapping[str, list[float]]) -> str:
    if not values.get(_SCORE.name):
        return "-"
    return with_error(*mean_and_stderr(values[_SCORE.name]), _SCORE.digits)


def _settings_in_words(params: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={_value_in_words(value)}" for key, value in params.items() if not key.startswith("share."))


def _value_in_words(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else written(value)


def _best_trials(cell: StudyCell) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), title="best trials", title_justify="left")
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column(cell.record.metric, justify="right", no_wrap=True)
    table.add_column(_SCORE.words, justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("allocation", no_wrap=True)
    for trial in cell.record.ranked()[:_BEST]:
        seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
        score = _score(cell.values(trial))
        table.add_row(str(trial.number), metric_text(trial.value), score, seconds, counts_in_words(trial.n_samples))
    return table


def _print_importances(importances: Mapping[str, float] | str, console: Console) -> None:
    if isinstance(importances, str):
        console.print(f"\nimportances: {importances}")
        return
    console.print("\nimportances (PED-ANOVA: what sets the best tenth of the trials apart; share.* is the allocation)")
    length = max(map(len, importances))
    for name, share in importances.items():
        console.print(f"  {name:<{length}}  {100 * share:3.0f} %  {'━' * round(30 * share)}")


def _print_failed(record: StudyRecord, console: Console) -> None:
    failed = [trial for trial in record.trials if trial.state == "failed"]
    if failed:
        last = f", the last {_LAST_FAILED}" if len(failed) > _LAST_FAILED else ""
        console.print(f"\n{len(failed)} trials failed{last}:" if len(failed) > 1 else "\n1 trial failed:")
        for trial in failed[-_LAST_FAILED:]:
            console.print(f"  trial {trial.number}: {' '.join((trial.error or 'no error is known').split())}")
