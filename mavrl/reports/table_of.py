"""Tables of results made of what is on disk: of plain runs, and of the cells of a study."""

from collections.abc import Sequence
from dataclasses import replace

from mavrl.configuration.identity import changes_environment
from mavrl.reports.caption import legend, runs_caption, study_caption
from mavrl.reports.pooling import pool_runs
from mavrl.reports.table import CellResult, ResultTable, result_table
from mavrl.reports.words import seeds_in_words
from mavrl.search.reading import StudyCell
from mavrl.storage.index import Run


def table_of_runs(runs: Sequence[Run], root: str) -> tuple[ResultTable | None, str]:
    """The table of plain runs, and what is left out of it.

    Args:
        runs: completed ones are pooled, others are no results.
        root: the folder of runs, as the caption names it.

    Returns:
        The table, None where no cell has a result; and a sentence about cells that are left out, empty for none.
    """
    pooled, several = pool_runs(runs)
    left_out = ", ".join(f"{env} {modality} ({n} settings)" for (env, modality), n in several.items())
    remark = (
        f"Left out, because their runs differ in more than seeds: {left_out}; filters such as optim.lr=0.01 choose."
        if several
        else ""
    )
    if not pooled:
        return None, remark
    protocols = {(cell.result.env, cell.result.modality): cell.protocol for cell in pooled}
    seeds = {(cell.result.env, cell.result.modality): seeds_in_words(cell.seeds) for cell in pooled}
    caption = [*runs_caption(root, protocols, seeds), *([remark] if several else [])]
    return _with_legend([cell.result for cell in pooled], True, caption), remark


def table_of_study(study: str, cells: Sequence[StudyCell]) -> ResultTable | None:
    """The table of a study; None while no trial has been completed.

    Args:
        study: its name.
        cells: its cells.
    """
    confirmed = {c.record.name: c.confirmation.seeds for c in cells if c.is_confirmed and c.confirmation is not None}
    outdated = [c.record.name for c in cells if c.confirmation is not None and not c.is_confirmed]
    results = [result for cell in cells if (result := _result(cell)) is not None]
    if not results:
        return None
    caption = study_caption(study, [cell.record for cell in cells], confirmed, outdated)
    return _with_legend(results, all(cell.record.budget is None for cell in cells), caption)


def _result(cell: StudyCell) -> CellResult | None:
    record, best, confirmation = cell.record, cell.record.best, cell.confirmation
    if best is None:
        return None
    values = confirmation.final if cell.is_confirmed and confirmation is not None else cell.values(best)
    return CellResult(
        record.env,
        record.fixed.get("env.family", "grid"),
        record.modality,
        values,
        not cell.is_confirmed,
        best.n_samples,
        not changes_environment(record.command),
    )


def _with_legend(results: Sequence[CellResult], with_published: bool, caption: Sequence[str]) -> ResultTable:
    """The table, whose caption explains what is in it."""
    found = result_table(results, with_published)
    return replace(found, caption=(*caption, *legend(found)))
