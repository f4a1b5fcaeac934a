"""What each key of the configuration may be, as a test and in words.

Nothing here imports torch: a wrong key must not wait for it.
"""

import math
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from mavrl.results.directions import METRIC_DIRECTIONS
from mavrl.results.export import SUFFIXES as EXPORT_SUFFIXES
from mavrl.results.listing import SORTS

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


def _is_schedule(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("lin_"):
        try:
            value = float(value.removeprefix("lin_"))
        except ValueError:
            return False
    return number(0, open_low=True).holds(value)


_TEXT = Rule(lambda value: isinstance(value, str) and value != "", "must be a path")
_NAME = Rule(
    lambda value: isinstance(value, str) and re.fullmatch(r"\w[\w.=+-]*(/\w[\w.=+-]*)*", value) is not None,
    "must be a name of letters, digits and . _ = + -, with / between its parts",
)
_OPTIONS = Rule(
    lambda value: isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value),
    "must be a list of names, such as [p, pdrs]",
)
_URL = Rule(
    lambda value: isinstance(value, str) and value.startswith(("http://", "https://")),
    "must be an address, https://...",
)
_SIZES = Rule(
    lambda sizes: isinstance(sizes, list) and bool(sizes) and all(whole(1, 4096).holds(size) for size in sizes),
    "must be a list of at least one whole number from 1 to 4096, such as [64, 64]",
)
_POSITIVE = number(0, open_low=True)
_MAPPING = Rule(lambda value: isinstance(value, dict), "must be a mapping of names to values, such as {a: 1}")
_EXPERTS = Rule(
    lambda value: (
        isinstance(value, dict)
        and value.keys() <= {"dqn", "ppo"}
        and all(isinstance(settings, dict) for settings in value.values())
    ),
    "must hold the settings of dqn, of ppo, of both or of none, such as {dqn: {total_steps: 50000}}",
)

_LEARNING_RATE = Rule(_is_schedule, "must be a number above 0, or lin_x such as lin_3e-4 for a linear schedule to 0")

RULES: dict[str, Rule] = {
    "seed": whole(0, 2**31 - 1),
    "replicates": whole(1, _MOST_REPLICATES),
    "members": whole(1, 1000),
    "counts": one_of("paper", "small"),
    "selection": one_of("last", "best"),
    "rerun": one_of(True, False),
    "progress": one_of("auto", True, False),
    "threads": optional(whole(1, 1024)),
    "checkpoint_seconds": number(0),
    "run_dir": optional(_TEXT),
    "paths.runs": _TEXT,
    "paths.cache": optional(_TEXT),
    "paths.experts": _TEXT,
    "processes": optional(whole(1, 1024)),
    "evaluation.episodes": whole(1, 1_000_000),
    "env.family": one_of("grid", "control"),
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
    "optim.demonstration_batch_size": optional(whole(1, _MOST_SAMPLES)),
    "optim.weight_decay": number(0),
    "optim.gradient_clip": _POSITIVE,
    "trainer.max_epochs": whole(1, 1_000_000),
    "trainer.passes_per_epoch": whole(1, 1_000_000),
    "trainer.least_steps": whole(1, 1_000_000),
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
    RULES[f"feedback.{_kind}.behaviour_epsilon"] = number(0, 1)

SWEEP_RULES: dict[str, Rule] = {  # of what -m runs; none of this changes a run
    "dry_run": one_of(True, False),
    "study": _NAME,
    "notify.url": optional(_URL),
    "paths.studies": _TEXT,
    "search.budget": whole(1, _MOST_SAMPLES),
    "search.caps.preference": optional(whole(0, _MOST_SAMPLES)),
    "search.caps.demonstration": optional(whole(0, _MOST_SAMPLES)),
    "search.caps.rating": optional(whole(0, _MOST_SAMPLES)),
    "search.caps.stop": optional(whole(0, _MOST_SAMPLES)),
    "search.allocation": one_of(True, False),
    "search.settings": one_of(True, False),
    "search.metric": one_of(*METRIC_DIRECTIONS),
    "search.storage": optional(_TEXT),
    "cells.env": optional(_OPTIONS),
    "cells.modality": optional(_OPTIONS),
    "search.n_trials": whole(1, 1_000_000),
    "search.seed": whole(0, 2**31 - 1),
    "search.kept": whole(0, 1_000_000),
    "search.workers": whole(1, 10_000),
}
_FINITE_RULES = {
    "env.size": whole(3, 1000),
    "env.p_rand": number(0, 1),
    "model.q": one_of("planned", "learned"),
    "model.reward_domain": one_of("s"),
    "policy.name": one_of("exact"),
    "feedback.demonstration.minimum_return": Rule(
        lambda value: value is None, "must be null where the dynamics are known: the demonstrator acts on the optimal Q"
    ),
}
_CONTROL_RULES = {
    "env.id": Rule(lambda value: isinstance(value, str) and value != "", "must be the name of a Gymnasium environment"),
    "env.kwargs": _MAPPING,
    "env.perturbation": _MAPPING,
    "env.experts": _EXPERTS,
    "env.fixed_horizon": one_of(True, False),
    "env.behaviour_expert": one_of("dqn"),
    "env.demonstration_expert": one_of("dqn", "ppo"),
    "env.normalization.optimal": optional(number(-math.inf)),
    "env.normalization.uniform": optional(number(-math.inf)),
    "env.baselines.positive": optional(number(-math.inf)),
    "env.baselines.negative": optional(number(-math.inf)),
    "feedback.demonstration.minimum_return": optional(number(-math.inf)),
    "model.q": one_of("learned"),
    "model.reward_domain": one_of("s", "sa", "sas"),
    "model.standardize": one_of(True, False),
    "model.kl_count": one_of("transition", "sample", "mean"),
    "policy.name": one_of("ppo", "imitation", "dqn"),
}
_PPO_RULES = {
    "policy.total_steps": whole(1, 1_000_000_000),
    "policy.checkpoint": one_of("last", "true_reward"),
    "policy.reward": one_of("mean", "lower_bound", "sample"),
    "policy.kappa": number(0),
    "policy.sample_per": one_of("step", "episode"),
    "policy.standardize": one_of(True, False),
    "policy.clip": _POSITIVE,
    "policy.termination_weight": number(0),
    "policy.reference_weight": number(0),
    "policy.warm_start": one_of(True, False),
    "policy.evaluations": whole(1, 10_000),
    "policy.evaluation_episodes": whole(1, 100_000),
    "policy.stop_below": optional(number(-math.inf)),
    "policy.n_envs": whole(1, 1024),
    "policy.n_steps": whole(2, 100_000),
    "policy.minibatches": whole(1, 1_000_000),
    "policy.batch_size": whole(2, 1_000_000),
    "policy.n_epochs": whole(1, 1000),
    "policy.learning_rate": _LEARNING_RATE,
    "policy.clip_range": _LEARNING_RATE,
    "policy.gamma": number(0, 1, open_high=True),
    "policy.gae_lambda": number(0, 1),
    "policy.ent_coef": number(0),
    "policy.vf_coef": number(0),
    "policy.max_grad_norm": _POSITIVE,
    "policy.normalize_reward": one_of(True, False),
    "policy.hidden_sizes": _SIZES,
}
_STATES = ("running", "interrupted", "completed", "failed", "any")
_RUN_STATES = Rule(
    lambda value: bool(value) and all(x in _STATES for x in (value if isinstance(value, list) else [value])),
    f"must be one of {', '.join(_STATES)}, or a list such as [failed,interrupted]",
)
# Tasks that read runs. Other keys are conditions on runs there, not settings, and have no rules.
RESULTS_RULES: dict[str, dict[str, Rule]] = {
    "status": {"task.sweep": optional(_NAME)},
    "list": {"task.state": _RUN_STATES, "task.sort": one_of(*SORTS)},
    "show": {},
    "export": {
        "task.output": Rule(
            lambda value: isinstance(value, str) and value.endswith(EXPORT_SUFFIXES),
            f"must be a file that ends in {', '.join(EXPORT_SUFFIXES)}",
        )
    },
    "select_best": {"task.metric": one_of(*METRIC_DIRECTIONS)},
    "purge": {"task.state": _RUN_STATES, "task.confirm": one_of(True, False)},
    "study": {"task.figures": one_of(True, False)},
    "table": {
        "task.format": one_of("terminal", "latex", "markdown", "csv", "all"),
        "task.output": optional(_TEXT),
    },
}


def rules_of(config: DictConfig) -> dict[str, Rule]:
    """The rules that hold for a configuration: those of all, of its environment's family, and of its policy.

    Tasks that read runs have only their own.
    """
    if (task := OmegaConf.select(config, "task.name")) in RESULTS_RULES:
        return {**{key: RULES[key] for key in ("paths.runs", "run_dir")}, **RESULTS_RULES[task]}
    if config.env.family == "grid":
        return {**RULES, **SWEEP_RULES, **_FINITE_RULES}
    return {**RULES, **SWEEP_RULES, **_CONTROL_RULES, **(_PPO_RULES if config.policy.name == "ppo" else {})}
