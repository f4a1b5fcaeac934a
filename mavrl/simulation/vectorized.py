"""The simulator of control environments: experts act in vector environments, and only where their steps are needed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count as numbers

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.policies.base import Policy, UniformPolicy
from mavrl.policies.loading import StoredPolicy
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Segments, Simulated, Simulator, Stream
from mavrl.simulation.episodes import Episode, simulate, simulate_accepted
from mavrl.streams import numpy_stream
from mavrl.types import Transitions
from mavrl.workers import Workers

_TRIES = 50  # episodes tried for each demonstration that must reach a return


@dataclass(frozen=True)
class ControlSimulator(Simulator):
    """Segments and episodes of a Gymnasium environment.

    Args:
        environment: where.
        behaviour: Q-values that behaviour policies act on, and that tell the true regret; or a random walk, with which
            regrets are NaN.
        demonstrator: who demonstrates; None where nobody does.
        workers: processes that share the work.
        actors: who acts in the segments of each replicate; None for the one that behaviour policies act on.
        unit: reward of the environment that counts as 1 here. Rewards, regrets and rationalities are in this unit; a
            return that demonstrations must reach is the environment's.
    """

    environment: ControlEnvironment
    behaviour: StoredPolicy | UniformPolicy
    demonstrator: StoredPolicy | None
    workers: Workers
    actors: Sequence[Policy] | None = None
    unit: float = 1.0

    def subset(self, replicates: list[int]) -> "ControlSimulator":
        return self if self.actors is None else replace(self, actors=[self.actors[k] for k in replicates])

    def segments(
        self, streams: list[Stream], behaviour: Behaviour, n_episodes: int, count: int, length: int, distinct: int
    ) -> Simulated:
        draws = np.stack([numpy_stream(*stream, "segments").random((count, 2)) for stream in streams])
        number = (draws[..., 0] * n_episodes).astype(np.int64)
        drawn = {(r, int(e)) for r, row in enumerate(number) for e in row}
        episodes = self._simulated(streams, behaviour, drawn)
        longest, places = _room(episodes)
        if distinct and (length > longest or distinct > places):  # perhaps not among all episodes
            everything = {(r, e) for r in range(len(streams)) for e in range(n_episodes)}
            episodes |= self._simulated(streams, behaviour, everything - drawn)
            longest, places = _room(episodes)
            if length > longest or distinct > places:
                raise EpisodesTooShort(longest, places)
        rows = []
        for r in range(len(streams)):
            chosen = [episodes[r, int(e)] for e in number[r]]
            starts = [int(u * episode.length) for u, episode in zip(draws[r, :, 1], chosen, strict=True)]
            rows.append({"episode": number[r], **_cut(chosen, starts, length)})
        return self._with_regret(rows)

    def episodes(self, streams: list[Stream], behaviour: Behaviour, count: int) -> Simulated:
        demonstrator = self.demonstrator
        if demonstrator is None:
            raise ConfigurationError("env.demonstration_expert", None, "demonstrations need a demonstrator")
        rows, behaviour = [], self._in_returns(behaviour)
        for stream in streams:
            addresses = ((*stream, "episode", k) for k in numbers())
            shown = simulate_accepted(self.environment, demonstrator, behaviour, addresses, count, _TRIES * (count + 1))
            if len(shown) < count:
                allowed = (
                    f"only {len(shown)} of {_TRIES * (count + 1)} episodes of the demonstrator reach it, and "
                    f"{count} are needed"
                )
                raise ConfigurationError("feedback.demonstration.minimum_return", behaviour.minimum_return, allowed)
            rows.append(shown)
        longest = max(episode.length for shown in rows for episode in shown)
        number = np.arange(count)
        return self._with_regret([{"episode": number, **_cut(shown, [0] * count, longest)} for shown in rows])

    def _simulated(
        self, streams: list[Stream], behaviour: Behaviour, wanted: set[tuple[int, int]]
    ) -> dict[tuple[int, int], Episode]:
        """Episodes by replicate and number."""
        behaviour = behaviour if self.actors is not None else self._in_returns(behaviour)
        groups: dict[int | None, list[tuple[int, int]]] = {}
        for r, e in sorted(wanted):
            groups.setdefault(None if self.actors is None else r, []).append((r, e))
        found: dict[tuple[int, int], Episode] = {}
        for row, order in groups.items():
            actor = self.behaviour if self.actors is None or row is None else self.actors[row]
            addresses = [(*streams[r], "episode", e) for r, e in order]
            found |= zip(order, simulate(self.environment, actor, behaviour, addresses, self.workers), strict=True)
        return found

    def _with_regret(self, rows: list[dict[str, np.ndarray]]) -> Simulated:
        columns = {name: torch.from_numpy(np.stack([row[name] for row in rows])) for name in rows[0]}
        reward = columns.pop("reward") / self.unit
        segments = Segments(*(columns.pop(name) for name in ("episode", "start", "stop")))
        steps = Transitions(**columns)
        return Simulated(segments, steps, reward, self._regret(steps))

    def judged(self, recorded: Simulated) -> Simulated:
        return replace(recorded, reward=recorded.reward / self.unit, regret=self._regret(recorded.transitions))

    def _in_returns(self, behaviour: Behaviour) -> Behaviour:
        """The behaviour with a rationality that multiplies an expert's Q, which is in the environment's returns."""
        return replace(behaviour, rationality=behaviour.rationality / self.unit)

    def _regret(self, steps: Transitions) -> Float[Tensor, "R B T"]:
        """Regrets under the behaviour policy's Q, in this unit; NaN where it has none."""
        if isinstance(self.behaviour, UniformPolicy):
            return torch.full(steps.valid.shape, torch.nan, dtype=torch.float64)
        rows = zip(steps.state, steps.action, strict=True)  # one replicate at a time needs less memory
        regret = torch.stack([self.behaviour.regret(state, action) for state, action in rows]) / self.unit
        return torch.where(steps.valid, regret, torch.zeros_like(regret))


def _room(episodes: dict[tuple[int, int], Episode]) -> tuple[int, int]:
    """Steps of the longest episode, and of all episodes of the replicate that has the fewest."""
    steps: dict[int, int] = {}
    for (r, _), episode in episodes.items():
        steps[r] = steps.get(r, 0) + episode.length
    return max(episode.length for episode in episodes.values()), min(steps.values())


def _unless(end: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """The actions, 0 where the episode has ended."""
    return np.where(end.reshape(-1, *[1] * (actions.ndim - 1)), np.zeros((), actions.dtype), actions)


def _cut(episodes: Sequence[Episode], starts: Sequence[int], length: int) -> dict[str, np.ndarray]:
    """`length` steps of each episode from its start, padded where it ends, with their places: arrays of (B, ...)."""

    def stacked(pieces: list[np.ndarray]) -> np.ndarray:
        column = np.zeros((len(pieces), length, *pieces[0].shape[1:]), pieces[0].dtype)
        for row, piece in zip(column, pieces, strict=True):
            row[: len(piece)] = piece[:length]
        return column

    placed = list(zip(episodes, starts, strict=True))
    last = [np.arange(e.length) == e.length - 1 for e in episodes]
    ends = [mask & e.terminated for mask, e in zip(last, episodes, strict=True)]
    return {
        "start": np.array(starts),
        "stop": np.array([min(s + length, e.length) for e, s in placed]),
        "state": stacked([e.observations[s:-1] for e, s in placed]),
        "action": stacked([e.actions[s:-1] for e, s in placed]),
        "next_state": stacked([e.observations[s + 1 :] for e, s in placed]),
        "next_action": stacked([_unless(end, e.actions[1:])[s:] for (e, s), end in zip(placed, ends, strict=True)]),
        "terminal": stacked([end[s:] for (_, s), end in zip(placed, ends, strict=True)]),
        "valid": stacked([np.ones(e.length - s, dtype=bool) for e, s in placed]),
        "reward": stacked([e.rewards[s:] for e, s in placed]),
    }
