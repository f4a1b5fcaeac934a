"""Segments of several who act: the present policy of each replicate, earlier ones, an expert."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from mavrl.simulation.base import Behaviour, Simulated, Simulator, Stream
from mavrl.streams import numpy_stream
from mavrl.types import joined


@dataclass(frozen=True)
class Part:
    """One who acts.

    Args:
        simulator: in which he acts.
        behaviour: how; None for as each kind of feedback is configured.
        share: of the segments that are his, beside those of others.
    """

    simulator: Simulator
    behaviour: Behaviour | None
    share: float


@dataclass(frozen=True)
class Mixture(Simulator):
    """Segments in random order, of each who acts as many as his share of them; episodes of the demonstrator alone.

    Args:
        parts: those who act in segments, at least one.
        demonstrator: simulator of demonstrated episodes.
    """

    parts: Sequence[Part]
    demonstrator: Simulator

    def segments(
        self, streams: list[Stream], behaviour: Behaviour, n_episodes: int, count: int, length: int, distinct: int
    ) -> Simulated:
        """Segments whose episode numbers tell who acts: those of part k begin at k * `n_episodes`.

        Args:
            behaviour: of parts that have none of their own.
        """
        counts = _divided(count, [part.share for part in self.parts])
        found = []
        for number, (part, n) in enumerate(zip(self.parts, counts, strict=True)):
            if not n:
                continue
            own = [(seed, kind, f"{split} part {number}") for seed, kind, split in streams]
            segments = part.simulator.segments(own, part.behaviour or behaviour, n_episodes, n, length, 0)
            names = segments.segments
            found.append(replace(segments, segments=replace(names, episode=names.episode + number * n_episodes)))
        order = np.stack([numpy_stream(*stream, "order of parts").permutation(count) for stream in streams])
        return joined(found).take(torch.from_numpy(order))

    def episodes(self, streams: list[Stream], behaviour: Behaviour, count: int) -> Simulated:
        return self.demonstrator.episodes(streams, behaviour, count)

    def subset(self, replicates: list[int]) -> "Mixture":
        parts = [replace(part, simulator=part.simulator.subset(replicates)) for part in self.parts]
        return Mixture(parts, self.demonstrator.subset(replicates))


def _divided(count: int, shares: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to shares that add up to `count`: by largest remainder, the first of equal ones."""
    exact = [count * share / sum(shares) for share in shares]
    found = [int(x) for x in exact]
    for k in sorted(range(len(shares)), key=lambda k: found[k] - exact[k])[: count - sum(found)]:
        found[k] += 1
    return found
