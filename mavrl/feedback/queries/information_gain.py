"""Questions whose answers would tell most about the reward."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.feedback.information import Overlap, information_gain
from mavrl.feedback.queries.base import Candidates, Query, before_learning, padded, spend
from mavrl.feedback.queries.random import RandomQuery


class InformationGainQuery(Query):
    """Asks where the mutual information between answer and reward is largest for its cost: Houlsby et al. (2011).

    A batch is chosen one by one, each question by what of its gain those before it leave
    (`mavrl.feedback.information.Overlap`), within a kind and across kinds. At random before anything has been learned.
    """

    def __init__(self, candidates: int = 1, samples: int = 100) -> None:
        super().__init__(candidates, samples)

    @torch.no_grad()
    def choose(
        self,
        pools: Mapping[str, Candidates],
        limits: Mapping[str, int],
        budget: float,
        generators: list[torch.Generator],
    ) -> dict[str, Int[Tensor, "R _"]]:
        """Those of the largest gain for their cost, given the ones before."""
        if before_learning(pools):
            return RandomQuery().choose(pools, limits, budget, generators)
        gains = {kind: gain_of(pool) for kind, pool in pools.items()}
        asked = []
        for replicate in range(len(generators)):
            overlap = Overlap(
                {kind: _outcomes(pool)[replicate] for kind, pool in pools.items()},
                {kind: pool.answered[replicate] for kind, pool in pools.items()},
            )
            alone = {kind: gain[replicate] / pools[kind].cost for kind, gain in gains.items()}

            def left(kind: str, number: int, overlap: Overlap = overlap, alone: dict = alone) -> dict[str, Tensor]:
                overlap.add(kind, number)
                return {name: worth * overlap.share(name) for name, worth in alone.items()}

            asked.append(spend(pools, limits, budget, replicate, alone, left))
        return padded(asked)


def gain_of(pool: Candidates) -> Float[Tensor, "R C"]:
    """Information gain of each candidate in nats, as if it were the only question.

    Of a demonstrated episode that is the sum over its steps of the gain of that step's action: an upper bound on what
    the actions of these steps tell together, given the states.
    """
    gain = information_gain(_outcomes(pool))
    return gain if gain.ndim == 2 else torch.where(pool.answered, gain, 0.0).sum(-1)


def _outcomes(pool: Candidates) -> Tensor:
    assert pool.outcomes is not None
    return pool.outcomes
