"""Random questions: candidates as they come."""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from mavrl.feedback.queries.base import Candidates, Query, padded, spend


class RandomQuery(Query):
    """Asks about candidates as they come. Where the budget may not last, kinds take turns by chance.

    A candidate is a random one by itself, so the first candidates are a random choice. The next question is of a kind
    with a probability in proportion to the questions of it that are left, as if all were drawn from one bag.
    """

    begins_alike = True

    def __init__(self, candidates: int = 1) -> None:
        super().__init__(candidates)

    def choose(
        self,
        pools: Mapping[str, Candidates],
        limits: Mapping[str, int],
        budget: float,
        generators: list[torch.Generator],
    ) -> dict[str, Int[Tensor, "R _"]]:
        """The first candidates of each kind."""
        contested = math.isfinite(budget)
        asked = []
        for replicate, generator in enumerate(generators):
            worth = {}
            for kind, pool in pools.items():
                turn = torch.arange(len(pool), dtype=torch.float64)
                if contested:
                    real = pool.real[replicate]
                    count = min(limits[kind], int(real.sum()))
                    drawn = torch.rand(count, generator=generator, dtype=torch.float64).sort().values
                    turn = torch.full_like(turn, math.inf)
                    turn[real.nonzero().flatten()[:count]] = drawn
                worth[kind] = -turn
            asked.append(spend(pools, limits, budget, replicate, worth))
        return padded(asked)
