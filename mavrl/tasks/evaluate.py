"""The task that evaluates the reward model of a run again."""

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import CODE, scientific
from mavrl.configuration.registry import FAMILIES
from mavrl.configuration.sources import changed_code
from mavrl.errors import ConfigurationError
from mavrl.progress import stage, ticking
from mavrl.reports.run_report import print_metrics
from mavrl.storage.contents import read_config, read_metrics
from mavrl.tasks.trained import given, run_directory, trained_config, trained_settings

_EPISODES = "evaluation.episodes"
_FOLDER = "data.folder"
_RESULTS = ("final", "mean", "stderr", "comparison", "objective")  # of metrics.json, which are evaluated


def evaluate(config: DictConfig) -> float | None:
    """Evaluate the reward model in `run_dir`, compare with what is stored, and print the result.

    Where policies are judged by episodes, `evaluation.episodes` may be another number than the run's; all other
    settings are the run's own. A feedback folder that has moved is where `data.folder` says.

    Returns:
        The objective; None where there is no normalized return.
    """
    directory, trained = run_directory(config), trained_config(config)
    judges_episodes = "evaluation" in FAMILIES[trained.env.family].result_keys
    recorded = OmegaConf.select(trained, "data.digest") is not None
    keys = given(config, [key for key, used in ((_EPISODES, judges_episodes), (_FOLDER, recorded)) if used])
    stored = read_metrics(directory)
    if not stored:
        raise ConfigurationError("run_dir", directory, "has no whole metrics.json; the run is not finished")
    with stage(config.progress, "importing torch"):
        from mavrl.families.base import family_of
        from mavrl.training.evaluation import evaluate as evaluated
        from mavrl.training.loggers.destinations import log_other_result
        from mavrl.workers import workers

    with workers(config.processes) as pool:
        changed = {key: OmegaConf.select(config, key) for key in keys}
        settings = trained_settings(config, changed)
        family = family_of(settings, pool)
        with ticking(config.progress, "evaluating", "episode"):
            found = evaluated(family, directory, stored.get("failed_replicates", []))
    metrics = {**{key: value for key, value in stored.items() if key not in _RESULTS}, **found}
    log_other_result(settings, directory, directory / config.task.name, stored, found)
    remarks = ["as stored" if metrics == stored else "differs from what is stored"]
    recorded = read_config(directory).get(CODE)
    if changed := changed_code(recorded, scientific(trained).get(CODE, {})):
        remarks.append(f"since the run the code of {', '.join(changed)} has changed")
    if config.evaluation.episodes != trained.evaluation.episodes and _EPISODES in keys:
        remarks.append(f"which is of evaluation.episodes={trained.evaluation.episodes}")
    print_metrics(metrics, directory, "; ".join(remarks))
    return metrics.get("objective")
