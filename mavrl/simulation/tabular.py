"""The simulator of finite environments: all episodes of all replicates at once, on transition tables."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.policies.boltzmann import boltzmann_policy
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Segments, Simulated, Simulator, Stream
from mavrl.simulation.rollouts import simulate_episodes
from mavrl.simulation.segments import cut, sample_segments
from mavrl.streams import numpy_stream
from mavrl.types import Transitions, at_steps

Batch = TypeVar("Batch", Segments, Transitions)

_GROUP = 16  # demonstrated episodes that share a stream: the first n do not depend on how many follow


class TabularSimulator(Simulator):
    """Segments and episodes of a finite problem.

    Args:
        problem: its transition model, true rewards and optimal values.
        q: action values of each replicate, shape (R, S, A), that the policy of segments acts on; None for the true
            optimal ones.
    """

    def __init__(self, problem: TabularProblem, q: Float[Tensor, "R S A"] | None = None) -> None:
        self.problem = problem
        self.q = q

    def subset(self, replicates: list[int]) -> "TabularSimulator":
        if len(self.problem.reward) == 1 and self.q is None:
            return self
        problem, q = self.problem, None if self.q is None else self.q[replicates]
        if len(problem.reward) > 1:
            problem = dataclasses.replace(problem, reward=problem.reward[replicates])
        return TabularSimulator(problem, q)

    def segments(
        self, streams: list[Stream], behaviour: Behaviour, n_episodes: int, count: int, length: int, distinct: int
    ) -> Simulated:
        q = self.problem.q if self.q is None else self.q
        policy = boltzmann_policy(q, behaviour.rationality, behaviour.epsilon).numpy()
        generators = [numpy_stream(*stream, "episodes") for stream in streams]
        episodes = simulate_episodes(self.problem, policy, n_episodes, generators)
        longest, places = int(episodes.length.max()), int(episodes.length.sum(-1).min())
        if distinct and (length > longest or distinct > places):
            raise EpisodesTooShort(longest, places)
        starts = [numpy_stream(*stream, "segments") for stream in streams]
        return self._with_truth(*sample_segments(episodes, count, length, starts))

    def episodes(self, streams: list[Stream], behaviour: Behaviour, count: int) -> Simulated:
        if behaviour.minimum_return is not None:
            allowed = "must be null where the dynamics are known: the demonstrator acts on the optimal Q"
            raise ConfigurationError("feedback.demonstration.minimum_return", behaviour.minimum_return, allowed)
        policy = boltzmann_policy(self.problem.q, behaviour.rationality, behaviour.epsilon).numpy()
        groups = []
        for group in range(-(-count // _GROUP)):
            generators = [numpy_stream(*stream, f"episodes {group}") for stream in streams]
            episodes = simulate_episodes(self.problem, policy, _GROUP, generators)
            number = np.broadcast_to(np.arange(_GROUP), episodes.length.shape)
            names, steps = cut(episodes, number, np.zeros_like(number), int(episodes.length.max()))
            groups.append((dataclasses.replace(names, episode=names.episode + group * _GROUP), steps))
        names, steps = (_joined(parts) for parts in zip(*groups, strict=True))
        return self._with_truth(names, steps).first(count)

    def judged(self, recorded: Simulated) -> Simulated:
        found = self._with_truth(recorded.segments, recorded.transitions)
        reward = torch.where(recorded.reward.isnan(), found.reward, recorded.reward)
        return dataclasses.replace(found, reward=reward)

    def _with_truth(self, segments: Segments, steps: Transitions) -> Simulated:
        q = self.problem.q
        return Simulated(
            segments=segments,
            transitions=steps,
            reward=at_steps(self.problem.reward[..., None], steps),
            regret=at_steps(q.amax(-1, keepdim=True) - q, steps),
        )


def _joined(groups: Sequence[Batch]) -> Batch:
    """Groups of episodes one after the other, padded to the longest of all."""
    columns = {}
    for field in dataclasses.fields(groups[0]):
        tensors = [getattr(group, field.name) for group in groups]
        longest = max(tensor.shape[-1] for tensor in tensors)
        padding = [longest - tensor.shape[-1] if tensor.ndim > 2 else 0 for tensor in tensors]
        columns[field.name] = torch.cat(
            [torch.nn.functional.pad(tensor, (0, more)) for tensor, more in zip(tensors, padding, strict=True)], dim=1
        )
    return type(groups[0])(**columns)
