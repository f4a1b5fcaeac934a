"""The two training objectives: the evidence lower bound, and the published weighted averages."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.model.correlation import StateCorrelation
from mavrl.model.posterior import RewardPosterior, RewardPrior
from mavrl.model.support import Scales, StateSupport, Support
from mavrl.model.terms import masked_mean
from mavrl.model.values import ValueSource

Posterior = TypeVar("Posterior", bound=RewardPosterior[Any])
Source = TypeVar("Source", bound=ValueSource[Any])
Noise = Callable[[int], Float[Tensor, "R N"]]


class RewardInference(nn.Module, Generic[Posterior, Source]):
    """Everything that is learned together: the posterior, its prior, Q, and what the likelihoods learn themselves.

    Args:
        support: where a step evaluates them, given the arguments of `mavrl.model.support.Support`.
    """

    def __init__(
        self,
        posterior: Posterior,
        prior: RewardPrior,
        values: Source,
        likelihoods: dict[str, FeedbackLikelihood],
        support: Callable[[dict[str, FeedbackBatch], Scales, list[str]], Support] = StateSupport,
    ) -> None:
        super().__init__()
        self.support = support
        self.posterior = posterior
        self.prior = prior
        self.values = values
        self._likelihoods = nn.ModuleDict(likelihoods)

    @property
    def state_correlation(self) -> StateCorrelation | None:
        """How the rewards of states go together, where that is learned."""
        return getattr(self.posterior, "state_correlation", None)

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """All parameters as an optimiser takes them: loadings have a learning rate of their own, and do not decay."""
        tied = self.state_correlation
        if tied is None:
            return [{"params": list(self.parameters())}]
        others = [parameter for parameter in self.parameters() if parameter is not tied.loadings]
        return [{"params": others}, {"params": [tied.loadings], "lr": tied.speed * lr, "weight_decay": 0.0}]

    @property
    def likelihoods(self) -> dict[str, FeedbackLikelihood]:
        return dict(self._likelihoods.items())  # type: ignore[arg-type]


@dataclass
class Loss:
    """The loss of each model, and its terms.

    Args:
        total: what each model minimises, in nats.
        terms: its parts by name, for the training curves; see docs/metrics.md.
    """

    total: Float[Tensor, "R"]
    terms: dict[str, Float[Tensor, "R"]] = field(default_factory=dict)


class Objective(nn.Module, ABC):
    """Loss of every model on one batch of each kind of feedback.

    Args:
        sizes: samples of each kind in the data set, by name, shape (R,); a sample of a demonstration is one step.
        bellman_weight: weight of the Bellman term where Q is learned.

    Attributes:
        rows: which row of `sizes`, of shape (kinds, R), is a kind's.
    """

    sizes: Tensor

    def __init__(self, sizes: dict[str, Float[Tensor, "R"]], bellman_weight: float) -> None:
        super().__init__()
        self.rows = {name: row for row, name in enumerate(sizes)}
        self.register_buffer("sizes", torch.stack(list(sizes.values())), persistent=False)
        self.bellman_weight = bellman_weight

    @abstractmethod
    def forward(self, model: RewardInference[Any, Any], batches: dict[str, FeedbackBatch], noise: Noise) -> Loss:
        """The loss on `batches`, with standard normal numbers from `noise(count)`."""

    def _support(
        self, model: RewardInference[Any, Any], batches: dict[str, FeedbackBatch], valued: list[str]
    ) -> Support:
        counts = {name: batch.valid_samples.sum(-1).clamp(min=1) for name, batch in batches.items()}
        scales = {name: self.sizes[self.rows[name]] / count for name, count in counts.items()}
        return model.support(batches, scales, valued)


class EvidenceLowerBound(Objective):
    """The negative bound: minus the sum of all log-likelihoods, plus the KL over the support.

    That KL of a joint Gaussian from an independent prior is the KL of its marginals plus its total correlation. One
    reward of each point is drawn and shared by all feedback about it. A mini-batch stands for its whole data set: its
    sum is scaled up to the data set's size. A learned Q adds the Bellman term of the feedback that reads it.
    """

    def forward(self, model: RewardInference[Any, Any], batches: dict[str, FeedbackBatch], noise: Noise) -> Loss:
        support = self._support(model, batches, [n for n in batches if model.likelihoods[n].reads == "q"])
        mean, logvar = model.posterior(support)
        if model.training:
            model.prior.fit(mean, logvar, support)
        correlation = model.posterior.correlation(mean)
        kl = (support.kl_weights * model.prior.kl(mean, logvar, support)).sum(-1) + correlation.total()
        (of_points,), drawn = _draws(model, batches, noise, [correlation.n_noise - support.first_drawn])
        deviation = correlation.correlated(_from(support.first_drawn, of_points)[:, None]).squeeze(1)
        reward = mean + (0.5 * logvar).exp() * deviation
        q = model.values(reward, support) if support.valued else None
        loss = Loss(kl, {"kl": kl})
        for name, batch in batches.items():
            likelihood = model.likelihoods[name]
            valid = batch.valid_samples
            log_prob = drawn[name].log_prob(_read(support, drawn[name], reward, q, name), batch)
            log_likelihood = support.scales[name] * torch.where(valid, log_prob, torch.zeros_like(log_prob)).sum(-1)
            loss.total = loss.total - log_likelihood
            loss.terms[f"{name}/log_likelihood"] = log_likelihood
            if (of_teacher := likelihood.kl()) is not None:
                loss.total = loss.total + of_teacher
                loss.terms[f"{name}/teacher_kl"] = of_teacher
            bellman = None
            if q is not None and name in support.valued:
                bellman = model.values.bellman(q, mean, logvar, support, name)
            if bellman is not None:
                weights = support.bellman_weights(name)
                total = torch.where(weights > 0, weights * bellman, torch.zeros_like(bellman)).flatten(1).sum(-1)
                loss.total = loss.total + self.bellman_weight * total
                loss.terms[f"{name}/bellman"] = total
        return loss


class WeightedAverages(Objective):
    """The published objective: sum over kinds of w (NLL + kl_weight KL + bellman_weight Bellman), all of them averages.

    Every step draws a reward of its own, so states are taken to be independent. With importance weights, w is the size
    of the kind's data set divided by the largest one, else 1.
    """

    weights: Tensor  # rows as those of sizes

    def __init__(
        self,
        sizes: dict[str, Float[Tensor, "R"]],
        bellman_weight: float,
        kl_weight: float,
        importance_weights: bool,
    ) -> None:
        super().__init__(sizes, bellman_weight)
        self.kl_weight = kl_weight
        weights = self.sizes / self.sizes.amax(0).clamp(min=1) if importance_weights else torch.ones_like(self.sizes)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, model: RewardInference[Any, Any], batches: dict[str, FeedbackBatch], noise: Noise) -> Loss:
        support = self._support(model, batches, list(batches) if _needs_values(model) else [])
        mean, logvar = model.posterior(support)
        n_models, n_points = mean.shape
        if model.training:
            model.prior.fit(mean, logvar, support)
        kl_of_point, std = model.prior.kl(mean, logvar, support), (0.5 * logvar).exp()
        readers = [name for name in batches if model.likelihoods[name].reads == "reward"]
        counts = [n_points - support.first_drawn, *(batches[name].transitions.valid[0].numel() for name in readers)]
        (shared, *own), drawn = _draws(model, batches, noise, counts)
        draws = dict(zip(readers, own, strict=True))
        q = model.values(mean + std * _from(support.first_drawn, shared), support) if support.valued else None
        loss = Loss(mean.new_zeros(n_models))
        for name, batch in batches.items():
            likelihood, steps = model.likelihoods[name], batch.transitions
            if q is not None and likelihood.reads == "q":
                read = support.read(drawn[name], q, name)
            else:
                deviation = support.look_up(std, name)
                rewards = support.look_up(mean, name) + deviation * draws[name].view(steps.valid.shape)
                read = drawn[name].of_actions(rewards[..., None]).squeeze(-1)
            nll = -masked_mean(drawn[name].log_prob(read, batch), batch.valid_samples)
            kl = masked_mean(support.look_up(kl_of_point, name), steps.valid)
            total = nll + self.kl_weight * kl
            loss.terms |= {f"{name}/log_likelihood": -nll, f"{name}/kl": kl}
            if (of_teacher := likelihood.kl()) is not None:
                total = total + of_teacher / self.sizes[self.rows[name]].clamp(min=1)
                loss.terms[f"{name}/teacher_kl"] = of_teacher
            per_step = None if q is None else model.values.bellman(q, mean, logvar, support, name)
            if per_step is not None:
                bellman = masked_mean(per_step, steps.valid)
                total = total + self.bellman_weight * bellman
                loss.terms[f"{name}/bellman"] = bellman
            loss.total = loss.total + self.weights[self.rows[name]] * total
        return loss


def _read(
    support: Support,
    likelihood: FeedbackLikelihood,
    reward: Float[Tensor, "R N"],
    q: Float[Tensor, "R V H"] | None,
    name: str,
) -> Float[Tensor, "R B *steps"]:
    """What a likelihood reads at each step of one kind: a reward that was drawn, or Q."""
    if q is None or likelihood.reads == "reward":
        return support.look_up(likelihood.of_actions(reward[..., None]).squeeze(-1), name)
    return support.read(likelihood, q, name)


def _draws(
    model: RewardInference[Any, Any], batches: dict[str, FeedbackBatch], noise: Noise, counts: list[int]
) -> tuple[list[Float[Tensor, "R n"]], dict[str, FeedbackLikelihood]]:
    """Noise in parts of these sizes, and each likelihood with a draw of what it learns itself."""
    latents = {name: model.likelihoods[name].n_latents for name in batches}
    parts = list(noise(sum(counts) + sum(latents.values())).split([*counts, *latents.values()], dim=1))
    own = zip(batches, parts[len(counts) :], strict=True)
    return parts[: len(counts)], {name: model.likelihoods[name].drawn(part) for name, part in own}


def _from(first: int, noise: Float[Tensor, "R drawn"]) -> Float[Tensor, "R N"]:
    """Noise of the points from number `first` on; 0 for those before."""
    return torch.nn.functional.pad(noise, (first, 0))


def _needs_values(model: RewardInference[Any, Any]) -> bool:
    learned = any(True for _ in model.values.parameters())
    return learned or any(likelihood.reads == "q" for likelihood in model.likelihoods.values())
