"""Transitions and what batches of tensors share: frozen, and checked when they are built.

Axes: R replicate, B sample, P segment of a pair (2), T step in a segment. Steps that are not valid are padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Same = TypeVar("Same", bound="Tensors")


class Tensors:
    """Operations that act alike on every tensor of a batch."""

    def map(self: Same, function) -> Same:
        """A batch with `function` applied to every tensor."""
        changes = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            changes[field.name] = value.map(function) if isinstance(value, Tensors) else function(value)
        return replace(self, **changes)  # type: ignore[type-var]

    def to(self: Same, device: torch.device | str) -> Same:
        """A batch with every tensor on this device."""
        return self.map(lambda tensor: tensor.to(device))

    def take(self: Same, index: Int[Tensor, "R B"]) -> Same:
        """Samples chosen per replicate: sample index[r, b] of replicate r."""
        rows = torch.arange(index.shape[0], device=index.device)[:, None]
        return self.map(lambda tensor: tensor[rows, index])

    def first(self: Same, count: int) -> Same:
        """The first `count` samples of every replicate."""
        return self.map(lambda tensor: tensor[:, :count])

    def repeat_replicates(self: Same, times: int) -> Same:
        """Each replicate `times` times in a row, for several models on the same data."""
        return self if times == 1 else self.map(lambda tensor: tensor.repeat_interleave(times, dim=0))


def joined(groups: Sequence[Same]) -> Same:
    """Samples of several groups one after the other, whose other axes are alike."""

    def joint(values: Sequence[Any]) -> Any:
        if isinstance(values[0], Tensor):
            return torch.cat(list(values), dim=1)
        return replace(
            values[0], **{each.name: joint([getattr(v, each.name) for v in values]) for each in fields(values[0])}
        )

    return joint(groups)


@dataclass(frozen=True)
class Transitions(Tensors):
    """Steps of an environment, in any arrangement that starts with R and B.

    A state is a number in a finite environment, and otherwise an observation, with a last axis O after the steps'. An
    action is a number, or a vector in the unit box, with a last axis D.

    Args:
        state: state that the action was taken in.
        action: action taken.
        next_state: state that followed.
        next_action: action that the behaviour policy took there; 0 where the episode had ended.
        terminal: the step terminated its episode; a time limit does not.
        valid: a real step, not padding.
    """

    state: Int[Tensor, "R B *steps"] | Float[Tensor, "R B *steps_and_O"]
    action: Int[Tensor, "R B *steps"] | Float[Tensor, "R B *steps_and_D"]
    next_state: Int[Tensor, "R B *steps"] | Float[Tensor, "R B *steps_and_O"]
    next_action: Int[Tensor, "R B *steps"] | Float[Tensor, "R B *steps_and_D"]
    terminal: Bool[Tensor, "R B *steps"]
    valid: Bool[Tensor, "R B *steps"]

    def __post_init__(self) -> None:
        shapes = {field.name: tuple(getattr(self, field.name).shape) for field in fields(self)}
        steps, pairs = shapes["valid"], (("state", "next_state"), ("action", "next_action"))
        vectors = {name: getattr(self, pair[0]).is_floating_point() for pair in pairs for name in pair}
        last = {name: shapes[pair[0]][-1:] for pair in pairs for name in pair if vectors[name]}
        if len(steps) < 2 or shapes != {name: steps + last.get(name, ()) for name in shapes}:
            raise ValueError(f"transitions need equal shapes (R, B, ...), vectors one axis more; got {shapes}")
        for first, second in pairs:
            dtypes = getattr(self, first).dtype, getattr(self, second).dtype
            if dtypes[0].is_floating_point != dtypes[1].is_floating_point:
                raise ValueError(f"{first} is {dtypes[0]}, {second} {dtypes[1]}: numbers or vectors")

    def flatten(self) -> "Transitions":
        """All steps in shape (R, N)."""
        steps = self.valid.ndim
        return self.map(lambda tensor: tensor.flatten(1, steps - 1))

    def without(self, missing: Bool[Tensor, "R B"]) -> "Transitions":
        """The same steps, of which those of some samples are padding: nothing is learned from them."""
        kept = ~missing.view(*missing.shape, *[1] * (self.valid.ndim - 2))
        return replace(self, valid=self.valid & kept)


def segment_mean(values: Float[Tensor, "*batch T"], valid: Bool[Tensor, "*batch T"]) -> Float[Tensor, "*batch"]:
    """Mean over the valid steps of each segment; 0 for a segment without any."""
    kept = torch.where(valid, values, torch.zeros_like(values))
    return kept.sum(-1) / valid.sum(-1).clamp(min=1).to(values.dtype)


def at_steps(table: Float[Tensor, "r S A"], transitions: Transitions) -> Float[Tensor, "R B *steps"]:
    """Entries of a table at each step's state and action; a table of one row serves all replicates."""
    n_actions = table.shape[-1]
    flat = table.flatten(1).expand(len(transitions.state), -1)
    index = transitions.state if n_actions == 1 else transitions.state * n_actions + transitions.action
    return flat.gather(1, index.flatten(1)).view(index.shape)
