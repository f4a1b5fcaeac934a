"""The rules of all keys of the configuration.

Nothing here imports torch: a wrong key must not wait for it.
"""

import importlib

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.registry import FAMILIES, KINDS, OWN_KINDS
from mavrl.configuration.rule import NAME, OPTIONS, POSITIVE, SIZES, TEXT, URL, Rule, number, one_of, optional, whole
from mavrl.metrics import directions

_MOST_SAMPLES = 1_000_000
_MOST_REPLICATES = 10_000
EXPORT_SUFFIXES = (".csv", ".parquet", ".json")
SORTS = ("env", "modality", "seed", "state", "when")  # and every metric that has a direction


RULES: dict[str, Rule] = {
    "seed": whole(0, 2**31 - 1),
    "replicates": whole(1, _MOST_REPLICATES),
    "members": whole(1, 1000),
    "counts": one_of("paper", "small"),
    "selection": one_of("last", "best"),
    "rerun": one_of(True, False),
    "progress": one_of("auto", True, False),
    "threads": optional(whole(1, 1024)),
    "device": one_of("cpu", "cuda", "auto"),
    "query.candidates": whole(1, 1000),
    "checkpoint_seconds": number(0),
    "run_dir": optional(TEXT),
    "paths.runs": TEXT,
    "paths.cache": optional(TEXT),
    "paths.experts": TEXT,
    "processes": optional(whole(1, 1024)),
    "evaluation.episodes": whole(1, 1_000_000),
    "env.gamma": number(0, 1, open_high=True),
    "env.max_steps": optional(whole(1, 10_000_000)),
    "env.termination": one_of("success", "neutral", "failure"),
    "model.objective": one_of("elbo", "weighted"),
    "model.backup": one_of("optimal", "soft", "behaviour"),
    "model.soft_temperature": POSITIVE,
    "model.hidden_sizes": SIZES,
    "model.prior.scale": optional(POSITIVE),
    "model.prior.hyperprior_shape": POSITIVE,
    "model.prior.hyperprior_rate": POSITIVE,
    "model.bellman_weight": number(0),
    "model.kl_weight": number(0),
    "model.importance_weights": one_of(True, False),
    "optim.lr": POSITIVE,
    "optim.schedule": one_of("cosine", "constant"),
    "optim.batch_size": optional(whole(1, _MOST_SAMPLES)),
    "optim.demonstration_batch_size": optional(whole(1, _MOST_SAMPLES)),
    "optim.weight_decay": number(0),
    "optim.gradient_clip": POSITIVE,
    "trainer.max_epochs": whole(1, 1_000_000),
    "trainer.passes_per_epoch": whole(1, 1_000_000),
    "trainer.least_steps": whole(1, 1_000_000),
    "trainer.validation": one_of(True, False),
    "trainer.patience": optional(whole(1, 1_000_000)),
}


def _feedback_rules(config: DictConfig) -> dict[str, Rule]:
    """Those that all kinds share, those of kinds about segments, and each kind's own, where a kind is there."""
    samples = {name: whole(0, _MOST_SAMPLES) for name in ("n_samples", "gen_samples")}
    segments = {
        "segment_len": whole(1, 100_000),
        "n_episodes": whole(1, 100_000),
        "behaviour_rationality": number(0),
        "behaviour_epsilon": number(0, 1),
    }
    return {
        f"feedback.{kind.name}.{key}": rule
        for kind in KINDS.values()
        if kind.name in OWN_KINDS or OmegaConf.select(config, f"feedback.{kind.name}") is not None
        for key, rule in {**samples, **(segments if kind.segments else {}), **kind.rules}.items()
    }


SWEEP_RULES: dict[str, Rule] = {  # of what -m runs; none of this changes a run
    "dry_run": one_of(True, False),
    "study": NAME,
    "notify.url": optional(URL),
    "paths.studies": TEXT,
    "search.budget": whole(1, _MOST_SAMPLES),
    "search.allocation": one_of(True, False),
    "search.settings": one_of(True, False),
    "search.storage": optional(TEXT),
    "cells.env": optional(OPTIONS),
    "cells.modality": optional(OPTIONS),
    "search.n_trials": whole(1, 1_000_000),
    "search.seed": whole(0, 2**31 - 1),
    "search.kept": whole(0, 1_000_000),
    "search.batch": optional(whole(1, 10_000)),
    "search.workers": whole(1, 10_000),
    "search.trial": optional(whole(0, 1_000_000)),
}
_STATES = ("running", "interrupted", "completed", "failed", "any")
_RUN_STATES = Rule(
    lambda value: bool(value) and all(x in _STATES for x in (value if isinstance(value, list) else [value])),
    f"must be one of {', '.join(_STATES)}, or a list such as [failed,interrupted]",
)
# Tasks that read runs. Other keys are conditions on runs there, not settings, and have no rules.
RESULTS_RULES: dict[str, dict[str, Rule]] = {
    "status": {"task.sweep": optional(NAME)},
    "list": {"task.state": _RUN_STATES},
    "show": {},
    "export": {
        "task.output": Rule(
            lambda value: isinstance(value, str) and value.endswith(EXPORT_SUFFIXES),
            f"must be a file that ends in {', '.join(EXPORT_SUFFIXES)}",
        )
    },
    "select_best": {},
    "purge": {"task.state": _RUN_STATES, "task.confirm": one_of(True, False)},
    "study": {"task.figures": one_of(True, False)},
    "table": {
        "task.format": one_of("terminal", "latex", "markdown", "csv", "all"),
        "task.output": optional(TEXT),
    },
}


def _metric_rules(task: str) -> dict[str, Rule]:
    """Those of a task's keys that name a metric, which may be any that is registered by now."""
    metrics = directions()
    rules = {"list": {"task.sort": one_of(*SORTS, *metrics)}, "select_best": {"task.metric": one_of(*metrics)}}
    return rules.get(task, {})


def rules_of(config: DictConfig) -> dict[str, Rule]:
    """The rules that hold for a configuration: those of all, and of its environment's family.

    Tasks that read runs have only their own.
    """
    if (task := OmegaConf.select(config, "task.name")) in RESULTS_RULES:
        return {**{key: RULES[key] for key in ("paths.runs", "run_dir")}, **RESULTS_RULES[task], **_metric_rules(task)}
    family = OmegaConf.select(config, "env.family")
    own = importlib.import_module(FAMILIES[family].rules).rules(config) if family in FAMILIES else {}
    caps = {f"search.caps.{kind}": optional(whole(0, _MOST_SAMPLES)) for kind in KINDS}
    registered = {"env.family": one_of(*FAMILIES), "search.metric": one_of(*directions())}
    return {**RULES, **registered, **_feedback_rules(config), **SWEEP_RULES, **caps, **own}
