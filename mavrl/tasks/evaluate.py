"""Evaluation of a run's reward model: at the end of training, and again at any time."""

import contextlib
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.errors import ConfigurationError
from mavrl.results.files import read_json
from mavrl.results.report import print_metrics


def evaluate(config: DictConfig) -> float:
    """The task: evaluate the reward model in `run_dir` again, compare with what is stored, and print both."""
    directory = Path(config.run_dir) if config.run_dir else None
    if directory is None or not (directory / "reward_model").is_dir():
        raise ConfigurationError("run_dir", config.run_dir, "must be the directory of a finished run")
    stored = read_json(directory / "metrics.json")
    trained = OmegaConf.load(directory / ".hydra" / "config.yaml")
    if stored is None or not isinstance(trained, DictConfig):
        raise ConfigurationError("run_dir", directory, "has no metrics.json; the run is not finished")
    metrics = {**stored, **evaluate_run(trained, directory, stored.get("failed_replicates", []))}
    same = metrics == stored
    print_metrics(metrics, directory, "as stored" if same else "differs from what is stored")
    return metrics["objective"]


def evaluate_run(config: DictConfig, directory: Path, failed: list[int]) -> dict[str, Any]:
    """The result part of metrics.json, computed from the saved reward model.

    Args:
        failed: replicates whose training failed; they are left out of means.
    """
    import torch

    from mavrl.evaluation.calibration import interval_coverage
    from mavrl.evaluation.distance import epic_distance, spearman
    from mavrl.evaluation.returns import return_metrics
    from mavrl.evaluation.summary import mean_and_stderr, to_numbers
    from mavrl.model.reward_model import load_reward_model
    from mavrl.tasks.building import build_problem

    with one_thread():
        problem, model = build_problem(config), load_reward_model(directory)
        mean, std = model.mean_table().double(), model.std_table().double()
        values = {
            **return_metrics(problem, mean),
            "epic_distance": epic_distance(mean, problem.reward),
            "spearman": spearman(mean, problem.reward),
            "posterior_std": std.mean(-1),
            "coverage_50": interval_coverage(mean, std, problem.reward, 0.5),
            "coverage_90": interval_coverage(mean, std, problem.reward, 0.9),
        }
        if model.description["members"] > 1:
            values["member_spread"] = model.member_spread().mean(-1)
    keep = torch.ones(len(mean), dtype=torch.bool)
    keep[failed] = False
    summary = {name: mean_and_stderr(value, keep) for name, value in values.items()}
    return {
        "final": {name: to_numbers(value) for name, value in values.items()},
        "mean": {name: mean for name, (mean, _) in summary.items()},
        "stderr": {name: error for name, (_, error) in summary.items() if error is not None},
        "objective": summary["normalized_return"][0],
    }


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
