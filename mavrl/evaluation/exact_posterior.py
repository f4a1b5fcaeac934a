"""The exact reward posterior of small problems, by Markov chain Monte Carlo: what the variational one is judged by.

Axes beside those of the package: C independent chains.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.planning import plan
from mavrl.types import at_steps

LogLikelihood = Callable[[Float[Tensor, "C S"]], Float[Tensor, "C"]]


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

    Elliptical slice sampling (Murray, Adams and MacKay, 2010) has no step size and rejects no iteration: a proposal
    that is not likely enough shrinks the bracket of angles on an ellipse through the current reward and a prior draw.

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
    current = log_likelihood(prior_mean + deviation)
    kept = []
    for iteration in range(n_warmup + n_samples):
        other = draw()
        threshold = current + uniform().log()
        angle = 2 * math.pi * uniform()
        low, high = angle - 2 * math.pi, angle.clone()
        open_chains = torch.ones(n_chains, dtype=torch.bool)
        proposal, value = deviation, current
        while open_chains.any():
            turned = deviation * angle.cos()[:, None] + other * angle.sin()[:, None]
            proposal = torch.where(open_chains[:, None], turned, proposal)
            value = torch.where(open_chains, log_likelihood(prior_mean + proposal), value)
            open_chains = open_chains & (value <= threshold)
            low = torch.where(open_chains & (angle < 0), angle, low)
            high = torch.where(open_chains & (angle >= 0), angle, high)
            angle = torch.where(open_chains, low + (high - low) * uniform(), angle)
        deviation, current = proposal, value
        if iteration >= n_warmup:
            kept.append(prior_mean + deviation)
    return torch.stack(kept)


def feedback_log_likelihood(
    problem: TabularProblem, likelihood: FeedbackLikelihood, batch: FeedbackBatch
) -> LogLikelihood:
    """Make the log-likelihood of one kind of feedback a function of the reward, with the optimal Q of each reward.

    Args:
        problem: the environment.
        likelihood: the likelihood, with parameters for as many replicates as the batch has: one for each chain.
        batch: all feedback of the kind, the same for each chain.
    """

    @torch.no_grad()
    def function(reward: Float[Tensor, "C S"]) -> Float[Tensor, "C"]:
        table = reward[..., None]
        if likelihood.reads == "q":
            start = torch.zeros(reward.shape, dtype=torch.int64)
            table, _ = plan(problem.transitions, table, problem.gamma, start)
        log_prob = likelihood.log_prob(at_steps(likelihood.of_actions(table), batch.transitions), batch)
        return torch.where(batch.valid_samples, log_prob, torch.zeros_like(log_prob)).sum(-1)

    return function
