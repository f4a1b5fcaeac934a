"""The configuration of a run: what is allowed in it, and which part of it makes the result.

Nothing here imports torch: a wrong key or a finished run must not wait for it.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.errors import ConfigurationError
from mavrl.tasks.rules import RESULTS_RULES, rules_of

RESULTS_VERSION = 2  # part of every run's hash; raised when the same configuration gives another result
PRIOR_MEAN_AT_TERMINATION = {"success": 1.0, "neutral": 0.0, "failure": -1.0}
_SEARCH = "mavrl.sweep.search.SearchSweeper"
_SIMULATES = ("train", "data")  # tasks that collect feedback
_DEFAULTS = ("feedback", "members", "replicates", "threads", "policy_steps", "reference_epochs")  # of other keys
_BESIDE = (*_DEFAULTS, "samples", "experts", "baselines", "demonstration_cap")


def check(config: DictConfig) -> None:
    """Refuse a configuration that cannot work.

    Raises:
        ConfigurationError: for the first key with a value that is not allowed, or that does not fit another one.
    """
    for key, rule in rules_of(config).items():
        value = OmegaConf.select(config, key)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        if not rule.holds(value):
            raise ConfigurationError(key, _shown(value), rule.allowed)
    if config.task.name in RESULTS_RULES:
        return
    if not active_kinds(config):
        counts = " ".join(
            f"feedback.{kind}.n_samples={config.feedback[kind].n_samples}" for kind in config.modality.active
        )
        raise ConfigurationError(
            "modality", config.modality.name, f"no feedback is active with {counts}; one needs more than 0"
        )
    if config.task.name in _SIMULATES:
        _check_segments(config)
    _check_policy(config)
    for key, wanted in (("selection", config.selection == "best"), ("trainer.patience", config.trainer.patience)):
        if wanted and not config.trainer.validation:
            value = OmegaConf.select(config, key)
            raise ConfigurationError(key, value, "needs a validation set; add trainer.validation=true")


def _check_segments(config: DictConfig) -> None:
    limit = config.env.max_steps
    for kind in active_kinds(config):
        settings = config.feedback[kind]
        if limit is None or "segment_len" not in settings:
            continue
        if settings.segment_len > limit:
            allowed = f"must be at most {limit}: env.max_steps={limit} lets no episode be longer"
            raise ConfigurationError(f"feedback.{kind}.segment_len", settings.segment_len, allowed)
        wanted = max(settings.n_samples, settings.gen_samples) * (2 if kind == "preference" else 1)
        if wanted > settings.n_episodes * limit:
            allowed = (
                f"needs {wanted} segments; {settings.n_episodes} episodes of at most env.max_steps={limit} steps "
                f"have {settings.n_episodes * limit}"
            )
            raise ConfigurationError(f"feedback.{kind}.n_samples", settings.n_samples, allowed)


def _check_policy(config: DictConfig) -> None:
    policy = config.policy
    if policy.name == "dqn" and config.task.name != "expert":
        raise ConfigurationError("policy", "dqn", "trains experts (task=expert); a run needs ppo or imitation")
    if policy.name == "imitation" and "demonstration" not in active_kinds(config):
        raise ConfigurationError("policy", "imitation", "needs demonstrations; choose a modality with d, or policy=ppo")
    if policy.name == "ppo" and policy.batch_size > policy.n_envs * policy.n_steps:
        allowed = f"must be at most policy.n_envs * policy.n_steps = {policy.n_envs * policy.n_steps}"
        raise ConfigurationError("policy.batch_size", policy.batch_size, allowed)


def active_kinds(config: DictConfig) -> list[str]:
    """The kinds of feedback that are on: chosen by `modality`, with a count above 0."""
    return [kind for kind in config.modality.active if config.feedback[kind].n_samples > 0]


def scientific(config: DictConfig) -> dict[str, Any]:
    """The part of the configuration that makes the result; where it is stored and how it is watched are left out."""
    groups = {key: plain(config[key]) for key in ("model", "optim", "trainer")}
    values = {key: config[key] for key in ("selection", "seed", "replicates", "members")}
    feedback: Any = {kind: plain(config.feedback[kind]) for kind in active_kinds(config)}
    for settings in feedback.values():
        del settings["gen_samples"]
    if config.env.family == "control":
        groups["policy"] = {k: v for k, v in plain(config.policy).items() if k != "minibatches"}  # batch_size says it
        values["evaluation_episodes"] = config.evaluation.episodes
    return {**groups, **values, "env": environment(config), "feedback": feedback}


def environment(config: DictConfig) -> dict[str, Any]:
    """The environment's settings, without the defaults of other groups and the reports that are kept beside them."""
    return {key: value for key, value in plain(config.env).items() if key not in _BESIDE}


def plain(node: DictConfig) -> dict[str, Any]:
    """A part of the configuration as a dict, with everything resolved."""
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def seeds(config: DictConfig) -> list[int]:
    """The seed of each replicate."""
    return [config.seed + k for k in range(config.replicates)]


def config_hash(config: DictConfig) -> str:
    """Short hash of the scientific configuration: the name of its run directory."""
    content = {"version": RESULTS_VERSION, **scientific(config)}
    text = json.dumps(_canonical(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_directory(config: DictConfig) -> str:
    """Where a single run works: its own directory for training, the current one for tasks that keep nothing."""
    if config.task.name != "train":
        return "."
    if OmegaConf.select(config, "hydra.sweeper._target_") == _SEARCH and str(config.hydra.mode) != "RunMode.MULTIRUN":
        raise ConfigurationError("hydra/sweeper", "optuna", "searches with -m only: python run.py -m ...")
    return f"{config.paths.runs}/{config.env.name}/{config.modality.name}/{config_hash(config)}"


def register_resolvers() -> None:
    """Make ${config_hash:}, ${run_directory:} and ${minibatch:} known to OmegaConf."""
    OmegaConf.register_resolver("config_hash", _resolver(config_hash), replace=True)
    OmegaConf.register_resolver("run_directory", _resolver(run_directory), replace=True)
    OmegaConf.register_resolver("minibatch", _minibatch, replace=True)


def _minibatch(n_envs: int, n_steps: int, minibatches: int) -> int:
    """Steps of one, at least 2, which is the least that PPO takes."""
    return max(2, n_envs * n_steps // max(1, minibatches))


def _resolver(function: Callable[[DictConfig], str]) -> Callable[..., str]:
    def resolve(*, _root_: DictConfig) -> str:
        check(_root_)
        return function(_root_)

    return resolve


def _canonical(value: Any) -> Any:
    """1 and 1.0 are the same setting."""
    if isinstance(value, dict):
        return {key: _canonical(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_canonical(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
