"""The configuration of a run: what is allowed in it, and which part of it makes the result.

Nothing here imports torch: a wrong key or a finished run must not wait for it.
"""

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from mavrl.errors import ConfigurationError

RESULTS_VERSION = 1  # part of every run's hash; raised when the same configuration gives another result
_MOST_SAMPLES = 1_000_000
_MOST_REPLICATES = 10_000


class Rule(NamedTuple):
    """What a key's value must be: a test, and the same in words."""

    holds: Callable[[Any], bool]
    allowed: str


def number(low: float, high: float = math.inf, *, open_low: bool = False, open_high: bool = False) -> Rule:
    """A finite number in an interval."""
    left, right = "(" if open_low else "[", ")" if open_high or high == math.inf else "]"

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return False
        return (value > low if open_low else value >= low) and (value < high if open_high else value <= high)

    return Rule(holds, f"must be a number in {left}{low:g}, {'infinity' if high == math.inf else f'{high:g}'}{right}")


def whole(low: int, high: int) -> Rule:
    """A whole number from low to high."""
    return Rule(
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"must be a whole number from {low} to {high}",
    )


def one_of(*choices: Any) -> Rule:
    """One of a few values."""
    words = ", ".join("true" if c is True else "false" if c is False else str(c) for c in choices)
    return Rule(
        lambda v: any(v == c and isinstance(v, bool) == isinstance(c, bool) for c in choices), f"must be one of {words}"
    )


def optional(rule: Rule) -> Rule:
    """What the rule says, or null."""
    return Rule(lambda value: value is None or rule.holds(value), f"{rule.allowed}, or null")


_TEXT = Rule(lambda value: isinstance(value, str) and value != "", "must be a path")
_SIZES = Rule(
    lambda sizes: isinstance(sizes, list) and bool(sizes) and all(whole(1, 4096).holds(size) for size in sizes),
    "must be a list of at least one whole number from 1 to 4096, such as [64, 64]",
)
_POSITIVE = number(0, open_low=True)

RULES: dict[str, Rule] = {
    "seed": whole(0, 2**31 - 1),
    "replicates": whole(1, _MOST_REPLICATES),
    "members": whole(1, 1000),
    "counts": one_of("paper", "small"),
    "selection": one_of("last", "best"),
    "rerun": one_of(True, False),
    "progress": one_of("auto", True, False),
    "threads": whole(1, 1024),
    "checkpoint_seconds": number(0),
    "run_dir": optional(_TEXT),
    "paths.runs": _TEXT,
    "paths.cache": optional(_TEXT),
    "paths.experts": _TEXT,
    "env.size": whole(3, 1000),
    "env.p_rand": number(0, 1),
    "env.gamma": number(0, 1, open_high=True),
    "env.max_steps": optional(whole(1, 10_000_000)),
    "env.termination": one_of("success", "neutral", "failure"),
    "feedback.preference.teacher_rationality": number(0),
    "feedback.preference.model_rationality": number(0),
    "feedback.demonstration.teacher_rationality": number(0),
    "feedback.demonstration.model_rationality": number(0),
    "feedback.rating.n_categories": whole(2, 100),
    "feedback.stop.discount": number(0, 1),
    "feedback.stop.percentile": number(0, 100),
    "feedback.stop.scale": _POSITIVE,
    "feedback.stop.lapse": number(0, 1, open_low=True),
    "model.objective": one_of("elbo", "weighted"),
    "model.q": one_of("planned", "learned"),
    "model.backup": one_of("optimal", "soft", "behaviour"),
    "model.soft_temperature": _POSITIVE,
    "model.hidden_sizes": _SIZES,
    "model.prior.scale": optional(_POSITIVE),
    "model.prior.hyperprior_shape": _POSITIVE,
    "model.prior.hyperprior_rate": _POSITIVE,
    "model.bellman_weight": number(0),
    "model.kl_weight": number(0),
    "model.importance_weights": one_of(True, False),
    "optim.lr": _POSITIVE,
    "optim.schedule": one_of("cosine", "constant"),
    "optim.batch_size": optional(whole(1, _MOST_SAMPLES)),
    "optim.weight_decay": number(0),
    "optim.gradient_clip": _POSITIVE,
    "trainer.max_epochs": whole(1, 1_000_000),
    "trainer.passes_per_epoch": whole(1, 1_000_000),
    "trainer.validation": one_of(True, False),
    "trainer.patience": optional(whole(1, 1_000_000)),
}
for _kind in ("preference", "demonstration", "rating", "stop"):
    RULES[f"feedback.{_kind}.n_samples"] = whole(0, _MOST_SAMPLES)
    RULES[f"feedback.{_kind}.gen_samples"] = whole(0, _MOST_SAMPLES)
for _kind in ("preference", "rating", "stop"):
    RULES[f"feedback.{_kind}.segment_len"] = whole(1, 100_000)
    RULES[f"feedback.{_kind}.n_episodes"] = whole(1, 100_000)
    RULES[f"feedback.{_kind}.behaviour_rationality"] = number(0)


def check(config: DictConfig) -> None:
    """Refuse a configuration that cannot work.

    Raises:
        ConfigurationError: for the first key with a value that is not allowed, or that does not fit another one.
    """
    for key, rule in RULES.items():
        value = OmegaConf.select(config, key)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        if not rule.holds(value):
            raise ConfigurationError(key, _shown(value), rule.allowed)
    if not active_kinds(config):
        counts = " ".join(
            f"feedback.{kind}.n_samples={config.feedback[kind].n_samples}" for kind in config.modality.active
        )
        raise ConfigurationError(
            "modality", config.modality.name, f"no feedback is active with {counts}; one needs more than 0"
        )
    _check_segments(config)
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


def active_kinds(config: DictConfig) -> list[str]:
    """The kinds of feedback that are on: chosen by `modality`, with a count above 0."""
    return [kind for kind in config.modality.active if config.feedback[kind].n_samples > 0]


def scientific(config: DictConfig) -> dict[str, Any]:
    """The part of the configuration that makes the result; where it is stored and how it is watched are left out."""
    groups = {key: OmegaConf.to_container(config[key], resolve=True) for key in ("model", "optim", "trainer")}
    values = {key: config[key] for key in ("selection", "seed", "replicates", "members")}
    feedback: Any = {kind: OmegaConf.to_container(config.feedback[kind], resolve=True) for kind in active_kinds(config)}
    for settings in feedback.values():
        del settings["gen_samples"]
    return {**groups, **values, "env": environment(config), "feedback": feedback}


def environment(config: DictConfig) -> dict[str, Any]:
    """The environment's settings, without the sample counts that are kept beside them."""
    plain: Any = OmegaConf.to_container(config.env, resolve=True)
    return {key: value for key, value in plain.items() if key != "samples"}


def config_hash(config: DictConfig) -> str:
    """Short hash of the scientific configuration: the name of its run directory."""
    content = {"version": RESULTS_VERSION, **scientific(config)}
    text = json.dumps(_canonical(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def run_directory(config: DictConfig) -> str:
    """Where a single run works: its own directory for training, the current one for tasks that keep nothing."""
    if config.task.name != "train":
        return "."
    return f"{config.paths.runs}/{config.env.name}/{config.modality.name}/{config_hash(config)}"


def register_resolvers() -> None:
    """Make ${config_hash:} and ${run_directory:} known to OmegaConf."""
    OmegaConf.register_resolver("config_hash", _resolver(config_hash), replace=True)
    OmegaConf.register_resolver("run_directory", _resolver(run_directory), replace=True)


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
