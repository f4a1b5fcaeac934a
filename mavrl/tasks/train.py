"""The main task: simulate feedback, learn the reward posterior, evaluate it."""

import json
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import CODE, config_hash, recorded, settings_of
from mavrl.configuration.settings import RunSettings
from mavrl.configuration.sources import changed_code
from mavrl.errors import ConfigurationError
from mavrl.interruption import without_exits
from mavrl.progress import above_bars, stage
from mavrl.reports.run_report import print_metrics
from mavrl.secrets import masked
from mavrl.storage.contents import read_config, read_metrics, read_status
from mavrl.storage.files import naming
from mavrl.storage.run_directory import RunDirectory, acquire


def train(config: DictConfig) -> float | None:
    """Run the configuration, or return its result if it has been run before.

    Returns:
        The mean normalized return; None where there is none.
    """
    hydra = HydraConfig.get()
    path = Path(hydra.runtime.output_dir)
    metrics, remark = run_in(path, config, hydra, alone=hydra.mode == RunMode.RUN)
    with above_bars():
        print_metrics(metrics, path, remark)
    return metrics.get("objective")


def run_in(path: Path, config: DictConfig, hydra: Any, alone: bool) -> tuple[dict[str, Any], str]:
    """Run a configuration in a directory, or find what it has left there when it was run before.

    Args:
        path: of the run directory.
        config: that was checked.
        hydra: what Hydra says of itself: options of groups, and the words that chose them.
        alone: whether nobody asks later what became of it, as in a sweep.

    Returns:
        The content of metrics.json, and what is to be said of where it comes from; empty for nothing.

    Raises:
        ConfigurationError: the directory holds something else, or the configuration cannot work.
    """
    directory, name = RunDirectory(path), config_hash(config)
    content = masked(recorded(config, hydra.runtime.choices, _words(hydra)))
    _refuse_foreign(directory.path, name, content)
    if not config.rerun and (finished := directory.metrics) is not None:
        return finished, "this run was finished before; rerun=true repeats it"
    lock = directory.lock()
    if not acquire(lock):
        print(f"another process is at work in {directory.path}; waiting for it")
        lock.acquire()
    try:
        if not config.rerun and (finished := directory.metrics) is not None:
            return finished, "another process has finished this run"
        _refuse_foreign(directory.path, name, content)  # which may have come while the lock was waited for
        try:
            directory.begin(name, content)
            with stage(config.progress, "importing torch"):
                from mavrl.training.run import run

            settings = RunSettings.from_config(config)
            with without_exits("the run"), naming(directory.path):
                begun = lambda: _save_configuration(config, hydra, directory)  # noqa: E731
                metrics = run(
                    settings, directory.path, config.rerun, begun, directory.advance, directory.complete, alone
                )
        except BaseException as error:
            directory.fail(error, alone=alone)
            raise
    finally:
        lock.release()
    return metrics, ""


def _refuse_foreign(path: Path, expected: str, content: dict[str, Any]) -> None:
    """A directory that holds something else must not be written into. Any file of a run says whose it is, if whole.

    Args:
        path: of the directory.
        expected: hash of the configuration that is to run there.
        content: of its config.json.
    """
    held = {found["config_hash"] for found in (read_status(path), read_metrics(path)) if "config_hash" in found}
    stored = read_config(path)
    changed = changed_code(stored.get(CODE), content.get(CODE, {}))
    if not held and stored:
        same = settings_of(stored) == settings_of(json.loads(json.dumps(content))) and not changed
        held = {expected if same else "another"}
    if held - {expected}:
        of = f"other code: {' and '.join(changed)} changed since" if changed else "another configuration"
        raise ConfigurationError("hydra.run.dir", path, f"holds a run of {of}; choose another directory")
    without_content = (".lock", "status.json", ".status.json.")  # the last: what a kill while it is written leaves
    if not held and path.is_dir() and any(not p.name.startswith(without_content) for p in path.iterdir()):
        allowed = "is not empty, and nothing says which run it holds; choose another directory, or delete this one"
        raise ConfigurationError("hydra.run.dir", path, allowed)


def _words(hydra: Any) -> list[str]:
    """The overrides of the command line as they are, with references to variables and not what these hold."""
    words = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(words, list)
    return words


def _save_configuration(config: DictConfig, hydra: Any, directory: RunDirectory) -> None:
    directory.save_configuration(
        {
            "config.yaml": OmegaConf.to_yaml(OmegaConf.create(masked(OmegaConf.to_container(config)))),
            "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
            "overrides.yaml": OmegaConf.to_yaml(hydra.overrides.task),
        }
    )
