"""The task that draws: the figures of a run, of a study or of a sweep, from files, at any time."""

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from mavrl.errors import ConfigurationError, MavrlError
from mavrl.progress import stage
from mavrl.storage.contents import read_metrics
from mavrl.tasks.study import cells_of, draw_cell, is_chosen
from mavrl.tasks.trained import given, run_directory, trained_settings

log = logging.getLogger(__name__)

_MOST_FRAMES = 1000  # of a clip


def plot(config: DictConfig) -> None:
    """Draw all figures of `run_dir`, of `study` or of `task.sweep`; print their paths, and last their folder.

    Raises:
        ConfigurationError: none or several of these are given, or there is no such thing.
    """
    asked = {
        "run_dir": config.run_dir is not None,
        "study": is_chosen("study"),
        "task.sweep": config.task.sweep is not None,
    }
    chosen = [key for key, is_asked in asked.items() if is_asked]
    if len(chosen) != 1:
        has = " and ".join(chosen) or "nothing"
        raise ConfigurationError("task", "plot", f"draws one of run_dir=..., study=..., task.sweep=...; {has} is given")
    if config.task.output is not None and chosen != ["task.sweep"]:
        allowed = "is of a sweep; figures of runs and studies lie beside these"
        raise ConfigurationError("task.output", config.task.output, allowed)
    draw = {"run_dir": _draw_run, "study": _draw_study, "task.sweep": _draw_sweep}[chosen[0]]
    written, folder = draw(config)
    print(*written, folder, sep="\n")


def _draw_run(config: DictConfig) -> tuple[list[Path], Path]:
    directory, settings = run_directory(config), trained_settings(config)
    given(config)
    result = read_metrics(directory)
    if not result:
        raise ConfigurationError("run_dir", directory, "has no whole metrics.json; the run is not finished")
    with stage(config.progress, "importing torch"):
        from mavrl.families.base import Family, family_of
        from mavrl.storage.shown import SHOWN, keep_shown
        from mavrl.training.building import build_data
        from mavrl.training.drawing import FIGURES, draw
        from mavrl.workers import workers

    def look_again(family: Family) -> None:
        """What figures need of the feedback, in a run of an earlier version, which has not kept it."""
        data = build_data(settings, family)
        data.setup()
        keep_shown(directory, family.shown(data))

    with stage(config.progress, "drawing"), workers(config.processes) as pool:
        family = family_of(settings, pool)
        if not (directory / SHOWN).exists() and settings.rounds is None:
            look_again(family)
        written = draw(settings, family, directory, result)
        if family.trains_policies:
            written += _film(family, directory, settings.seed)
    return written, directory / FIGURES


def _film(family, directory: Path, seed: int) -> list[Path]:
    """A clip of what the first replicate acts like, where its environment gives pictures."""
    from mavrl.reports.figures.clip import save_clip
    from mavrl.simulation.collecting import film
    from mavrl.training.drawing import FIGURES

    path = directory / FIGURES / "policy.gif"
    scene = family.scene(directory)
    if not scene.renders:
        log.warning("no clip of the policy: %s renders no rgb_array", family.settings.env["name"])
        return []
    try:
        save_clip(*film(scene, seed, _MOST_FRAMES), path)
    except (MavrlError, ImportError) as error:
        log.warning("no clip of the policy: %s", error)
        return []
    return [path]


def _draw_study(config: DictConfig) -> tuple[list[Path], Path]:
    with stage(config.progress, "drawing"):
        cells = cells_of(config, config.study)
        written = [path for cell in cells for path in draw_cell(cell)]
    if not written:
        raise ConfigurationError("study", config.study, "has no completed trial yet, so there is nothing to draw")
    return written, cells[0].folder / "figures" if len(cells) == 1 else cells[0].folder.parents[1]


def _draw_sweep(config: DictConfig) -> tuple[list[Path], Path]:
    from mavrl.storage.filters import matching, read_filters
    from mavrl.storage.index import read_run
    from mavrl.storage.sweeps import recorded_sweeps

    root, hydra = Path(config.paths.runs), HydraConfig.get()
    sweeps = {sweep.id: sweep for sweep in recorded_sweeps(root)}
    if config.task.sweep not in sweeps:
        allowed = f"no such sweep in {root}; recorded: {', '.join(sweeps) or 'there is none'}"
        raise ConfigurationError("task.sweep", config.task.sweep, allowed)
    found = [read_run(root / planned.directory) for planned in sweeps[config.task.sweep].runs]
    filters = read_filters(hydra.overrides.task, set(hydra.runtime.choices))
    runs = [run for run in matching([run for run in found if run is not None], filters) if run.metrics]
    if not runs:
        raise ConfigurationError("task.sweep", config.task.sweep, "has no completed run that the command line asks for")
    folder = root / "figures" / config.task.sweep if config.task.output is None else Path(config.task.output)
    with stage(config.progress, "drawing"):
        from mavrl.tasks.sweep_figures import draw_sweep

        return draw_sweep(config, runs, folder), folder
