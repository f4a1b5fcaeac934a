"""How good the policy of a learned reward is under the true one, exactly."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.planning import greedy_policy, optimal_action_values, policy_values, uniform_policy


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
    def of(cls, problem: TabularProblem) -> "ReferenceValues":
        uniform = uniform_policy(problem.transitions).expand(len(problem.reward), -1, -1)
        return cls(value_at_start(problem, greedy_policy(problem.q)), value_at_start(problem, uniform))

    def normalize(self, value: Float[Tensor, "R"]) -> Float[Tensor, "R"]:
        """100 for the optimal policy, 0 for the uniform one; 100 where the two are equally good."""
        span = self.optimal - self.uniform
        share = (value - self.uniform) / torch.where(span.abs() > 1e-12, span, torch.ones_like(span))
        return 100 * torch.where(span.abs() > 1e-12, share, torch.ones_like(share))


def value_at_start(problem: TabularProblem, policy: Float[Tensor, "R S A"]) -> Float[Tensor, "R"]:
    """Expected discounted true return from the initial distribution, in the continuing problem."""
    reward = problem.reward.expand(len(policy), -1)[..., None]
    return policy_values(problem.transitions, reward, policy, problem.gamma) @ problem.initial_distribution


def policy_of(problem: TabularProblem, reward: Float[Tensor, "R S"]) -> Float[Tensor, "R S A"]:
    """The greedy optimal policy of another reward in the same environment."""
    return greedy_policy(optimal_action_values(problem.transitions, reward[..., None], problem.gamma))


def return_metrics(problem: TabularProblem, reward: Float[Tensor, "R S"]) -> dict[str, Float[Tensor, "R"]]:
    """Discounted value of the learned reward's policy, its regret, and its normalized return (100 is optimal)."""
    reference = ReferenceValues.of(problem)
    value = value_at_start(problem, policy_of(problem, reward))
    return {
        "normalized_return": reference.normalize(value),
        "regret": reference.optimal - value,
        "discounted_value": value,
    }
