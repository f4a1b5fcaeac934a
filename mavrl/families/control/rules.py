"""What the keys of a control environment, and of the policies trained in it, may be, and whose code it runs."""

import math
import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module, metadata
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import RETURNS, active_kinds
from mavrl.configuration.plain import plain, written
from mavrl.configuration.rule import (
    MAPPING,
    POSITIVE,
    SIZES,
    TEXT,
    Rule,
    if_there,
    mapping,
    number,
    one_of,
    optional,
    whole,
)
from mavrl.configuration.sources import source_digests
from mavrl.errors import ConfigurationError
from mavrl.metrics import is_scale


def _is_schedule(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("lin_"):
        try:
            value = float(value.removeprefix("lin_"))
        except ValueError:
            return False
    return number(0, open_low=True).holds(value)


def _is_entropy(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("auto_"):
        try:
            return number(0, open_low=True).holds(float(value.removeprefix("auto_")))
        except ValueError:
            return False
    return value == "auto" or number(0).holds(value)


def _is_wrapping(value: Any) -> bool:
    if isinstance(value, dict):
        return len(value) == 1 and all(isinstance(name, str) and isinstance(x, dict) for name, x in value.items())
    return isinstance(value, str) and value != ""


def _is_frequency(value: Any) -> bool:
    every, unit = value if isinstance(value, list) and len(value) == 2 else (value, "step")
    return unit in ("step", "episode") and whole(1, 1_000_000_000).holds(every)


_EXPERTS = Rule(
    lambda value: (
        isinstance(value, dict)
        and value.keys() <= {"dqn", "ppo", "sac"}
        and all(isinstance(settings, dict) for settings in value.values())
    ),
    "must hold the settings of dqn, ppo and sac, of some or of none of them, such as {dqn: {total_steps: 50000}}",
)

_IDENTITY = {"id", "kwargs", "wrappers", "max_steps", "perturbation", "fixed_horizon", "teacher_reward"}
_TOLD_OF_CONSTANTS = {*RETURNS, *_IDENTITY}
_CONSTANTS = Rule(
    lambda value: (
        isinstance(value, dict)
        and isinstance(value.get("id"), str)
        and value["id"] != ""
        and value.keys() <= _TOLD_OF_CONSTANTS
        and all(value.get(name) is None or number(-math.inf).holds(value[name]) for name in RETURNS)
    ),
    "must say of which environment which returns are, such as {id: CartPole-v1, optimal: 500, uniform: 22}",
)

_WRAPPERS = Rule(
    lambda value: isinstance(value, list) and all(map(_is_wrapping, value)),
    "must be a list of Gymnasium's wrappers, each a name or a name with arguments, such as "
    "[FlattenObservation, {DelayObservation: {delay: 2}}]",
)

_PART_LIST = Rule(
    lambda value: isinstance(value, list) and all(isinstance(part, dict) for part in value),
    "must be a list of parts, such as [{observation: 0, weight: -1.0}, {constant: 1.0}]",
)
_INDEX = whole(0, 1_000_000)
_PARTS = {  # of env.teacher_reward, as mavrl.envs.teacher_reward has them
    "reward": _INDEX,
    "observation": _INDEX,
    "info": TEXT,
    "action": _INDEX,
    "constant": number(-math.inf),
}
_RANGE = Rule(
    lambda value: (
        isinstance(value, list)
        and len(value) == 2
        and all(number(-math.inf).holds(end) for end in value)
        and value[0] < value[1]
    ),
    "must be two finite numbers, the lower first, such as [-1.0, 1.0]",
)
_OF_PART = {"weight": number(-math.inf), "clip": optional(_RANGE)}

_LEARNING_RATE = Rule(_is_schedule, "must be a number above 0, or lin_x such as lin_3e-4 for a linear schedule to 0")

LEARNING_RULES = {  # of rewards of transitions
    "model.q": one_of("learned", "inverse"),
    "model.reward_domain": one_of("s", "sa", "sas"),
    "model.covariance": Rule(lambda value: value == "diagonal", "must be diagonal where states do not repeat"),
    "model.standardize": one_of(True, False),
    "model.kl_count": one_of("transition", "sample", "mean"),
}
_CONTROL_RULES = {
    "env.id": Rule(lambda value: isinstance(value, str) and value != "", "must be the name of a Gymnasium environment"),
    "env.kwargs": MAPPING,
    "env.wrappers": optional(_WRAPPERS),
    "env.perturbation": mapping(optional(number(-math.inf)), example="{gravity: 12.0}"),
    "env.experts": _EXPERTS,
    "env.fixed_horizon": one_of(True, False),
    "env.behaviour_expert": one_of("dqn", "sac", "uniform"),
    "env.demonstration_expert": optional(one_of("dqn", "ppo", "sac")),
    "env.teacher_reward": if_there(optional(_PART_LIST)),
    "env.reward_unit": if_there(POSITIVE),
    "env.normalization.optimal": optional(number(-math.inf)),
    "env.normalization.uniform": optional(number(-math.inf)),
    "env.constants": optional(_CONSTANTS),
    "env.baselines.positive": optional(number(-math.inf)),
    "env.baselines.negative": optional(number(-math.inf)),
    "feedback.demonstration.minimum_return": optional(number(-math.inf)),
    **LEARNING_RULES,
    "policy.name": one_of("ppo", "imitation", "dqn", "sac"),
}
_AGENT_RULES = {  # of policies that are trained on a reward
    "policy.total_steps": whole(1, 1_000_000_000),
    "policy.checkpoint": one_of("last", "true_reward"),
    "policy.reward": one_of("mean", "lower_bound", "sample", "true_reward", "positive", "negative"),
    "policy.kappa": number(0),
    "policy.sample_per": one_of("step", "episode"),
    "policy.standardize": one_of(True, False),
    "policy.clip": POSITIVE,
    "policy.termination_weight": number(0),
    "policy.reference_weight": number(0),
    "policy.parts": whole(1, 10_000),
    "policy.evaluate_every": optional(whole(1, 1_000_000_000)),
    "policy.evaluation_episodes": whole(1, 100_000),
    "policy.stop_below": optional(number(-math.inf)),
    "policy.learning_rate": _LEARNING_RATE,
    "policy.gamma": number(0, 1, open_high=True),
    "policy.hidden_sizes": SIZES,
}
_PPO_RULES = {
    **_AGENT_RULES,
    "policy.warm_start": one_of(True, False),
    "policy.vector": one_of("gymnasium", "envpool"),
    "policy.n_envs": whole(1, 1024),
    "policy.updates": whole(1, 1_000_000),
    "policy.n_steps": whole(2, 100_000),
    "policy.minibatches": whole(1, 1_000_000),
    "policy.batch_size": whole(2, 1_000_000),
    "policy.n_epochs": whole(1, 1000),
    "policy.clip_range": _LEARNING_RATE,
    "policy.gae_lambda": number(0, 1),
    "policy.ent_coef": number(0),
    "policy.vf_coef": number(0),
    "policy.max_grad_norm": POSITIVE,
    "policy.normalize_reward": one_of(True, False),
    "policy.normalize_observations": if_there(one_of(True, False)),
}
_SAC_RULES = {
    **_AGENT_RULES,
    "policy.warm_start": if_there(one_of(False)),  # which experiments say for all
    "policy.batch_size": whole(1, 1_000_000),
    "policy.buffer_size": whole(1, 1_000_000_000),
    "policy.learning_starts": whole(0, 1_000_000_000),
    "policy.tau": number(0, 1),
    "policy.train_freq": whole(1, 1_000_000),
    "policy.gradient_steps": whole(-1, 1_000_000),
    "policy.ent_coef": Rule(_is_entropy, "must be a number from 0, auto, or auto_x such as auto_0.1"),
}
_OF_POLICY = {"ppo": _PPO_RULES, "sac": _SAC_RULES}
_STEPS = whole(1, 1_000_000_000)
_FREQUENCY = Rule(_is_frequency, "must be a number of steps from 1, or [n, step] or [n, episode]")
_SHARE = number(0, 1)
_REPLAY_RULES = {  # of algorithms that remember transitions
    "total_steps": _STEPS,
    "hidden_sizes": SIZES,
    "learning_rate": _LEARNING_RATE,
    "batch_size": whole(1, 1_000_000),
    "buffer_size": _STEPS,
    "learning_starts": whole(0, 1_000_000_000),
    "gamma": _SHARE,
    "tau": _SHARE,
    "target_update_interval": _STEPS,
    "train_freq": _FREQUENCY,
    "gradient_steps": whole(-1, 1_000_000),
}
_EXPERT_RULES = {  # of the settings of Stable-Baselines3 that may be given; what else there is it checks itself
    "dqn": {
        **_REPLAY_RULES,
        "exploration_fraction": _SHARE,
        "exploration_initial_eps": _SHARE,
        "exploration_final_eps": _SHARE,
        "max_grad_norm": POSITIVE,
    },
    "sac": _REPLAY_RULES,
    "ppo": {
        name: _PPO_RULES[f"policy.{name}"]
        for name in (
            "total_steps", "n_envs", "n_steps", "batch_size", "n_epochs", "learning_rate", "clip_range", "gae_lambda",
            "ent_coef", "vf_coef", "max_grad_norm", "normalize_reward", "hidden_sizes",
        )
    } | {"gamma": _SHARE},
}  # fmt: skip
# What experiments also say in the environments of other families, where nothing reads it.
SHARED = {**_PPO_RULES, **{key: _CONTROL_RULES[key] for key in ("model.standardize", "model.kl_count")}}


def rules(config: DictConfig) -> dict[str, Rule]:
    """The rules of keys that only control environments have, or that are narrower for them."""
    return {**_CONTROL_RULES, **_OF_POLICY.get(str(OmegaConf.select(config, "policy.name")), {})}


def code(env: Mapping[str, Any]) -> dict[str, str]:
    """The version of Gymnasium, and digests of the modules outside of it that an environment comes from."""
    return {"gymnasium": _version(), **source_digests(_modules(str(env["id"])))}


@cache
def _version() -> str:
    return metadata.version("gymnasium")


@cache
def _registers_others() -> bool:
    """Whether packages are installed that register ids when Gymnasium is imported."""
    return bool(metadata.entry_points(group="gymnasium.envs"))


def _modules(env_id: str) -> list[str]:
    """The module that an id names, or where an id that some package has registered has its class."""
    module, _, name = env_id.rpartition(":")
    if module:
        return [module]
    if _registers_others():
        import_module("gymnasium")
    gymnasium = sys.modules.get("gymnasium")  # imported already where a plugin registers ids
    spec = gymnasium.registry.get(name) if gymnasium else None
    entry = spec.entry_point if spec else None
    return [] if entry is None else [entry if isinstance(entry, str) else entry.__module__]


def check(config: DictConfig) -> None:
    """Refuse a policy that does not fit the task or the feedback, and settings of experts or constants that are none.

    Raises:
        ConfigurationError: for the first key that does not fit another one.
    """
    for algorithm, settings in plain(config.env.experts).items():
        for name, rule in _EXPERT_RULES[algorithm].items():
            if name in settings and not rule.holds(settings[name]):
                raise ConfigurationError(f"env.experts.{algorithm}.{name}", written(settings[name]), rule.allowed)
    _check_teacher_reward(plain(config.env).get("teacher_reward") or [])
    if OmegaConf.select(config, "data.digest") is None and config.task.name != "collect":  # which asks nobody
        _check_teachers(config)
    check_learning(config)
    policy = config.policy
    optimal, uniform = (OmegaConf.select(config, f"env.normalization.{name}") for name in ("optimal", "uniform"))
    if optimal is not None and uniform is not None and not is_scale(optimal, uniform):
        allowed = f"is 100 and env.normalization.uniform={uniform} is 0, so it must be above; null measures them"
        raise ConfigurationError("env.normalization.optimal", optimal, allowed)
    if policy.name == "dqn" and config.task.name != "expert":
        raise ConfigurationError("policy", "dqn", "trains experts (task=expert); a run needs ppo, sac or imitation")
    if policy.name == "imitation" and "demonstration" not in active_kinds(config):
        raise ConfigurationError("policy", "imitation", "needs demonstrations; choose a modality with d, or policy=ppo")
    if policy.name == "ppo" and policy.batch_size > policy.n_envs * policy.n_steps:
        allowed = f"must be at most policy.n_envs * policy.n_steps = {policy.n_envs * policy.n_steps}"
        raise ConfigurationError("policy.batch_size", policy.batch_size, allowed)
    if policy.name == "sac" and config.task.name != "expert" and policy.learning_starts >= policy.total_steps:
        allowed = f"must be below policy.total_steps = {policy.total_steps}; before that nothing is learned"
        raise ConfigurationError("policy.learning_starts", policy.learning_starts, allowed)


def check_learning(config: DictConfig) -> None:
    """Refuse a backup that a reward which follows from Q cannot have.

    Raises:
        ConfigurationError: it is the behaviour's.
    """
    if config.model.q == "inverse" and config.model.backup == "behaviour":
        allowed = "is about actions that were taken; the reward that Q implies (model.q=inverse) is optimal or soft"
        raise ConfigurationError("model.backup", "behaviour", allowed)


def _check_teachers(config: DictConfig) -> None:
    """Refuse simulated feedback for which there is nobody who could give it."""
    kinds = active_kinds(config)
    if config.env.behaviour_expert == "uniform" and "stop" in kinds:
        allowed = "has no Q to tell the regret that stops are about; choose a modality without s, or dqn or sac"
        raise ConfigurationError("env.behaviour_expert", "uniform", allowed)
    if config.env.demonstration_expert is None and "demonstration" in kinds:
        allowed = "leaves nobody who demonstrates; choose a modality without d, or dqn, ppo or sac"
        raise ConfigurationError("env.demonstration_expert", None, allowed)


def _check_teacher_reward(parts: list[dict[str, Any]]) -> None:
    """Refuse a part that is none, or whose keys are not those of its kind."""
    for number_of_part, part in enumerate(parts):
        key = f"env.teacher_reward[{number_of_part}]"
        names = [name for name in _PARTS if name in part]
        if len(names) != 1:
            raise ConfigurationError(key, written(part), f"must have one of {', '.join(_PARTS)}")
        (name,) = names
        rules = {name: _PARTS[name], **({} if name == "constant" else _OF_PART)}
        for inner, value in part.items():
            if inner not in rules:
                raise ConfigurationError(
                    f"{key}.{inner}", written(value), f"no such key; {name} has {', '.join(rules)}"
                )
            if not rules[inner].holds(value):
                raise ConfigurationError(f"{key}.{inner}", written(value), rules[inner].refusal(value))
        if name != "constant" and "weight" not in part:
            raise ConfigurationError(key, written(part), "lacks a weight")
