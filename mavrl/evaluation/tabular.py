"""The judgement of a finite environment's learned reward, and the metrics that are read off it."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.evaluation import differences, distance, exact_posterior
from mavrl.evaluation.calibration import coverage, probability_below, share_below
from mavrl.evaluation.returns import return_metrics
from mavrl.model.sampled_reward import SampledRewardModel
from mavrl.model.tabular_reward import TabularRewardModel

_DRAWS = 100  # reward functions whose spread is the uncertainty of a difference
_PLANNED = 8  # of them that policies are planned on
_LEVEL = torch.tensor([0.9])  # of intervals of differences


@dataclass(frozen=True)
class TabularJudgement:
    """A learned reward beside the true one, in every state.

    Args:
        problem: the environment with its true reward.
        model: the learned reward.
        segments: weights of differences of segments' mean rewards (`mavrl.evaluation.differences`); None where no
            feedback is about segments.
    """

    problem: TabularProblem
    model: TabularRewardModel
    segments: Float[Tensor, "R P S"] | None = None

    @property
    def truth(self) -> Float[Tensor, "#R S"]:
        """True reward of every state; one row where all replicates share it."""
        return self.problem.reward

    @cached_property
    def mean(self) -> Float[Tensor, "R S"]:
        """Posterior mean of every state's reward."""
        return self.model.mean_table().double()

    @cached_property
    def std(self) -> Float[Tensor, "R S"]:
        """Posterior standard deviation of every state's reward."""
        return self.model.std_table().double()

    @cached_property
    def below(self) -> Float[Tensor, "R S"]:
        """Posterior probability of a lower reward than the true one, of every state."""
        if isinstance(self.model, SampledRewardModel):
            return share_below(self.model.draws.flatten(1, 2).double(), self.truth)
        return probability_below(self.mean, self.std, self.truth)

    @cached_property
    def drawn(self) -> Float[Tensor, "R N S"]:
        """Reward functions drawn from the posterior."""
        return torch.stack([self.model.sample_table(seed) for seed in range(_DRAWS)], dim=1)

    @cached_property
    def policies(self) -> Float[Tensor, "R P S"]:
        """Weights of differences of the values of policies: those planned on the posterior mean and on some draws."""
        planned = torch.cat([self.mean[:, None], self.drawn[:, :_PLANNED].double()], dim=1)
        actions = differences.optimal_actions(self.problem, planned)
        return differences.all_pairs(differences.occupancies(self.problem, actions))

    @cached_property
    def returns(self) -> dict[str, Float[Tensor, "R"]]:
        """What the policy that is planned on the posterior mean is worth under the true reward, by metric."""
        return return_metrics(self.problem, self.mean)


def normalized_return(judgement: TabularJudgement) -> Float[Tensor, "R"] | None:
    """Value of the planned policy: 100 is that of the optimal one, 0 of the uniform one; None where these agree."""
    return judgement.returns.get("normalized_return")


def regret(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Discounted true return at the start that the planned policy lacks."""
    return judgement.returns["regret"]


def discounted_value(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Discounted true return of the planned policy at the start."""
    return judgement.returns["discounted_value"]


def epic_distance(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """EPIC distance of posterior mean and true reward."""
    return distance.epic_distance(judgement.mean, judgement.truth)


def spearman(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Rank correlation of posterior mean and true reward over all states."""
    return distance.spearman(judgement.mean, judgement.truth)


def posterior_std(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Posterior standard deviation, mean over states, in units of reward."""
    return judgement.std.mean(-1)


def member_spread(judgement: TabularJudgement) -> Float[Tensor, "R"] | None:
    """Standard deviation of the members' means, mean over states, in units of reward; None with a single member."""
    if judgement.model.description["members"] < 2:
        return None
    return judgement.model.member_spread().mean(-1)


def coverage_50(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Share of states whose true reward lies in the central 50 % interval of the posterior."""
    return coverage(judgement.below, 0.5)


def coverage_90(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Share of states whose true reward lies in the central 90 % interval of the posterior."""
    return coverage(judgement.below, 0.9)


def segment_coverage_90(judgement: TabularJudgement) -> Float[Tensor, "R"] | None:
    """Share of pairs of fresh segments whose true difference lies in the central 90 % interval of the posterior's."""
    if judgement.segments is None:
        return None
    return differences.coverages(judgement.segments, judgement.drawn, judgement.truth, _LEVEL).squeeze(-1)


def value_coverage_90(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Share of pairs of policies whose true difference in value lies in the central 90 % interval of the posterior's.

    The policies are those that are planned on the posterior mean and on draws from the posterior.
    """
    return differences.coverages(judgement.policies, judgement.drawn, judgement.truth, _LEVEL).squeeze(-1)


def r_hat(judgement: TabularJudgement) -> Float[Tensor, "R"] | None:
    """Largest split R-hat of a state's reward; None where nothing was sampled."""
    model = judgement.model
    return exact_posterior.r_hat(model.draws).amax(-1) if isinstance(model, SampledRewardModel) else None
