"""Experts on disk: those that ship with the package, and those trained here when one is missing."""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from tqdm import tqdm

from mavrl import __version__
from mavrl.agents.expert_training import Algorithm, train_expert, true_returns
from mavrl.configuration.plain import typed_command
from mavrl.configuration.settings import RunSettings
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.policies.network import NetworkPolicy
from mavrl.waiting import is_watched
from mavrl.workers import Workers

_SECONDS_PER_STEP, _SECONDS_PER_UPDATE = 2.5e-4, 2.5e-3  # one core, for the estimate that is printed
_JUDGED_EPISODES = 100
_TRAINERS = ("stable-baselines3", "gymnasium", "torch")


@dataclass(frozen=True)
class ExpertLibrary:
    """The experts of one environment: own ones, those that ship with the package, and how a missing one is trained.

    Args:
        env: name of the environment.
        own: folder of its own experts.
        trainings: hyperparameters of each algorithm that experts can be trained with.
        seed: of such a training.
        progress: whether to show a bar; "auto" where the error stream is a terminal.
    """

    env: str
    own: Path
    trainings: Mapping[str, Mapping[str, Any]]
    seed: int = 0
    progress: bool | Literal["auto"] = False

    @classmethod
    def from_settings(cls, settings: RunSettings) -> "ExpertLibrary":
        """The library that a run looks into."""
        name, execution = settings.env["name"], settings.execution
        return cls(name, Path(execution.experts) / name, settings.experts, settings.seed, execution.progress)

    def find(self, environment: ControlEnvironment, algorithm: Algorithm) -> NetworkPolicy:
        """The expert of this algorithm: an own one, or one shipped with the package, or one trained now.

        An expert of the unperturbed environment acts in a perturbed one too.

        Raises:
            ConfigurationError: there is none, and nothing says how to train one; or it does not fit the environment.
        """
        own = self.own / algorithm
        shipped = Path(str(resources.files("mavrl.policies"))) / "experts" / self.env / algorithm
        for place in (own, shipped):
            if (place / "card.json").exists():
                return _checked(NetworkPolicy.load(place), environment, place)
        if algorithm not in self.trainings:
            allowed = (
                f"{self.env} has no {algorithm} expert. Put one into {own} (task=expert writes it there), "
                f"or say how to train it in env.experts.{algorithm}; docs/extending.md shows both"
            )
            raise ConfigurationError("env.experts", "{}" if not self.trainings else list(self.trainings), allowed)
        settings = self.trainings[algorithm]
        tqdm.write(
            f"{self.env} has no {algorithm} expert yet; training one for {settings['total_steps']} steps, which takes "
            f"about {_expected_minutes(algorithm, settings):.0f} minutes and happens once: {own}",
            file=sys.stderr,
        )
        os.makedirs(own, exist_ok=True)
        with FileLock(own / ".lock"):
            if (own / "card.json").exists():  # another process was faster
                return _checked(NetworkPolicy.load(own), environment, own)
            return self.make(nominal(environment), algorithm, own)

    def make(self, environment: ControlEnvironment, algorithm: Algorithm, directory: Path) -> NetworkPolicy:
        """Train an expert, judge it on 100 fresh episodes, and write it with its card."""
        settings = dict(self.trainings[algorithm])
        versions = {"mavrl": __version__, **{name: metadata.version(name) for name in _TRAINERS}}
        begun = time.monotonic()
        with tqdm(
            total=settings["total_steps"],
            desc=f"{algorithm} expert",
            unit="step",
            disable=not is_watched(self.progress),
            dynamic_ncols=True,
        ) as bar:

            def progress(steps: int, mean_return: float) -> None:
                bar.set_postfix(true_return=f"{mean_return:.4g}", refresh=False)
                bar.update(steps - bar.n)

            policy = train_expert(environment, algorithm, settings, self.seed, progress)
        returns = true_returns(environment, policy, (self.seed, "expert", "card"), _JUDGED_EPISODES, Workers(1))
        card: dict[str, Any] = {
            "env": self.env,
            "id": environment.id,
            "perturbation": environment.perturbation,
            "algorithm": algorithm,
            "return_mean": float(returns.mean()),
            "return_std": float(returns.std(ddof=1)),
            "episodes": _JUDGED_EPISODES,
            "steps": settings["total_steps"],
            "seed": self.seed,
            "settings": settings,
            "seconds": time.monotonic() - begun,
            "versions": versions,
            "command": typed_command(),
        }
        NetworkPolicy(policy.network, policy.scores, policy.activation, card).save(directory)
        return NetworkPolicy.load(directory)


def nominal(environment: ControlEnvironment) -> ControlEnvironment:
    """The environment that experts are trained in: unperturbed, and with episodes that end."""
    return replace(environment, perturbation={}, fixed_horizon=False)


def _checked(policy: NetworkPolicy, environment: ControlEnvironment, place: Path) -> NetworkPolicy:
    sizes = {environment.observation_size, environment.observation_size - environment.fixed_horizon}
    if policy.n_inputs not in sizes or policy.n_actions != environment.n_actions:
        allowed = (
            f"the expert in {place} has {policy.n_inputs} observation features and {policy.n_actions} actions, "
            f"the environment {environment.observation_size} and {environment.n_actions}"
        )
        raise ConfigurationError("env.id", environment.id, allowed)
    return policy


def _expected_minutes(algorithm: Algorithm, settings: Mapping[str, Any]) -> float:
    steps = settings["total_steps"]
    if algorithm == "dqn":
        per_call = settings.get("gradient_steps", 1)
        share = 1.0 if per_call < 0 else per_call / settings.get("train_freq", 4)
        return max(1.0, steps * (share * _SECONDS_PER_UPDATE + 4 * _SECONDS_PER_STEP) / 60)
    updates = steps * settings["n_epochs"] / settings["batch_size"]
    return max(1.0, (steps * _SECONDS_PER_STEP + updates * _SECONDS_PER_UPDATE) / 60)
