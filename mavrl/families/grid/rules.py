"""What the keys of a grid may be."""

import math

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.plain import shown
from mavrl.configuration.rule import TEXT, Rule, if_there, mapping, number, one_of, optional, whole
from mavrl.errors import ConfigurationError

_LARGEST_FULL = 40  # env.size, of a full covariance: 1,600 states, 10 MB a model in each of several copies
_RULES = {
    "env.layout": TEXT,
    "env.size": whole(3, 1000),
    "env.p_rand": number(0, 1),
    "env.teacher_reward": if_there(optional(mapping(number(-math.inf), example="{first: 1.0, second: -1.0}"))),
    "model.reward_domain": one_of("s"),
    "model.objective": one_of("elbo", "weighted", "exact"),
    "policy.name": one_of("exact"),
    "feedback.demonstration.minimum_return": Rule(
        lambda value: value is None, "must be null where the dynamics are known: the demonstrator acts on the optimal Q"
    ),
}

_OF_EXACT = (
    ("model.q", "planned", "a learned Q is no part of a posterior"),
    ("members", 1, "its chains are what members are elsewhere"),
    ("rounds.name", "once", "all feedback is there before it is sampled"),
    ("data.folder", None, "its feedback is simulated"),
    ("trainer.validation", False, "nothing is trained that could be selected"),
)


def rules(config: DictConfig) -> dict[str, Rule]:
    """The rules of keys that only grids have, or that are narrower for them."""
    return _RULES


def check(config: DictConfig) -> None:
    """Refuse a covariance that would not fit into memory, and what an exact posterior cannot be of.

    Raises:
        ConfigurationError: for the first such thing.
    """
    if config.model.covariance == "full" and config.env.size > _LARGEST_FULL:
        allowed = f"is for env.size up to {_LARGEST_FULL}, not {config.env.size}; low_rank is for all sizes"
        raise ConfigurationError("model.covariance", "full", allowed)
    if config.model.objective != "exact":
        return
    for key, wanted, why in _OF_EXACT:
        value = OmegaConf.select(config, key)
        if value != wanted:
            raise ConfigurationError(key, value, f"must be {shown(wanted)} with model.objective=exact: {why}")
