"""The page of several runs: a sweep, or what a command's filters choose."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mavrl.reports.listing import runs_table
from mavrl.reports.page.content import Entry, Grid, Page, Section, grids_of_results, notes_of_results
from mavrl.reports.page.pictures import main_picture, pictures_in
from mavrl.reports.page.run import link_of_run
from mavrl.reports.plain_table import Column
from mavrl.reports.table import cell_order
from mavrl.reports.table_of import table_of_runs
from mavrl.reports.words import counted
from mavrl.secrets import masked_text
from mavrl.storage.index import STATES, Run


def runs_page(
    title: str,
    runs: Sequence[Run],
    pending: Sequence[tuple[str, str]],
    root: Path,
    base: Path,
    made: str,
    command: str = "",
    figures: Path | None = None,
) -> Page:
    """The page of several runs. Only completed ones have results; the others are listed with their state.

    Args:
        title: of the page.
        runs: those that have begun.
        pending: environment and modality of each run that has not.
        root: the folder of runs.
        base: folder of the page, which links are relative to.
        made: when and by what the page is made.
        command: that asked for the runs; empty where several did.
        figures: folder with pictures about all of them; None for none.
    """
    runs = sorted(runs, key=_order)
    counts = Counter(run.state for run in runs)
    counts["pending"] = len(pending)
    states = ", ".join(f"{counts[state]} {state}" for state in (*STATES, "pending") if counts[state])
    table, remark = table_of_runs(runs, root.name)
    unfinished = len(runs) + len(pending) - counts["completed"]
    return Page(
        title,
        [f"{counted(len(runs) + len(pending), 'run')}: {states}."],
        [
            Section(
                "Results",
                [] if table else [remark or "No run has been completed yet."],
                grids=grids_of_results(table) if table else [],
                notes=notes_of_results(table) if table else [],
            ),
            Section("Figures", pictures=pictures_in(figures, base) if figures else []),
            Section("Runs", grids=[_grid(runs, pending, root, base)] if runs or pending else []),
            Section("What failed", facts=_errors(runs, root, base)),
            Section("Pictures of the runs", pictures=_pictures(runs, base), small=True),
            Section("Command", text=masked_text(command)),
        ],
        warnings=[f"{counted(unfinished, 'run is', 'runs are')} not completed, and not in the results."]
        if unfinished
        else [],
        made=made,
    )


def _order(run: Run) -> tuple:
    return (
        *cell_order(run.choice("env") or "", run.choice("modality") or ""),
        str(run.config.get("seed")),
        str(run.path),
    )


def _grid(runs: Sequence[Run], pending: Sequence[tuple[str, str]], root: Path, base: Path) -> Grid:
    """The listing of the runs, with links to them and colours for their states."""
    table = runs_table(runs, root)
    names = [column.name for column in table.columns]
    rows = [
        [
            Entry(run.path.name, link_of_run(run.path, base))
            if name == "directory"
            else Entry(text, style=f"state {text}" if name == "state" else "")
            for name, text in zip(names, row, strict=True)
        ]
        for run, row in zip(runs, table.rows, strict=True)
    ]
    for env, modality in pending:
        known = {"env": Entry(env), "modality": Entry(modality), "state": Entry("pending", style="state pending")}
        rows.append([known.get(name, Entry("")) for name in names])
    kept = [k for k in range(len(names)) if any(row[k].text for row in rows)]
    columns: list[Column] = [table.columns[k] for k in kept]
    return Grid(columns, [[row[k] for k in kept] for row in rows])


def _errors(runs: Sequence[Run], root: Path, base: Path) -> dict[str, str | Entry]:
    failed = [run for run in runs if run.state == "failed"]
    names = {run.path: run.path.relative_to(root).as_posix() if run.path.is_relative_to(root) else "" for run in failed}
    return {
        names[run.path] or str(run.path): Entry(
            masked_text(str(run.status.get("error", "no error is known"))), link_of_run(run.path, base)
        )
        for run in failed
    }


def _pictures(runs: Sequence[Run], base: Path) -> list:
    found = []
    for run in runs:
        if run.state != "completed":
            continue
        title = f"{run.choice('env') or '?'} {run.choice('modality') or '?'}"
        found.append(main_picture(run.path / "figures", base, title, link_of_run(run.path, base)))
    return [picture for picture in found if picture is not None]
