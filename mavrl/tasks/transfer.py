"""The task that takes a learned reward to other dynamics."""

from typing import Any

from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.progress import stage
from mavrl.storage.contents import read_config, read_metrics
from mavrl.storage.files import write_json
from mavrl.tasks.trained import given, run_directory, trained_settings


def transfer(config: DictConfig) -> float | None:
    """Act on the reward model of `run_dir` under the dynamics of `env`, and compare with the true reward there.

    Grids are planned again; control policies are trained again, on the learned and on the true reward, with the same
    settings and seeds. Writes transfer/<dynamics>.json into the run.

    Returns:
        The mean normalized return; None where nothing can be normalized.
    """
    directory, trained = run_directory(config), trained_settings(config)
    if trained.env["name"] != config.env.name:
        option = read_config(directory).get("choices", {}).get("env", trained.env["name"])
        name = "" if option == trained.env["name"] else f" ++env.name={trained.env['name']}"
        allowed = f"{directory} is a run of {trained.env['name']}; add env={option}{name}"
        raise ConfigurationError("env", config.env.name, allowed)

    with stage(config.progress, "importing torch"):
        from mavrl.evaluation.summary import summarize
        from mavrl.families.base import family_class, family_of
        from mavrl.reports.other_tasks import print_transfer
        from mavrl.training.evaluation import one_thread
        from mavrl.training.loggers.destinations import log_other_result
        from mavrl.workers import workers

    changed = family_class(trained).changed_dynamics(trained, RunSettings.from_config(config))
    given(config, [f"env.{key}" for key in changed])
    name = "_".join(f"{key}={value}" for key, value in _values(changed).items())
    settings = trained_settings(config, {f"env.{key}": value for key, value in changed.items()})
    with workers(config.processes) as pool, one_thread():
        family = family_of(settings, pool)
        values, more = family.transfer(directory, directory / "transfer" / name)
    result = {"env": config.env.name, "run": str(directory), "dynamics": changed, **summarize(values), **more}
    write_json(directory / "transfer" / f"{name}.json", result)
    log_other_result(settings, directory, directory / "transfer" / name, read_metrics(directory), result)
    print_transfer(result, directory / "transfer" / f"{name}.json")
    return result["mean"].get("normalized_return")


def _values(changed: dict[str, Any]) -> dict[str, Any]:
    """The changed values by their names, without those that are null."""
    inner = changed.get("perturbation", changed)
    return {key: value for key, value in inner.items() if value is not None} or {"dynamics": "nominal"}
