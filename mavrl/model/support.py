"""Supports: where a training step evaluates the reward and Q, and where each step of feedback finds its values.

In a finite environment that is every state, shared by all visits to it. Elsewhere states do not repeat, and it is every
transition in the step's batches.
"""

from abc import ABC, abstractmethod
from functools import cached_property
from itertools import accumulate
from typing import Literal, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.model.action_heads import ActionHead
from mavrl.types import Transitions, at_steps

Count = Literal["transition", "sample", "mean"]
Scales = dict[str, Float[Tensor, "R"]]


class Support(ABC):
    """The N points of one training step.

    Args:
        batches: feedback of every kind, by name.
        scales: how many samples of its data set each sample in a batch stands for.
        valued: the kinds that Q is needed for.
    """

    first_drawn = 0  # only from this point on does anything read the reward that is drawn

    def __init__(self, batches: dict[str, FeedbackBatch], scales: Scales, valued: list[str]) -> None:
        self.batches = batches
        self.scales = scales
        self.valued = valued

    @property
    @abstractmethod
    def kl_weights(self) -> Float[Tensor, "#R N"]:
        """Weight of each point in the bound's KL: how often it counts."""

    @abstractmethod
    def prior_mean(self, mean: Float[Tensor, "S"]) -> Float[Tensor, "#R N"]:
        """The prior mean at each point, from the mean that `mavrl.model.posterior.RewardPrior` holds."""

    @abstractmethod
    def bellman_weights(self, name: str) -> Float[Tensor, "R B *steps"]:
        """Weight of each step of one kind in the bound's Bellman term: how often it counts, 0 for padding."""

    @abstractmethod
    def look_up(self, points: Float[Tensor, "R N"], name: str) -> Float[Tensor, "R B *steps"]:
        """What there is of each point, at each step of one kind."""

    @abstractmethod
    def read(self, likelihood: FeedbackLikelihood, q: Float[Tensor, "R V H"], name: str) -> Float[Tensor, "R B *steps"]:
        """What a likelihood of action values reads at each step of one kind, at the action taken."""

    @abstractmethod
    def taken(self, q: Float[Tensor, "R V H"], name: str) -> Float[Tensor, "R B *steps"]:
        """Q of the action taken at each step of one kind."""

    def transitions(self, name: str) -> Transitions:
        return self.batches[name].transitions


Points = TypeVar("Points", bound=Support, contravariant=True)


class StateSupport(Support):
    """The support of a finite environment: every state."""

    @property
    def kl_weights(self) -> Float[Tensor, "#R N"]:
        return torch.ones(1, 1, device=self._device)

    @property
    def _device(self) -> torch.device:
        for batch in self.batches.values():
            return batch.transitions.action.device
        return torch.device("cpu")

    def prior_mean(self, mean: Float[Tensor, "S"]) -> Float[Tensor, "#R N"]:
        return mean[None]

    def bellman_weights(self, name: str) -> Float[Tensor, "R B *steps"]:
        return _per_sample(self.scales[name], self.transitions(name).valid)

    def look_up(self, points: Float[Tensor, "R N"], name: str) -> Float[Tensor, "R B *steps"]:
        return at_steps(points[..., None], self.transitions(name))

    def read(self, likelihood: FeedbackLikelihood, q: Float[Tensor, "R V H"], name: str) -> Float[Tensor, "R B *steps"]:
        return self.taken(likelihood.of_actions(q), name)  # computed once for all steps in a state

    def taken(self, q: Float[Tensor, "R V H"], name: str) -> Float[Tensor, "R B *steps"]:
        return at_steps(q, self.transitions(name))


class StepSupport(Support):
    """The support of an environment with observations: every transition in the batches, one kind after the other.

    The first `n_valued` transitions are those that Q is needed for.

    Args:
        count: how a transition counts in the KL: each as one ("transition"); all of a sample together as one
            ("sample"; a demonstrated step is a sample); or all of a kind's data set together as one ("mean"). In the
            Bellman term it counts as for "sample", whatever the KL.
        head: how actions are read.
    """

    def __init__(
        self, batches: dict[str, FeedbackBatch], scales: Scales, valued: list[str], count: Count, head: ActionHead
    ) -> None:
        super().__init__(batches, scales, valued)
        self._head = head
        order = [*valued, *(name for name in batches if name not in valued)]
        flat = {name: batches[name].transitions.flatten() for name in order}
        ends = list(accumulate(steps.valid.shape[1] for steps in flat.values()))
        self._slices = {name: slice(a, b) for name, a, b in zip(order, [0, *ends], ends, strict=False)}
        # Q is learned and reads no drawn reward. Nor must these points have noise of their own: how many demonstrated
        # steps there are depends on the longest replicate, and would shift the noise of the points that follow.
        self.first_drawn = self.n_valued = self._slices[valued[-1]].stop if valued else 0
        self.state = torch.cat([steps.state for steps in flat.values()], dim=1)
        self.action = torch.cat([steps.action for steps in flat.values()], dim=1)
        self._next_states = [steps.next_state for steps in flat.values()]
        self._outputs: dict[nn.Module, Tensor] = {}
        self.terminal = torch.cat([steps.terminal & steps.valid for steps in flat.values()], dim=1)
        valid = {name: batches[name].transitions.valid for name in order}
        self._kl_weights = {name: step_weights(valid[name], scales[name], count) for name in order}
        self._bellman_weights = {name: step_weights(valid[name], scales[name], "sample") for name in valued}

    @property
    def kl_weights(self) -> Float[Tensor, "#R N"]:
        return torch.cat([weight.flatten(1) for weight in self._kl_weights.values()], dim=1)

    def prior_mean(self, mean: Float[Tensor, "S"]) -> Float[Tensor, "#R N"]:
        return mean * self.terminal

    def bellman_weights(self, name: str) -> Float[Tensor, "R B *steps"]:
        return self._bellman_weights[name]

    def look_up(self, points: Float[Tensor, "R N"], name: str) -> Float[Tensor, "R B *steps"]:
        return points[:, self._slices[name]].view(self.transitions(name).valid.shape)

    def read(self, likelihood: FeedbackLikelihood, q: Float[Tensor, "R V H"], name: str) -> Float[Tensor, "R B *steps"]:
        part = self._slices[name]
        return self._head.read(likelihood, q[:, part], self.action[:, part]).view(self.transitions(name).valid.shape)

    def taken(self, q: Float[Tensor, "R V H"], name: str) -> Float[Tensor, "R B *steps"]:
        part = self._slices[name]
        return self._head.taken(q[:, part], self.action[:, part]).view(self.transitions(name).valid.shape)

    @property
    def next_state(self) -> Float[Tensor, "R N O"]:
        return torch.cat(self._next_states, dim=1)

    def outputs(self, network: nn.Module, standardization: nn.Module) -> Float[Tensor, "R M H"]:
        """A network's outputs in the N states of the steps and in all that follow; computed once, whoever asks."""
        if network not in self._outputs:
            self._outputs[network] = network(standardization(self._visited[0]))
        return self._outputs[network]

    def following(self, outputs: Float[Tensor, "R M"]) -> Float[Tensor, "R N"]:
        """What there is of `outputs` in the next state of each step."""
        return outputs.gather(1, self._visited[1])

    @cached_property
    def _visited(self) -> tuple[Float[Tensor, "R M O"], Int[Tensor, "R N"]]:
        """The states of the steps, then next states that are none of these; and the place of each step's next state."""
        states, places, count = [self.state], [], self.state.shape[1]
        for name, part in self._slices.items():
            others, place = next_states(self.transitions(name))
            n_steps = place.shape[1]
            places.append(torch.where(place < n_steps, place + part.start, place - n_steps + count))
            states.append(others)
            count += others.shape[1]
        return torch.cat(states, dim=1), torch.cat(places, dim=1)


def next_states(steps: Transitions) -> tuple[Float[Tensor, "R E O"], Int[Tensor, "R N"]]:
    """Those next states that are not the state of the step after, and where each step finds its own.

    The steps of a segment lead from one to the next, so a segment of T steps has T + 1 states and not 2 T.

    Args:
        steps: of shape (R, B, ..., T), or (R, B), which do not follow one another.

    Returns:
        E further states; and for each of the N steps the place of its next state, among the N states that they start
        from followed by the E.
    """
    flat = steps.flatten()
    n_steps = flat.valid.shape[1]
    everywhere = torch.arange(n_steps, device=flat.valid.device).expand_as(flat.valid)
    if steps.valid.ndim > 2:
        same = (steps.state[..., 1:, :] == steps.next_state[..., :-1, :]).all(-1) & steps.valid[..., 1:]
        leads_on = torch.nn.functional.pad(same, (0, 1))
        ends = steps.valid & ~leads_on
        if not (ends.sum(-1) > 1).any():
            last = ends.long().argmax(-1)[..., None]
            group = everywhere // steps.valid.shape[-1]
            others = steps.next_state.take_along_dim(last[..., None], dim=-2).flatten(1, -2)
            return others, torch.where(leads_on.flatten(1), everywhere + 1, n_steps + group)
    return flat.next_state, n_steps + everywhere


def step_weights(
    valid: Bool[Tensor, "R B *steps"], scale: Float[Tensor, "R"], count: Count
) -> Float[Tensor, "R B *steps"]:
    """Weight of each step under a counting rule of `StepSupport`; 0 for padding."""
    weights = _per_sample(scale, valid)
    if count == "sample" and valid.ndim > 2:
        steps = valid.flatten(2).sum(-1).clamp(min=1)
        return weights / steps.view(*steps.shape, *[1] * (valid.ndim - 2))
    if count == "mean":
        return weights / weights.flatten(1).sum(-1).clamp(min=1e-9).view(-1, *[1] * (valid.ndim - 1))
    return weights


def _per_sample(scale: Float[Tensor, "R"], valid: Bool[Tensor, "R B *steps"]) -> Float[Tensor, "R B *steps"]:
    return scale.view(-1, *[1] * (valid.ndim - 1)) * valid
