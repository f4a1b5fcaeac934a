"""The main task: simulate feedback, learn the reward posterior, evaluate it."""

import shutil
import time
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mavrl import __version__
from mavrl.configuration.identity import active_kinds, config_hash, recorded
from mavrl.errors import ConfigurationError
from mavrl.reports.run_report import print_metrics
from mavrl.storage.checkpoints import Checkpoints
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
        directory.begin(name, recorded(config, hydra.runtime.choices, hydra.overrides.task))
        try:
            metrics = {**_work(config, directory), "config_hash": name, "version": __version__}
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


def _work(config: DictConfig, directory: RunDirectory) -> dict[str, Any]:
    begun = time.monotonic()
    import torch

    from mavrl.reports.figures.save import save_figure
    from mavrl.tasks.evaluate import evaluate_run
    from mavrl.training.building import build_feedback, build_setting
    from mavrl.training.fitting import fit, store
    from mavrl.workers import cores, workers

    torch.set_num_threads(config.threads or cores())
    imported = time.monotonic()
    with workers(config.processes) as pool:
        setting = build_setting(config, pool)
        feedback = build_feedback(config, setting)
        feedback.prepare()  # what is wrong with a configuration shows here at the latest, before anything is written
        simulated = time.monotonic()
        _save_configuration(config, directory)
        checkpoints = Checkpoints(directory.path / "checkpoints")
        if config.rerun:
            checkpoints.clear()
            shutil.rmtree(directory.path / "policies", ignore_errors=True)
        learner = fit(config, setting, feedback, checkpoints, directory.path)
        failed = store(config, setting, feedback, learner, directory.path)
        trained = time.monotonic()
        setting.act(directory.path, feedback)
        acting = time.monotonic()
        result = evaluate_run(config, setting, directory.path, failed)
        save_figure(setting.figure(directory.path, result), directory.path / "figures" / f"{setting.picture}.png")
    checkpoints.clear()
    evaluated = time.monotonic()
    return {
        **_description(config, setting),
        **result,
        **({"failed_replicates": failed} if failed else {}),
        "seconds": {
            "data": simulated - imported,
            "train": trained - simulated,
            **({"policy": acting - trained} if setting.trains_policies else {}),
            "evaluate": evaluated - acting,
            "total": evaluated - begun,
        },
    }


def _save_configuration(config: DictConfig, directory: RunDirectory) -> None:
    hydra = HydraConfig.get()
    directory.save_configuration(
        {
            "config.yaml": OmegaConf.to_yaml(config),
            "hydra.yaml": OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
            "overrides.yaml": OmegaConf.to_yaml(hydra.overrides.task),
        }
    )


def _description(config: DictConfig, setting: Any) -> dict[str, Any]:
    """What was run, for metrics.json."""
    active = active_kinds(config)
    return {
        "env": config.env.name,
        "modality": config.modality.name,
        "seed": config.seed,
        "replicates": config.replicates,
        "members": config.members,
        "n_samples": {kind: settings.n_samples if kind in active else 0 for kind, settings in config.feedback.items()},
        "protocol": {
            "objective": config.model.objective,
            "q": config.model.q,
            "backup": config.model.backup if config.model.q == "learned" else "exact",
            "termination": config.env.termination,
            "selection": config.selection,
            **setting.protocol(),
        },
    }
