"""The simulator of finite environments: all episodes of all replicates at once, on transition tables."""

import dataclasses

import numpy as np
import torch

from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.policies import boltzmann_policy
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Simulated, Simulator, Stream
from mavrl.simulation.rollouts import simulate_episodes
from mavrl.simulation.segments import cut, sample_segments
from mavrl.streams import numpy_stream
from mavrl.types import Transitions, at_steps

_GROUP = 16  # demonstrated episodes that share a stream: the first n do not depend on how many follow


class TabularSimulator(Simulator):
    """Segments and episodes of a finite problem.

    Args:
        problem: its transition model, true rewards and optimal values.
    """

    def __init__(self, problem: TabularProblem) -> None:
        self.problem = problem

    def only(self, replicates: list[int]) -> "TabularSimulator":
        if len(self.problem.reward) == 1:
            return self
        return TabularSimulator(dataclasses.replace(self.problem, reward=self.problem.reward[replicates]))

    def segments(
        self, streams: list[Stream], behaviour: Behaviour, n_episodes: int, count: int, length: int, distinct: int
    ) -> Simulated:
        policy = boltzmann_policy(self.problem.q, behaviour.rationality, behaviour.epsilon).numpy()
        generators = [numpy_stream(*stream, "episodes") for stream in streams]
        episodes = simulate_episodes(self.problem, policy, n_episodes, generators)
        longest, places = int(episodes.length.max()), int(episodes.length.sum(-1).min())
        if length > longest or distinct > places:
            raise EpisodesTooShort(longest, places)
        starts = [numpy_stream(*stream, "segments") for stream in streams]
        return self._with_truth(sample_segments(episodes, count, length, starts))

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
            groups.append(cut(episodes, number, np.zeros_like(number), int(episodes.length.max())))
        return self._with_truth(_joined(groups).map(lambda tensor: tensor[:, :count]))

    def _with_truth(self, steps: Transitions) -> Simulated:
        q = self.problem.q
        return Simulated(
            transitions=steps,
            reward=at_steps(self.problem.reward[..., None], steps),
            regret=at_steps(q.amax(-1, keepdim=True) - q, steps),
        )


def _joined(groups: list[Transitions]) -> Transitions:
    """Groups of episodes one after the other, padded to the longest of all."""
    longest = max(group.action.shape[-1] for group in groups)
    columns = {
        field.name: torch.cat([
            torch.nn.functional.pad(tensor, (0, longest - tensor.shape[-1]))
            for tensor in (getattr(group, field.name) for group in groups)
        ], dim=1)
        for field in dataclasses.fields(Transitions)
    }  # fmt: skip
    return Transitions(**columns)
