"""The task that evaluates the reward model of a run again."""

from omegaconf import DictConfig

from mavrl.errors import ConfigurationError
from mavrl.reports.run_report import print_metrics
from mavrl.storage.contents import read_metrics
from mavrl.tasks.trained import run_directory, trained_settings


def evaluate(config: DictConfig) -> float:
    """Evaluate the reward model in `run_dir`, compare with what is stored, and print both. Returns the objective."""
    directory = run_directory(config)
    stored = read_metrics(directory)
    if not stored:
        raise ConfigurationError("run_dir", directory, "has no whole metrics.json; the run is not finished")
    from mavrl.families.base import family_of
    from mavrl.training.evaluation import evaluate as evaluated
    from mavrl.workers import workers

    with workers(config.processes) as pool:
        family = family_of(trained_settings(config), pool)
        metrics = {**stored, **evaluated(family, directory, stored.get("failed_replicates", []))}
    same = metrics == stored
    print_metrics(metrics, directory, "as stored" if same else "differs from what is stored")
    return metrics["objective"]
