"""The destinations of a run: opened, told how it ended, closed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.loggers import Logger

from mavrl.configuration.settings import RunSettings
from mavrl.secrets import masked
from mavrl.training.loggers.conclusion import Conclusion, conclusion_of, final_numbers
from mavrl.training.loggers.naming import group_name, job_type, run_facts, run_name, tags


@runtime_checkable
class Destination(Protocol):
    """A logger of Lightning that takes what is known at the end of a run, too."""

    def conclude(self, conclusion: Conclusion) -> None:
        """Take it."""
        ...

    def close(self) -> None:
        """Write what is not written yet."""
        ...


@contextmanager
def open_loggers(
    settings: RunSettings, directory: Path, about: Mapping[str, Any], place: Path | None = None
) -> Iterator[list[Logger]]:
    """The loggers of a run, closed when the block ends, however it ends.

    Args:
        settings: of the run.
        directory: of the run.
        about: what it is, as metrics.json has it.
        place: for the files of the loggers; None for the directory of the run.
    """
    # They are silent elsewhere; a run is one process, whatever a launcher says.
    LightningEnvironment().set_global_rank(0)
    loggers = _opened(settings, directory, about, place or directory)
    try:
        yield loggers
    finally:
        for logger in loggers:
            if isinstance(logger, Destination):
                logger.close()


def log_result(loggers: Sequence[Logger], directory: Path, metrics: Mapping[str, Any]) -> None:
    """Give the loggers what is known at the end of a run: numbers, tables, figures, curves, the reward model.

    Args:
        loggers: as `open_loggers` gives them.
        directory: of the run.
        metrics: content of metrics.json.
    """
    _conclude(loggers, lambda: conclusion_of(directory, metrics))


def log_other_result(
    settings: RunSettings, directory: Path, place: Path, about: Mapping[str, Any], result: Mapping[str, Any]
) -> None:
    """Give the loggers of a command what another task has found about a run.

    Args:
        settings: of the run, with the loggers and the task of the command.
        directory: of the run.
        place: for the files of the loggers.
        about: what the run is, as metrics.json has it.
        result: with `mean` and `stderr` of the metrics.
    """
    with open_loggers(settings, directory, about, place) as loggers:
        _conclude(loggers, lambda: Conclusion(final_numbers(result)))


def _conclude(loggers: Sequence[Logger], known: Callable[[], Conclusion]) -> None:
    destinations = [logger for logger in loggers if isinstance(logger, Destination)]
    if destinations:
        conclusion = known()
        for logger in destinations:
            logger.conclude(conclusion)


def _opened(settings: RunSettings, directory: Path, about: Mapping[str, Any], place: Path) -> list[Logger]:
    logger, facts = settings.execution.logger, run_facts(settings, directory)
    if logger["name"] not in ("tensorboard", "wandb"):
        return []
    parameters = masked({key: value for key, value in asdict(settings).items() if key != "execution"})
    if logger["name"] == "tensorboard":
        from mavrl.training.loggers.tensorboard import RunTensorBoardLogger

        return [RunTensorBoardLogger(place, facts, parameters)]
    from mavrl.training.loggers.wandb import start_wandb

    options = {
        "project": logger["project"],
        "entity": logger["entity"],
        "group": group_name(settings, directory),
        "job_type": job_type(settings),
        "tags": tags(settings, about),
    }
    name = run_name(settings, directory) if place == directory else f"{run_name(settings, directory)} {place.name}"
    return [*start_wandb(place, options, name, {**parameters, **facts})]
