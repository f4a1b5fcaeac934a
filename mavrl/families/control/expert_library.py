"""Experts on disk: those that ship with the package, and those trained here when one is missing."""

import logging
import os
import sys
import time
from dataclasses import replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from mavrl import __version__
from mavrl.agents.expert_training import Algorithm, train_expert, true_returns
from mavrl.agents.progress import wants_bar
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.policies.network import NetworkPolicy
from mavrl.workers import Workers

log = logging.getLogger(__name__)

_SECONDS_PER_STEP, _SECONDS_PER_UPDATE = 2.5e-4, 2.5e-3  # one core, for the estimate that is printed
_JUDGED_EPISODES = 100
_TRAINERS = ("stable-baselines3", "gymnasium", "torch")


def find_expert(config: DictConfig, environment: ControlEnvironment, algorithm: Algorithm) -> NetworkPolicy:
    """The expert of this environment: from paths.experts, or shipped with the package, or trained now.

    An expert of the unperturbed environment acts in a perturbed one too.

    Raises:
        ConfigurationError: there is none, and nothing says how to train one; or it does not fit the environment.
    """
    name = config.env.name
    own = Path(config.paths.experts) / name / algorithm
    shipped = Path(str(resources.files("mavrl.policies"))) / "experts" / name / algorithm
    for place in (own, shipped):
        if (place / "card.json").exists():
            return _checked(NetworkPolicy.load(place), environment, place)
    if algorithm not in config.env.experts:
        allowed = (
            f"{name} has no {algorithm} expert. Put one into {own} (task=expert writes it there), "
            f"or say how to train it in env.experts.{algorithm}; docs/extending.md shows both"
        )
        raise ConfigurationError("env.experts", "{}" if not config.env.experts else list(config.env.experts), allowed)
    settings = expert_settings(config, algorithm)
    print(
        f"{name} has no {algorithm} expert yet; training one for {settings['total_steps']} steps, which takes about "
        f"{_expected_minutes(algorithm, settings):.0f} minutes and happens once: {own}",
        file=sys.stderr,
    )
    os.makedirs(own, exist_ok=True)
    with FileLock(own / ".lock"):
        if (own / "card.json").exists():  # another process was faster
            return _checked(NetworkPolicy.load(own), environment, own)
        return make_expert(config, nominal(environment), algorithm, own)


def nominal(environment: ControlEnvironment) -> ControlEnvironment:
    """The environment that experts are trained in: unperturbed, and with episodes that end."""
    return replace(environment, perturbation={}, fixed_horizon=False)


def make_expert(
    config: DictConfig, environment: ControlEnvironment, algorithm: Algorithm, directory: Path
) -> NetworkPolicy:
    """Train an expert, judge it on 100 fresh episodes, and write it with its card."""
    settings = expert_settings(config, algorithm)
    versions = {"mavrl": __version__, **{name: metadata.version(name) for name in _TRAINERS}}
    begun = time.monotonic()
    with tqdm(
        total=settings["total_steps"],
        desc=f"{algorithm} expert",
        unit="step",
        disable=not wants_bar(config.progress),
        dynamic_ncols=True,
    ) as bar:

        def progress(steps: int, mean_return: float) -> None:
            bar.set_postfix(true_return=f"{mean_return:.4g}", refresh=False)
            bar.update(steps - bar.n)

        policy = train_expert(environment, algorithm, settings, config.seed, progress)
    returns = true_returns(environment, policy, (config.seed, "expert", "card"), _JUDGED_EPISODES, Workers(1))
    card: dict[str, Any] = {
        "env": config.env.name,
        "id": environment.id,
        "perturbation": environment.perturbation,
        "algorithm": algorithm,
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std(ddof=1)),
        "episodes": _JUDGED_EPISODES,
        "steps": settings["total_steps"],
        "seed": config.seed,
        "settings": settings,
        "seconds": time.monotonic() - begun,
        "versions": versions,
        "command": " ".join(["python", Path(sys.argv[0]).name, *sys.argv[1:]]),
    }
    NetworkPolicy(policy.network, policy.scores, policy.activation, card).save(directory)
    return NetworkPolicy.load(directory)


def expert_settings(config: DictConfig, algorithm: Algorithm) -> dict[str, Any]:
    """Hyperparameters of an algorithm, from env.experts."""
    settings = OmegaConf.to_container(config.env.experts[algorithm], resolve=True)
    assert isinstance(settings, dict)
    return {str(name): value for name, value in settings.items()}


def _checked(policy: NetworkPolicy, environment: ControlEnvironment, place: Path) -> NetworkPolicy:
    sizes = {environment.observation_size, environment.observation_size - environment.fixed_horizon}
    if policy.n_inputs not in sizes or policy.n_actions != environment.n_actions:
        allowed = (
            f"the expert in {place} has {policy.n_inputs} observation features and {policy.n_actions} actions, "
            f"the environment {environment.observation_size} and {environment.n_actions}"
        )
        raise ConfigurationError("env.id", environment.id, allowed)
    return policy


def _expected_minutes(algorithm: Algorithm, settings: dict[str, Any]) -> float:
    steps = settings["total_steps"]
    if algorithm == "dqn":
        per_call = settings.get("gradient_steps", 1)
        share = 1.0 if per_call < 0 else per_call / settings.get("train_freq", 4)
        return max(1.0, steps * (share * _SECONDS_PER_UPDATE + 4 * _SECONDS_PER_STEP) / 60)
    updates = steps * settings["n_epochs"] / settings["batch_size"]
    return max(1.0, (steps * _SECONDS_PER_STEP + updates * _SECONDS_PER_UPDATE) / 60)
