"""What the keys of a control environment, and of the policies trained in it, may be."""

import math
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import active_kinds
from mavrl.configuration.rule import MAPPING, POSITIVE, SIZES, Rule, mapping, number, one_of, optional, whole
from mavrl.errors import ConfigurationError


def _is_schedule(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("lin_"):
        try:
            value = float(value.removeprefix("lin_"))
        except ValueError:
            return False
    return number(0, open_low=True).holds(value)


_EXPERTS = Rule(
    lambda value: (
        isinstance(value, dict)
        and value.keys() <= {"dqn", "ppo"}
        and all(isinstance(settings, dict) for settings in value.values())
    ),
    "must hold the settings of dqn, of ppo, of both or of none, such as {dqn: {total_steps: 50000}}",
)

_LEARNING_RATE = Rule(_is_schedule, "must be a number above 0, or lin_x such as lin_3e-4 for a linear schedule to 0")

_CONTROL_RULES = {
    "env.id": Rule(lambda value: isinstance(value, str) and value != "", "must be the name of a Gymnasium environment"),
    "env.kwargs": MAPPING,
    "env.perturbation": mapping(optional(number(-math.inf)), example="{gravity: 12.0}"),
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
    "policy.clip": POSITIVE,
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
    "policy.max_grad_norm": POSITIVE,
    "policy.normalize_reward": one_of(True, False),
    "policy.hidden_sizes": SIZES,
}
# What experiments also say in the environments of other families, where nothing reads it.
SHARED = {**_PPO_RULES, **{key: _CONTROL_RULES[key] for key in ("model.standardize", "model.kl_count")}}


def rules(config: DictConfig) -> dict[str, Rule]:
    """The rules of keys that only control environments have, or that are narrower for them."""
    policy = OmegaConf.select(config, "policy.name")
    own = {"ppo": _PPO_RULES, "imitation": {"policy.checkpoint": one_of("last")}}
    return {**_CONTROL_RULES, **(own.get(policy, {}) if isinstance(policy, str) else {})}


def check(config: DictConfig) -> None:
    """Refuse a policy that does not fit the task or the feedback.

    Raises:
        ConfigurationError: for the first key that does not fit another one.
    """
    policy = config.policy
    if policy.name == "dqn" and config.task.name != "expert":
        raise ConfigurationError("policy", "dqn", "trains experts (task=expert); a run needs ppo or imitation")
    if policy.name == "imitation" and "demonstration" not in active_kinds(config):
        raise ConfigurationError("policy", "imitation", "needs demonstrations; choose a modality with d, or policy=ppo")
    if policy.name == "ppo" and policy.batch_size > policy.n_envs * policy.n_steps:
        allowed = f"must be at most policy.n_envs * policy.n_steps = {policy.n_envs * policy.n_steps}"
        raise ConfigurationError("policy.batch_size", policy.batch_size, allowed)
