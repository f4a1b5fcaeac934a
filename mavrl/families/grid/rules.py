"""What the keys of a grid may be."""

import math

from omegaconf import DictConfig

from mavrl.configuration.rule import TEXT, Rule, if_there, mapping, number, one_of, optional, whole
from mavrl.errors import ConfigurationError

_LARGEST_FULL = 40  # env.size, of a full covariance: 1,600 states, 10 MB a model in each of several copies
_RULES = {
    "env.layout": TEXT,
    "env.size": whole(3, 1000),
    "env.p_rand": number(0, 1),
    "env.teacher_reward": if_there(optional(mapping(number(-math.inf), example="{first: 1.0, second: -1.0}"))),
    "model.reward_domain": one_of("s"),
    "policy.name": one_of("exact"),
    "feedback.demonstration.minimum_return": Rule(
        lambda value: value is None, "must be null where the dynamics are known: the demonstrator acts on the optimal Q"
    ),
}


def rules(config: DictConfig) -> dict[str, Rule]:
    """The rules of keys that only grids have, or that are narrower for them."""
    return _RULES


def check(config: DictConfig) -> None:
    """Refuse a covariance that would not fit into memory.

    Raises:
        ConfigurationError: it is.
    """
    if config.model.covariance == "full" and config.env.size > _LARGEST_FULL:
        allowed = f"is for env.size up to {_LARGEST_FULL}, not {config.env.size}; low_rank is for all sizes"
        raise ConfigurationError("model.covariance", "full", allowed)
