"""The task that says what searches have found. It writes nothing, except for figures on request."""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mavrl.configuration.conditions import key_of
from mavrl.errors import ConfigurationError
from mavrl.progress import stage

if TYPE_CHECKING:
    from mavrl.search.reading import StudyCell

_NO_PLOTLY = 'no interactive pages: they need plotly, which is not installed; pip install "mavrl[plots]"'
_LOCATIONS = {"search.storage"}  # keys of search that do not say which study is meant


def study(config: DictConfig) -> None:
    """Print one cell of a study, or a row for each cell of one or of all studies.

    Raises:
        ConfigurationError: there is no such study or cell.
    """
    from mavrl.reports.studies import print_cell, print_cells
    from mavrl.search.importance import importances

    with stage(config.progress, "reading the studies"):
        cells = cells_of(config, None if _means_all() else config.study)
        for cell in cells:
            _ = cell.record  # all of them as they are now
    if len(cells) == 1:
        print_cell(cells[0], importances(cells[0].study))
    else:
        for name, of_study in groupby(cells, key=lambda cell: cell.record.study):
            print_cells(name, list(of_study))
    if config.task.figures:
        with stage(config.progress, "drawing"):
            written = [path for cell in cells for path in draw_cell(cell)]
        print(*written, sep="\n")
        if not any(path.suffix == ".html" for path in written):
            print(_NO_PLOTLY)


def draw_cell(cell: "StudyCell") -> list[Path]:
    """Write the figures of a cell into its folder; returns their paths."""
    from mavrl.reports.figures.save import save_figure
    from mavrl.reports.figures.study import study_figures
    from mavrl.search.importance import importances
    from mavrl.storage.files import write_text

    shares, folder, written = importances(cell.study), cell.folder / "figures", []
    for name, figure in study_figures(cell.record, shares).items():
        written += save_figure(figure, folder / f"{name}.png")
    if cell.record.best is not None and _has_plotly():
        from mavrl.reports.figures.interactive import study_page

        write_text(folder / "study.html", study_page(cell.record, cell.study, shares))
        written.append(folder / "study.html")
    return written


def _has_plotly() -> bool:
    from importlib.util import find_spec

    return find_spec("plotly") is not None


def cells_of(config: DictConfig, study: str | None) -> "list[StudyCell]":
    """The cells that the command line asks for, study by study; the defaults of env and modality are no choice.

    Args:
        study: name of the study; None for all that there are.

    Raises:
        ConfigurationError: there is no such study or cell.
    """
    from mavrl.reports.table import cell_order
    from mavrl.search.reading import find_cells, study_names

    root, storage = Path(config.paths.studies), config.search.storage
    chosen = {axis: config[axis].name if is_chosen(axis) else None for axis in ("env", "modality")}
    names = [study] if study is not None else study_names(root, storage)
    if not names:
        raise ConfigurationError("paths.studies", root, "there is no study yet; -m hydra/sweeper=optuna makes one")
    cells = []
    for name in names:
        try:
            found = find_cells(root, name, storage, **chosen)
        except ConfigurationError:
            if study is not None:
                raise
            continue  # it has no such cell, or has just begun
        cells += sorted(found, key=lambda cell: cell_order(cell.record.env, cell.record.modality))
    if not cells:
        asked = {key: value for key, value in chosen.items() if value is not None} or {"paths.studies": root}
        key, value = next(iter(asked.items()))
        raise ConfigurationError(key, value, f"none of {', '.join(names)} has such a cell")
    return cells


def is_chosen(key: str) -> bool:
    """Whether the command line gives a key."""
    return key in _given()


def _means_all() -> bool:
    """Whether the command line names no study: neither by its name nor by the search that the name is made of."""
    named = _given() - _LOCATIONS
    return not any(key in ("study", "search", "experiment") or key.startswith("search.") for key in named)


def _given() -> set[str]:
    return {key_of(word) for word in HydraConfig.get().overrides.task}
