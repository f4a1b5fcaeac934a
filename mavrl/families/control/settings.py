"""Settings of a control environment, and of the policies that act in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from mavrl.agents.expert_training import Algorithm
from mavrl.agents.ppo_settings import PPOSettings
from mavrl.agents.rewards import LearnedRewardSettings
from mavrl.configuration.settings import structured
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.pool import Vector
from mavrl.envs.wrappers import Wrapping


@dataclass(frozen=True)
class NormalizationSettings:
    """Returns that count as 100 and 0; None for what the demonstrator and the uniform policy reach."""

    optimal: float | None
    uniform: float | None


@dataclass(frozen=True)
class ControlSettings:
    """A control environment as conf/env/ describes it; conf/env/base/control.yaml says what each setting means."""

    name: str
    family: str
    id: str
    kwargs: Mapping[str, Any]
    gamma: float
    max_steps: int | None
    termination: str
    fixed_horizon: bool
    perturbation: Mapping[str, float | None]
    behaviour_expert: Algorithm
    demonstration_expert: Algorithm
    normalization: NormalizationSettings
    wrappers: Sequence[Wrapping] | None = None  # what a run of an earlier version has

    @classmethod
    def from_env(cls, env: Mapping[str, Any]) -> "ControlSettings":
        """The settings in the `env` of a run."""
        normalization = structured(NormalizationSettings, "env.normalization", env["normalization"])
        return structured(cls, "env", {**env, "normalization": normalization})

    @property
    def environment(self) -> ControlEnvironment:
        """The environment that they describe."""
        return ControlEnvironment(
            id=self.id,
            kwargs=dict(self.kwargs),
            max_steps=self.max_steps,
            perturbation={name: value for name, value in self.perturbation.items() if value is not None},
            fixed_horizon=self.fixed_horizon,
            wrappers=tuple(self.wrappers or ()),
        )


def described(environment: ControlEnvironment) -> dict[str, Any]:
    """What tells an environment from others, in plain values."""
    return {each.name: getattr(environment, each.name) for each in fields(environment)}


@dataclass(frozen=True)
class PolicySettings:
    """Who acts on a learned reward.

    Args:
        name: ppo, imitation, or dqn, which only trains experts.
        checkpoint: the policy that is kept: the last, or the one that was best on the true reward.
        ppo: hyperparameters, where PPO is trained.
        paid: how it is paid a learned reward.
        warm_start: whether it begins like the demonstrators.
        evaluations: parts of its training.
        evaluation_episodes: at the end of each part.
        stop_below: true return of such an evaluation that ends the training; None for none.
        vector: whose copies of the environment it is trained in.
    """

    name: str
    checkpoint: Literal["last", "true_reward"] = "last"
    ppo: PPOSettings | None = None
    paid: LearnedRewardSettings | None = None
    warm_start: bool = False
    evaluations: int = 1
    evaluation_episodes: int = 1
    stop_below: float | None = None
    vector: Vector = "gymnasium"

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any]) -> "PolicySettings":
        """The settings in the `policy` of a run.

        Raises:
            ConfigurationError: it has a key that nothing reads.
        """
        if policy["name"] != "ppo":
            return structured(cls, "policy", policy)
        ppo, paid = (
            {each.name: policy[each.name] for each in fields(of)} for of in (PPOSettings, LearnedRewardSettings)
        )
        both = ppo.keys() | paid.keys() | {"minibatches"}  # which batch_size is made of
        own = {name: value for name, value in policy.items() if name not in both}
        return structured(cls, "policy", {**own, "ppo": PPOSettings(**ppo), "paid": LearnedRewardSettings(**paid)})
