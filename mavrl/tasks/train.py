"""The main task: simulate feedback, learn the reward posterior, evaluate it."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mavrl import __version__
from mavrl.configuration.identity import config_hash, recorded
from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.reports.run_report import print_metrics
from mavrl.secrets import masked
from mavrl.storage.files import read_json
from mavrl.storage.run_directory import RunDirectory, acquire


def train(config: DictConfig) -> float:
    """Run the configuration, or return its result if it has been run before. Returns the mean normalized return."""
    directory, name = RunDirectory(HydraConfig.get().runtime.output_dir), config_hash(config)
    _refuse_foreign(directory.path, name)
    if not config.rerun and (finished := directory.metrics) is not None:
        return _report(finished, directory.path, "this run was finished before; rerun=true repeats it")
    lock = directory.lock()
    if not acquire(lock):
        print(f"another process is at work in {directory.path}; waiting for it")
        lock.acquire()
    try:
        if not config.rerun and (finished := directory.metrics) is not None:
            return _report(finished, directory.path, "another process has finished this run")
        hydra = HydraConfig.get()
        directory.begin(name, masked(recorded(config, hydra.runtime.choices, _words(hydra))))
        try:
            from mavrl.training.run import run

            settings = RunSettings.from_config(config)
            result = run(settings, directory.path, config.rerun, lambda: _save_configuration(config, directory))
            metrics = {**result, "config_hash": name, "version": __version__}
            directory.complete(metrics)
        except BaseException as error:
            directory.fail(error)
            raise
    finally:
        lock.release()
    return _report(metrics, directory.path)


def _report(metrics: dict[str, Any], path: Path, remark: str = "") -> float:
    print_metrics(metrics, path, remark)
    return metrics["objective"]


def _refuse_foreign(path: Path, expected: str) -> None:
    """A directory that holds something else must not be written into."""
    status = read_json(path / "status.json")
    if status is not None and status.get("config_hash") != expected:
        raise ConfigurationError(
            "hydra.run.dir", path, "holds a run of another configuration; choose another directory"
        )
    own = (".lock", "status.json", ".status.json.")  # the last: what a process killed while writing leaves
    ours = status is not None or (path / "status.json").exists()  # a damaged status is still that of a run
    if not ours and path.is_dir() and any(not p.name.startswith(own) for p in path.iterdir()):
        raise ConfigurationError("hydra.run.dir", path, "is not empty and holds no run; choose another directory")


def _words(hydra: Any) -> list[str]:
    """The overrides of the command line as they are, with references to variables and not what these hold."""
    words = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(words, list)
    return words


def _save_configuration(config: DictConfig, directory: RunDirectory) -> None:
    hydra = HydraConfig.get()
    directory.save_configuration(
        {
            "config.yaml": OmegaConf.to_yaml(OmegaConf.create(masked(OmegaConf.to_container(config)))),
            "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
            "overrides.yaml": OmegaConf.to_yaml(hydra.overrides.task),
        }
    )
