"""The exact posterior in place of a learned one: chains of reward functions, sampled with checkpoints, and stored.

The reward has the prior of a learned one, also the inverse gamma over its variance, which is sampled, too. The rating
cutpoints have no prior there: they are moved to the maximum of the likelihood, averaged over the posterior, while the
chains warm up, as the evidence lower bound moves them, and are given from then on.

Axes beside those of the package: C chains, R replicates times those of each; N draws of a chain.
"""

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mavrl.configuration.settings import RunSettings, SamplingSettings
from mavrl.errors import ConfigurationError
from mavrl.evaluation.exact_posterior import Chains, FeedbackLogLikelihood, leapt, redrawn, stretched
from mavrl.families.base import Family
from mavrl.families.tabular import TabularFamily
from mavrl.feedback.base import LearnedLikelihood
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.reward_model import save_reward_model
from mavrl.progress import stage
from mavrl.storage.checkpoints import Checkpoints
from mavrl.streams import numpy_stream
from mavrl.training.fitting import described_model

_LEAPFROGS = 20  # steps of a trajectory
_ACCEPTED = 0.8  # probability to which the size of these steps is fitted
_FIRST_STEP = 0.1
_WIDTH = 1.0  # of the bracket of log-variances
_CUTPOINT_RATE = 0.05  # learning rate of what likelihoods learn


class IterationNoise:
    """The randomness of one iteration, addressed by the seed of each replicate: there is no state to be kept.

    Args:
        seeds: of the replicates.
        n_chains: of each of them.
        iteration: number, from 1; 0 is where the chains begin.
    """

    def __init__(self, seeds: list[int], n_chains: int, iteration: int) -> None:
        self._generators = [numpy_stream(seed, "chains", iteration) for seed in seeds]
        self._n_chains = n_chains

    def uniform(self) -> Float[Tensor, "C"]:
        return self._of_each(lambda generator: generator.random(self._n_chains))

    def normal(self, size: int) -> Float[Tensor, "C S"]:
        return self._of_each(lambda generator: generator.standard_normal((self._n_chains, size)))

    def gamma(self, shape: float) -> Float[Tensor, "C"]:
        return self._of_each(lambda generator: generator.standard_gamma(shape, self._n_chains))

    def _of_each(self, draw: Any) -> Tensor:
        return torch.from_numpy(np.concatenate([draw(generator) for generator in self._generators]))


@dataclass
class PosteriorSampler:
    """Chains of all replicates, at one iteration.

    Args:
        settings: of the run.
        family: its environment.
        data: feedback that has been set up.
    """

    settings: RunSettings
    family: TabularFamily
    data: CombinedDataModule
    iteration: int = 0
    kept: list[Tensor] = field(default_factory=list)
    scales: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        likelihoods = self.data.likelihoods()
        for kind, likelihood in likelihoods.items():
            if isinstance(likelihood, LearnedLikelihood):
                allowed = f"is told what the teacher is like; what is learned about who gives a {kind} has no exact one"
                raise ConfigurationError("model.objective", "exact", allowed)
        self._learned = nn.ModuleDict(likelihoods).double()
        parameters = list(self._learned.parameters())
        self._optimizer = torch.optim.Adam(parameters, lr=_CUTPOINT_RATE) if parameters else None
        batches = {kind: batch.repeat_replicates(self._n_chains) for kind, batch in self.data.train_sets.items()}
        self._log_likelihood = FeedbackLogLikelihood(self.family.problem, likelihoods, batches)
        self._mean = self.family.prior_mean.double()
        self._prior = self.settings.model.prior
        self._log_step = torch.full((self.settings.replicates, 1), math.log(_FIRST_STEP), dtype=torch.float64)
        noise = IterationNoise(self.settings.seeds, self._n_chains, 0)
        if self._prior.scale is None:
            variance = self._prior.hyperprior_rate / noise.gamma(self._prior.hyperprior_shape)[:, None]
        else:
            rows = self.settings.replicates * self._n_chains
            variance = torch.full((rows, 1), self._prior.scale**2, dtype=torch.float64)
        deviation = variance.sqrt() * noise.normal(len(self._mean))
        with torch.no_grad():
            self._chains = Chains(deviation, self._log_likelihood(self._mean + deviation), variance)

    @property
    def _sampling(self) -> SamplingSettings:
        assert self.settings.model.sampling is not None
        return self.settings.model.sampling

    @property
    def _n_chains(self) -> int:
        return self._sampling.chains

    @property
    def total(self) -> int:
        """Iterations in all."""
        return self._sampling.warmup + self._sampling.draws * self._sampling.thinning

    @torch.no_grad()
    def go_on(self) -> float:
        """Make one iteration; returns the mean log-likelihood of the feedback, in nats."""
        self.iteration += 1
        warming = self.iteration <= self._sampling.warmup
        noise = IterationNoise(self.settings.seeds, self._n_chains, self.iteration)
        step = self._log_step.exp().repeat_interleave(self._n_chains, dim=0) * (0.8 + 0.4 * noise.uniform()[:, None])
        momentum = noise.normal(len(self._mean))
        shape, rate = self._prior.hyperprior_shape, self._prior.hyperprior_rate
        gamma = noise.gamma(shape + 0.5 * len(self._mean))  # before what takes more numbers, the longer others search
        chains, accepted = leapt(
            self._log_likelihood, self._mean, self._chains, momentum, step, _LEAPFROGS, noise.uniform
        )
        if self._prior.scale is None:
            chains = stretched(self._log_likelihood, self._mean, chains, shape, rate, _WIDTH, noise.uniform)
            chains = redrawn(chains, rate, gamma)
        if warming:
            of_replicate = accepted.unflatten(0, (-1, self._n_chains)).mean(1, keepdim=True)
            self._log_step += (of_replicate - _ACCEPTED) * min(1.0, 3 / self.iteration**0.6)
            chains = self._move_cutpoints(chains)
        self._chains = chains
        if not warming and (self.iteration - self._sampling.warmup) % self._sampling.thinning == 0:
            self.kept.append((self._mean + chains.deviation).float())
            self.scales.append(chains.variance.sqrt().squeeze(-1).float())
        return chains.log_likelihood.mean().item()

    def _move_cutpoints(self, chains: Chains) -> Chains:
        """One step of what likelihoods learn, up the likelihood averaged over the chains of a replicate."""
        if self._optimizer is None:
            return chains
        for group in self._optimizer.param_groups:
            group["lr"] = _CUTPOINT_RATE * (1 - (self.iteration - 1) / self._sampling.warmup)
        reward = self._mean + chains.deviation
        with torch.enable_grad():
            parameters = list(self._learned.parameters())
            gradients = torch.autograd.grad(-self._log_likelihood(reward).sum(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            mean = gradient.unflatten(0, (-1, self._n_chains)).mean(1)
            parameter.grad = mean.repeat_interleave(self._n_chains, dim=0)
        self._optimizer.step()
        return Chains(chains.deviation, self._log_likelihood(reward), chains.variance)

    def draws(self) -> tuple[Float[Tensor, "R C N S"], Float[Tensor, "R C N"]]:
        """All draws that are kept, and the prior's standard deviation beside each."""
        shape = (self.settings.replicates, self._n_chains)
        rewards, scales = torch.stack(self.kept), torch.stack(self.scales)
        return rewards.unflatten(1, shape).permute(1, 2, 0, 3), scales.unflatten(1, shape).permute(1, 2, 0)

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything that the next iterations depend on: plain tensors, and nothing that is code."""
        optimizer = {} if self._optimizer is None else self._optimizer.state_dict()
        chains = self._chains
        state = {
            "iteration": self.iteration,
            "kept": self.kept,
            "scales": self.scales,
            "chains": [chains.deviation, chains.log_likelihood, chains.variance],
            "log_step": self._log_step,
            "likelihoods": self._learned.state_dict(),
            "optimizer": optimizer,
            "actions": self._log_likelihood.actions,
        }
        torch.save(state, path)

    def load(self, path: Path) -> None:
        """Go on from what `save` has written."""
        state = torch.load(path, weights_only=True)
        self.iteration, self.kept, self.scales = state["iteration"], state["kept"], state["scales"]
        self._chains, self._log_step = Chains(*state["chains"]), state["log_step"]
        self._learned.load_state_dict(state["likelihoods"])
        if self._optimizer is not None:
            self._optimizer.load_state_dict(state["optimizer"])
        self._log_likelihood.actions = state["actions"]


def sample_posterior(
    settings: RunSettings, family: Family, data: CombinedDataModule, checkpoints: Checkpoints, directory: Path
) -> list[int]:
    """Sample the exact posterior, from the newest checkpoint if there is one, and store it as a reward model.

    Returns:
        The replicates that failed: none.

    Raises:
        ConfigurationError: the dynamics are not known, or something is learned about who gives the feedback.
    """
    if not isinstance(family, TabularFamily):
        raise ConfigurationError("model.objective", "exact", "needs known dynamics, such as those of a grid")
    sampler = PosteriorSampler(settings, family, data)
    if (newest := checkpoints.newest()) is not None:
        sampler.load(newest)
    saved = time.monotonic()
    with stage(settings.execution.progress, "sampling", "iteration", sampler.total, sampler.iteration) as count:
        while sampler.iteration < sampler.total:
            count.facts["log likelihood"] = sampler.go_on()
            count.done = sampler.iteration
            if time.monotonic() - saved >= settings.execution.checkpoint_seconds:
                checkpoints.save(sampler.iteration, sampler.save)
                saved = time.monotonic()
    draws, scales = sampler.draws()
    n_states = family.problem.transitions.n_states
    form = {"kind": "sampled", "reward_domain": "s", "n_states": n_states, "chains": draws.shape[1]}
    save_reward_model(
        directory / "reward_model", {"draws": draws, "prior.scale": scales}, described_model(settings, form)
    )
    return []
