"""Labels in folds by episode: each is held out once, and no model is tested on an episode that it has seen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from mavrl.simulation.base import Segments
from mavrl.streams import numpy_stream


@dataclass(frozen=True)
class Folds:
    """Which labels of each kind are trained on and which are held out, in every fold.

    Args:
        trained: by kind, shape (F, N).
        tested: by kind, shape (F, N); each label in one fold.
        episode: by kind, the episode of each label's first segment, shape (N,).
    """

    trained: Mapping[str, Bool[Tensor, "F N"]]
    tested: Mapping[str, Bool[Tensor, "F N"]]
    episode: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.tested.values())))

    @property
    def empty(self) -> list[int]:
        """Folds that leave nothing to train on."""
        counts = torch.stack([trained.sum(-1) for trained in self.trained.values()]).sum(0)
        return (counts == 0).nonzero().flatten().tolist()


def folds_by_episode(segments: Mapping[str, Segments], n_folds: int, seed: int) -> Folds:
    """Divide the episodes that there are labels about; as many folds as episodes where these are fewer.

    A label is held out in the fold of its first segment's episode. It is trained on in the folds in which none of its
    episodes is held out, so a pair of two folds is left out of both.

    Args:
        segments: by kind; those of the first replicate count, all have the same labels.
        seed: of the division.
    """
    parts = {kind: each.episode[0].reshape(len(each.episode[0]), -1).numpy() for kind, each in segments.items()}
    labelled = np.unique(np.concatenate([episodes.ravel() for episodes in parts.values()]))
    order = numpy_stream(seed, "folds").permutation(len(labelled))
    fold = np.empty(len(labelled), dtype=np.int64)
    count = min(n_folds, len(labelled))
    fold[order] = np.arange(len(labelled)) % count
    of_parts = {kind: fold[np.searchsorted(labelled, episodes)] for kind, episodes in parts.items()}
    number = np.arange(count)
    return Folds(
        {kind: torch.from_numpy((of[None] != number[:, None, None]).all(-1)) for kind, of in of_parts.items()},
        {kind: torch.from_numpy(of[None, :, 0] == number[:, None]) for kind, of in of_parts.items()},
        {kind: episodes[:, 0] for kind, episodes in parts.items()},
    )
