"""Settings of a control environment, and of the policies that act in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from mavrl.agents.expert_training import Algorithm
from mavrl.agents.ppo_settings import PPOSettings
from mavrl.agents.rewards import LearnedRewardSettings
from mavrl.agents.sac_settings import SACSettings
from mavrl.agents.trainer import AgentSettings
from mavrl.configuration.settings import structured
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.pool import Vector
from mavrl.envs.teacher_reward import Part
from mavrl.envs.wrappers import Wrapping

Unlearned = float | Literal["true"]  # what a policy is paid that learns nothing from feedback
CONSTANTS: dict[str, float] = {"positive": 1.0, "negative": -1.0}
UNLEARNED: dict[str, Unlearned] = {"true_reward": "true", **CONSTANTS}  # by the names that policy.reward has for them


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
    behaviour_expert: Algorithm | Literal["uniform"]
    demonstration_expert: Algorithm | None
    normalization: NormalizationSettings
    wrappers: Sequence[Wrapping] | None = None  # what a run of an earlier version has
    teacher_reward: Sequence[Part] | None = None  # left out where the reward is the environment's own
    reward_unit: float = 1.0

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
            teacher_reward=tuple(self.teacher_reward or ()),
        )


def described(environment: ControlEnvironment) -> dict[str, Any]:
    """What tells an environment from others, in plain values; without `teacher_reward` where the reward is its own."""
    values = {each.name: getattr(environment, each.name) for each in fields(environment)}
    if not environment.teacher_reward:
        del values["teacher_reward"]  # what was kept before there was such a thing stays what it is
    return values


@dataclass(frozen=True)
class PolicySettings:
    """Who acts on a learned reward.

    Args:
        name: ppo, sac, imitation, or dqn, which only trains experts.
        checkpoint: the policy that is kept: the last, or the one that was best on the true reward.
        agent: hyperparameters, where PPO or SAC is trained.
        reward: name of what it is paid.
        paid: how it is paid a learned reward; or "true" for the true one, or a number for the same at every step, which
            baselines are paid.
        warm_start: whether it begins like the demonstrators.
        parts: of its training, at whose ends it can be gone on with.
        evaluate_every: steps between evaluations during its training; None for one at the end of each part.
        evaluation_episodes: of each.
        stop_below: true return of such an evaluation that ends the training; None for none.
        vector: whose copies of the environment it is trained in.
    """

    name: str
    checkpoint: Literal["last", "true_reward"] = "last"
    agent: AgentSettings | None = None
    reward: str | None = None
    paid: LearnedRewardSettings | Unlearned | None = None
    warm_start: bool = False
    parts: int = 1
    evaluate_every: int | None = None
    evaluation_episodes: int = 1
    stop_below: float | None = None
    vector: Vector = "gymnasium"

    @classmethod
    def from_policy(cls, policy: Mapping[str, Any]) -> "PolicySettings":
        """The settings in the `policy` of a run.

        Raises:
            ConfigurationError: it has a key that nothing reads.
        """
        of_agent = {"ppo": PPOSettings, "sac": SACSettings}.get(policy["name"])
        if of_agent is None:
            return structured(cls, "policy", policy)
        agent, learned = (  # a key that is missing is one that earlier versions had not
            {each.name: policy[each.name] for each in fields(of) if each.name in policy}
            for of in (of_agent, LearnedRewardSettings)
        )
        both = agent.keys() | learned.keys() | {"minibatches", "updates"}  # which others are made of
        own = {name: value for name, value in policy.items() if name not in {*both, "evaluations"}}  # of version 5
        reward = policy["reward"]
        paid = UNLEARNED[reward] if reward in UNLEARNED else LearnedRewardSettings(**learned)
        return structured(cls, "policy", {**own, "reward": reward, "agent": of_agent(**agent), "paid": paid})

    @property
    def looks(self) -> int:
        """Evaluations during a training, beside one at the end of each part."""
        agent, every = self.agent, self.evaluate_every
        return 1 if agent is None or not every else max(1, agent.total_steps // every)

    @property
    def learned(self) -> LearnedRewardSettings | None:
        """How it is paid a learned reward; None where it is paid none."""
        return self.paid if isinstance(self.paid, LearnedRewardSettings) else None
