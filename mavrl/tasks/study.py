"""The task that says what a search has found. It writes nothing, except for figures on request."""

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mavrl.errors import ConfigurationError

if TYPE_CHECKING:
    from mavrl.search.reading import StudyCell


def study(config: DictConfig) -> None:
    """Print one cell of a study, or a row for each of its cells.

    Raises:
        ConfigurationError: there is no such study or cell, or figures are wanted of several cells.
    """
    from mavrl.reports.studies import print_cell, print_cells

    cells = cells_of(config)
    if len(cells) > 1:
        if config.task.figures:
            raise ConfigurationError("task.figures", "true", "are of one cell; choose it with env=... modality=...")
        print_cells(config.study, cells)
        return
    from mavrl.search.importance import importances

    found = importances(cells[0].study)
    print_cell(cells[0], found)
    if config.task.figures:
        from mavrl.reports.figures.save import save_figure
        from mavrl.reports.figures.study import study_figures

        for name, figure in study_figures(cells[0].record, found).items():
            path = cells[0].folder / "figures" / f"{name}.png"
            save_figure(figure, path)
            print(path)


def cells_of(config: DictConfig) -> "list[StudyCell]":
    """The cells of `study` that the command line asks for; the defaults of env and modality are no choice."""
    from mavrl.reports.table import cell_order
    from mavrl.search.reading import find_cells

    chosen = {axis: config[axis].name if is_chosen(axis) else None for axis in ("env", "modality")}
    cells = find_cells(Path(config.paths.studies), config.study, config.search.storage, **chosen)
    return sorted(cells, key=lambda cell: cell_order(cell.record.env, cell.record.modality))


def is_chosen(key: str) -> bool:
    """Whether the command line gives a key."""
    return any(override.partition("=")[0].lstrip("+") == key for override in HydraConfig.get().overrides.task)
