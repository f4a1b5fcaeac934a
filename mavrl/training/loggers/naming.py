"""What a run is called among others, what it belongs to, and what it can be found by."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mavrl.configuration.settings import RunSettings
from mavrl.storage.contents import read_status
from mavrl.storage.sweeps import PlannedRun, Sweep, sweep_of

_IN_EVERY_NAME = ("env=", "modality=", "seed=", "hydra.")
_LONGEST = 64  # of a tag, as wandb has it


def run_facts(settings: RunSettings, directory: Path) -> dict[str, Any]:
    """What tells a run from others: its directory, its hash, and the trial of a study that it is, if it is one."""
    execution = settings.execution
    facts = {
        "run_directory": str(directory.absolute()),
        "config_hash": read_status(directory).get("config_hash"),
        "study": execution.study,
        "trial": execution.trial,
    }
    return {name: value for name, value in facts.items() if value is not None}


def cell_name(settings: RunSettings) -> str:
    """Environment and subset of feedback."""
    return f"{settings.env['name']}-{settings.modality}"


def run_name(settings: RunSettings, directory: Path) -> str:
    """The name of a run: its cell, its trial or its first seed, and the words in which it differs within its sweep."""
    execution = settings.execution
    if execution.trial is not None:
        return f"{cell_name(settings)}-{execution.study}-trial{execution.trial}"
    if execution.study is not None:
        return f"{cell_name(settings)}-{execution.study}-{execution.task}-{settings.seed}"
    sweep = sweep_of(directory)
    return " ".join([f"{cell_name(settings)}-{settings.seed}", *(_own_words(sweep, directory) if sweep else [])])


def group_name(settings: RunSettings, directory: Path) -> str:
    """What a run belongs to: what `logger.group` says, its study, its sweep, or else its cell."""
    execution = settings.execution
    if (given := execution.logger.get("group")) is not None:
        return given
    if execution.study is not None:
        return execution.study
    sweep = sweep_of(directory)
    return f"sweep {sweep.id}" if sweep is not None else cell_name(settings)


def job_type(settings: RunSettings) -> str:
    """The task of a run, by the word of the command line."""
    return "online" if settings.rounds is not None and settings.execution.task == "train" else settings.execution.task


def tags(settings: RunSettings, about: Mapping[str, Any]) -> list[str]:
    """What a run can be found by: environment, subset and kinds of feedback, protocol, and what `logger.tags` says.

    Args:
        settings: of the run.
        about: with the protocol, as metrics.json has it.
    """
    protocol = [f"{name}={value}" for name, value in about.get("protocol", {}).items()]
    found = [settings.env["name"], settings.modality, *protocol, *settings.execution.logger.get("tags", [])]
    return [tag[:_LONGEST] for tag in dict.fromkeys(found)]


def _own_words(sweep: Sweep, directory: Path) -> list[str]:
    """The words of a run's command that not all runs of its sweep share."""
    path = directory.absolute().as_posix()
    own = next((run for run in sweep.runs if path.endswith(f"/{run.directory}")), PlannedRun("", ()))
    return [
        word
        for word in own.overrides
        if not word.startswith(_IN_EVERY_NAME) and not all(word in run.overrides for run in sweep.runs)
    ]
