"""Stops: a teacher watches a segment and interrupts once enough regret has built up. A discrete-time hazard model."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mavrl.feedback.annotators import Annotators, Crowd, LogNormal, count_annotators, of_annotators, pooled
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood, LearnedLikelihood, log1mexp, uniforms
from mavrl.feedback.datamodule import SegmentDataModule
from mavrl.quadratic import QuadraticValues
from mavrl.simulation.base import Simulated
from mavrl.types import Transitions

LAPSE = 0.01  # stops for no reason, a step, that somebody makes of whom nothing is known
_NONE = 1e-8  # a regret that is none, as a part of the largest reward


@dataclass(frozen=True)
class StopBatch(FeedbackBatch):
    """Segments that a teacher may have stopped.

    Args:
        transitions: steps of shape (R, B, T).
        stop_step: step at which the teacher stopped, or T when it did not.
        annotator: number of who watched.
    """

    kind = "stop"
    transitions: Transitions
    stop_step: Int[Tensor, "R B"]
    annotator: Int[Tensor, "R B"] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.fill(annotator=torch.int64)
        self.check_layout(ndim=3)


def regret_of_actions(q: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
    """Instantaneous regret of every action, max_a' Q(s, a') - Q(s, a)."""
    return q.amax(-1, keepdim=True) - q


def discounted_regret(
    regret: Float[Tensor, "*batch T"], valid: Bool[Tensor, "*batch T"], discount: float
) -> Float[Tensor, "*batch T"]:
    """G_t = d G_{t-1} + g_t for instantaneous regrets g, with G = 0 before the first step."""
    regret = torch.where(valid, regret, torch.zeros_like(regret))
    return regret @ _decay(regret.shape[-1], discount, regret)


def _decay(length: int, discount: float, like: Tensor) -> Float[Tensor, "T T"]:
    """Weight discount^(t - u) of step u in the sum at step t >= u, indexed [u, t]."""
    step = torch.arange(length, device=like.device)
    lag = step[None, :] - step[:, None]
    weight = torch.where(lag >= 0, discount ** lag.clamp(min=0).double(), lag.new_zeros((), dtype=torch.float64))
    return weight.to(like.dtype)


class StopLikelihood(FeedbackLikelihood[StopBatch]):
    """p(stop at t) = h_t prod_{u<t} (1 - h_u) with hazard h_t = 1 - exp(-(lambda G_t + lapse)), 0 on padding.

    Args:
        rate: lambda for each replicate, in units of 1 / Q.
        discount: d, how much of the regret so far is remembered at the next step.
        lapse: rate of stops for no reason, of all replicates or of each. It keeps a stop after steps without any regret
            possible, and its log-probability finite.
    """

    reads = "q"
    rate: Tensor

    def __init__(self, rate: Float[Tensor, "R"], discount: float, lapse: float | Float[Tensor, "R"] = 1e-6) -> None:
        super().__init__()
        self.register_buffer("rate", rate.clone())
        self.discount = discount
        self.lapse = lapse

    @classmethod
    def calibrated(
        cls,
        regret: Float[Tensor, "R N T"],
        transitions: Transitions,
        discount: float,
        percentile: float,
        scale: float,
        lapse: float = 1e-6,
        largest_reward: Float[Tensor, "#R"] | float = 1.0,
    ) -> "StopLikelihood":
        """A teacher whose rate is scale / (percentile of the segments' largest G), or scale when that is about 0.

        Args:
            largest_reward: absolute true reward, beside which a regret is about 0 or not.
        """
        largest = discounted_regret(regret, transitions.valid, discount).amax(-1)
        typical = largest.double().quantile(percentile / 100, dim=-1)
        regretted = typical > _NONE * largest_reward
        return cls(torch.where(regretted, scale / torch.where(regretted, typical, 1.0), scale), discount, lapse)

    def known_to_model(self) -> dict[str, Tensor]:
        """The rate: like a rationality, it fixes the unit in which the reward is measured."""
        return {"rate": self.rate}

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Instantaneous regret of every action, max_a' Q(s, a') - Q(s, a)."""
        return regret_of_actions(table)

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Instantaneous regret of the action taken."""
        return q.regret(action)

    def cumulative_hazard(self, regret: Float[Tensor, "R B T"], transitions: Transitions) -> Float[Tensor, "R B T"]:
        """-log(1 - h_t) of each step; exactly 0 on padding."""
        total = discounted_regret(regret, transitions.valid, self.discount)
        rate = self.rate.to(total.dtype)[:, None, None]
        lapse = self.lapse.to(total.dtype)[:, None, None] if isinstance(self.lapse, Tensor) else self.lapse
        return torch.where(transitions.valid, rate * total + lapse, torch.zeros_like(total))

    def log_prob(self, values: Float[Tensor, "R B T"], batch: StopBatch) -> Float[Tensor, "R B"]:
        hazard = self.cumulative_hazard(values, batch.transitions)
        survived = torch.nn.functional.pad(hazard.cumsum(-1), (1, 0))  # -log p(no stop before step t), t = 0 ... T
        before = survived.gather(-1, batch.stop_step[..., None]).squeeze(-1)
        stopped = batch.stop_step < hazard.shape[-1]
        at = hazard.gather(-1, batch.stop_step.clamp(max=hazard.shape[-1] - 1)[..., None]).squeeze(-1)
        stop = log1mexp(torch.where(stopped, at, torch.ones_like(at)))
        return torch.where(stopped, stop, torch.zeros_like(stop)) - before

    def outcomes(self, values: Float[Tensor, "R B T"], transitions: Transitions) -> Float[Tensor, "R B T+1"]:
        """Log-probability of a stop at each step, and last of none; no stop on padding."""
        hazard = self.cumulative_hazard(values, transitions)
        survived = torch.nn.functional.pad(hazard.cumsum(-1), (1, 0))
        return torch.nn.functional.pad(log1mexp(hazard), (0, 1)) - survived

    def sample(
        self, values: Float[Tensor, "R B T"], transitions: Transitions, generators: list[torch.Generator]
    ) -> StopBatch:
        survived = (-self.cumulative_hazard(values.double(), transitions).cumsum(-1)).exp()
        draw = uniforms(generators, survived.shape[1])[..., None]
        return StopBatch(transitions, (draw < survived).sum(-1))


class AnnotatedStopLikelihood(FeedbackLikelihood[StopBatch]):
    """The same for several annotators who differ, and who stop some steps after they have seen enough.

    An annotator has seen enough at step u as in `StopLikelihood`. The stop comes L steps later, where L has a Poisson
    distribution: p(stop at t) = sum over u <= t of p(seen at u) p(L = t - u). What would come after the segment's last
    step is no stop.

    Args:
        rate: lambda of each annotator, in units of 1 / Q.
        discount: d, how much of the regret so far is remembered at the next step.
        lapse: rate of stops for no reason of each annotator, a step.
        lag: mean of L for each annotator, in steps; above 0.
    """

    reads = "q"

    def __init__(
        self,
        rate: Float[Tensor, "R A"],
        discount: float,
        lapse: Float[Tensor, "R A"],
        lag: Float[Tensor, "R A"],
    ) -> None:
        super().__init__()
        self.rate, self.discount, self.lapse, self.lag = rate, discount, lapse, lag

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Instantaneous regret of every action, max_a' Q(s, a') - Q(s, a)."""
        return regret_of_actions(table)

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Instantaneous regret of the action taken."""
        return q.regret(action)

    def seen_enough(
        self, regret: Float[Tensor, "R B T"], transitions: Transitions, annotator: Int[Tensor, "R B"]
    ) -> tuple[Float[Tensor, "R B T"], Float[Tensor, "R B"]]:
        """Log-probability that these annotators have seen enough at each step, and that they never have."""
        valid, total = transitions.valid, discounted_regret(regret, transitions.valid, self.discount)
        rate, lapse = (of_annotators(x.to(total.dtype), annotator)[..., None] for x in (self.rate, self.lapse))
        hazard = torch.where(valid, rate * total + lapse, torch.ones_like(total))
        survived = -torch.where(valid, hazard, torch.zeros_like(hazard)).cumsum(-1)
        before = torch.nn.functional.pad(survived, (1, 0))[..., :-1]
        return (log1mexp(hazard) + before).masked_fill(~valid, -torch.inf), survived[..., -1]

    def log_prob(self, values: Float[Tensor, "R B T"], batch: StopBatch) -> Float[Tensor, "R B"]:
        seen, never = self.seen_enough(values, batch.transitions, batch.annotator)
        lag = of_annotators(self.lag.to(values.dtype), batch.annotator)[..., None]
        step, n_steps = torch.arange(seen.shape[-1], device=seen.device), batch.transitions.valid.sum(-1, keepdim=True)
        waited = batch.stop_step[..., None] - step
        at = (seen + log_poisson(waited.clamp(min=0), lag)).masked_fill(waited < 0, -torch.inf)
        too_late = seen + log_poisson_above((n_steps - 1 - step).clamp(min=0), lag)
        none = torch.cat([too_late, never[..., None]], dim=-1).logsumexp(-1)
        stopped = batch.stop_step < seen.shape[-1]
        return torch.where(stopped, torch.where(stopped[..., None], at, torch.zeros_like(at)).logsumexp(-1), none)

    def outcomes(self, values: Float[Tensor, "R B T"], transitions: Transitions) -> Float[Tensor, "R B T+1"]:
        """Log-probability of a stop at each step, and last of none, of an annotator drawn at random."""
        shape, n_annotators, n_steps = transitions.valid.shape[:2], self.rate.shape[1], values.shape[-1]
        found = []
        for number in range(n_annotators):
            annotator = torch.full(shape, number, device=values.device)
            labels = [torch.full(shape, step, device=values.device) for step in range(n_steps + 1)]
            batches = [StopBatch(transitions, label, annotator) for label in labels]
            answers = torch.stack([self.log_prob(values, batch) for batch in batches], dim=-1)
            there = torch.nn.functional.pad(transitions.valid, (0, 1), value=True)
            found.append(answers.masked_fill(~there, -torch.inf))
        return torch.stack(found).logsumexp(0) - math.log(n_annotators)

    def sample(
        self, values: Float[Tensor, "R B T"], transitions: Transitions, generators: list[torch.Generator]
    ) -> StopBatch:
        """Stops of annotators drawn at random."""
        draw = uniforms(generators, values.shape[1], 3)
        annotator = (draw[..., 0] * self.rate.shape[1]).long()
        seen, _ = self.seen_enough(values.double(), transitions, annotator)
        moment = (draw[..., 1:2] >= seen.exp().cumsum(-1)).sum(-1)
        waits = torch.arange(values.shape[-1], device=values.device, dtype=torch.float64)
        at_most = torch.special.gammaincc(waits + 1, of_annotators(self.lag.double(), annotator)[..., None])
        stop = moment + (draw[..., 2:] >= at_most).sum(-1)
        n_steps = transitions.valid.sum(-1)
        return StopBatch(transitions, torch.where(stop < n_steps, stop, values.shape[-1]), annotator)

    def known_to_model(self) -> dict[str, Tensor]:
        """How many annotators there are."""
        return {"annotators": torch.full(self.rate.shape[:1], self.rate.shape[1])}


def log_poisson(count: Int[Tensor, "*batch T"], mean: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch T"]:
    """Log-probability of a count that has a Poisson distribution with this mean."""
    counted = count.to(mean.dtype)
    return counted * mean.log() - mean - torch.lgamma(counted + 1)


def log_poisson_above(count: Int[Tensor, "*batch T"], mean: Float[Tensor, "*batch 1"]) -> Float[Tensor, "*batch T"]:
    """Log-probability of more than this count: that of a gamma variable of shape count + 1 below the mean."""
    above = torch.special.gammainc(count.to(mean.dtype) + 1, mean.expand(count.shape))
    return above.clamp(min=torch.finfo(mean.dtype).tiny).log()


class LapsingStopLikelihood(LearnedLikelihood[StopBatch]):
    """`StopLikelihood` where nobody knows how often somebody stops for no reason: the lapse has a posterior.

    Args:
        rate: lambda for each model, in units of 1 / Q.
        discount: that of `StopLikelihood`.
    """

    reads = "q"
    rate: Tensor

    def __init__(self, rate: Float[Tensor, "R"], discount: float) -> None:
        super().__init__()
        self.register_buffer("rate", rate.clone())
        self.discount = discount
        self.lapse = LogNormal(LAPSE, len(rate), 1)

    @property
    def n_latents(self) -> int:
        return 1

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Instantaneous regret of every action, max_a' Q(s, a') - Q(s, a)."""
        return regret_of_actions(table)

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Instantaneous regret of the action taken."""
        return q.regret(action)

    def drawn(self, noise: Float[Tensor, "R L"] | None = None) -> StopLikelihood:
        return StopLikelihood(self.rate, self.discount, self.lapse.drawn(noise).squeeze(1))

    def kl(self) -> Float[Tensor, "R"]:
        return self.lapse.kl()


class LearnedStopLikelihood(LearnedLikelihood[StopBatch]):
    """The same where nobody knows how annotators stop: rate, lapse and mean lag of each have a posterior.

    Args:
        n_models: R.
        n_annotators: A.
        discount: that of `StopLikelihood`.
    """

    reads = "q"

    def __init__(self, n_models: int, n_annotators: int, discount: float) -> None:
        super().__init__()
        self.n_annotators, self.discount = n_annotators, discount
        self.rate = LogNormal(1.0, n_models, n_annotators)
        self.lapse = LogNormal(LAPSE, n_models, n_annotators)
        self.lag = LogNormal(1.0, n_models, n_annotators)

    @property
    def n_latents(self) -> int:
        return 3 * self.n_annotators

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Instantaneous regret of every action, max_a' Q(s, a') - Q(s, a)."""
        return regret_of_actions(table)

    def of_vectors(self, q: QuadraticValues, action: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """Instantaneous regret of the action taken."""
        return q.regret(action)

    def drawn(self, noise: Float[Tensor, "R L"] | None = None) -> AnnotatedStopLikelihood:
        rate, lapse, lag = (None, None, None) if noise is None else noise.chunk(3, dim=1)
        return AnnotatedStopLikelihood(
            self.rate.drawn(rate), self.discount, self.lapse.drawn(lapse), self.lag.drawn(lag)
        )

    def kl(self) -> Float[Tensor, "R"]:
        return self.rate.kl() + self.lapse.kl() + self.lag.kl()

    def learned(self) -> dict[str, Float[Tensor, "R A"]]:
        each = {"rate": self.rate, "lapse": self.lapse, "lag": self.lag}
        return {f"{name}{end}": x for name, posterior in each.items() for end, x in posterior.learned().items()}


class StopDataModule(SegmentDataModule[StopBatch]):
    """Segments that a teacher watches and stops when enough regret has built up.

    Args:
        discount: how much of the regret so far the teacher remembers at the next step.
        percentile, scale: the rate is scale / (this percentile of the segments' largest discounted regret).
        model_scale: the scale that models take the teacher's to be; None tells them what it is. Where the rationality
            is learned they are not told the rate, and expect one around 1 / Q.
        lapse: rate of stops for no reason that the model assumes; where nobody knows how annotators stop, theirs are
            learned.
        annotators: whether what each is like is "learned", or all are "pooled": taken to stop alike.
        shared: those of every DataModule about segments.
    """

    kind = "stop"
    answered = StopBatch
    calibrated = True

    def __init__(
        self,
        *,
        discount: float,
        percentile: float,
        scale: float,
        lapse: float,
        model_scale: float | None = None,
        annotators: Annotators = "learned",
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.annotators: Annotators = annotators
        self.discount = discount
        self.percentile = percentile
        self.scale = scale
        self.model_scale = scale if model_scale is None else model_scale
        self.lapse = lapse

    def teacher(self, known: Simulated) -> StopLikelihood:
        largest_reward = known.reward.abs().flatten(1).amax(-1)
        return StopLikelihood.calibrated(
            known.regret,
            known.transitions,
            self.discount,
            self.percentile,
            self.scale,
            largest_reward=largest_reward,
        )

    def crowd(self, known: Simulated, crowd: Crowd) -> AnnotatedStopLikelihood:
        """Annotators with this teacher's rate times their reliability; those who do not look stop by chance."""
        one = self.teacher(known)
        reliability = crowd.factors(len(known.reward)).clamp(min=0)
        lapse = torch.where(reliability > 0, self.lapse, 1 / self.segment_len)
        lag = torch.full_like(reliability, max(crowd.lag, 1e-6))
        return AnnotatedStopLikelihood(one.rate[:, None] * reliability, self.discount, lapse, lag)

    def teacher_settings(self) -> dict[str, Any]:
        return {"discount": self.discount, "percentile": self.percentile, "scale": self.scale}

    def batch_of(self, answered: StopBatch) -> StopBatch:
        return pooled(answered) if self.annotators == "pooled" else answered

    def likelihood_of_models(
        self, known_to_model: dict[str, Tensor], n_models: int
    ) -> StopLikelihood | LapsingStopLikelihood | LearnedStopLikelihood:
        rate = known_to_model.get("rate")
        if rate is None:  # a person's
            return LearnedStopLikelihood(n_models, count_annotators(known_to_model, self.annotators), self.discount)
        if self.learn_rationality:
            return LapsingStopLikelihood(torch.ones(n_models), self.discount)
        assumed = rate if self.model_scale == self.scale else rate * (self.model_scale / self.scale)
        return StopLikelihood(assumed.repeat_interleave(n_models // len(rate)).float(), self.discount, self.lapse)
