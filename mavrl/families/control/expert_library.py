"""Experts on disk: those that ship with the package, and those trained here when one is missing."""

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from mavrl import __version__
from mavrl.agents.expert_training import REQUIRED, Algorithm, train_expert, true_returns
from mavrl.configuration.identity import environment_code
from mavrl.configuration.plain import typed_command, written
from mavrl.configuration.settings import RunSettings
from mavrl.configuration.sources import changed_code
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.families.control.settings import described
from mavrl.policies.loading import StoredPolicy, load_policy
from mavrl.progress import say, stage
from mavrl.workers import Workers

log = logging.getLogger(__name__)

_ACTS_THERE_TOO = {"perturbation", "fixed_horizon"}  # what may be changed about an expert's environment
_SECONDS_PER_STEP = 2.5e-4  # one core, for the estimate that is printed
_SECONDS_PER_UPDATE: dict[Algorithm, float] = {"dqn": 2.5e-3, "ppo": 2.5e-3, "sac": 1.2e-2}  # likewise
_FREQUENCY: dict[Algorithm, int] = {"dqn": 4, "sac": 1}  # of updates, in steps, as Stable-Baselines3 has it
_STEPS_PER_EPISODE = 100  # likewise
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
        progress: how progress is shown, as `mavrl.progress` has it.
        code: of the environment; an expert that was trained on other code is another environment's.
    """

    env: str
    own: Path
    trainings: Mapping[str, Mapping[str, Any]]
    seed: int = 0
    progress: bool | Literal["auto"] = False
    code: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: RunSettings) -> "ExpertLibrary":
        """The library that a run looks into."""
        name, execution = settings.env["name"], settings.execution
        own, code = Path(execution.experts) / name, environment_code(settings.env)
        return cls(name, own, settings.experts, settings.seed, execution.progress, code)

    def find(self, environment: ControlEnvironment, algorithm: Algorithm) -> StoredPolicy:
        """The expert of this algorithm: an own one, or one shipped with the package, or one trained now.

        An expert of the unperturbed environment acts in a perturbed one too, and with a shorter time limit.

        Raises:
            ConfigurationError: there is none, and nothing says how to train one; or those that there are do not fit the
                environment, or were trained in another one.
        """
        own = self.own / algorithm
        shipped = Path(str(resources.files("mavrl.policies"))) / "experts" / self.env / algorithm
        others = []
        for place in (own, shipped):
            if (place / "card.json").exists():
                policy = load_policy(place)
                if (error := self._of_another(policy.card, environment, place)) is None:
                    return _checked(policy, environment, place)
                others.append(error)
        if others:
            raise others[0]
        if algorithm not in self.trainings:
            allowed = (
                f"{self.env} has no {algorithm} expert. Put one into {own} (task=expert writes it there), "
                f"or say how to train it in env.experts.{algorithm}; docs/extending.md shows both"
            )
            raise ConfigurationError("env.experts", "{}" if not self.trainings else list(self.trainings), allowed)
        settings = self._training(algorithm)
        say(
            f"{self.env} has no {algorithm} expert yet; training one for {settings['total_steps']} steps, which takes "
            f"about {_expected_minutes(algorithm, settings):.0f} minutes and happens once: {own}",
            error=True,
        )
        os.makedirs(own, exist_ok=True)
        with FileLock(own / ".lock"):
            if (own / "card.json").exists():  # another process was faster
                return _checked(load_policy(own), environment, own)
            return self.make(nominal(environment), algorithm, own)

    def _of_another(
        self, card: Mapping[str, Any], environment: ControlEnvironment, place: Path
    ) -> ConfigurationError | None:
        """Why an expert is that of another environment, where its card says so."""
        cure = "task=expert trains one for this environment; another env.name or paths.experts keeps them apart"
        card = {"teacher_reward": [], **card}
        for key, value in {"teacher_reward": [], **described(environment)}.items():
            if key in card and not _acts_there(key, card[key], json.loads(json.dumps(value))):
                allowed = f"the expert in {place} was trained with env.{key}={written(card[key])}; {cure}"
                return ConfigurationError(f"env.{key}", written(value), allowed)
        changed = changed_code(card.get("code"), self.code)
        if set(changed) <= {"gymnasium"}:
            if changed:
                log.warning("the expert in %s was trained with another version of Gymnasium", place)
            return None
        names = " and ".join(name for name in changed if name != "gymnasium")
        allowed = f"{names} changed since the expert in {place} was trained; task=expert rerun=true trains it again"
        return ConfigurationError("env.id", environment.id, allowed)

    def make(self, environment: ControlEnvironment, algorithm: Algorithm, directory: Path) -> StoredPolicy:
        """Train an expert, judge it on 100 fresh episodes, and write it with its card."""
        settings = self._training(algorithm)
        versions = {"mavrl": __version__, **{name: metadata.version(name) for name in _TRAINERS}}
        begun = time.monotonic()
        with stage(self.progress, f"{algorithm} expert", "step", settings["total_steps"]) as count:

            def progress(steps: int, mean_return: float) -> None:
                count.done, count.facts["true_return"] = steps, mean_return

            policy = train_expert(environment, algorithm, settings, self.seed, progress)
        returns = true_returns(environment, policy, (self.seed, "expert", "card"), _JUDGED_EPISODES, Workers(1))
        card: dict[str, Any] = {
            "env": self.env,
            **described(environment),
            "code": dict(self.code),
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
        replace(policy, card=card).save(directory)
        return load_policy(directory)

    def _training(self, algorithm: Algorithm) -> dict[str, Any]:
        """Hyperparameters that are whole.

        Raises:
            ConfigurationError: one is missing that has no default.
        """
        settings = dict(self.trainings[algorithm])
        missing = [name for name in REQUIRED[algorithm] if name not in settings]
        if missing:
            raise ConfigurationError(f"env.experts.{algorithm}", settings, f"lacks {', '.join(missing)}")
        return settings


def _acts_there(key: str, trained: Any, value: Any) -> bool:
    """Whether an expert acts where a field of its environment has another value than that which it was trained with."""
    if key == "max_steps":  # what comes later than that it has never seen
        return trained is None or (value is not None and value <= trained)
    return key in _ACTS_THERE_TOO or trained == value


def nominal(environment: ControlEnvironment) -> ControlEnvironment:
    """The environment that experts are trained in: unperturbed, and with episodes that end."""
    return replace(environment, perturbation={}, fixed_horizon=False)


def _checked(policy: StoredPolicy, environment: ControlEnvironment, place: Path) -> StoredPolicy:
    sizes = {environment.observation_size, environment.observation_size - environment.fixed_horizon}
    if policy.n_inputs not in sizes or policy.actions != environment.actions:
        allowed = (
            f"the expert in {place} has {policy.n_inputs} observation features and {policy.actions.in_words}, "
            f"the environment {environment.observation_size} and {environment.actions.in_words}"
        )
        raise ConfigurationError("env.id", environment.id, allowed)
    return policy


def _expected_minutes(algorithm: Algorithm, settings: Mapping[str, Any]) -> float:
    steps = settings["total_steps"]
    if algorithm != "ppo":
        per_call, frequency = settings.get("gradient_steps", 1), settings.get("train_freq", _FREQUENCY[algorithm])
        every, unit = frequency if isinstance(frequency, (list, tuple)) else (frequency, "step")
        between = every * (_STEPS_PER_EPISODE if unit == "episode" else 1)
        share = 1.0 if per_call < 0 else per_call / between
        return max(1.0, steps * (share * _SECONDS_PER_UPDATE[algorithm] + 4 * _SECONDS_PER_STEP) / 60)
    updates = steps * settings["n_epochs"] / settings["batch_size"]
    return max(1.0, (steps * _SECONDS_PER_STEP + updates * _SECONDS_PER_UPDATE[algorithm]) / 60)
