"""The tasks that read finished and unfinished runs: status, list, show, export, select_best, purge.

They start no run and write nothing into one. Which runs they are about, the overrides of the command line say.
"""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mavrl.errors import ConfigurationError
from mavrl.progress import stage
from mavrl.storage.filters import Filter, matching, matching_planned_runs, planned_configuration, read_filters
from mavrl.storage.index import Run, find_runs, read_run
from mavrl.storage.sweeps import PlannedRun, forget_runs, recorded_sweeps


def status(config: DictConfig) -> None:
    """Print how far the runs of paths.runs, or those of one sweep, have come."""
    from mavrl.reports.overview import print_overview

    root, filters = runs_root(config), filters_asked()
    with stage(config.progress, "reading runs"):
        runs, sweeps = find_runs(root), recorded_sweeps(root)
    chosen = [sweep for sweep in sweeps if config.task.sweep in (None, sweep.id)]
    if config.task.sweep is not None:
        if not chosen:
            known = ", ".join(sweep.id for sweep in sweeps) or "there is none"
            raise ConfigurationError("task.sweep", config.task.sweep, f"no such sweep in {root}; recorded: {known}")
        directories = {planned.directory for planned in chosen[0].runs}
        runs = [run for run in runs if run.path.relative_to(root).as_posix() in directories]
    begun = {run.path.relative_to(root).as_posix() for run in runs}
    wanted = {run.directory: run for sweep in chosen for run in sweep.runs if run.directory not in begun}
    pending = [
        planned_cell(run, chosen_groups()) for run in matching_planned_runs(wanted.values(), filters, chosen_groups())
    ]
    runs = matching(runs, filters)
    if not runs and not pending:
        print(_nothing(root, filters))
        return
    title = str(root) if config.task.sweep is None else f"sweep {config.task.sweep}"
    print_overview(root, runs, pending, sweeps if config.task.sweep is None else [], title)


def list_runs(config: DictConfig) -> None:
    """Print one row for each run."""
    from mavrl.reports.listing import print_runs, sort_runs

    root, filters = runs_root(config), filters_asked()
    with stage(config.progress, "reading runs"):
        runs = sort_runs(_in_state(matching(find_runs(root), filters), config), config.task.sort)
    if not runs:
        print(_nothing(root, filters, config))
        return
    print_runs(runs, root)


def show(config: DictConfig) -> None:
    """Print all about the run in run_dir, or about the feedback folder that `data` names."""
    if config.data.folder is not None:
        _show_folder(Path(config.data.folder))
        return
    from mavrl.reports.listing import print_run

    run = read_run(Path(config.run_dir)) if config.run_dir else None
    if run is None:
        allowed = "must be the directory of a run; or data=FOLDER, a feedback folder"
        raise ConfigurationError("run_dir", config.run_dir or "null", allowed)
    print_run(run)


def _show_folder(place: Path) -> None:
    from mavrl.folder.agreement import annotators_of
    from mavrl.folder.folder import FeedbackFolder
    from mavrl.reports.annotators import print_annotators
    from mavrl.reports.words import counted, counts_in_words

    folder = FeedbackFolder.open(place)
    summary, description = folder.validate(), folder.description
    environment = description.environment.get("id") or description.environment.get("option") or "not named"
    print(f"environment: {environment}")
    print(f"{counted(summary.episodes, 'episode')} of {counted(summary.steps, 'step')} in all")
    print(f"labels: {counts_in_words(summary.labels) or 'none'}")
    if summary.corrected:
        print(f"corrected by later ones: {summary.corrected}")
    if description.source:
        print(f"source: {description.source}")
    if annotators := annotators_of(folder.labels()):
        print()
        print_annotators([each.described() for each in annotators])
    print(place)


def export(config: DictConfig) -> None:
    """Write one row for each run to task.output."""
    from mavrl.reports.export import export_runs
    from mavrl.reports.words import counted

    root, filters = runs_root(config), filters_asked()
    runs = matching(find_runs(root), filters)
    if not runs:
        raise ConfigurationError("task.output", config.task.output, f"not written: {_nothing(root, filters)}")
    export_runs(runs, root, Path(config.task.output))
    print(counted(len(runs), "run"))
    print(config.task.output)


def select_best(config: DictConfig) -> float:
    """Print the completed run with the best mean of task.metric, its directory as the last line. Returns that mean."""
    from mavrl.metrics import directions, what_it_needs
    from mavrl.reports.words import counted

    root, filters, metric = runs_root(config), filters_asked(), config.task.metric
    runs = [run for run in matching(find_runs(root), filters) if run.state == "completed"]
    means = {run.path: run.metrics["mean"][metric] for run in runs if metric in run.metrics.get("mean", {})}
    if not means:
        lacking = f"none of {counted(len(runs), 'completed run')} in {root} has it{what_it_needs(metric)}"
        allowed = lacking if runs else _nothing(root, filters)
        raise ConfigurationError("task.metric", metric, allowed)
    direction = directions()[metric]
    best = (max if direction == "maximize" else min)(means, key=lambda path: means[path])
    word = "highest" if direction == "maximize" else "lowest"
    left_out = f" ({len(runs) - len(means)} without it left out)" if len(means) < len(runs) else ""
    print(f"{word} {metric} of {counted(len(means), 'completed run')}{left_out}: {means[best]:.6g}")
    print(best)
    return means[best]


def purge(config: DictConfig) -> None:
    """Say which runs match and how large they are; delete them when task.confirm is true."""
    from mavrl.reports.listing import size
    from mavrl.reports.words import counted
    from mavrl.storage.deletion import delete_run, size_of

    root, filters = runs_root(config), filters_asked()
    runs = _in_state(matching(find_runs(root), filters), config)
    if not runs:
        print(_nothing(root, filters, config))
        return
    chosen, freed = [], 0
    try:
        for run in runs:
            n_bytes = size_of(run.path)
            if run.state == "running" or (config.task.confirm and not delete_run(run)):
                print(f"keep    {run.state:<11} {size(n_bytes):>8}  {run.path}: a process works in it, or just did")
                continue
            print(f"{'deleted' if config.task.confirm else 'delete '} {run.state:<11} {size(n_bytes):>8}  {run.path}")
            chosen.append(run.path.relative_to(root).as_posix())
            freed += n_bytes
    finally:
        if config.task.confirm:
            forget_runs(root, chosen)
    if config.task.confirm:
        print(f"deleted {counted(len(chosen), 'run')}, {size(freed)}")
    else:
        print(f"{counted(len(chosen), 'run')}, {size(freed)}; nothing is deleted yet, add task.confirm=true")


def runs_root(config: DictConfig) -> Path:
    """The folder of all runs.

    Raises:
        ConfigurationError: there is none.
    """
    root = Path(config.paths.runs)
    if not root.is_dir():
        raise ConfigurationError("paths.runs", root, "there is no such folder, so no runs")
    return root


def chosen_groups() -> set[str]:
    """The configuration groups that the command composes."""
    return set(HydraConfig.get().runtime.choices)


def filters_asked() -> list[Filter]:
    """The conditions on runs that the command line states."""
    return read_filters(HydraConfig.get().overrides.task, chosen_groups())


def _in_state(runs: list[Run], config: DictConfig) -> list[Run]:
    states = _states(config)
    return [run for run in runs if "any" in states or run.state in states]


def _states(config: DictConfig) -> list[str]:
    wanted = config.task.state
    return list(wanted) if OmegaConf.is_list(wanted) else [wanted]


def _nothing(root: Path, filters: list[Filter], config: DictConfig | None = None) -> str:
    """That no run is there, or none that was asked for."""
    asked = [str(condition) for condition in filters]
    states = _states(config) if config is not None else ["any"]
    if "any" not in states:
        asked.append(f"task.state={states[0] if len(states) == 1 else '[' + ','.join(states) + ']'}")
    return f"no run in {root}" + (f" matches {' '.join(asked)}" if asked else "")


def planned_cell(planned: PlannedRun, groups: set[str]) -> tuple[str, str]:
    """Environment and modality of a run that has not begun; groups are those of the configuration."""
    names = planned.directory.split("/")
    if len(names) == 3:  # env, modality and hash: overrides need not be parsed
        return names[0], names[1]
    choices = planned_configuration(planned, groups)["choices"]
    return choices.get("env", "?"), choices.get("modality", "?")
