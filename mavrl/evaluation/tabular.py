"""The judgement of a finite environment's learned reward, and the metrics that are read off it."""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.evaluation import distance
from mavrl.evaluation.calibration import interval_coverage
from mavrl.evaluation.returns import return_metrics
from mavrl.model.tabular_reward import TabularRewardModel


@dataclass(frozen=True)
class TabularJudgement:
    """A learned reward beside the true one, in every state.

    Args:
        problem: the environment with its true reward.
        model: the learned reward.
    """

    problem: TabularProblem
    model: TabularRewardModel

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
    return interval_coverage(judgement.mean, judgement.std, judgement.truth, 0.5)


def coverage_90(judgement: TabularJudgement) -> Float[Tensor, "R"]:
    """Share of states whose true reward lies in the central 90 % interval of the posterior."""
    return interval_coverage(judgement.mean, judgement.std, judgement.truth, 0.9)
