"""The exact reward posterior of small problems, by Markov chain Monte Carlo: what the variational one is judged by.

Axes beside those of the package: C chains, of all replicates together.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.planning import plan
from mavrl.types import at_steps

LogLikelihood = Callable[[Float[Tensor, "C S"]], Float[Tensor, "C"]]
Uniform = Callable[[], Float[Tensor, "C"]]  # numbers in [0, 1), others at each call
_LEAST_UNIFORM = 1e-300  # whose logarithm is finite


@dataclass(frozen=True)
class Chains:
    """Where chains are.

    Args:
        deviation: of each state's reward from its prior mean.
        log_likelihood: of the feedback under that reward, in nats.
        variance: of the prior.
    """

    deviation: Float[Tensor, "C S"]
    log_likelihood: Float[Tensor, "C"]
    variance: Float[Tensor, "C 1"]


def leapt(
    log_likelihood: LogLikelihood,
    mean: Float[Tensor, "S"],
    chains: Chains,
    momentum: Float[Tensor, "C S"],
    step: Float[Tensor, "C 1"],
    n_steps: int,
    draw: Uniform,
) -> tuple[Chains, Float[Tensor, "C"]]:
    """One Hamiltonian trajectory of the reward, given the prior's variance (Neal, 2011).

    The reward moves in units of the prior's standard deviation, where the prior is a standard normal distribution.

    Args:
        log_likelihood: in nats, of each chain's reward, with a gradient.
        mean: prior mean of the reward of every state.
        chains: before the trajectory.
        momentum: drawn from a standard normal distribution.
        step: size of a leapfrog step.
        n_steps: of the trajectory.
        draw: uniform numbers.

    Returns:
        The chains after it, and the probability with which each was to accept it.
    """
    scale = chains.variance.sqrt()

    def climb(place: Float[Tensor, "C S"]) -> tuple[Float[Tensor, "C"], Float[Tensor, "C S"]]:
        with torch.enable_grad():
            reward = (mean + place * scale).requires_grad_()
            value = log_likelihood(reward)
            (gradient,) = torch.autograd.grad(value.sum(), reward)
        return value.detach(), gradient * scale - place

    place = chains.deviation / scale
    value, force = climb(place)
    before = value - 0.5 * (place.square() + momentum.square()).sum(-1)
    for _ in range(n_steps):
        momentum = momentum + 0.5 * step * force
        place = place + step * momentum
        value, force = climb(place)
        momentum = momentum + 0.5 * step * force
    after = value - 0.5 * (place.square() + momentum.square()).sum(-1)
    probability = (after - before).clamp(max=0.0).exp().nan_to_num(0.0)
    accepted = draw() < probability
    deviation = torch.where(accepted[:, None], place * scale, chains.deviation)
    return Chains(deviation, torch.where(accepted, value, chains.log_likelihood), chains.variance), probability


@torch.no_grad()
def turned(
    log_likelihood: LogLikelihood, mean: Float[Tensor, "S"], chains: Chains, other: Float[Tensor, "C S"], draw: Uniform
) -> Chains:
    """One step of elliptical slice sampling (Murray, Adams and MacKay, 2010), given the prior's variance.

    It has no step size and rejects nothing: a proposal that is not likely enough shrinks the bracket of angles on an
    ellipse through the current reward and a draw from the prior. In a hundred dimensions it moves slowly where the
    feedback says much; `leapt` does not.

    Args:
        log_likelihood: in nats, of each chain's reward.
        mean: prior mean of the reward of every state.
        chains: before the step.
        other: deviations drawn from the prior.
        draw: uniform numbers.
    """
    threshold = chains.log_likelihood + draw().clamp(min=_LEAST_UNIFORM).log()
    angle = 2 * math.pi * draw()
    low, high = angle - 2 * math.pi, angle.clone()
    searching = torch.ones_like(angle, dtype=torch.bool)
    deviation, value = chains.deviation, chains.log_likelihood
    while searching.any():
        proposed = chains.deviation * angle.cos()[:, None] + other * angle.sin()[:, None]
        deviation = torch.where(searching[:, None], proposed, deviation)
        value = torch.where(searching, log_likelihood(mean + deviation), value)
        searching = searching & (value <= threshold)
        low = torch.where(searching & (angle < 0), angle, low)
        high = torch.where(searching & (angle >= 0), angle, high)
        angle = torch.where(searching, low + (high - low) * draw(), angle)
    return Chains(deviation, value, chains.variance)


@torch.no_grad()
def stretched(
    log_likelihood: LogLikelihood,
    mean: Float[Tensor, "S"],
    chains: Chains,
    shape: float,
    rate: float,
    width: float,
    draw: Uniform,
) -> Chains:
    """One step of slice sampling (Neal, 2003) of the prior's variance, which takes the reward along.

    Deviations in units of the prior's standard deviation stay as they are. Beside `redrawn`, which leaves the reward
    where it is, that is the interweaving of Yu and Meng (2011): where one is slow, the other is not.

    Args:
        shape, rate: of the inverse gamma over the variance.
        width: of the bracket of log-variances, which has no influence on what is sampled.
        others: as for `turned`.
    """

    def log_prior(log_variance: Float[Tensor, "C"]) -> Float[Tensor, "C"]:
        return -shape * log_variance - rate * (-log_variance).exp()

    before = chains.variance.squeeze(-1).log()
    threshold = chains.log_likelihood + log_prior(before) + draw().clamp(min=_LEAST_UNIFORM).log()
    low = before - width * draw()
    high = low + width
    searching = torch.ones_like(before, dtype=torch.bool)
    place, value = before, chains.log_likelihood
    while searching.any():
        place = torch.where(searching, low + (high - low) * draw(), place)
        deviation = chains.deviation * (0.5 * (place - before)).exp()[:, None]
        value = torch.where(searching, log_likelihood(mean + deviation), value)
        searching = searching & (value + log_prior(place) <= threshold)
        low = torch.where(searching & (place < before), place, low)
        high = torch.where(searching & (place >= before), place, high)
    return Chains(chains.deviation * (0.5 * (place - before)).exp()[:, None], value, place.exp()[:, None])


def redrawn(chains: Chains, rate: float, gamma: Float[Tensor, "C"]) -> Chains:
    """A draw of the prior's variance given the reward: an inverse gamma, by conjugacy.

    Args:
        rate: of the inverse gamma over the variance.
        gamma: drawn from the standard gamma distribution of that inverse gamma's shape plus half the number of states.
    """
    variance = (rate + 0.5 * chains.deviation.square().sum(-1)) / gamma
    return Chains(chains.deviation, chains.log_likelihood, variance[:, None])


@torch.no_grad()
def elliptical_slice_sampling(
    log_likelihood: LogLikelihood,
    prior_mean: Float[Tensor, "S"],
    prior_scale: float,
    n_chains: int,
    n_samples: int,
    n_warmup: int,
    generator: torch.Generator,
) -> Float[Tensor, "N C S"]:
    """Draw rewards from a normal prior times a likelihood, in C chains at once.

    Args:
        log_likelihood: log-likelihood in nats of the feedback under each chain's reward.
        prior_mean: prior mean of the reward of every state.
        prior_scale: prior standard deviation of each of them.
        n_chains: number C of chains.
        n_samples: draws that are kept of each chain.
        n_warmup: draws before these that are not.
        generator: all randomness.

    Returns:
        The draws, in the order in which each chain made them.
    """

    def uniform() -> Float[Tensor, "C"]:
        return torch.rand(n_chains, generator=generator, dtype=torch.float64)

    def draw() -> Float[Tensor, "C S"]:
        return prior_scale * torch.randn(n_chains, len(prior_mean), generator=generator, dtype=torch.float64)

    deviation = draw()
    variance = torch.full((n_chains, 1), prior_scale**2, dtype=torch.float64)
    chains = Chains(deviation, log_likelihood(prior_mean + deviation), variance)
    kept = []
    for iteration in range(n_warmup + n_samples):
        chains = turned(log_likelihood, prior_mean, chains, draw(), uniform)
        if iteration >= n_warmup:
            kept.append(prior_mean + chains.deviation)
    return torch.stack(kept)


class FeedbackLogLikelihood:
    """The log-likelihood of all feedback as a function of the reward, with the optimal Q of each reward.

    Args:
        problem: the environment.
        likelihoods: of each kind, by its name, with parameters for as many replicates as the batches have: one for
            each chain.
        batches: all feedback of each kind, the same for each chain of a replicate.

    Attributes:
        actions: of the last policies, shape (C, S), where the next planning starts; None before the first.
    """

    def __init__(
        self,
        problem: TabularProblem,
        likelihoods: Mapping[str, FeedbackLikelihood],
        batches: Mapping[str, FeedbackBatch],
    ) -> None:
        self._problem, self._likelihoods, self._batches = problem, likelihoods, batches
        self.actions: Tensor | None = None

    def __call__(self, reward: Float[Tensor, "C S"]) -> Float[Tensor, "C"]:
        """In nats, with a gradient to the reward and to what the likelihoods learn."""
        q = None
        if any(likelihood.reads == "q" for likelihood in self._likelihoods.values()):
            start = torch.zeros(reward.shape, dtype=torch.int64) if self.actions is None else self.actions
            q, self.actions = plan(self._problem.transitions, reward[..., None], self._problem.gamma, start)
        total = reward.new_zeros(len(reward))
        for kind, likelihood in self._likelihoods.items():
            table = q if q is not None and likelihood.reads == "q" else reward[..., None]
            batch = self._batches[kind]
            log_prob = likelihood.log_prob(at_steps(likelihood.of_actions(table), batch.transitions), batch)
            total = total + torch.where(batch.valid_samples, log_prob, torch.zeros_like(log_prob)).sum(-1)
        return total


def r_hat(draws: Float[Tensor, "R C N S"]) -> Float[Tensor, "R S"]:
    """Split R-hat of every state's reward: 1 where all halves of all chains agree (Gelman et al., 2013).

    Args:
        draws: N of each of C chains of a replicate, N at least 4.
    """
    half = draws.shape[2] // 2
    halves = torch.cat([draws[:, :, :half], draws[:, :, -half:]], dim=1).double()
    within = halves.var(2).mean(1)
    between = halves.mean(2).var(1)
    return (((half - 1) / half * within + between) / within.clamp(min=1e-300)).sqrt()
