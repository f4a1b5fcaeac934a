"""The task that combines the posteriors of finished runs into one."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.plain import written
from mavrl.configuration.registry import FAMILIES, KINDS
from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.progress import stage
from mavrl.reports.run_report import print_metrics
from mavrl.storage.contents import read_config, read_status
from mavrl.storage.files import write_text
from mavrl.storage.run_directory import RunDirectory
from mavrl.tasks.trained import trained_config

_KEY = "task.run_dirs"


def average(config: DictConfig) -> float | None:
    """Combine the posteriors of the runs in `task.run_dirs` by `task.rule`, into a run directory in `paths.runs`.

    Returns:
        The mean normalized return; None where there is none.

    Raises:
        ConfigurationError: a run is not finished or not of a grid, or they differ in environment or seeds.
    """
    runs = [Path(name) for name in config.task.run_dirs or ()]
    if len(runs) < 2:
        raise ConfigurationError(_KEY, written(config.task.run_dirs), "must be two finished runs or more: [RUN,RUN]")
    for run in runs:
        if read_status(run).get("state") != "completed":
            raise ConfigurationError(_KEY, run, "is not the directory of a finished run")
    trained = [trained_config(_about(config, run)) for run in runs]
    each = [RunSettings.from_config(one) for one in trained]
    for run, settings in zip(runs, each, strict=True):
        _check_alike(runs[0], each[0], run, settings)
    settings = replace(each[0], feedback=_feedback(each), modality=_letters(each))
    identity = {"rule": config.task.rule, "runs": [read_status(run).get("config_hash", str(run)) for run in runs]}
    name = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    directory = RunDirectory(Path(config.paths.runs).absolute() / settings.env["name"] / settings.modality / name)
    with stage(config.progress, "importing torch"):
        from mavrl.training.averaging import average_runs

    with directory.lock():
        directory.begin(name, _content(config, runs, settings))
        try:
            write_text(
                directory.path / ".hydra" / "config.yaml", OmegaConf.to_yaml(_configuration(trained[0], settings))
            )
            metrics = {**average_runs(settings, runs, config.task.rule, directory.path), "config_hash": name}
            directory.complete(metrics)
        except BaseException as error:
            directory.fail(error)
            raise
    print_metrics(metrics, directory.path)
    return metrics.get("objective")


def _about(config: DictConfig, run: Path) -> DictConfig:
    """This command's configuration, about one run."""
    one = OmegaConf.create(OmegaConf.to_container(config, resolve=False))
    assert isinstance(one, DictConfig)
    one.run_dir = str(run)
    return one


def _check_alike(first: Path, one: RunSettings, run: Path, other: RunSettings) -> None:
    """Refuse a run that has another environment or other seeds than the first one, or none that is finite."""
    if FAMILIES[other.env["family"]].judged != "tabular":
        raise ConfigurationError(_KEY, run, f"is a run of {other.env['name']}; only those of grids can be averaged")
    pairs = [(f"env.{key}", one.env.get(key), other.env.get(key)) for key in {**one.env, **other.env}]
    pairs += [(key, getattr(one, key), getattr(other, key)) for key in ("seed", "replicates")]
    for key, here, there in pairs:
        if here != there:
            allowed = f"has {key}={written(there)}, and {first} has {key}={written(here)}; averages are of the same"
            raise ConfigurationError(_KEY, run, allowed)


def _feedback(each: list[RunSettings]) -> dict[str, Mapping[str, Any]]:
    """The feedback of all runs; a kind that several have counts together."""
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        used = [settings.feedback[kind] for settings in each if kind in settings.feedback]
        if used:
            found[kind] = {**used[0], "n_samples": sum(one["n_samples"] for one in used)}
    return found  # type: ignore[return-value]


def _letters(each: list[RunSettings]) -> str:
    return "".join(kind.letter for kind in KINDS.values() if any(kind.name in one.feedback for one in each))


def _content(config: DictConfig, runs: list[Path], settings: RunSettings) -> dict[str, Any]:
    """The content of config.json: that of the first run with all feedback, and what was averaged how.

    It names no groups but environment and feedback, so nobody takes it for a run that a command could repeat.
    """
    first = read_config(runs[0])
    of = [read_config(run).get("choices", {}).get("modality", "") for run in runs]
    env = first.get("choices", {}).get("env", settings.env["name"])
    counts = {kind: {"n_samples": 0, **settings.feedback.get(kind, {})} for kind in KINDS}
    kept = {key: value for key, value in first.items() if key not in ("feedback", "overrides")}
    return {
        **kept,
        "choices": {"env": env, "modality": settings.modality},
        "feedback": counts,
        "average": {"rule": config.task.rule, "of": of},
    }


def _configuration(trained: DictConfig, settings: RunSettings) -> DictConfig:
    """The configuration of the first run with the feedback of all, for tasks that go on with a run."""
    kinds = list(settings.feedback)
    OmegaConf.update(trained, "modality", {"name": settings.modality, "active": kinds}, merge=False, force_add=True)
    for kind in kinds:
        OmegaConf.update(trained, f"feedback.{kind}", dict(settings.feedback[kind]), merge=True, force_add=True)
    return trained
