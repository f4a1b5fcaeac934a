"""Where curves, results and the picture of a run go besides its directory."""

import csv
import logging
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from mavrl.configuration.settings import RunSettings
from mavrl.secrets import masked
from mavrl.storage.contents import read_status
from mavrl.storage.files import write_text

log = logging.getLogger(__name__)


@contextmanager
def open_loggers(settings: RunSettings, directory: Path) -> Iterator[list[Logger]]:
    """The loggers of a run, closed when the block ends, however it ends."""
    LightningEnvironment().set_global_rank(
        0
    )  # they are silent elsewhere; a run is one process, whatever a launcher says
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


def log_result(
    loggers: Sequence[Logger], settings: RunSettings, directory: Path, result: Mapping[str, Any], picture: Path
) -> None:
    """Give the loggers what is known at the end of a run: where it is, its final metrics, its policies, its picture.

    Args:
        loggers: as `open_loggers` gives them.
        settings: of the run.
        directory: of the run.
        result: the result part of metrics.json.
        picture: the run's figure, a PNG file; none is given to them where it was not drawn.
    """
    errors = {f"{name}_stderr": error for name, error in result["stderr"].items()}
    final, curves = {**result["mean"], **errors}, policy_curves(directory)
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            _write_events(logger, run_facts(settings, directory), final, curves, picture)
        if isinstance(logger, ForgivingWandbLogger):
            logger.log_result(final, curves, picture)


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


def run_name(settings: RunSettings) -> str:
    """The name of a run among others: its cell, and its trial or its first seed."""
    execution, cell = settings.execution, f"{settings.env['name']}-{settings.modality}"
    return f"{cell}-{settings.seed}" if execution.trial is None else f"{cell}-{execution.study}-trial{execution.trial}"


def policy_curves(directory: Path) -> list[list[dict[str, float]]]:
    """The rows of curve.csv of each replicate's policy, in the order of the replicates; none where none is trained."""
    paths = sorted(directory.glob("policies/*/curve.csv"), key=lambda path: int(path.parent.name))
    curves = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as table:
            curves.append([{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)])
    return curves


def _write_events(
    logger: TensorBoardLogger,
    facts: Mapping[str, Any],
    final: Mapping[str, float],
    curves: Sequence[Sequence[Mapping[str, float]]],
    picture: Path,
) -> None:
    from matplotlib.image import imread

    writer = logger.experiment
    writer.add_text("run", "\n".join(f"- {name}: `{value}`" for name, value in facts.items()))
    for name, value in final.items():
        writer.add_scalar(f"final/{name}", value)
    for replicate, rows in enumerate(curves):
        for row in rows:
            writer.add_scalar(f"policy/{replicate}/true_return", row["true_return"], int(row["step"]))
    if picture.exists():
        writer.add_image(picture.stem, imread(picture)[..., :3], dataformats="HWC")


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

    def log_result(
        self, final: Mapping[str, float], curves: Sequence[Sequence[Mapping[str, float]]], picture: Path
    ) -> None:
        """Put final metrics into the run's summary, and its policies' curves and its picture beside them."""
        if self._broken:
            return
        import wandb

        try:
            self.experiment.define_metric("policy/*", step_metric="policy/step")
            steps = sorted({row["step"] for rows in curves for row in rows})
            returns = [{row["step"]: row["true_return"] for row in rows} for rows in curves]
            for step in steps:
                there = {f"policy/{k}/true_return": of[step] for k, of in enumerate(returns) if step in of}
                self.experiment.log({"policy/step": step, **there})
            if picture.exists():
                self.experiment.log({picture.stem: wandb.Image(str(picture))})
            self.experiment.summary.update({f"final/{name}": value for name, value in final.items()})
        except Exception as error:
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
        "name": run_name(settings),
        "dir": str(directory),
        "id": _run_id(directory),
        "resume": "allow",
        "config": masked(
            {
                **{key: value for key, value in asdict(settings).items() if key != "execution"},
                **run_facts(settings, directory),
            }
        ),
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
