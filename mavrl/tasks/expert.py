"""The task that trains an expert."""

from pathlib import Path

from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.progress import stage


def expert(config: DictConfig) -> float:
    """Train an expert with the algorithm of `policy`, and write it to paths.experts. Returns its mean return."""
    directory = Path(config.paths.experts) / config.env.name / config.policy.name
    if (directory / "card.json").exists() and not config.rerun:
        raise ConfigurationError("paths.experts", directory, "holds an expert already; rerun=true replaces it")

    with stage(config.progress, "importing torch"):
        import torch

        from mavrl.families.base import family_of
        from mavrl.workers import Workers

    torch.set_num_threads(1)  # its tensors are small
    card = family_of(RunSettings.from_config(config), Workers(1)).train_expert(directory)
    print(
        f"{card['algorithm']} expert of {card['env']}: return {card['return_mean']:.1f} +- {card['return_std']:.1f} "
        f"over {card['episodes']} episodes, after {card['steps']} steps in {card['seconds']:.0f} s"
    )
    print(directory)
    return card["return_mean"]
