"""Where training curves go besides metrics.csv."""

import logging
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from mavrl.configuration.settings import RunSettings
from mavrl.secrets import masked
from mavrl.storage.files import write_text

log = logging.getLogger(__name__)


@contextmanager
def open_loggers(settings: RunSettings, directory: Path) -> Iterator[list[Logger]]:
    """The loggers of a run, closed when the block ends, however it ends."""
    loggers: list[Logger] = []
    if settings.execution.logger["name"] == "tensorboard":
        loggers.append(TensorBoardLogger(directory, name="", version="tensorboard"))
    if settings.execution.logger["name"] == "wandb":
        loggers += _wandb(settings, directory)
    try:
        yield loggers
    finally:
        for logger in loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.close()
            if isinstance(logger, ForgivingWandbLogger):
                logger.close()


class ForgivingWandbLogger(WandbLogger):
    """A WandbLogger whose troubles are warned of once and end no run."""

    _broken = False

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        if self._broken:
            return
        try:
            super().log_metrics(metrics, step)
        except Exception as error:
            self._broken = True
            log.warning("wandb failed (%s); the run goes on without it", error)

    def close(self) -> None:
        """Finish the wandb run, so that the next job of a multirun starts its own."""
        try:
            self.experiment.finish()
        except Exception as error:
            log.warning("wandb did not finish (%s)", error)


def _wandb(settings: RunSettings, directory: Path) -> list[Logger]:
    import wandb

    logger = settings.execution.logger
    options = {
        "project": logger["project"],
        "entity": logger["entity"],
        "group": logger["group"],
        "tags": list(logger["tags"]),
        "name": f"{settings.env['name']}-{settings.modality}-{settings.seed}",
        "dir": str(directory),
        "id": _run_id(directory),
        "resume": "allow",
        "config": masked({key: value for key, value in asdict(settings).items() if key != "execution"}),
        "settings": wandb.Settings(console="off", silent=True, init_timeout=15),
    }
    wanted: Any = os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")
    for mode in dict.fromkeys((wanted, "offline")):
        try:
            return [ForgivingWandbLogger(experiment=wandb.init(mode=mode, reinit="finish_previous", **options))]
        except Exception as error:
            log.warning("wandb cannot start in %s mode (%s)", mode, " ".join(str(error).split()))
            wandb.teardown()  # the failed start still holds the run's id
    return []


def _has_key() -> bool:
    import wandb

    try:
        return bool(os.environ.get("WANDB_API_KEY") or wandb.Api().api_key)
    except Exception:
        return False


def _run_id(directory: Path) -> str:
    """The id of this run's wandb run, kept in the directory: a resumed run goes on in the same one."""
    path = directory / "wandb_id"
    if path.is_file() and not path.is_symlink():
        stored = path.read_text(encoding="utf-8", errors="replace").strip()
        if re.fullmatch("[0-9a-f]{12}", stored):
            return stored
    fresh = uuid.uuid4().hex[:12]
    write_text(path, fresh)
    return fresh
