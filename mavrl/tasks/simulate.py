"""The task that writes simulated feedback into a feedback folder."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.folder.creation import check_new, creating
from mavrl.waiting import waiting


def simulate(config: DictConfig) -> None:
    """Ask the simulated teacher what a run would ask, and write episodes and labels into a new folder."""
    if config.data.folder is None:
        raise ConfigurationError("data", None, "must be the folder to write, such as data=labels")
    if config.replicates != 1:
        allowed = "must be 1: a folder holds the feedback of one replicate, that of the seed"
        raise ConfigurationError("replicates", config.replicates, allowed)
    place = Path(config.data.folder)
    check_new(place)
    with waiting(config.progress, "importing torch"):
        from mavrl.families.base import family_of
        from mavrl.feedback.recording import record
        from mavrl.folder.folder import FeedbackFolder
        from mavrl.training.building import build_data
        from mavrl.workers import workers

    settings = replace(RunSettings.from_config(config), data=None)
    with waiting(config.progress, "simulating feedback"), workers(config.processes) as pool:
        family = family_of(settings, pool)
        environment, source = _environment(config), f"simulated by MAVRL, seed {config.seed}"

        with creating(place) as new:

            def create(told: dict[str, Any]) -> FeedbackFolder:
                return FeedbackFolder.create(new, *family.spaces, environment, config.env.max_steps, source, told)

            summary = record(build_data(settings, family).modules, create).validate()
    counts = ", ".join(f"{count} {kind}" for kind, count in summary.labels.items())
    print(f"{summary.episodes} episodes of {summary.steps} steps; {counts}")
    print(place)


def _environment(config: DictConfig) -> dict[str, Any]:
    """The environment as dataset.json describes it: its option, and what the command has changed."""
    hydra = HydraConfig.get()
    keys = [word.partition("=")[0].lstrip("+~") for word in hydra.overrides.task]
    changed = {key.removeprefix("env."): OmegaConf.select(config, key) for key in keys if key.startswith("env.")}
    settings = {key: OmegaConf.to_container(x) if OmegaConf.is_config(x) else x for key, x in changed.items()}
    return {"option": str(hydra.runtime.choices["env"]), **({"settings": settings} if settings else {})}
