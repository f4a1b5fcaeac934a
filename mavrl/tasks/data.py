"""Filling the data-set cache ahead of time."""

from omegaconf import DictConfig

from mavrl.errors import ConfigurationError


def data(config: DictConfig) -> None:
    """The task: simulate max(n_samples, gen_samples) of every active kind of feedback, for every replicate."""
    if config.paths.cache is None:
        raise ConfigurationError("paths.cache", "null", "must be a directory; there is no cache to fill")
    from mavrl.training.building import build_feedback, build_setting
    from mavrl.workers import workers

    with workers(config.processes) as pool:
        feedback = build_feedback(config, build_setting(config, pool))
        for source in feedback.sources.values():
            source.n_samples = source.gen_samples
        feedback.prepare()
    for split, sets in feedback.sets.items():
        for kind in sets:
            print(f"{split} {kind}: {feedback.sources[kind].gen_samples} samples for each of {config.replicates} seeds")
    print(config.paths.cache)
