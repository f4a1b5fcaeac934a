"""Judging in control environments: true returns of the same episodes for all policies, beside those of others."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float

from mavrl.agents.expert_training import true_returns
from mavrl.envs.control import ControlEnvironment
from mavrl.evaluation.episodic import EpisodicJudgement
from mavrl.evaluation.returns import Scale
from mavrl.families.control.settings import NormalizationSettings, described
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.base import Policy, UniformPolicy
from mavrl.policies.loading import StoredPolicy
from mavrl.progress import expect
from mavrl.simulation.base import Behaviour, Simulated, Simulator
from mavrl.storage.answers import AnswerStore
from mavrl.workers import Workers

log = logging.getLogger(__name__)

_HELD_OUT = (0, "held out", "evaluation")  # address of the transitions that rewards are compared on
_HELD_OUT_EPISODES, _HELD_OUT_STEPS = 32, 4096
_HELD_OUT_BEHAVIOUR = Behaviour(rationality=5.0)  # good but not perfect, and the same for all runs


@dataclass(frozen=True)
class ControlJudging:
    """The evaluation of policies in one environment.

    Args:
        environment: where.
        demonstrator: whom regret is measured against; None for nobody.
        normalization: returns that count as 100 and 0.
        episodes: that judge a policy.
        workers: processes that share the work.
        store: that keeps the returns of expert and uniform policy.
        code: of the environment, under which they are kept, too.
    """

    environment: ControlEnvironment
    demonstrator: StoredPolicy | None
    normalization: NormalizationSettings
    episodes: int
    workers: Workers
    store: AnswerStore
    code: Mapping[str, str] = field(default_factory=dict)
    _known_returns: dict[str, np.ndarray] = field(default_factory=dict)

    def returns(self, policy: Policy) -> Float[np.ndarray, "N"]:
        """Undiscounted true returns in the evaluation's episodes, which are the same for all policies."""
        return true_returns(self.environment, policy, (0, "evaluation"), self.episodes, self.workers)

    def expert_returns(self) -> Float[np.ndarray, "N"] | None:
        """True returns of the demonstrator in the same episodes; kept in the store. None without a demonstrator."""
        if self.demonstrator is None:
            return None
        return self._stored(self.demonstrator, self.demonstrator.fingerprint)

    def uniform_returns(self) -> Float[np.ndarray, "N"]:
        """True returns of the uniform policy in the same episodes; kept in the store."""
        return self._stored(UniformPolicy(self.environment.actions), "uniform")

    def _stored(self, policy: Policy, who: str) -> np.ndarray:
        if who in self._known_returns:
            return self._known_returns[who]
        environment = {**described(self.environment), "code": self.code}
        key = {"kind": "evaluation", "who": who, "environment": environment, "version": 2}
        entry = self.store.read(key, self.episodes)
        if entry is None:
            entry = {"returns": self.returns(policy)}
            self.store.write(key, entry, self.episodes)
        self._known_returns[who] = entry["returns"][: self.episodes]
        return self._known_returns[who]

    @property
    def optimal(self) -> float | None:
        """The return that counts as 100: the configured one, or what the demonstrator reaches; None without both."""
        if (given := self.normalization.optimal) is not None:
            return float(given)
        expert = self.expert_returns()
        return None if expert is None else float(expert.mean())

    @property
    def uniform(self) -> float:
        """The return that counts as 0: the configured one, or what the uniform policy reaches."""
        given = self.normalization.uniform
        return float(self.uniform_returns().mean() if given is None else given)

    @cached_property
    def scale(self) -> Scale | None:
        """The scale of normalized returns; None, with a warning, where 100 is not known or not better than 0."""
        if (optimal := self.optimal) is None:
            log.warning(
                "normalized returns are left out: there is no demonstrator, and env.normalization.optimal is null; "
                "task=normalize measures it"
            )
            return None
        return Scale.between(optimal, self.uniform)

    def comparison(self, baselines: Mapping[str, float | None]) -> dict[str, float]:
        """Normalized returns of others, by name; of none where there is no scale.

        Args:
            baselines: returns of policies that are paid a constant; None where they are not known.
        """
        if self.scale is None:
            return {}
        expert = self.expert_returns()
        found = {
            "expert": None if expert is None else float(expert.mean()),
            "uniform": self.uniform,
            "constant reward +1": baselines.get("positive"),
            "constant reward -1": baselines.get("negative"),
        }
        measured = {name: x for name, x in found.items() if x is not None}
        values = torch.tensor(list(measured.values()), dtype=torch.float64)
        return dict(zip(measured, self.scale.normalized(values).tolist(), strict=True))

    def judgement(self, model: StepRewardModel, policies: Sequence[Policy], simulator: Simulator) -> EpisodicJudgement:
        """What metrics are read off.

        Args:
            model: the learned reward.
            policies: of each replicate.
            simulator: of the environment, for transitions that nothing was learned from.
        """
        expect(len(policies) * self.episodes)
        returns = np.stack([self.returns(policy) for policy in policies])
        return EpisodicJudgement(model, returns, self.expert_returns(), self.scale, held_out_steps(simulator))


def held_out_steps(simulator: Simulator) -> Simulated:
    """Steps that nothing was learned from, on which rewards are compared: the same for all runs."""
    return simulator.segments([_HELD_OUT], _HELD_OUT_BEHAVIOUR, _HELD_OUT_EPISODES, _HELD_OUT_STEPS, 1, 1)
