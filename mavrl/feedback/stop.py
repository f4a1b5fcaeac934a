"""Stops: a teacher watches a segment and interrupts once enough regret has built up. A discrete-time hazard model."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood, log1mexp, uniforms
from mavrl.feedback.datamodule import SegmentDataModule
from mavrl.simulation.base import Simulated
from mavrl.types import Transitions

_NONE = 1e-8  # a regret that is none, as a part of the largest reward


@dataclass(frozen=True)
class StopBatch(FeedbackBatch):
    """Segments that a teacher may have stopped.

    Args:
        transitions: steps of shape (R, B, T).
        stop_step: step at which the teacher stopped, or T when it did not.
    """

    kind = "stop"
    transitions: Transitions
    stop_step: Int[Tensor, "R B"]

    def __post_init__(self) -> None:
        self.check_layout(ndim=3)


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
        lapse: rate of stops for no reason. It keeps a stop after steps without any regret possible, and its
            log-probability finite.
    """

    reads = "q"
    rate: Tensor

    def __init__(self, rate: Float[Tensor, "R"], discount: float, lapse: float = 1e-6) -> None:
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

    def present_rate(self) -> Float[Tensor, "R"]:
        """The rate of each replicate."""
        return self.rate

    def known_to_model(self) -> dict[str, Tensor]:
        """The rate: like a rationality, it fixes the unit in which the reward is measured."""
        return {"rate": self.rate}

    def of_actions(self, table: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch A"]:
        """Instantaneous regret of every action, max_a' Q(s, a') - Q(s, a)."""
        return table.amax(-1, keepdim=True) - table

    def cumulative_hazard(self, regret: Float[Tensor, "R B T"], transitions: Transitions) -> Float[Tensor, "R B T"]:
        """-log(1 - h_t) of each step; exactly 0 on padding."""
        total = discounted_regret(regret, transitions.valid, self.discount)
        rate = self.present_rate().to(total.dtype)[:, None, None]
        return torch.where(transitions.valid, rate * total + self.lapse, torch.zeros_like(total))

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


class UntoldStopLikelihood(StopLikelihood):
    """The same likelihood where nobody knows the rate: it is learned, under a log-normal prior around 1.

    Args:
        n_models: R.
        discount, lapse: those of `StopLikelihood`.
    """

    SPREAD = 1.0  # standard deviation of the rate's logarithm

    def __init__(self, n_models: int, discount: float, lapse: float = 1e-6) -> None:
        super().__init__(torch.ones(n_models), discount, lapse)
        self.log_rate = nn.Parameter(torch.zeros(n_models))

    def present_rate(self) -> Float[Tensor, "R"]:
        return self.log_rate.exp()

    def log_prior(self) -> Float[Tensor, "R"]:
        return -0.5 * (self.log_rate / self.SPREAD).square()


class StopDataModule(SegmentDataModule[StopBatch]):
    """Segments that a teacher watches and stops when enough regret has built up.

    Args:
        discount: how much of the regret so far the teacher remembers at the next step.
        percentile, scale: the rate is scale / (this percentile of the segments' largest discounted regret).
        lapse: rate of stops for no reason that the model assumes.
        shared: those of every DataModule about segments.
    """

    kind = "stop"
    answered = StopBatch
    calibrated = True

    def __init__(self, *, discount: float, percentile: float, scale: float, lapse: float, **shared: Any) -> None:
        super().__init__(**shared)
        self.discount = discount
        self.percentile = percentile
        self.scale = scale
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

    def teacher_settings(self) -> dict[str, Any]:
        return {"discount": self.discount, "percentile": self.percentile, "scale": self.scale}

    def likelihood_of_models(self, known_to_model: dict[str, Tensor], n_models: int) -> StopLikelihood:
        rate = known_to_model.get("rate")
        if rate is None:  # a person's
            return UntoldStopLikelihood(n_models, self.discount, self.lapse)
        return StopLikelihood(rate.repeat_interleave(n_models // len(rate)).float(), self.discount, self.lapse)
