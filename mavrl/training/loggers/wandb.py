"""Weights & Biases: curves, final metrics, tables, figures and the reward model. Its troubles end no run."""

import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from mavrl.storage.files import write_text
from mavrl.training.loggers.conclusion import Conclusion, rounds_by_name

log = logging.getLogger(__name__)
_DATA_DIR = "WANDB_DATA_DIR"


class ForgivingWandbLogger(WandbLogger):
    """A WandbLogger whose troubles are warned of once and end no run."""

    _broken = False

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self._try(lambda: super(ForgivingWandbLogger, self).log_metrics(metrics, step))

    def conclude(self, conclusion: Conclusion) -> None:
        """Log what is known at the end of the run. Single numbers come into its summary, too."""
        self._try(lambda: self._conclude(conclusion))

    def close(self) -> None:
        """Finish the wandb run, so that the next job of a multirun starts its own."""
        try:
            self.experiment.finish()
        except Exception as error:
            log.warning("wandb did not finish (%s)", error)

    def _try(self, action: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            action()
        except Exception as error:
            self._broken = True
            log.warning("wandb failed (%s); the run goes on without it", error)

    def _conclude(self, conclusion: Conclusion) -> None:
        run = self.experiment
        run.define_metric("policy/*", step_metric="policy/step")
        run.define_metric("rounds/*", step_metric="rounds/round")
        steps = sorted({row["step"] for rows in conclusion.policy_curves for row in rows})
        returns = [{row["step"]: row["true_return"] for row in rows} for rows in conclusion.policy_curves]
        for step in steps:
            there = {f"policy/{k}/true_return": of[step] for k, of in enumerate(returns) if step in of}
            run.log({"policy/step": step, **there})
        for number, figures in rounds_by_name(conclusion.rounds):
            run.log({"rounds/round": number, **figures})
        with _staging_in(Path(run.dir).parent):
            self._log_files(run, conclusion)

    def _log_files(self, run: Any, conclusion: Conclusion) -> None:
        import wandb

        run.log(
            {
                **conclusion.numbers,
                **{
                    name: wandb.Table([*each.columns], [[*row] for row in each.rows])
                    for name, each in conclusion.tables.items()
                },
                **{name: wandb.Image(str(path)) for name, path in conclusion.pictures.items()},
            }
        )
        if conclusion.model is not None:
            name = re.sub(r"[^\w.-]", "-", str(run.name))
            artifact = wandb.Artifact(name, "reward-model", conclusion.card or None, conclusion.metadata)
            for path in sorted(conclusion.model.iterdir()):  # add_dir says so on the error stream
                artifact.add_file(str(path), skip_cache=True, policy="immutable")
            run.log_artifact(artifact)


def start_wandb(
    directory: Path, options: Mapping[str, Any], name: str, config: Mapping[str, Any]
) -> list[ForgivingWandbLogger]:
    """Start a wandb run, offline if it cannot be online; none if it cannot start at all, which is warned of.

    Args:
        directory: for its files and its id.
        options: arguments of `wandb.init` that say where it belongs.
        name: of the run.
        config: what it was run with, without secrets.
    """
    import wandb

    more: dict[str, Any] = {
        **options,
        "name": name,
        "config": dict(config),
        "dir": str(directory),
        "id": _run_id(directory),
        "resume": "allow",
        "settings": wandb.Settings(console="off", silent=True, init_timeout=15),
    }
    wanted: Any = os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")
    for mode in dict.fromkeys((wanted, "offline")):
        try:
            return [ForgivingWandbLogger(experiment=wandb.init(mode=mode, reinit="finish_previous", **more))]
        except Exception as error:
            log.warning("wandb cannot start in %s mode (%s)", mode, " ".join(str(error).split()))
            wandb.teardown()  # the failed start still holds the run's id
    return []


@contextmanager
def _staging_in(directory: Path) -> Iterator[None]:
    """Copies of what is to be uploaded are kept in a directory, and not in the user's home, where they would stay."""
    if _DATA_DIR in os.environ:
        yield
        return
    os.environ[_DATA_DIR] = str(directory)
    try:
        yield
    finally:
        del os.environ[_DATA_DIR]


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
