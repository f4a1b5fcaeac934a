"""What a result says of those who gave the feedback: labels of each, and what was learned of how they answer."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.rationality import UnknownRationality
from mavrl.feedback.recorded import RecordedTeacher
from mavrl.model.objective import RewardInference

_TWO_SIDED_90 = 1.645  # standard deviations of a normal distribution


_EVERYBODY = "everybody"  # where all are taken to answer alike


@torch.no_grad()
def described_annotators(inference: RewardInference[Any, Any], data: CombinedDataModule) -> list[dict[str, Any]]:
    """Name and labels of each annotator of whom something was learned, and by kind what; empty where nothing was.

    Numbers are medians, with "low" and "high" for the ends of a 90 % interval where there is a posterior. All models
    are one mixture: what they disagree about is uncertain, too. Labels are those of the first replicate.
    """
    learned = {kind: values for kind, each in inference.likelihoods.items() if (values := each.learned())}
    teacher = next(iter(data.modules.values())).asking.teacher
    agreements = teacher.agreements if isinstance(teacher, RecordedTeacher) else {}
    found: dict[str, dict[str, Any]] = {}
    for kind, values in learned.items():
        batch, count = data.train_sets[kind], next(iter(values.values())).shape[1]
        names = teacher.annotators if count == len(teacher.annotators) else [_EVERYBODY]
        for number, name in enumerate(names):
            n_labels = int(((batch.labels["annotator"][0] == number) & batch.valid_samples[0]).sum())
            entry = found.setdefault(name, {"name": name, "labels": {}, **agreements.get(name, {}), "learned": {}})
            if n_labels:
                entry["labels"][kind] = n_labels
                entry["learned"][kind] = _numbers(values, number)
    return list(found.values())


@torch.no_grad()
def described_rationality(inference: RewardInference[Any, Any], data: CombinedDataModule) -> dict[str, Any]:
    """The rationality of each kind whose own was learned: "median", and "low" and "high" of a 90 % interval.

    Of preferences and demonstrations it is beta, of ratings one over their noise, of stops their rate in 1 / Q.
    All models are one mixture. "each" has the median of every replicate.
    """
    found = {}
    for kind, likelihood in inference.likelihoods.items():
        if isinstance(likelihood, UnknownRationality):
            center, values = data.modules[kind].model_rationality, likelihood.factor.learned()
            median, deviation = (values[name].squeeze(1).double() for name in ("", "_log_std"))
            each = median.log().view(-1, data.modules[kind].serving.members).mean(1).exp()
            numbers = {name: center * x for name, x in _interval(median, deviation).items()}
            found[kind] = {**numbers, "each": (center * each).tolist()}
    return found


def _numbers(values: Mapping[str, Tensor], number: int) -> dict[str, Any]:
    """What was learned of one annotator, by name."""
    column = {name: x[:, number].double() for name, x in values.items()}
    found: dict[str, Any] = {}
    for name, each in column.items():
        if name.endswith("_log_std"):
            continue
        deviation = column.get(f"{name}_log_std")
        if deviation is None:
            found[name] = float(each.mean())
            continue
        found[name] = _interval(each, deviation)
    return found


def _interval(median: Float[Tensor, "RM"], deviation: Float[Tensor, "RM"]) -> dict[str, float]:
    """The median of a mixture of log-normal posteriors, and the ends of its 90 % interval.

    Args:
        median: of each model.
        deviation: standard deviation of each one's logarithm.
    """
    center = median.log().mean()
    spread = (deviation.square().mean() + median.log().var(correction=0)).sqrt()
    ends = {side: float((center + sign * _TWO_SIDED_90 * spread).exp()) for side, sign in (("low", -1), ("high", 1))}
    return {"median": float(center.exp()), **ends}
