"""Annotators in a result: what each of them said, and what was learned of how each answers."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.recorded import RecordedTeacher
from mavrl.model.objective import RewardInference

_TWO_SIDED_90 = 1.645  # standard deviations of a normal distribution


@torch.no_grad()
def described_annotators(inference: RewardInference[Any, Any], data: CombinedDataModule) -> list[dict[str, Any]]:
    """Name and labels of each annotator of whom something was learned, and by kind what; empty where nothing was.

    Numbers are medians, with "low" and "high" for the ends of a 90 % interval where there is a posterior. All models
    are one mixture: what they disagree about is uncertain, too. Labels are those of the first replicate.
    """
    learned = {kind: likelihood.learned() for kind, likelihood in inference.likelihoods.items()}
    if not any(learned.values()):
        return []
    teacher = next(iter(data.modules.values())).asking.teacher
    agreements = teacher.agreements if isinstance(teacher, RecordedTeacher) else {}
    found = []
    for number, name in enumerate(teacher.annotators):
        labels, of_kinds = {}, {}
        for kind, values in learned.items():
            batch = data.train_sets[kind]
            if not values or not hasattr(batch, "annotator"):
                continue
            mine = (batch.annotator[0] == number) & batch.valid_samples[0]
            if labels_of_kind := int(mine.sum()):
                labels[kind] = labels_of_kind
                of_kinds[kind] = _numbers(values, number)
        found.append({"name": name, "labels": labels, **agreements.get(name, {}), "learned": of_kinds})
    return found


def _numbers(values: Mapping[str, Tensor], number: int) -> dict[str, Any]:
    """What was learned of one annotator, by name; those of a pooled crowd are everybody's."""
    column = {name: x[:, min(number, x.shape[1] - 1)].double() for name, x in values.items()}
    found: dict[str, Any] = {}
    for name, each in column.items():
        if name.endswith("_log_std"):
            continue
        deviation = column.get(f"{name}_log_std")
        if deviation is None:
            found[name] = float(each.mean())
            continue
        center = each.log().mean()
        spread = (deviation.square().mean() + each.log().var(correction=0)).sqrt()
        ends = {
            side: float((center + sign * _TWO_SIDED_90 * spread).exp()) for side, sign in (("low", -1), ("high", 1))
        }
        found[name] = {"median": float(center.exp()), **ends}
    return found
