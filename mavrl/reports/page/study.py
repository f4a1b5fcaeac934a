"""The page of a study: all of its cells, or one."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mavrl.reports.page.content import Entry, Grid, Page, Section, grid_of_text, grids_of_results, notes_of_results
from mavrl.reports.page.links import linked
from mavrl.reports.page.pictures import pictures_in, small_pictures
from mavrl.reports.page.run import link_of_run
from mavrl.reports.plain_table import Column, TextTable
from mavrl.reports.studies import SEARCHED, best_trials_table, cell_facts, cells_table
from mavrl.reports.table_of import table_of_study
from mavrl.reports.words import counted
from mavrl.search.reading import StudyCell
from mavrl.secrets import masked_text

_IMPORTANCES = "PED-ANOVA: what sets the best trials apart; share.* is the allocation."


def study_page(
    name: str, cells: Sequence[StudyCell], importances: Mapping[str, float] | str, folder: Path, base: Path, made: str
) -> Page:
    """The page of a study, also while it is searched.

    Args:
        name: of the study.
        cells: those that it is about, in the order of the rows.
        importances: of the only cell: shares of the parameters, or why there are none. Not shown where there are more.
        folder: of the study.
        base: folder of the page, which links are relative to.
        made: when and by what the page is made.
    """
    alone = cells[0] if len(cells) == 1 else None
    trials = sum(len(cell.record.trials) for cell in cells)
    failed = sum(cell.record.count("failed") for cell in cells)
    open_cells = [cell for cell in cells if not _is_done(cell)]
    table = table_of_study(name, cells)
    about = alone.record.name if alone else name
    results = Section(
        "Results",
        [] if table else ["No trial has been completed yet."],
        grids=grids_of_results(table) if table else [],
        notes=notes_of_results(table) if table else [],
    )
    sections = [results, *(_cell_sections(alone, importances, base) if alone else [_cells_section(name, cells, base)])]
    if alone:
        sections.append(Section("Figures", pictures=pictures_in(alone.folder / "figures", base)))
    else:
        of_cells = [(f"{cell.record.env} {cell.record.modality}", cell.folder / "figures") for cell in cells]
        sections.append(Section("Figures", pictures=pictures_in(folder / "figures", base)))
        sections.append(Section("Figures of the cells", pictures=small_pictures(of_cells, base), small=True))
    warnings = [f"{counted(len(open_cells), 'search is', 'searches are')} not finished."] if open_cells else []
    warnings += [f"{counted(failed, 'trial')} failed."] if failed else []
    kind = "A search" if alone else f"A study of {counted(len(cells), 'search', 'searches')}"
    summary = (
        f"{kind} with {counted(trials, 'trial')}. {SEARCHED[:1].upper()}{SEARCHED[1:]}; confirmed: on fresh seeds."
    )
    return Page(f"study {about}", [summary], sections, warnings=warnings, made=made)


def _is_done(cell: StudyCell) -> bool:
    record = cell.record
    return record.asked is None or record.count("completed") + record.count("failed") >= record.asked


def _cells_section(name: str, cells: Sequence[StudyCell], base: Path) -> Section:
    grid = grid_of_text(cells_table(name, cells))
    rows = []
    for cell, row in zip(cells, grid.rows, strict=True):
        best = cell.record.best
        directory = cell.directory(best) if best is not None else None
        run = Entry("best run", link_of_run(directory, base)) if directory is not None else Entry("")
        rows.append([*row[:2], run, linked(cell.folder, base, "folder"), *row[2:]])
    columns = [*grid.columns[:2], Column("run"), Column("files"), *grid.columns[2:]]
    return Section("Cells", grids=[Grid(columns, rows, grid.title)])


def _cell_sections(cell: StudyCell, importances: Mapping[str, float] | str, base: Path) -> list[Section]:
    record, best = cell.record, cell.record.best
    facts: dict[str, str | Entry] = {key: masked_text(value) for key, value in cell_facts(cell).items()}
    if best is not None and (directory := cell.directory(best)) is not None:
        facts["run of the best"] = Entry(directory.name, link_of_run(directory, base))
    shares = (
        [Column("parameter"), Column("share, %", right=True)],
        [] if isinstance(importances, str) else [[key, f"{100 * share:.0f}"] for key, share in importances.items()],
    )
    failed = {
        f"trial {trial.number}": masked_text(" ".join((trial.error or "no error is known").split()))
        for trial in record.trials
        if trial.state == "failed"
    }
    return [
        Section("The search", facts=facts),
        Section("Best trials", grids=[grid_of_text(best_trials_table(cell))] if best is not None else []),
        Section(
            "Importances",
            [f"{importances[:1].upper()}{importances[1:]}." if isinstance(importances, str) else _IMPORTANCES],
            grids=[grid_of_text(TextTable(*shares))] if shares[1] else [],
        ),
        Section("What failed", facts=failed),
    ]
