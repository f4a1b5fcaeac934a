"""The task that trains an expert."""

from pathlib import Path

from omegaconf import DictConfig

from mavrl.errors import ConfigurationError


def expert(config: DictConfig) -> float:
    """Train an expert with the algorithm of `policy`, and write it to paths.experts. Returns its mean return."""
    if config.env.family != "control":
        raise ConfigurationError("env", config.env.name, "has known dynamics: its optimal policy is planned")
    if config.policy.name not in ("dqn", "ppo"):
        raise ConfigurationError("policy", config.policy.name, "experts are trained with policy=dqn or policy=ppo")
    if config.policy.name not in config.env.experts:
        allowed = f"env.experts.{config.policy.name} says how to train it, and {config.env.name} has none"
        raise ConfigurationError("env.experts", list(config.env.experts), allowed)
    directory = Path(config.paths.experts) / config.env.name / config.policy.name
    if (directory / "card.json").exists() and not config.rerun:
        raise ConfigurationError("paths.experts", directory, "holds an expert already; rerun=true replaces it")

    import torch

    from mavrl.families.control.expert_library import make_expert, nominal
    from mavrl.families.control.family import build_environment

    torch.set_num_threads(1)  # its tensors are small
    environment = build_environment(config)
    environment.check()
    if environment != nominal(environment):
        key = "env.perturbation" if environment.perturbation else "env.fixed_horizon"
        value = environment.perturbation or environment.fixed_horizon
        allowed = "experts are those of the environment as it is, which act in the changed one too; leave it out"
        raise ConfigurationError(key, value, allowed)
    policy = make_expert(config, environment, config.policy.name, directory)
    card = policy.card
    print(
        f"{card['algorithm']} expert of {card['env']}: return {card['return_mean']:.1f} +- {card['return_std']:.1f} "
        f"over {card['episodes']} episodes, after {card['steps']} steps in {card['seconds']:.0f} s"
    )
    print(directory)
    return card["return_mean"]
