"""Beliefs: what likelihoods read under K reward functions drawn from the posterior, and so what would be answered.

Function k is the same one for every kind of feedback and every candidate; it is of member k modulo M. One class for
each kind of model, with a common protocol.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.model.action_heads import NumberedHead
from mavrl.model.correlation import Correlation
from mavrl.model.posterior import StatePosterior
from mavrl.model.step_reward import StepRewardModel
from mavrl.planning import TransitionModel, plan
from mavrl.streams import torch_stream
from mavrl.types import Transitions, at_steps

_POINTS = 65_536  # steps that networks are asked about at once; more of them take memory and no less time


@runtime_checkable
class Belief(Protocol):
    """What is believed of the reward, as reward functions that can be drawn."""

    @property
    def n_members(self) -> int:
        """Number of models M of a replicate."""
        ...

    def values(
        self, likelihood: FeedbackLikelihood, transitions: Transitions, count: int, seeds: Sequence[int]
    ) -> Float[Tensor, "R K B *steps"] | Float[Tensor, "R K B *steps A"]:
        """What a likelihood's `outcomes` reads of each step, under `count` reward functions.

        Args:
            likelihood: of the models, which may have parameters of R M rows; function k has those of its member.
            transitions: steps of shape (R, B, ...); nothing is said of those that are not valid.
            seeds: one for each replicate; a seed is a set of functions.
        """
        ...


@torch.no_grad()
def outcomes_under(
    belief: Belief, likelihood: FeedbackLikelihood, transitions: Transitions, count: int, seeds: Sequence[int]
) -> Float[Tensor, "R K C *steps Y"]:
    """Log-probability of each answer of each candidate under `count` reward functions: `Candidates.outcomes`.

    Args:
        likelihood: of the models, which may have parameters of R M rows; function k has those of its member.
        transitions: steps of the candidates, shape (R, C, ...).
        count: K, reward functions.
        seeds: one for each replicate; a seed is a set of functions.
    """
    values = belief.values(likelihood, transitions, count, seeds)
    repeated = transitions.repeat_replicates(belief.n_members)
    return _by_members(values, belief.n_members, lambda rows: likelihood.outcomes(rows, repeated))


def log_prob_under(
    values: Float[Tensor, "R K B *steps"], members: int, likelihood: FeedbackLikelihood, batch: FeedbackBatch
) -> Float[Tensor, "R K B"]:
    """Log-probability of each sample's label under K reward functions, in nats.

    Args:
        values: what the likelihood's `log_prob` reads under each of them.
        members: M, of the belief that the functions are drawn from.
        likelihood: of the models, which may have parameters of R M rows; function k has those of its member.
        batch: labelled samples, shape (R, B, ...).
    """
    repeated = batch.repeat_replicates(members)
    return _by_members(values, members, lambda rows: likelihood.log_prob(rows, repeated))


def _by_members(values: Tensor, members: int, score: Callable[[Tensor], Tensor]) -> Tensor:
    """What a function of the values of R M models says under each of K reward functions, shape (R, K, ...)."""
    count, found = values.shape[1], []
    if count < members:
        raise ValueError(f"{count} reward functions of {members} members; at least one of each is needed")
    for first in range(0, count, members):
        block = [k if k < count else k - members for k in range(first, first + members)]  # the last one is filled up
        scores = score(values[:, block].flatten(0, 1))
        found.append(scores.unflatten(0, (len(values), members))[:, : count - first])
    return torch.cat(found, dim=1)


class TabularBelief:
    """Reward functions of a finite environment, and the optimal Q that is planned from each.

    Args:
        mean: posterior mean of each member's reward, shape (R, M, S).
        std: its standard deviation.
        transitions: of the environment.
        gamma: discount.
        correlation: of the states under each member, with the axes R and M first; None for independent states.
    """

    def __init__(
        self,
        mean: Float[Tensor, "R M S"],
        std: Float[Tensor, "R M S"],
        transitions: TransitionModel,
        gamma: float,
        correlation: Correlation | None = None,
    ) -> None:
        self._mean, self._std = mean, std
        self._correlation = Correlation.independent(mean) if correlation is None else correlation
        self._transitions, self._gamma = transitions, gamma
        self._planned: tuple[tuple[int, ...], Tensor] | None = None  # the last Q, and what it is of

    @classmethod
    @torch.no_grad()
    def from_posterior(
        cls, posterior: StatePosterior, n_members: int, transitions: TransitionModel, gamma: float
    ) -> "TabularBelief":
        """What is believed by posteriors of R M models, the members of a replicate in a row."""
        mean, logvar = posterior()
        correlation = posterior.correlation(mean).members(n_members)
        mean, std = (moment.unflatten(0, (-1, n_members)) for moment in (mean, (0.5 * logvar).exp()))
        return cls(mean, std, transitions, gamma, correlation)

    @property
    def n_members(self) -> int:
        return self._mean.shape[1]

    def rewards(self, count: int, seeds: Sequence[int]) -> Float[Tensor, "R K S"]:
        """The reward functions: draws of their member's joint Gaussian over the states."""
        n_noise = self._correlation.n_noise
        noise = torch.stack([torch.randn(count, n_noise, generator=_stream(seed)) for seed in seeds]).to(self._mean)
        deviation = noise[..., : self._mean.shape[-1]].clone()
        for first in range(min(count, self.n_members)):
            of_member = slice(first, None, self.n_members)
            deviation[:, of_member] = self._correlation[:, first].correlated(noise[:, of_member])
        member = torch.arange(count) % self.n_members
        return self._mean[:, member] + self._std[:, member] * deviation

    def action_values(self, count: int, seeds: Sequence[int]) -> Float[Tensor, "R K S A"]:
        """The optimal Q of each reward function; remembered until others are asked for."""
        drawn = (count, *seeds)
        if self._planned is None or self._planned[0] != drawn:
            reward = self.rewards(count, seeds).flatten(0, 1)
            start = torch.zeros(reward.shape, dtype=torch.int64, device=reward.device)
            q, _ = plan(self._transitions, reward[..., None], self._gamma, start)
            self._planned = drawn, q.unflatten(0, (len(seeds), count))
        return self._planned[1]

    @torch.no_grad()
    def values(
        self, likelihood: FeedbackLikelihood, transitions: Transitions, count: int, seeds: Sequence[int]
    ) -> Float[Tensor, "R K B *steps"] | Float[Tensor, "R K B *steps A"]:
        reads_reward = likelihood.reads == "reward"
        table = self.rewards(count, seeds)[..., None] if reads_reward else self.action_values(count, seeds)
        table = _by_members(table, self.n_members, likelihood.of_actions)
        if likelihood.answers_are_actions:
            return torch.stack([table[row][:, state] for row, state in enumerate(transitions.state)])
        found = [at_steps(table[:, k], transitions) for k in range(count)]
        return torch.stack(found, dim=1)


class StepBelief:
    """Reward functions of an environment with observations, and the Q that was learned beside them.

    All rewards of a function are equally many standard deviations off its member's mean. Functions of one member have
    one Q, so what reads Q tells at most log M about which of them is true.

    Args:
        model: the learned reward.
    """

    def __init__(self, model: StepRewardModel) -> None:
        self._model = model

    @property
    def n_members(self) -> int:
        return self._model.n_members

    @torch.no_grad()
    def values(
        self, likelihood: FeedbackLikelihood, transitions: Transitions, count: int, seeds: Sequence[int]
    ) -> Float[Tensor, "R K B *steps"] | Float[Tensor, "R K B *steps A"]:
        member = torch.arange(count) % self.n_members
        head, steps = self._model.posterior.head, transitions.flatten()
        all_actions = likelihood.answers_are_actions and isinstance(head, NumberedHead)
        found = []
        for row, seed in enumerate(seeds):
            model = self._model[row]
            state, action, next_state, terminal = (
                tensor[row].split(_POINTS) for tensor in (steps.state, steps.action, steps.next_state, steps.terminal)
            )
            if likelihood.reads == "q":
                found.append(torch.cat([model.action_values(part)[0] for part in state], dim=1))  # (M, N, H)
            else:
                parts = zip(state, action, next_state, terminal, strict=True)
                moments = [model.member_moments(*part) for part in parts]
                mean, std = (torch.cat(one, dim=-1)[0] for one in zip(*moments, strict=True))  # (M, N)
                noise = torch.randn(count, 1, generator=_stream(seed)).to(mean)
                found.append((mean[member] + std[member] * noise)[..., None])  # (K, N, 1)
        if likelihood.reads == "q":
            q, taken = torch.cat(found), steps.action.repeat_interleave(self.n_members, dim=0)
            read = likelihood.of_actions(q) if all_actions else head.read(likelihood, q, taken)
            flat = read.unflatten(0, (-1, self.n_members))[:, member]
        else:
            flat = _by_members(torch.stack(found), self.n_members, likelihood.of_actions).squeeze(-1)
        actions = (head.n_outputs,) if all_actions else ()
        return flat.view(*flat.shape[:2], *transitions.valid.shape[1:], *actions)


def _stream(seed: int) -> torch.Generator:
    return torch_stream(seed, "reward functions")
