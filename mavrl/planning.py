"""Exact planning in finite Markov decision processes, for all replicates at once.

Axes: R replicate, S state, A action, K possible outcome of an action. Rewards have shape (R, S, 1) when they depend on
the state alone and (R, S, A) otherwise. Every process is continuing: nothing here ends an episode.
"""

import math
from collections.abc import Callable

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

_MOST_SWEEPS = 2500  # of value iteration; enough for six digits at a discount of 0.99
_FIRST_SWEEPS = 200  # where more would be needed
_WORTH_SOLVING = 2000  # entries of a matrix for each term of a series, up to which the matrix is quicker (measured)


class TransitionModel(nn.Module):
    """A transition model: where actions lead, as a list of K outcomes for each state and action.

    It is never a dense S x A x S array. It is a module without parameters, so that it goes along to the device of a
    module that plans with it.

    Args:
        successors: state that outcome k of action a in state s leads to. Outcomes may repeat a state.
        probabilities: probability of each outcome; sums to one over K.
    """

    successors: Tensor
    probabilities: Tensor

    def __init__(self, successors: Int[Tensor, "S A K"], probabilities: Float[Tensor, "S A K"]) -> None:
        super().__init__()
        if successors.shape != probabilities.shape:
            raise ValueError(f"shapes differ: {successors.shape} and {probabilities.shape}")
        total = probabilities.sum(-1)
        if not torch.allclose(total, torch.ones_like(total), atol=1e-6) or bool((probabilities < 0).any()):
            raise ValueError("the outcomes of each action must have probabilities that sum to one")
        self.register_buffer("successors", successors, persistent=False)
        self.register_buffer("probabilities", probabilities, persistent=False)

    @property
    def n_states(self) -> int:
        return self.successors.shape[0]

    @property
    def n_actions(self) -> int:
        return self.successors.shape[1]

    @property
    def deterministic(self) -> bool:
        return self.successors.shape[2] == 1

    def expected_next(self, value: Float[Tensor, "R S"]) -> Float[Tensor, "R S A"]:
        """Expectation of `value` at the next state, for each state and action."""
        n_states, n_actions, n_outcomes = self.successors.shape
        following = value.index_select(1, self.successors.reshape(-1))
        if self.deterministic:
            return following.view(-1, n_states, n_actions)
        following = following.view(-1, n_states, n_actions, n_outcomes)
        return (following * self.probabilities.to(value.dtype)).sum(-1)


def action_values(
    transitions: TransitionModel, reward: Float[Tensor, "R S #A"], value: Float[Tensor, "R S"], gamma: float
) -> Float[Tensor, "R S A"]:
    """Action values after one backup: Q(s, a) = r(s, a) + gamma E[V(s')]."""
    return reward + gamma * transitions.expected_next(value)


def value_iteration(
    transitions: TransitionModel, reward: Float[Tensor, "R S #A"], gamma: float, tolerance: float = 1e-6
) -> Float[Tensor, "R S"]:
    """Optimal state values, within `tolerance` of the truth in every state, or as near as float64 can tell.

    Sweeps in float64 until the residual bounds the error: |V - V*| <= gamma / (1 - gamma) * |change of the last sweep|.
    Their number grows with 1 / (1 - gamma), and with a discount near 1 the bound asks for digits that float64 does not
    have. Where it would pass `_MOST_SWEEPS`, the greedy policy of the first sweeps is improved by exact evaluations.
    """
    reward = reward.detach().double()
    value = reward.amax(-1)
    threshold = tolerance * (1 - gamma) / max(gamma, 1e-12)
    sweeps = 0
    while sweeps < _MOST_SWEEPS:
        improved = action_values(transitions, reward, value, gamma).amax(-1)
        change = (improved - value).abs().nan_to_num(0.0, 0.0).max().item()  # a NaN stays in its own replicate
        value = improved
        if change <= threshold:
            return value
        far = math.log(threshold / change) < _MOST_SWEEPS * math.log(gamma)  # the change shrinks by gamma in a sweep
        sweeps += 1 if not far or sweeps < _FIRST_SWEEPS else _MOST_SWEEPS
    start = action_values(transitions, reward, value, gamma).argmax(-1)
    q, _ = _improved(transitions, reward, gamma, start, _evaluate_exactly, least=1e-12, digits=1000)
    return q.amax(-1)


def optimal_action_values(
    transitions: TransitionModel, reward: Float[Tensor, "R S #A"], gamma: float, tolerance: float = 1e-6
) -> Float[Tensor, "R S A"]:
    """Q of the optimal policy, from `value_iteration`, in float64."""
    return action_values(transitions, reward.double(), value_iteration(transitions, reward, gamma, tolerance), gamma)


def policy_values(
    transitions: TransitionModel,
    reward: Float[Tensor, "R S #A"],
    policy: Float[Tensor, "R S A"],
    gamma: float,
) -> Float[Tensor, "R S"]:
    """State values of stochastic policies by a sparse linear solve, in float64.

    Args:
        policy: probability of each action in each state.
    """
    n_states = transitions.n_states
    successors = transitions.successors.numpy().reshape(n_states, -1)
    origin = np.repeat(np.arange(n_states), successors.shape[1])
    outcome = transitions.probabilities.double().numpy()
    identity = scipy.sparse.identity(n_states, format="csc")
    values = []
    for rewards, actions in zip(reward.double().numpy(), policy.double().numpy(), strict=True):
        weights = (actions[..., None] * outcome).reshape(-1)
        moves = scipy.sparse.csc_array((weights, (origin, successors.reshape(-1))), shape=(n_states, n_states))
        gained = (actions * rewards).sum(-1)
        values.append(scipy.sparse.linalg.spsolve(identity - gamma * moves, gained))
    return torch.from_numpy(np.stack(values))


def greedy_policy(q: Float[Tensor, "R S A"]) -> Float[Tensor, "R S A"]:
    """The greedy policies of these Q: all probability on the first best action."""
    return torch.nn.functional.one_hot(q.argmax(-1), q.shape[-1]).double()


def uniform_policy(transitions: TransitionModel) -> Float[Tensor, "1 S A"]:
    """The uniform policy, every action with equal probability, for one replicate."""
    shape = (1, transitions.n_states, transitions.n_actions)
    device = transitions.successors.device
    return torch.full(shape, 1.0 / transitions.n_actions, dtype=torch.float64, device=device)


def plan(
    transitions: TransitionModel,
    reward: Float[Tensor, "R S #A"],
    gamma: float,
    start: Int[Tensor, "R S"],
    max_improvements: int = 1000,
) -> tuple[Float[Tensor, "R S A"], Int[Tensor, "R S"]]:
    """Optimal Q with a gradient to the reward, by policy iteration from a given policy.

    The greedy policy is found without gradient; its evaluation V = (I - gamma P)^-1 r carries it. By the envelope
    theorem that is the gradient of the optimal values wherever the optimal policy is unique.

    Args:
        start: actions of a first policy; one that is nearly optimal saves most of the work.
        max_improvements: limit on the improvements of the policy; from a poor start it may need one for each cell that
            the best path to a reward is long.

    Returns:
        Q, and the actions of the policy found.
    """
    return _improved(transitions, reward, gamma, start, evaluate_actions, 1e-5, max_improvements)


def _improved(
    transitions: TransitionModel,
    reward: Float[Tensor, "R S #A"],
    gamma: float,
    actions: Int[Tensor, "R S"],
    evaluate: Callable[..., Float[Tensor, "R S"]],
    least: float,
    max_improvements: int = 1000,
    digits: float = 4,
) -> tuple[Float[Tensor, "R S A"], Int[Tensor, "R S"]]:
    """Q and actions after policy iteration from these actions.

    Args:
        evaluate: state values of a policy, called as `evaluate_actions` is.
        least: gain, in units of the rewards, below which an action is no better: what `evaluate` may be wrong by.
        digits: the same in rounding errors of the largest value; along a path they add up.
    """
    rounding = digits * torch.finfo(reward.dtype).eps
    scale = 1 + reward.detach().abs().amax((1, 2))[:, None]
    for _ in range(max_improvements):
        value = evaluate(transitions, reward, actions, gamma)
        q = action_values(transitions, reward, value, gamma)
        with torch.no_grad():
            best, best_action = q.max(-1)
            slack = torch.maximum(least * scale, rounding * value.abs().amax(1, keepdim=True))  # ties take no turns
            better = best > value + slack
            if not better.any():
                return q, actions
            actions = torch.where(better, best_action, actions)
    value = evaluate(transitions, reward, actions, gamma)
    return action_values(transitions, reward, value, gamma), actions


def _evaluate_exactly(
    transitions: TransitionModel, reward: Float[Tensor, "R S #A"], actions: Int[Tensor, "R S"], gamma: float
) -> Float[Tensor, "R S"]:
    """What `evaluate_actions` gives, in float64, in a time that does not depend on the discount."""
    policy = torch.nn.functional.one_hot(actions, transitions.n_actions).double()
    return policy_values(transitions, reward, policy, gamma)


def evaluate_actions(
    transitions: TransitionModel,
    reward: Float[Tensor, "R S #A"],
    actions: Int[Tensor, "R S"],
    gamma: float,
) -> Float[Tensor, "R S"]:
    """State values of deterministic policies, with a gradient to the reward; exact to float precision.

    Args:
        actions: the action that each policy takes in each state.
    """
    gained = reward.squeeze(-1) if reward.shape[-1] == 1 else reward.gather(-1, actions[..., None]).squeeze(-1)
    states = torch.arange(transitions.n_states, device=actions.device)
    successors = transitions.successors[states, actions]
    if transitions.deterministic:
        return _ValuesAlongPath.apply(gained, successors.squeeze(-1), gamma)
    weights = transitions.probabilities[states, actions].to(gained.dtype)
    if transitions.n_states**2 <= _WORTH_SOLVING * _terms(gamma):
        return _values_by_solution(gained, successors, weights, gamma)
    return _ValuesByIteration.apply(gained, successors, weights, gamma)


def _values_by_solution(
    reward: Float[Tensor, "R S"], successors: Int[Tensor, "R S K"], weights: Float[Tensor, "R S K"], gamma: float
) -> Float[Tensor, "R S"]:
    """V = (I - gamma P)^-1 r, with dense matrices: for few states, or where a series would have many terms."""
    n_replicates, n_states, _ = successors.shape
    matrix = torch.eye(n_states, dtype=reward.dtype, device=reward.device).repeat(n_replicates, 1, 1)
    matrix.scatter_add_(2, successors, -gamma * weights)
    return torch.linalg.solve(matrix, reward[..., None]).squeeze(-1)


class _ValuesAlongPath(torch.autograd.Function):
    """V(s) = sum_t gamma^t r(s_t) along the one path from each state, by doubling the length of the sum.

    (I - gamma P)^-1 is the product over k of (I + gamma^(2^k) P^(2^k)); each factor is one gather, or one scatter for
    the transpose in the backward pass. Nine factors reach single precision at gamma 0.95.
    """

    @staticmethod
    def forward(ctx, reward, successor, gamma):
        value, jump, discount, jumps = reward, successor, gamma, []
        while discount > 1e-9:
            jumps.append((jump, discount))
            value = value + discount * value.gather(1, jump)
            jump, discount = jump.gather(1, jump), discount * discount
        ctx.jumps = jumps
        return value

    @staticmethod
    def backward(ctx, *gradients):
        (gradient,) = gradients
        for jump, discount in ctx.jumps:
            gradient = gradient.scatter_add(1, jump, discount * gradient)
        return gradient, None, None


class _ValuesByIteration(torch.autograd.Function):
    """V = r + gamma P V by iteration, for policies with several outcomes a step."""

    @staticmethod
    def forward(ctx, reward, successors, weights, gamma):
        n_replicates, n_states, n_outcomes = successors.shape
        target = successors.view(n_replicates, -1)
        ctx.save_for_backward(target, weights)
        ctx.gamma = gamma

        def spread(value):
            following = value.gather(1, target).view(n_replicates, n_states, n_outcomes)
            return gamma * (following * weights).sum(-1)

        return _sum_series(reward, spread, gamma)

    @staticmethod
    def backward(ctx, *gradients):
        (gradient,) = gradients
        target, weights = ctx.saved_tensors

        def collect(adjoint):
            flow = (ctx.gamma * adjoint[..., None] * weights).view(target.shape)
            return torch.zeros_like(adjoint).scatter_add(1, target, flow)

        return _sum_series(gradient, collect, ctx.gamma), None, None, None


def _sum_series(first: Tensor, following, gamma: float) -> Tensor:
    """first + following(first) + following(following(first)) + ..., where each term shrinks by gamma at least."""
    total = term = first
    for _ in range(_terms(gamma)):
        term = following(term)
        total = total + term
    return total


def _terms(gamma: float) -> int:
    """How many terms of such a series reach single precision."""
    return math.ceil(math.log(1e-7) / math.log(max(gamma, 1e-9)))
