"""The simulated teachers of B-Pref: preferences by somebody who errs, skips, sees no difference, or looks at the end.

Lee, Smith, Dragan and Abbeel (2021), "B-Pref: Benchmarking Preference-Based Reinforcement Learning", algorithm 1.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mavrl.errors import ConfigurationError
from mavrl.feedback.base import uniforms
from mavrl.feedback.teachers import Answers, Questions, Teacher, label_streams
from mavrl.types import segment_mean

_ROUNDING = 1e-9  # of mean rewards that are equal, as a part of the larger one


class BPrefTeacher(Teacher):
    """Compares two segments by their true rewards; every parameter is one way to differ from an oracle.

    A question is skipped, or both segments are called equal, by their mean rewards. Otherwise one is preferred with
    probability sigmoid(rationality * difference of the recent rewards), and the answer may then be turned round.

    Args:
        rationality: beta, in units of 1 / reward; None prefers the better one for certain, and either of equal ones.
        mistake: probability that an answer is the wrong way round.
        skip: no answer where the larger mean reward is below this quantile of those of calibration pairs; 0 for never.
        equal: neither is preferred where the mean rewards differ by no more than this quantile of the differences in
            calibration pairs; 0 for never.
        discount: weight of a step for each one that follows it in the segment; 1 weighs all alike.
    """

    def __init__(self, rationality: float | None, mistake: float, skip: float, equal: float, discount: float) -> None:
        self.rationality, self.mistake = rationality, mistake
        self.skip, self.equal, self.discount = skip, equal, discount

    @property
    def calibrated(self) -> bool:
        return self.skip > 0 or self.equal > 0

    @torch.no_grad()
    def answer(self, questions: Questions) -> Answers:
        """Labels drawn from streams of the questions' own; demonstrations are what they are.

        Raises:
            ConfigurationError: it is asked for labels of another kind than preferences.
        """
        if questions.known is None:
            return Answers()
        if questions.kind != "preference":
            raise ConfigurationError("teacher", type(self).__name__, f"compares only; it gives no {questions.kind}")
        reward, valid = questions.shown.reward.double(), questions.shown.transitions.valid
        mean = segment_mean(reward, valid)
        difference, rounding = mean[..., 0] - mean[..., 1], _ROUNDING * mean.abs().amax(-1)
        pairs = _pairs(segment_mean(questions.known.reward.double(), questions.known.transitions.valid))
        first = self._prefers_first(recent_mean(reward, valid, self.discount), questions)
        skipped = equal = torch.zeros_like(first)
        if self.skip > 0:
            least = pairs.amax(-1).quantile(self.skip, dim=1, keepdim=True)
            skipped = mean.amax(-1) < least - rounding
        if self.equal > 0:
            most = (pairs[..., 0] - pairs[..., 1]).abs().quantile(self.equal, dim=1, keepdim=True)
            equal = difference.abs() <= most + rounding
        known = {"ties": torch.ones(len(first), dtype=torch.int64)} if self.equal > 0 else {}
        return Answers({"first_preferred": first & ~equal, "equal": equal}, known, skipped=skipped)

    def _prefers_first(self, mean: Float[Tensor, "R B 2"], questions: Questions) -> Bool[Tensor, "R B"]:
        draw = uniforms(label_streams(questions.streams), mean.shape[1], 2)
        return (draw[..., 0] < preference_probability(mean, self.rationality)) ^ (draw[..., 1] < self.mistake)


def recent_mean(
    reward: Float[Tensor, "*batch T"], valid: Bool[Tensor, "*batch T"], discount: float
) -> Float[Tensor, "*batch"]:
    """Mean over the valid steps of each segment, weighed by the discount to the power of the valid steps that follow.

    B-Pref's sum of discount^(T - t) r_t, divided by the weights of a full segment.
    """
    following = (valid.flip(-1).cumsum(-1).flip(-1) - 1).clamp(min=0)
    weight = torch.where(valid, torch.as_tensor(discount, dtype=reward.dtype) ** following, 0.0)
    total = weight.sum(-1)
    kept = torch.where(valid, reward, 0.0)
    return (weight * kept).sum(-1) / torch.where(total > 0, total, 1.0)


def preference_probability(mean: Float[Tensor, "*batch 2"], rationality: float | None) -> Float[Tensor, "*batch"]:
    """Probability that the first of two segments is preferred, given what each is worth.

    Args:
        rationality: None for one without end: 1, 0, or a half where they are equal up to rounding.
    """
    difference = mean[..., 0] - mean[..., 1]
    if rationality is not None:
        return (rationality * difference).sigmoid()
    same = difference.abs() <= _ROUNDING * mean.abs().amax(-1)
    return torch.where(same, 0.5, (difference > 0).to(mean.dtype))


def _pairs(mean: Float[Tensor, "R C"]) -> Float[Tensor, "R pairs 2"]:
    """Values of segments as those of pairs, one after the other."""
    return mean[:, : len(mean[0]) // 2 * 2].unflatten(1, (-1, 2))
