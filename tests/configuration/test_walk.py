"""Every key of every task, given what makes no sense: refused in one line, or allowed here by name.

The keys are those of the composed configurations and the values are few, so what is tried grows with conf/ by itself.
"""

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from mavrl.configuration.check import check, check_sweep, register_with_hydra, resolved
from mavrl.configuration.known import value_of
from mavrl.configuration.registry import OWN_TASKS
from mavrl.errors import ConfigurationError
from mavrl.sweep import register_plugins
from tests.conftest import CONF

pytestmark = pytest.mark.slow  # thousands of configurations

VALUES: dict[str, Any] = {
    "text": "nonsense", "upwards": "../../x", "empty text": "", "number as text": "1", "null": None, "true": True,
    "list": [1, "a"], "empty list": [], "mapping": {"nonsense": 1}, "empty mapping": {}, "negative": -1,
    "fraction": 0.5, "huge": 10**400, "NaN": math.nan, "infinity": math.inf,
}  # fmt: skip
BASES = {  # words, and which keys are tried: "" for all, or those that begin so
    "grid": ((), ""),
    "control": (("env=cartpole_v1",), ("env", "policy", "model", "feedback.demonstration")),
    "sac": (("env=cartpole_v1", "policy=sac"), "policy"),
    "imitation": (("env=cartpole_v1", "policy=imitation", "modality=d"), "policy"),
    "reference": (("experiment=reference",), "policy"),
    "exact": (("experiment=exact",), "model"),
    "wandb": (("logger=wandb",), "logger"),
    "tensorboard": (("logger=tensorboard",), "logger"),
    "query": (("query=information_gain",), "query"),
    "rounds": (("task=online",), "rounds"),
    "crowd": (("teacher=crowd",), "teacher"),
    "bpref": (("teacher=oracle", "modality=p"), "teacher"),
    "search=fixed": (("search=fixed",), "search"),
    **{f"task={task}": ((f"task={task}",), "task") for task in OWN_TASKS if task != "search_worker"},
    "task=search_worker": (("task=search_worker", "task.command=x"), "task"),
    "reading": (("task=table",), ("paths", "search", "run_dir", "study", "cells", "logger")),
}
_ELSEWHERE = ("env.experts.",)  # settings of another library, which a family's own rules know

# What is accepted, on purpose. Numbers may be fractions, and returns negative; null means "none" or "all"; a text may
# be any, and so may a name of letters and digits; whole numbers are read as text; a mapping may be empty, or open.
ALLOWED: dict[tuple[str, ...], str] = {
    ("fraction",): """
        checkpoint_seconds env.feedback.behaviour_rationality.preference
        env.feedback.behaviour_rationality.rating env.feedback.behaviour_rationality.stop
        env.feedback.demonstration_rationality.model env.feedback.demonstration_rationality.teacher
        env.feedback.preference_rationality.model env.feedback.preference_rationality.teacher
        env.feedback.stop_scale env.gamma env.p_rand env.reward_unit feedback.demonstration.cost
        feedback.demonstration.model_rationality
        feedback.demonstration.teacher_rationality feedback.preference.behaviour_epsilon
        feedback.preference.behaviour_rationality feedback.preference.cost feedback.preference.model_rationality
        feedback.preference.teacher_rationality feedback.rating.behaviour_epsilon
        feedback.rating.behaviour_rationality feedback.rating.cost feedback.rating.teacher_noise
        feedback.stop.behaviour_epsilon
        feedback.stop.behaviour_rationality feedback.stop.cost feedback.stop.discount feedback.stop.lapse
        feedback.stop.percentile feedback.stop.scale model.bellman_weight model.kl_weight model.prior.hyperprior_rate
        model.prior.hyperprior_shape model.soft_temperature optim.gradient_clip optim.lr optim.weight_decay
        policy.clip policy.clip_range policy.ent_coef policy.gae_lambda policy.gamma policy.kappa
        policy.learning_rate policy.max_grad_norm policy.reference_weight policy.tau
        policy.termination_weight policy.vf_coef rounds.behaviour rounds.earlier rounds.until
        task.epsilon teacher.discount teacher.equal teacher.lag teacher.mistake teacher.skip teacher.tie
    """,
    ("null",): """
        data.digest data.folder model.covariance task.run_dirs task.length task.policy task.rows
        cells.env cells.modality env.constants env.demonstration_cap env.max_steps env.normalization.optimal
        env.threads env.wrappers notify.url optim.batch_size policy.evaluate_every
        optim.demonstration_batch_size processes search.batch search.caps.demonstration search.caps.preference
        search.caps.rating search.caps.stop search.trial skip.backup_of_planned skip.imitate_nobody skip.plan_in_control
        skip.planned_in_control skip.train_in_grid skip.weights_of_bound task.seed threads trainer.patience
    """,
    ("true",): """
        dry_run env.fixed_horizon learn_rationality feedback.demonstration.learn_rationality
        feedback.preference.learn_rationality feedback.rating.learn_rationality feedback.stop.learn_rationality
        model.importance_weights model.standardize policy.normalize_reward
        policy.normalize_observations policy.standardize policy.warm_start
        progress rerun search.allocation search.settings task.confirm
        task.figures task.video trainer.validation trust
    """,
    ("empty mapping",): """
        env.experts env.feedback env.feedback.behaviour_rationality env.feedback.demonstration_rationality
        env.feedback.preference_rationality env.samples search.caps search.space
        search.spaces search.spaces.control search.spaces.grid search.spaces.recorded skip only
    """,
    ("fraction", "negative", "null"): """
        env.baselines.negative env.baselines.positive env.constants.negative env.constants.optimal
        env.constants.positive env.constants.uniform env.feedback.minimum_return env.normalization.uniform
        env.perturbation.gravity env.perturbation.pole_length
        feedback.demonstration.minimum_return policy.stop_below task.high task.low
    """,
    ("empty mapping", "mapping"): """
        env.kwargs env.perturbation env.samples.paper env.samples.small
        search.budgets
    """,
    ("huge", "negative", "number as text", "text", "upwards"): """
        env.layout paths.experts paths.runs paths.studies task.command
    """,
    ("number as text", "text"): """
        env.name modality.name search.name search.study study
    """,
    ("huge", "negative", "null", "number as text", "text", "upwards"): """
        paths.cache run_dir search.storage task.env_id task.episodes task.from task.output task.path
    """,
    ("negative", "null", "number as text", "text"): """
        logger.entity logger.group
    """,
    ("null", "true"): """
        task.demonstrations task.larger_is_better
    """,
    ("fraction", "null"): """
        feedback.stop.model_scale model.prior.scale rounds.budget teacher.rationality
    """,
    ("negative",): """
        policy.gradient_steps
    """,
    ("number as text", "text", "upwards"): """
        env.constants.id env.id
    """,
    ("negative", "number as text", "text"): """
        logger.project
    """,
    ("empty list",): """
        env.wrappers logger.tags teacher.categories
    """,
    ("null", "number as text", "text"): """
        task.sweep
    """,
    ("empty list", "empty mapping", "mapping", "null"): """
        env.teacher_reward
    """,
}  # fmt: skip


def keys_of(values: Any, prefix: str = "") -> Iterator[str]:
    """Every key, sections before what is in them."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if "." not in str(name):  # names of other keys, in skip and search.spaces
            yield key
            if isinstance(value, dict):
                yield from keys_of(value, f"{key}.")


def refused(config: DictConfig, values: dict[str, Any], key: str, value: Any) -> ConfigurationError | None:
    """The error with which a value of a key is refused; everything is the same afterwards."""
    parent, _, name = key.rpartition(".")
    node, inner = OmegaConf.select(config, parent) if parent else config, values
    for part in filter(None, parent.split(".")):
        inner = inner[part]
    before = inner[name]
    node[name] = inner[name] = value
    try:
        check(config, {}, values)
    except ConfigurationError as error:
        return error
    finally:
        node[name] = inner[name] = before
    return None


def accepted(config: DictConfig, begin: str) -> tuple[set[tuple[str, str]], int]:
    """The pairs of key and kind of value that are accepted, and how many were tried."""
    values = resolved(config)
    without_references = OmegaConf.create(values)
    check(without_references, {}, values)
    keys = [key for key in keys_of(values) if key.startswith(begin) and not key.startswith(_ELSEWHERE)]
    found = set()
    for key in keys:
        for kind, value in VALUES.items():
            error = refused(without_references, values, key, value)
            if error is None:
                found.add((key, kind))
            else:
                assert "\n" not in str(error), (key, kind, str(error))
                assert str(error).startswith(f"{error.key}="), str(error)
    return found, len(keys) * len(VALUES)


@pytest.fixture(scope="module")
def walked(composed: Any) -> dict[str, tuple[set[tuple[str, str]], int]]:
    return {name: accepted(composed(*words), begin) for name, (words, begin) in BASES.items()}


def test_what_makes_no_sense_is_refused_in_one_line(walked: Any) -> None:
    allowed = {(key, kind) for kinds, keys in ALLOWED.items() for key in keys.split() for kind in kinds}
    found = {pair for pairs, _ in walked.values() for pair in pairs}
    assert sorted(found - allowed) == []
    assert sorted(allowed - found) == []
    assert sum(count for _, count in walked.values()) > 6000


SWEEPING = {  # of a launcher or a sweeper, by the words that choose it
    "hydra/launcher=local": {"hydra.launcher.workers": {"null"}},
    "hydra/launcher=euler": {
        "hydra.launcher.additional_parameters": {"mapping", "empty mapping"},
        "hydra.launcher.cpus_per_task": {"null"},
        "hydra.launcher.mem_gb": {"null", "fraction"},
        "hydra.launcher.mem_per_cpu": {"null", "number as text"},
        "hydra.launcher.stderr_to_stdout": {"true"},
        "hydra.launcher.tasks_per_node": {"null"},
        **{f"hydra.launcher.{name}": {"null", "empty list"} for name in ("setup", "srun_args")},
        **{
            f"hydra.launcher.{name}": {"null", "text", "number as text", "upwards", "negative", "huge"}
            for name in ("partition", "account", "qos", "constraint", "exclude", "gres", "comment", "python")
        },
        **{
            f"hydra.launcher.{name}": {"text", "number as text", "upwards", "negative", "huge"}
            for name in ("name", "submitit_folder")
        },
    },
    "hydra/sweeper=optuna": {
        "hydra.sweeper.sampler.seed": {"null"},
        **{f"hydra.sweeper.sampler.{name}": {"true"} for name in ("multivariate", "group", "constant_liar")},
    },
}  # fmt: skip


def refusal(config: DictConfig) -> str | None:
    """Why a sweep is refused; None if it is not."""
    try:
        check_sweep(config)
    except ConfigurationError as error:
        return str(error)
    return None


@pytest.mark.parametrize("words", SWEEPING)
def test_settings_of_launchers_and_samplers(words: str) -> None:
    register_with_hydra()
    register_plugins()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF)):
        config = compose("config", [words, "hydra.mode=MULTIRUN"], return_hydra_config=True)
    part = "hydra.sweeper.sampler" if "sweeper" in words else "hydra.launcher"
    check_sweep(config)
    node = OmegaConf.select(config, part)
    found: dict[str, set[str]] = {}
    with open_dict(config):
        for name in [name for name in node if name != "_target_"]:
            before = OmegaConf.to_container(node, resolve=False)[name]
            for kind, value in VALUES.items():
                node[name] = value
                if (error := refusal(config)) is None:
                    found.setdefault(f"{part}.{name}", set()).add(kind)
                else:
                    assert error.startswith(f"{part}.{name}="), error
            node[name] = before
    assert found == SWEEPING[words]


@pytest.mark.parametrize("base", ["grid", "control", "wandb"])
def test_no_section_takes_another_key(base: str, composed: Any) -> None:
    values = resolved(composed(*BASES[base][0]))
    open_ones = (
        "env.kwargs",
        "env.perturbation",
        "env.experts",
        "env.samples",
        "search.budgets",
        "skip",
        "only",
        "search.space",
    )
    for section in ["", *(key for key in keys_of(values) if isinstance(value_of(values, key), dict))]:
        if section.startswith(open_ones):
            continue
        inner = value_of(values, section) if section else values
        inner["nonsense"] = 3
        with pytest.raises(ConfigurationError, match=rf"^{section}\.?nonsense=3: no such key|^{section}="):
            check(OmegaConf.create(values), {}, values)
        del inner["nonsense"]
