"""How good a policy is: its exact value in a finite environment, and the scale that makes values comparable."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.planning import greedy_policy, optimal_action_values, policy_values, uniform_policy

_EQUAL = 1e-12  # a difference of returns that is none


def normalized_return(
    value: Float[Tensor, "R"], optimal: Float[Tensor, "#R"] | float, uniform: Float[Tensor, "#R"] | float
) -> Float[Tensor, "R"]:
    """Returns on a scale where `optimal` is 100 and `uniform` is 0; all are 100 where these two are equal.

    Args:
        value: returns, discounted or not.
        optimal: return of the policy that nothing is better than, or of an expert.
        uniform: return of the uniformly random policy.
    """
    span = torch.as_tensor(optimal - uniform, dtype=value.dtype)
    differs = span.abs() > _EQUAL
    percent = 100 * (value - uniform) / torch.where(differs, span, torch.ones_like(span))
    return torch.where(differs, percent, torch.full_like(percent, 100.0))


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
        `normalized_return` in percent, and `regret` and `discounted_value` as discounted returns at the start.
    """
    reference = ReferenceValues.of_problem(problem)
    value = value_at_start(problem, policy_of(problem, reward))
    return {
        "normalized_return": normalized_return(value, reference.optimal, reference.uniform),
        "regret": reference.optimal - value,
        "discounted_value": value,
    }
