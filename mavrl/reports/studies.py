"""What task=study prints."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from mavrl.configuration.plain import written
from mavrl.metrics import METRICS, metric_text
from mavrl.reports.caption import division_in_words, replicate_seeds
from mavrl.reports.plain_table import Column, TextTable, print_table
from mavrl.reports.words import counted, counts_in_words, seeds_in_words, ties_in_words, with_error
from mavrl.search.reading import ConfirmedTrial, StudyCell
from mavrl.search.record import StudyRecord, TrialRecord
from mavrl.statistics import mean_and_stderr

_BEST, _LAST_FAILED = 5, 3
_SCORE = METRICS["normalized_return"]  # what cells can be compared by, whatever was searched for
SEARCHED = "searched: on the seeds that the trial was chosen on"
_NOT_CONFIRMED = "not confirmed: searched on the seeds it reports"


def print_cell(cell: StudyCell, importances: Mapping[str, float] | str) -> None:
    """Print all about one cell, the directory of the best trial as the last line.

    Args:
        cell: one environment with one subset of feedback.
        importances: shares of the parameters, or why there are none.
    """
    record, best = cell.record, cell.record.best
    console = Console(highlight=False, markup=False, soft_wrap=True)
    facts = cell_facts(cell)
    length = max(map(len, facts))
    for name, value in facts.items():
        console.print(f"{name:<{length}}  {value}")
    if best is not None:
        console.print("\nbest trials")
        trials = best_trials_table(cell)
        print_table(trials.columns, trials.rows)
    _print_importances(importances, console)
    _print_failed(record, console)
    if best is not None:
        print(cell.directory(best))


def cell_facts(cell: StudyCell) -> dict[str, str]:
    """What is known of a cell besides its trials, by name."""
    record, best = cell.record, cell.record.best
    return {
        "study": record.name,
        "metric": f"{record.metric}, to {record.direction}",
        "feedback": _feedback_in_words(record),
        "trials": trials_in_words(record),
        **(_best_facts(cell, best) if best is not None else {"best": "no completed trial yet"}),
    }


def print_cells(study: str, cells: Sequence[StudyCell]) -> None:
    """Print what `cells_table` makes.

    Args:
        study: name of the study.
        cells: its cells, in the order of the rows.
    """
    table = cells_table(study, cells)
    print(table.title)
    print_table(table.columns, table.rows)
    print(f"{SEARCHED}; study=... env=... modality=... shows one cell")


def cells_table(study: str, cells: Sequence[StudyCell]) -> TextTable:
    """One row for each cell of a study; arguments as those of `print_cells`."""
    first = cells[0].record
    same = len({(cell.record.metric, cell.record.direction) for cell in cells}) == 1
    numbers = ("completed", "running", "failed", first.metric if same else "value", _SCORE.words)
    head = [Column("env"), Column("modality"), *(Column(name, right=True) for name in numbers), Column("state")]
    rows = []
    for cell in cells:
        record, best = cell.record, cell.record.best
        asked = f"/{record.asked}" if record.asked is not None else ""
        counts = [f"{record.count('completed')}{asked}", str(record.count("running")), str(record.count("failed"))]
        if best is None:
            rows.append([record.env, record.modality, *counts, "-", "-", "", "", ""])
            continue
        confirmation = cell.confirmation if cell.is_confirmed else None
        values = confirmation.final if confirmation is not None else cell.values(best)
        value = confirmation.value if confirmation is not None else best.value
        state = "confirmed" if confirmation is not None else "searched"
        found = [counts_in_words(best.n_samples), _settings_in_words(best.params)]
        rows.append([record.env, record.modality, *counts, metric_text(value), _score(values), state, *found])
    metric = f", {first.metric} to {first.direction}" if same else ""
    columns = [*head, Column("allocation of the best"), Column("its settings")]
    return TextTable(columns, rows, f"study {study}: {counted(len(cells), 'cell')}{metric}")


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
    seeds, ties = replicate_seeds(record.fixed), ties_in_words(record.tied, record.count("completed"))
    facts = {
        "best": f"{record.metric} {metric_text(best.value)}, trial {best.number}{ties}",
        "confirmed": _confirmation_in_words(cell.confirmation, cell.is_confirmed, record),
        "score": f"{_SCORE.words} {_score(values)} over {seeds_in_words(seeds)}",
        "allocation": counts_in_words(best.n_samples),
        "settings": _settings_in_words(best.params) or "none searched",
        "overrides": shlex.join(record.overrides(best)),
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


def best_trials_table(cell: StudyCell) -> TextTable:
    """One row for each of the best trials of a cell."""
    numbers = ("trial", cell.record.metric, _SCORE.words, "seconds")
    rows = []
    for trial in cell.record.ranked()[:_BEST]:
        seconds = "" if trial.seconds is None else f"{trial.seconds:.1f}"
        found = [counts_in_words(trial.n_samples), _settings_in_words(trial.params)]
        rows.append([str(trial.number), metric_text(trial.value), _score(cell.values(trial)), seconds, *found])
    columns = [*(Column(name, right=True) for name in numbers), Column("allocation"), Column("settings")]
    return TextTable(columns, rows)


def _print_importances(importances: Mapping[str, float] | str, console: Console) -> None:
    if isinstance(importances, str):
        console.print(f"\nimportances: {importances}")
        return
    console.print("\nimportances (PED-ANOVA: what sets the best trials apart; share.* is the allocation)")
    length = max(map(len, importances))
    for name, share in importances.items():
        console.print(f"  {name:<{length}}  {100 * share:3.0f} %  {'━' * round(30 * share)}")


def _print_failed(record: StudyRecord, console: Console) -> None:
    failed = [trial for trial in record.trials if trial.state == "failed"]
    if failed:
        last = f", the last {_LAST_FAILED}" if len(failed) > _LAST_FAILED else ""
        console.print(f"\n{counted(len(failed), 'trial')} failed{last}:")
        for trial in failed[-_LAST_FAILED:]:
            console.print(f"  trial {trial.number}: {' '.join((trial.error or 'no error is known').split())}")
