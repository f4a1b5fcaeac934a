"""Segments cut from episodes, and whole episodes, as padded transitions."""

import numpy as np
import torch
from jaxtyping import Int

from mavrl.simulation.base import Segments
from mavrl.simulation.rollouts import Episodes
from mavrl.types import Transitions


def sample_segments(
    episodes: Episodes, count: int, length: int, generators: list[np.random.Generator]
) -> tuple[Segments, Transitions]:
    """Segments with a uniform episode and a uniform start in it, cut or padded to `length`: shape (R, count, T).

    Args:
        count: segments per replicate. The first n of them do not depend on the count.
    """
    draws = np.stack([g.random((count, 2)) for g in generators])
    episode = (draws[..., 0] * episodes.length.shape[1]).astype(np.int64)
    start = (draws[..., 1] * np.take_along_axis(episodes.length, episode, axis=1)).astype(np.int64)
    return cut(episodes, episode, start, length)


def cut(
    episodes: Episodes, episode: Int[np.ndarray, "R B"], start: Int[np.ndarray, "R B"], length: int
) -> tuple[Segments, Transitions]:
    """`length` steps of the given episodes from the given starts, padded where an episode ends."""
    n_replicates, n_episodes = episodes.length.shape
    end = np.take_along_axis(episodes.length, episode, axis=1)[..., None]
    terminated = np.take_along_axis(episodes.terminated, episode, axis=1)[..., None]
    step = start[..., None] + np.arange(length)
    valid = step < end
    number = np.broadcast_to((np.arange(n_replicates)[:, None] * n_episodes + episode)[..., None], step.shape)
    state, action = episodes.at(number, np.minimum(step, end - 1))
    # After a terminal step there is no further state, and nothing reads one; a cut-off episode would have gone on.
    next_state, next_action = episodes.at(number, np.minimum(step + 1, np.where(terminated, end - 1, end)))
    terminal = (step == end - 1) & terminated
    columns = {
        "state": state,
        "action": action,
        "next_state": next_state,
        "next_action": np.where(terminal, 0, next_action),
        "terminal": terminal,
        "valid": valid,
    }
    for name in ("state", "action", "next_state", "next_action"):
        columns[name] = np.where(valid, columns[name], 0).astype(np.int64)
    stop = np.minimum(start + length, end[..., 0])
    names = Segments(*(torch.from_numpy(np.array(part)) for part in (episode, start, stop)))
    return names, Transitions(**{name: torch.from_numpy(column) for name, column in columns.items()})
