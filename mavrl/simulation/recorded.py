"""Behaviour that was recorded: the segments that labels are about, in place of those that a simulator draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mavrl.errors import ConfigurationError
from mavrl.folder.episodes import Episodes
from mavrl.folder.labels import Segment
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Segments, Simulated, Simulator, Stream
from mavrl.streams import numpy_stream
from mavrl.types import Transitions


@dataclass(frozen=True)
class RecordedBehaviour(Simulator):
    """The segments that labels are about, the same for all replicates, in the order of the labels.

    Nothing is drawn, so what a simulator is told of behaviour and lengths changes nothing.

    Args:
        recorded: all episodes.
        segments_of: by kind of feedback; one after the other where a label is about several.
    """

    recorded: Episodes
    segments_of: Mapping[str, Sequence[Segment]]

    def segments(
        self, streams: list[Stream], behaviour: Behaviour, n_episodes: int, count: int, length: int, distinct: int
    ) -> Simulated:
        """The first `count` segments of the streams' kind, padded to the longest of them."""
        kind = streams[0][1]
        return cut(self.recorded, self.segments_of[kind][:count], len(streams))

    def episodes(self, streams: list[Stream], behaviour: Behaviour, count: int) -> Simulated:
        """The first `count` of what was demonstrated."""
        return self.segments(streams, behaviour, 0, count, 0, 0)


@dataclass(frozen=True)
class RecordedEpisodes(Simulator):
    """Segments drawn from recorded episodes, which all replicates share, for teachers who know the truth.

    Args:
        recorded: all episodes.
        simulator: of their environment, which knows true rewards and regrets.
    """

    recorded: Episodes
    simulator: Simulator

    @property
    def rewarded(self) -> bool:
        """Whether true rewards are known: recorded, or those of the environment."""
        step = cut(self.recorded, [Segment(0, 0, 1)], 1)
        return self.recorded.rewards is not None or not bool(self.simulator.judged(step).reward.isnan().any())

    def segments(
        self, streams: list[Stream], behaviour: Behaviour, n_episodes: int, count: int, length: int, distinct: int
    ) -> Simulated:
        """Segments with a uniform episode and a uniform start in it, of the first `n_episodes`."""
        lengths = self.recorded.lengths[:n_episodes]
        longest, places = int(lengths.max()), int(lengths.sum())
        if distinct and (length > longest or distinct > places):
            raise EpisodesTooShort(longest, places)
        draws = np.concatenate([numpy_stream(*stream, "segments").random((count, 2)) for stream in streams])
        episode = (draws[:, 0] * len(lengths)).astype(np.int64)
        start = (draws[:, 1] * lengths[episode]).astype(np.int64)
        stop = np.minimum(start + length, lengths[episode])
        named = [Segment(*map(int, place)) for place in zip(episode, start, stop, strict=True)]
        drawn = cut(self.recorded, named, 1).map(lambda tensor: tensor.view(len(streams), count, *tensor.shape[2:]))
        return self.simulator.judged(drawn)

    def episodes(self, streams: list[Stream], behaviour: Behaviour, count: int) -> Simulated:
        allowed = "recorded episodes do not tell who demonstrates; task=collect demonstrations=true records who does"
        raise ConfigurationError("modality", "d", allowed)


def cut(episodes: Episodes, segments: Sequence[Segment], n_replicates: int) -> Simulated:
    """Segments of recorded episodes as samples of shape (R, B, T), padded to the longest; all replicates have the same.

    Rewards that nobody knows, and all regrets, are NaN: only simulated teachers read them.
    """
    episode = np.array([each.episode for each in segments], dtype=np.int64)
    start = np.array([each.start for each in segments], dtype=np.int64)
    length = episodes.lengths[episode]
    stop = np.array([-1 if each.stop is None else each.stop for each in segments], dtype=np.int64)
    stop = np.where(stop < 0, length, stop)
    step = start[:, None] + np.arange(int((stop - start).max()))
    valid = step < stop[:, None]
    at = np.where(valid, step, 0)
    row, last = episodes.first[episode][:, None] + at, at == length[:, None] - 1
    seen = row + episode[:, None]  # an episode has one observation more than steps
    terminal = valid & last & episodes.terminated[episode][:, None]
    following = np.where(valid & ~last, row + 1, row)

    def kept(values: np.ndarray, mask: np.ndarray = valid) -> torch.Tensor:
        shaped = mask.reshape(mask.shape + (1,) * (values.ndim - 2))
        rows = torch.from_numpy(np.where(shaped, values, np.zeros((), values.dtype)))
        return rows[None].expand(n_replicates, *rows.shape).contiguous()

    def named(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values)[None].repeat(n_replicates, 1)

    rewards = np.full(row.shape, np.nan) if episodes.rewards is None else episodes.rewards[row]
    steps = Transitions(
        state=kept(episodes.observations[seen]),
        action=kept(episodes.actions[row]),
        next_state=kept(episodes.observations[seen + 1]),
        next_action=kept(episodes.actions[following], valid & ~last),
        terminal=kept(terminal),
        valid=kept(valid),
    )
    names = Segments(named(episode), named(start), named(stop))
    return Simulated(names, steps, kept(rewards), kept(np.full(row.shape, np.nan)))
