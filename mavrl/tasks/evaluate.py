"""Evaluation of a run's reward model: at the end of training, and again at any time."""

import contextlib
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.errors import ConfigurationError
from mavrl.reports.run_report import print_metrics
from mavrl.storage.files import read_json


def evaluate(config: DictConfig) -> float:
    """The task: evaluate the reward model in `run_dir` again, compare with what is stored, and print both."""
    directory = Path(config.run_dir) if config.run_dir else None
    if directory is None or not (directory / "reward_model").is_dir():
        raise ConfigurationError("run_dir", config.run_dir, "must be the directory of a finished run")
    stored = read_json(directory / "metrics.json")
    trained = OmegaConf.load(directory / ".hydra" / "config.yaml")
    if stored is None or not isinstance(trained, DictConfig):
        raise ConfigurationError("run_dir", directory, "has no metrics.json; the run is not finished")
    from mavrl.training.building import build_setting
    from mavrl.workers import workers

    with workers(config.processes) as pool:
        setting = build_setting(trained, pool)
        metrics = {**stored, **evaluate_run(trained, setting, directory, stored.get("failed_replicates", []))}
    same = metrics == stored
    print_metrics(metrics, directory, "as stored" if same else "differs from what is stored")
    return metrics["objective"]


def evaluate_run(config: DictConfig, setting: Any, directory: Path, failed: list[int]) -> dict[str, Any]:
    """The result part of metrics.json, computed from what a run has saved.

    Args:
        failed: replicates whose training failed; they are left out of means.
    """
    from mavrl.evaluation.summary import summarize

    with one_thread():
        result = summarize(setting.judge(directory), failed)
        comparison = setting.comparison()
    with_comparison = {**result, "comparison": comparison} if comparison else result
    return {**with_comparison, "objective": result["mean"]["normalized_return"]}


@contextlib.contextmanager
def one_thread():
    """Run torch on one thread: the same sums in the same order, whatever the run was told."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
