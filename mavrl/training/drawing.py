"""The figures of a run, each drawn from what lies in its directory, in any order and at any time."""

import csv
import logging
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from mavrl.configuration.settings import RunSettings
from mavrl.families.base import Drawing, Family
from mavrl.reports.figures.held_out import held_out_figure
from mavrl.reports.figures.losses import loss_figure
from mavrl.reports.figures.reliability import reliability_figure
from mavrl.reports.figures.rounds import rounds_figure
from mavrl.reports.figures.save import save_figure
from mavrl.reports.figures.segment_returns import segment_return_figure
from mavrl.reports.words import counted
from mavrl.training.evaluation import one_thread
from mavrl.training.fresh import FreshSegments

log = logging.getLogger(__name__)

FIGURES = "figures"  # folder in a run's directory
Wanted = Literal["auto", "all", "one", "none"]


def wanted(figures: Wanted, alone: bool, family: Family) -> Collection[str] | None:
    """Names of the figures that a run draws at its end; None for all that there are.

    Args:
        figures: as the key of this name has it.
        alone: whether the run is no job among many, whose figures would take longer than the runs.
    """
    if figures == "none":
        return ()
    return None if figures == "all" or (figures == "auto" and alone) else (family.picture, "held_out")


def draw(
    settings: RunSettings,
    family: Family,
    directory: Path,
    result: Mapping[str, Any],
    names: Collection[str] | None = None,
    pdf: bool = True,
) -> list[Path]:
    """Draw figures of a run into its directory. What goes wrong is warned of, and ends nothing: the result is there.

    Args:
        settings: of the run.
        family: its environment.
        directory: of the run.
        result: content of metrics.json.
        names: of the figures to draw; None for all.
        pdf: whether to draw them for print, too.

    Returns:
        The paths of the figures.
    """
    if names is not None and not names:
        return []
    written: list[Path] = []
    with one_thread():
        try:
            drawings = run_drawings(settings, family, directory, result)
        except Exception as error:
            log.warning("no figures of %s: %s", directory, _in_a_line(error))
            return []
        for name, drawing in drawings.items():
            if names is not None and name not in names:
                continue
            try:
                if (figure := drawing()) is not None:
                    written += save_figure(figure, directory / FIGURES / f"{name}.png", pdf=pdf)
            except Exception as error:
                log.warning("the figure %s of %s is left out: %s", name, directory, _in_a_line(error))
    return written


def run_drawings(
    settings: RunSettings, family: Family, directory: Path, result: Mapping[str, Any]
) -> dict[str, Drawing]:
    """All figures that a run may have, by name: those of its family, and those of every run.

    Args:
        settings, family, directory, result: as for `draw`.
    """
    title, fresh = f"{settings.env['name']} {settings.modality}", FreshSegments(settings, family, directory)
    drawings: dict[str, Drawing] = {**family.figures(directory, result), "losses": lambda: _losses(directory, title)}
    if settings.data is None:
        drawings["reliability"] = lambda: _reliability(fresh, title)
        drawings["segment_returns"] = lambda: _segment_returns(fresh, title)
    if kinds := result.get("held_out", {}).get("kinds"):
        drawings["held_out"] = lambda: held_out_figure(kinds)
        if (found := kinds.get("preference", {})).get("reliability"):
            bins, error = found["reliability"], found["mean"]["calibration_error"]
            drawings["reliability"] = lambda: reliability_figure(
                {"preference": bins}, {"preference": error}, f"{title}, held-out labels"
            )
    if rows := result.get("rounds"):
        drawings["rounds"] = lambda: rounds_figure({"": [rows]}, f"{title}: what its labels gave")
    return drawings


def _losses(directory: Path, title: str) -> Figure | None:
    """Of the last round, where there are rounds."""
    rounds = sorted(directory.glob("rounds/*/metrics.csv"), key=lambda path: int(path.parent.name))
    path = next((path for path in (directory / "metrics.csv", *rounds[::-1]) if path.exists()), None)
    if path is None:
        return None
    with path.open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    if not rows:
        return None
    columns = {
        name: np.array([float(row[name]) if row[name] else math.nan for row in rows]) for name in rows[0] if name
    }
    parts = {
        split: {name.partition("/")[2]: x for name, x in columns.items() if name.startswith(f"{split}/")}
        for split in ("train", "validation")
    }
    of_round = f", round {int(path.parent.name) + 1}" if path in rounds else ""
    return loss_figure(columns["epoch"] + 1, parts["train"], parts["validation"], f"{title}{of_round}")


def _reliability(fresh: FreshSegments, title: str) -> Figure | None:
    if (found := fresh.predicted()) is None:
        return None
    kind, bins, error = found
    return reliability_figure({kind: bins}, {kind: error}, f"{title}, fresh labels")


def _segment_returns(fresh: FreshSegments, title: str) -> Figure | None:
    if (found := fresh.returns()) is None:
        return None
    of = f"{counted(len(found.true), 'segment')} of {counted(found.length, 'step')}"
    return segment_return_figure(found.true, found.mean, found.std, found.rank_correlation, of, title)


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
