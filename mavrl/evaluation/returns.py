"""How good a policy is: its exact value in a finite environment, and the scale that makes values comparable."""

import logging
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.metrics import is_scale
from mavrl.planning import greedy_policy, optimal_action_values, policy_values, uniform_policy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scale:
    """The scale of normalized returns: 100 is optimal, 0 is uniformly random. Made by `between`, which may refuse.

    Args:
        optimal: return of the policy that nothing is better than, or of an expert.
        uniform: return of the uniformly random policy.
    """

    optimal: Float[Tensor, "#R"] | float
    uniform: Float[Tensor, "#R"] | float

    @classmethod
    def between(cls, optimal: Float[Tensor, "#R"] | float, uniform: Float[Tensor, "#R"] | float) -> "Scale | None":
        """The scale of two returns; None, with a warning, where the optimal one is not above the other.

        With several replicates it is None as soon as one of them has none: a mean over the others would be of other
        environments than the means beside it.
        """
        highs, lows = (torch.as_tensor(x, dtype=torch.float64).flatten() for x in (optimal, uniform))
        for high, low in zip(*torch.broadcast_tensors(highs, lows), strict=True):
            if not is_scale(float(high), float(low)):
                words = "normalized returns are left out: the return that is to be 100, %.6g, is not above the %.6g"
                log.warning(f"{words} of the uniform policy", float(high), float(low))
                return None
        return cls(optimal, uniform)

    def normalized(self, value: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
        """Returns in percent.

        Args:
            value: returns, discounted or not as those of the scale.
        """
        span = torch.as_tensor(self.optimal - self.uniform, dtype=value.dtype)
        return 100 * (value - self.uniform) / span


@dataclass(frozen=True)
class ReferenceValues:
    """Discounted values at the start under the true reward, which normalize the return.

    Args:
        optimal: value of the optimal policy.
        uniform: value of the uniformly random policy.
    """

    optimal: Float[Tensor, "R"]
    uniform: Float[Tensor, "R"]

    @classmethod
    def of_problem(cls, problem: TabularProblem) -> "ReferenceValues":
        """The values in an environment, of one replicate or of each."""
        uniform = uniform_policy(problem.transitions).expand(len(problem.reward), -1, -1)
        return cls(value_at_start(problem, greedy_policy(problem.q)), value_at_start(problem, uniform))


def value_at_start(problem: TabularProblem, policy: Float[Tensor, "R S A"]) -> Float[Tensor, "R"]:
    """Expected discounted true return from the initial distribution, in the continuing problem."""
    reward = problem.reward.expand(len(policy), -1)[..., None]
    return policy_values(problem.transitions, reward, policy, problem.gamma) @ problem.initial_distribution


def policy_of(problem: TabularProblem, reward: Float[Tensor, "R S"]) -> Float[Tensor, "R S A"]:
    """The greedy policy that is optimal for another reward in the same environment."""
    return greedy_policy(optimal_action_values(problem.transitions, reward[..., None], problem.gamma))


def return_metrics(problem: TabularProblem, reward: Float[Tensor, "R S"]) -> dict[str, Float[Tensor, "R"]]:
    """What the policy that is planned on a reward is worth under the true one.

    Args:
        problem: the environment with its true reward.
        reward: reward of every state that is planned on.

    Returns:
        `normalized_return` in percent, and `regret` and `discounted_value` as discounted returns at the start. Without
        the first, where all policies are as good as the uniform one.
    """
    reference = ReferenceValues.of_problem(problem)
    value = value_at_start(problem, policy_of(problem, reward))
    scale = Scale.between(reference.optimal, reference.uniform)
    normalized = {} if scale is None else {"normalized_return": scale.normalized(value)}
    return {**normalized, "regret": reference.optimal - value, "discounted_value": value}
