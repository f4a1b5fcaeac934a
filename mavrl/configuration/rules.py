"""The rules of all keys of the configuration. A key that has none here is one that nothing reads.

Nothing here imports torch: a wrong key must not wait for it.
"""

import importlib
import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import is_execution
from mavrl.configuration.launchers import sweeping_rules
from mavrl.configuration.registry import FAMILIES, KINDS, OWN_KINDS, TASKS, trusted_targets
from mavrl.configuration.rule import (
    LABEL,
    MAPPING,
    NAME,
    NULL,
    OPTIONS,
    PART,
    PATH,
    POSITIVE,
    SIZES,
    TEXT,
    URL,
    Rule,
    if_there,
    list_of,
    mapping,
    number,
    one_of,
    optional,
    whole,
)
from mavrl.metrics import directions

_MOST_SAMPLES = 1_000_000
_MOST_REPLICATES = 10_000
EXPORT_SUFFIXES = (".csv", ".parquet", ".json")
SORTS = ("env", "modality", "seed", "state", "when")  # and every metric that has a direction


_FOLDS = whole(0, 1000)._replace(
    holds=lambda value: type(value) is int and (value == 0 or 2 <= value <= 1000),
    allowed="must be a whole number from 2 to 1000, or 0 to hold nothing out",
)
RULES: dict[str, Rule] = {
    "seed": whole(0, 2**31 - 1),
    "replicates": whole(1, _MOST_REPLICATES),
    "members": whole(1, 1000),
    "counts": one_of("paper", "small"),
    "learn_rationality": one_of(True, False),
    "selection": one_of("last", "best"),
    "rerun": one_of(True, False),
    "progress": one_of("auto", True, False),
    "threads": optional(whole(1, 1024)),
    "device": one_of("cpu", "cuda", "auto"),
    "figures": one_of("auto", "all", "one", "none"),
    "query.candidates": whole(1, 1000),
    "checkpoint_seconds": number(0),
    "trust": one_of(True, False),
    "run_dir": optional(PATH),
    "data.folder": optional(PATH),
    "data.digest": optional(TEXT),
    "data.folds": _FOLDS,
    "paths.runs": PATH,
    "paths.cache": optional(PATH),
    "paths.experts": PATH,
    "processes": optional(whole(1, 1024)),
    "evaluation.episodes": whole(1, 1_000_000),
    "env.name": PART,
    "modality.name": PART,
    "env.gamma": number(0, 1, open_high=True),
    "env.max_steps": optional(whole(1, 10_000_000)),
    "env.termination": one_of("success", "neutral", "failure"),
    "model.objective": one_of("elbo", "weighted"),
    "model.q": one_of("planned", "learned", "inverse"),
    "model.reward_domain": one_of("s", "sa", "sas"),
    "model.backup": one_of("optimal", "soft", "behaviour"),
    "model.soft_temperature": POSITIVE,
    "model.hidden_sizes": SIZES,
    "model.covariance": optional(one_of("full", "low_rank", "diagonal")),
    "model.covariance_rank": whole(1, 1000),
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
    "trainer.max_epochs": whole(0, 1_000_000),
    "trainer.passes_per_epoch": whole(1, 1_000_000),
    "trainer.least_steps": whole(1, 1_000_000),
    "trainer.validation": one_of(True, False),
    "trainer.patience": optional(whole(1, 1_000_000)),
}
_COUNT = whole(0, _MOST_SAMPLES)
_DEFAULTS: dict[str, Rule] = {  # values of an environment that other keys refer to
    "env.samples": mapping(mapping(_COUNT), example="{paper: {preference: 64}}"),
    "env.demonstration_cap": optional(_COUNT),
    "env.replicates": RULES["replicates"],
    "env.members": RULES["members"],
    "env.threads": RULES["threads"],
    "env.reference_epochs": whole(1, 1_000_000),
    "env.policy_steps": whole(1, 1_000_000_000),
    "env.constants": optional(MAPPING),
    "env.teacher_reward": NULL,  # in families that do not say what it is
    "env.reward_unit": one_of(1.0),  # likewise
    "env.feedback.segment_len": whole(1, 100_000),
    "env.feedback.n_episodes": whole(1, 100_000),
    "env.feedback.behaviour_rationality": mapping(number(0), KINDS, example="{preference: 0.0}"),
    "env.feedback.preference_rationality": mapping(number(0), ("teacher", "model"), "{teacher: 5.0, model: 5.0}"),
    "env.feedback.demonstration_rationality": mapping(number(0), ("teacher", "model"), "{teacher: 5.0, model: 5.0}"),
    "env.feedback.minimum_return": optional(number(-float("inf"))),
    "env.feedback.stop_scale": POSITIVE,
}
_LOGGERS: dict[str, dict[str, Rule]] = {
    "csv": {},
    "tensorboard": {},
    "wandb": {
        "logger.project": LABEL,
        "logger.entity": optional(LABEL),
        "logger.group": optional(LABEL),
        "logger.tags": list_of(LABEL, "[first, second]"),
    },
}


COMPARING = "mavrl.feedback.bpref.BPrefTeacher"  # who gives preferences only
_QUERIES = "mavrl.feedback.queries"
_LOOKING_AHEAD = (f"{_QUERIES}.DisagreementQuery", f"{_QUERIES}.InformationGainQuery")  # at possible answers


def _target() -> Rule:
    """The name of a class that may be made: of this package, or of one that the user has named."""
    packages = [pattern.removesuffix(".*") for pattern in trusted_targets()]
    return Rule(
        lambda value: (
            isinstance(value, str)
            and value.partition(".")[0] in packages
            and re.fullmatch(r"\w+(\.\w+)*\.[A-Z]\w*", value) is not None
        ),
        f"must be a class of {' or '.join(packages)}; MAVRL_PLUGINS names other packages",
    )


def _rounds_rules(config: DictConfig) -> dict[str, Rule]:
    rules = {"rounds.name": one_of("once", "online")}
    if OmegaConf.select(config, "rounds.name") != "online":
        return rules
    return rules | {
        "rounds.count": whole(1, 1000),
        "rounds.until": number(0, 1),
        "rounds.first": one_of("random", "behaviour"),
        "rounds.earlier": number(0, 1),
        "rounds.behaviour": number(0, 1),
        "rounds.n_episodes": whole(1, 100_000),
        "rounds.refit": one_of("continue", "fresh"),
        "rounds.budget": optional(POSITIVE),
        "rounds.held_out": whole(0, 100_000),
    }


def _model_rules(config: DictConfig) -> dict[str, Rule]:
    """Those of the settings that only an exact posterior has."""
    if OmegaConf.select(config, "model.objective") != "exact":
        return {}
    names = {"chains": whole(2, 1000), "warmup": whole(1, 1_000_000), "draws": whole(4, 100_000)}
    return {f"model.sampling.{name}": rule for name, rule in {**names, "thinning": whole(1, 10_000)}.items()}


def _query_rules(config: DictConfig) -> dict[str, Rule]:
    """Those of the settings that some query rules of this package have, and others do not."""
    looks_ahead = OmegaConf.select(config, "query._target_") in _LOOKING_AHEAD
    return {"query.samples": whole(2, 10_000)} if looks_ahead else {}


def _teacher_rules(config: DictConfig) -> dict[str, Rule]:
    """Those of the settings that simulated crowds have, or the teachers of B-Pref, and other teachers do not."""
    target = OmegaConf.select(config, "teacher._target_")
    if target == COMPARING:
        shares = {f"teacher.{name}": number(0, 1) for name in ("mistake", "skip", "equal", "discount")}
        return {"teacher.rationality": optional(number(0)), **shares}
    if target != "mavrl.feedback.teachers.CrowdTeacher":
        return {}
    return {
        **{f"teacher.{who}": whole(0, 1000) for who in ("good", "random", "reversed")},
        "teacher.tie": number(0),
        "teacher.lag": number(0),
        "teacher.categories": list_of(whole(2, 100), "[3, 5]"),
    }


def _feedback_rules(config: DictConfig) -> dict[str, Rule]:
    """Those that all kinds share, those of kinds about segments, and each kind's own, where a kind is there."""
    shared = {
        "_target_": _target(),
        "n_samples": _COUNT,
        "gen_samples": _COUNT,
        "cost": if_there(POSITIVE),
        "learn_rationality": if_there(one_of(True, False)),
    }
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
        for key, rule in {**shared, **(segments if kind.segments else {}), **kind.rules}.items()
    }


SWEEP_RULES: dict[str, Rule] = {  # of what -m runs; none of this changes a run
    "dry_run": one_of(True, False),
    "notify.url": optional(URL),
    "paths.studies": PATH,
    "skip": MAPPING,
    "only": MAPPING,
    "search.budget": whole(1, _MOST_SAMPLES),
    "search.allocation": one_of(True, False),
    "search.settings": one_of(True, False),
    "search.storage": optional(TEXT),
    "search.name": PART,
    "search.study": NAME,
    "search.budgets": mapping(whole(1, _MOST_SAMPLES), example="{grid_trap: 64}"),
    "search.space": mapping(optional(TEXT), example="{optim.lr: 'interval(1e-3, 1e-2)'}"),
    "search.spaces": mapping(mapping(optional(TEXT)), example="{grid: {optim.lr: 'interval(1e-3, 1e-2)'}}"),
    "cells.env": optional(OPTIONS),
    "cells.modality": optional(OPTIONS),
    "search.n_trials": whole(1, 1_000_000),
    "search.seed": whole(0, 2**31 - 1),
    "search.kept": whole(0, 1_000_000),
    "search.batch": optional(whole(1, 10_000)),
    "search.workers": whole(1, 10_000),
    "search.trial": optional(whole(0, 1_000_000)),
    "study": NAME,  # made of the name of the search where it is not given
}
_STATES = ("running", "interrupted", "completed", "failed", "any")
_RUN_STATES = Rule(
    lambda value: bool(value) and all(x in _STATES for x in (value if isinstance(value, list) else [value])),
    f"must be one of {', '.join(_STATES)}, or a list such as [failed,interrupted]",
)
# Of each task's own keys, where it has some.
_TASK_RULES: dict[str, dict[str, Rule]] = {
    "status": {"task.sweep": optional(PART)},
    "list": {"task.state": _RUN_STATES},
    "collect": {
        "task.policy": optional(one_of("random", "expert"))._replace(
            allowed="must be random or expert, or null; run_dir=<run directory> has the policy of a run act"
        ),
        "task.episodes": whole(1, 100_000),
        "task.epsilon": number(0, 1),
        "task.demonstrations": one_of(True, False),
        "task.video": one_of(True, False),
    },
    "import": {
        "task.from": optional(TEXT),
        "task.path": optional(PATH),
        "task.episodes": optional(PATH),
        "task.env_id": optional(TEXT),
        "task.demonstrations": optional(one_of(True, False)),
        "task.length": optional(whole(1, 1_000_000)),
        "task.rows": optional(one_of("transitions", "all")),
        "task.low": optional(number(-float("inf"))),
        "task.high": optional(number(-float("inf"))),
        "task.larger_is_better": optional(one_of(True, False)),
    },
    "export": {
        "task.output": Rule(
            lambda value: isinstance(value, str) and value.endswith(EXPORT_SUFFIXES),
            f"must be a file that ends in {', '.join(EXPORT_SUFFIXES)}",
        )
    },
    "average": {
        "task.run_dirs": optional(list_of(PATH, "[runs/a, runs/b]", least=2)),
        "task.rule": one_of("product", "mixture"),
    },
    "purge": {"task.state": _RUN_STATES, "task.confirm": one_of(True, False)},
    "study": {"task.figures": one_of(True, False)},
    "plot": {"task.sweep": optional(PART), "task.output": optional(PATH)},
    "table": {
        "task.format": one_of("terminal", "latex", "markdown", "csv", "all"),
        "task.output": optional(PATH),
    },
    "report": {
        "task.sweep": optional(PART),
        "task.output": Rule(
            lambda value: value is None or (isinstance(value, str) and value.endswith(".html")),
            "must be a file that ends in .html, or null",
        ),
    },
    "confirm": {
        "task.seed": optional(RULES["seed"]),
        "task.replicates": RULES["replicates"],
    },
    "search_worker": {"task.command": PATH, "task.worker": whole(0, 10_000)},
}
# Tasks that read runs. What makes a result is a condition on runs there, not a setting, and has no rules.
READING = ("status", "list", "show", "export", "select_best", "purge", "study", "table", "plot", "report")


def _metric_rules(task: str) -> dict[str, Rule]:
    """Those of a task's keys that name a metric, which may be any that is registered by now."""
    metrics = directions()
    rules = {"list": {"task.sort": one_of(*SORTS, *metrics)}, "select_best": {"task.metric": one_of(*metrics)}}
    return rules.get(task, {})


def rules_of(config: DictConfig) -> dict[str, Rule]:
    """The rules that hold for a configuration: those of all, of its task, and of its environment's family.

    Tasks that read runs have only those of how something is run.
    """
    task = OmegaConf.select(config, "task.name")
    if task in READING:
        return execution_rules(config)
    family = OmegaConf.select(config, "env.family")
    known = isinstance(family, str) and family in FAMILIES
    own = importlib.import_module(FAMILIES[family].rules).rules(config) if known else {}
    made = {f"{group}._target_": _target() for group in ("query", "teacher")}
    defaults = {key: if_there(rule) for key, rule in _DEFAULTS.items()}
    shared = {key: if_there(rule) for key, rule in _shared().items()}
    registered = {
        "env.family": one_of(*FAMILIES),
        "modality.active": list_of(one_of(*KINDS), "[preference, stop]", least=1),
    }
    groups = {
        **_model_rules(config),
        **_query_rules(config),
        **_teacher_rules(config),
        **_rounds_rules(config),
        **_feedback_rules(config),
    }
    result = {**RULES, **registered, **made, **defaults, **shared, **groups}
    return {**result, **execution_rules(config), **own}


def execution_rules(config: DictConfig) -> dict[str, Rule]:
    """The rules of how something is run: nothing that a result depends on. Those of a sweep, too, which has no cell."""
    task, logger = OmegaConf.select(config, "task.name"), OmegaConf.select(config, "logger.name")
    rules = {key: rule for key, rule in RULES.items() if is_execution(key)}
    caps = {f"search.caps.{kind}": optional(_COUNT) for kind in KINDS}
    named = {
        "task.name": one_of(*TASKS),
        "logger.name": one_of(*_LOGGERS),
        "search.metric": one_of(*directions()),
    }
    return {
        **rules,
        **SWEEP_RULES,
        **{key: if_there(rule) for key, rule in caps.items()},
        **named,
        **_LOGGERS.get(str(logger), {}),
        **_TASK_RULES.get(str(task), {}),
        **_metric_rules(str(task)),
    }


def hydra_rules(hydra: dict[str, Any]) -> dict[str, Rule]:
    """The rules of Hydra's own keys that decide where jobs of a sweep run, and how.

    Args:
        hydra: their values.
    """
    return {
        "hydra.sweep.dir": PATH,
        "hydra.output_subdir": NULL._replace(allowed="must be null; the task itself writes .hydra"),
        **sweeping_rules(hydra),
    }


def _shared() -> dict[str, Rule]:
    """Rules of keys that an experiment may give for the environments of another family, or for another policy."""
    modules = [importlib.import_module(entry.rules) for entry in FAMILIES.values()]
    return {key: rule for module in modules for key, rule in getattr(module, "SHARED", {}).items()}
