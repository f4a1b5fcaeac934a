"""The task that fills the store of answered questions ahead of time."""

from dataclasses import replace

from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.progress import stage, ticking


def data(config: DictConfig) -> None:
    """Ask max(n_samples, gen_samples) questions of every active kind, for every replicate, and keep the answers."""
    if config.paths.cache is None:
        raise ConfigurationError("paths.cache", "null", "must be a directory; there is no cache to fill")
    with stage(config.progress, "importing torch"):
        from mavrl.families.base import family_of
        from mavrl.training.building import build_data
        from mavrl.workers import workers

    settings = RunSettings.from_config(config)
    counts = {kind: max(one["n_samples"], one["gen_samples"]) for kind, one in settings.feedback.items()}
    asked = {kind: {**one, "n_samples": counts[kind]} for kind, one in settings.feedback.items()}
    with ticking(config.progress, "simulating feedback", "episode"), workers(config.processes) as pool:
        modules = build_data(replace(settings, feedback=asked), family_of(settings, pool))
        modules.prepare_data()
    for split in ("train", "validation") if settings.trainer.validation else ("train",):
        for kind, count in counts.items():
            print(f"{split} {kind}: {count} samples for each of {settings.replicates} seeds")
    print(config.paths.cache)
