"""Settings of a grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mavrl.configuration.settings import structured


@dataclass(frozen=True)
class GridSettings:
    """A grid as conf/env/ describes it.

    Args:
        name: of the environment.
        family: "grid".
        layout: name in `mavrl.envs.layouts.LAYOUTS`.
        size: cells a side.
        p_rand: probability that another action is executed.
        gamma: discount.
        max_steps: steps after which an episode is cut off; None for no limit.
        termination: what it means that an episode terminates: success, neutral or failure.
        teacher_reward: weights of the layout's parts, whose sum is the reward; None or empty for the layout's own.
    """

    name: str
    family: str
    layout: str
    size: int
    p_rand: float
    gamma: float
    max_steps: int | None
    termination: str
    teacher_reward: Mapping[str, float] | None = None

    @classmethod
    def from_env(cls, env: Mapping[str, Any]) -> "GridSettings":
        """The settings in the `env` of a run."""
        return structured(cls, "env", env)
