"""What of a configuration makes a result: the identity of a run, its hash, and the command that repeats it.

Every top-level key of the configuration is in one of the tables below, and so is every key of `env` that is no part of
the environment itself. Nothing here imports torch, and nothing a module that a configuration names.
"""

import hashlib
import importlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.plain import flatten, plain, quoted
from mavrl.configuration.registry import FAMILIES, KINDS, OWN_KINDS
from mavrl.configuration.sources import source_digests

RESULTS_VERSION = 6  # part of every run's hash; raised when the same configuration gives another result

SEEDS = ("seed", "replicates")  # what runs may differ in and still be repetitions of one another
_VALUES = (*SEEDS, "members", "selection")
_MAPPINGS = ("model", "optim", "trainer", "query", "teacher")
_GROUPS = ("env", "modality", "query", "teacher", "model", "optim", "trainer", "policy")  # whose options make a result
_LATER_GROUPS = ("rounds",)  # that runs of earlier versions do not name
_RESULT = {*_VALUES, *_MAPPINGS, *_GROUPS, "feedback", "evaluation", "rounds", "data"}
_EXECUTION = {  # how a command runs, where things are, and what -m does
    "hydra", "task", "logger", "paths", "study", "dry_run", "cells", "skip", "only", "search", "notify", "progress",
    "threads", "processes", "checkpoint_seconds", "rerun", "run_dir", "device", "trust", "figures",
}  # fmt: skip
_DEFAULTS = {"counts", "learn_rationality"}  # that other keys take

# Keys of env.
_ENV_DEFAULTS = {"feedback", "members", "replicates", "threads", "policy_steps", "reference_epochs", "samples"}
_ENV_REPORTED = {"baselines"}  # beside a result, which they do not change
_ENV_SOURCES = {"constants", "experts", "demonstration_cap"}  # of values elsewhere, and of experts that are missing
_ENV_BESIDE = {*_ENV_DEFAULTS, *_ENV_REPORTED, *_ENV_SOURCES}
_ENV_AS_BEFORE = {"teacher_reward": (None, {}, []), "reward_unit": (1,)}  # what runs did before they could say so
_ENV_OF_LEARNER = {"termination"}  # what is known about the environment, not what it is
_ENV_OF_RUN = {"name", "family", "gamma", "normalization", "behaviour_expert", "demonstration_expert", "reward_unit"}
RETURNS = ("optimal", "uniform", "positive", "negative")  # of env.constants; its other keys say which environment

NOT_OF_RESULT = {"gen_samples"}  # of a kind of feedback: how many answers are kept for later
_AS_BEFORE = {  # of a kind of feedback: what runs did before they could say so
    "cost": 1, "annotators": "learned", "learn_rationality": False, "teacher_noise": 1, "model_scale": None,
}  # fmt: skip
_OF_TEACHERS = {"rating": "teacher_noise", "stop": "model_scale"}  # of these, what an option of `teacher` says
_MODEL_AS_BEFORE = {"covariance": "diagonal", "covariance_rank": 10}  # likewise, of what is learned
_POLICY_AS_BEFORE = {"normalize_observations": False}  # likewise, of a policy that has such a key
_BESIDE_SETTINGS = ("choices", "overrides")  # of config.json, which no setting is
CODE = "code"  # of config.json: what the result depends on besides settings, by name; left out where that is nothing


def active_kinds(config: DictConfig) -> list[str]:
    """The kinds of feedback that are on: chosen by `modality`, with a count above 0."""
    return [kind for kind in config.modality.active if config.feedback[kind].n_samples > 0]


def seeds(config: DictConfig) -> list[int]:
    """The seed of each replicate."""
    return [config.seed + k for k in range(config.replicates)]


def environment(config: DictConfig) -> dict[str, Any]:
    """The environment's settings, without the defaults of other groups and the reports that are kept beside them."""
    said = {key: x for key, x in plain(config.env).items() if x not in _ENV_AS_BEFORE.get(key, ())}
    return {key: value for key, value in said.items() if key not in _ENV_BESIDE}


def which_environment(env: Mapping[str, Any]) -> dict[str, Any]:
    """What tells an environment from others, from `env`: all of its keys but those in the tables above.

    Nulls, false and empty values say nothing, so a setting that is new and left out changes no environment.
    """
    beside = _ENV_BESIDE | _ENV_OF_LEARNER | _ENV_OF_RUN
    return _said({key: env[key] for key in env if key not in beside})


def known_return(config: DictConfig, name: str) -> float | None:
    """A return that `env.constants` has; None where it has none, or is about another environment than the configured.

    Args:
        name: one of `RETURNS`.
    """
    constants = OmegaConf.select(config, "env.constants")
    if not OmegaConf.is_dict(constants) or constants.get(name) is None:
        return None
    there = _said({key: constants[key] for key in constants if key not in RETURNS})
    return constants[name] if there == which_environment(config.env) else None


def environment_code(env: Mapping[str, Any]) -> dict[str, str]:
    """Code outside of this package that an environment depends on: versions and digests of source, by name.

    Args:
        env: of a run.
    """
    entry = FAMILIES[env["family"]]
    of_family = getattr(importlib.import_module(entry.rules), "code", None)
    return {**(of_family(env) if of_family else {}), **source_digests([entry.target])}


def scientific(config: DictConfig) -> dict[str, Any]:
    """What makes the result: settings, without where it is stored and how it is watched, and code."""
    keys = (*_MAPPINGS, *FAMILIES[config.env.family].result_keys)
    groups = {key: plain(config[key]) for key in keys}
    for key in ("minibatches", "updates"):  # batch_size and n_steps say it
        groups.get("policy", {}).pop(key, None)
    for group, before in (("model", _MODEL_AS_BEFORE), ("policy", _POLICY_AS_BEFORE)):
        for key, value in before.items():
            if groups.get(group, {}).get(key) == value:
                del groups[group][key]
    feedback = {kind: plain(config.feedback[kind]) for kind in active_kinds(config)}
    for settings in feedback.values():
        for key in NOT_OF_RESULT:
            del settings[key]
        for key, value in _AS_BEFORE.items():
            if key in settings and settings[key] == value:
                del settings[key]
    values, env = {key: config[key] for key in _VALUES}, environment(config)
    targets = [str(node["_target_"]) for node in (groups["query"], groups["teacher"], *feedback.values())]
    code = {**environment_code(env), **source_digests(targets)}
    at_once = OmegaConf.select(config, "rounds.name", default="once") == "once"  # earlier versions do not say
    rounds = {} if at_once else {"rounds": plain(config.rounds)}
    recorded = OmegaConf.select(config, "data.digest")  # earlier versions do not say
    data = {} if recorded is None else {"data": plain(config.data)}
    return {**groups, **values, **rounds, **data, "env": env, "feedback": feedback, **({CODE: code} if code else {})}


def config_hash(config: DictConfig) -> str:
    """Short hash of the scientific configuration: the name of its run directory."""
    content = {"version": RESULTS_VERSION, **scientific(config)}
    content.get("data", {}).pop("folder", None)  # wherever it is
    text = json.dumps(_canonical(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def recorded(config: DictConfig, choices: Mapping[str, str], overrides: Iterable[str]) -> dict[str, Any]:
    """The content of a run's config.json: the scientific configuration by the keys of the command line.

    Args:
        choices: option of each group.
        overrides: of the command line.
    """
    content = scientific(config)
    for kind in config.feedback:
        content["feedback"].setdefault(str(kind), {"n_samples": 0})
    chosen = {group: option for group, option in choices.items() if _makes_result(group)}
    return {**content, "choices": chosen, "overrides": list(overrides)}


def is_repeatable(content: Mapping[str, Any]) -> bool:
    """Whether the content of a run's config.json says what is needed to repeat it."""
    return set(_GROUPS) <= set(content.get("choices", {}))


def repeating(content: Mapping[str, Any]) -> list[str]:
    """The command line of a run from the content of its config.json: its groups, and every value explicitly.

    The experiment that chose them is not needed, so this also repeats what a search has drawn.
    """
    choices = content["choices"]
    groups = [f"{name}={choices[name]}" for name in (*_GROUPS, *_LATER_GROUPS) if name in choices]
    for kind in (name for name in KINDS if name not in OWN_KINDS):
        group = f"feedback@feedback.{kind}"
        groups += [f"+{group}={choices[group]}"] if group in choices else []
    settings = settings_of(content)
    if "env" in settings:  # also where the chosen option says something
        before = {key: values[0] for key, values in _ENV_AS_BEFORE.items()}
        settings["env"] = {**before, **settings["env"]}
    if "model" in settings:
        settings["model"] = {**_MODEL_AS_BEFORE, **settings["model"]}
    if settings.get("policy", {}).get("name") == "ppo":  # likewise
        settings["policy"] = {**_POLICY_AS_BEFORE, **settings["policy"]}
    feedback = settings.get("feedback", {})
    own = [kind for kind in _OF_TEACHERS if feedback.get(kind, {}).get("_target_", "").startswith("mavrl.")]
    for kind in own:  # likewise
        before = {_OF_TEACHERS[kind]: _AS_BEFORE[_OF_TEACHERS[kind]]}
        settings["feedback"] = {**settings["feedback"], kind: {**before, **feedback[kind]}}
    settings = flatten(settings)
    return groups + [f"++{key}={quoted(value)}" for key, value in settings.items() if not key.endswith("._target_")]


def settings_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a run's config.json, without the words that chose them and the code that they met."""
    return {key: value for key, value in content.items() if key not in (*_BESIDE_SETTINGS, CODE)}


def settings_but_seeds(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a run's config.json that its repetitions share, and its code."""
    return {key: value for key, value in content.items() if key not in (*SEEDS, *_BESIDE_SETTINGS)}


def is_execution(override: str) -> bool:
    """Whether an override of the command line says how something is run, and nothing that a result depends on."""
    first = override.partition("=")[0].lstrip("+~").partition(".")[0]
    return first.partition("/")[0].partition("@")[0] in _EXECUTION


def changes_environment(overrides: Iterable[str]) -> bool:
    """Whether an override of the command line changes what the environment is, not only what is known about it."""
    keys = [override.partition("=")[0].lstrip("+~").split(".") for override in overrides]
    return any(len(key) > 1 and key[0] == "env" and key[1] not in _ENV_BESIDE | _ENV_OF_LEARNER for key in keys)


def unclassified(keys: Collection[str]) -> list[str]:
    """Top-level keys of a configuration that are in none of the tables."""
    return sorted(set(keys) - _RESULT - _EXECUTION - _DEFAULTS)


def _makes_result(group: str) -> bool:
    first = group.partition("/")[0].partition("@")[0]
    return first in _RESULT or first == "experiment"


def _said(value: Any) -> Any:
    """A value without what is null, false or empty in it, at all depths."""
    value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    if not isinstance(value, Mapping):
        return value
    inner = {key: _said(child) for key, child in value.items()}
    return {key: child for key, child in inner.items() if not (child is None or child is False or child in ({}, []))}


def _canonical(value: Any) -> Any:
    """1 and 1.0 are the same setting."""
    if isinstance(value, Mapping):
        return {key: _canonical(v) for key, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_canonical(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
