"""Questions on whose answer the reward functions that are still possible disagree most."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mavrl.feedback.information import disagreement, disagreement_of_actions
from mavrl.feedback.queries.base import Candidates, Query, before_learning, most_worth
from mavrl.feedback.queries.random import RandomQuery


class DisagreementQuery(Query):
    """Asks where the predicted answer varies most between reward functions: Christiano et al. (2017), section 2.2.4.

    The best candidates are taken one by one, whatever they have in common. Kinds compete by variance per cost, with
    answers on a scale from 0 to 1. At random before anything has been learned.
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
        """Those of the largest variance for their cost."""
        if before_learning(pools):
            return RandomQuery().choose(pools, limits, budget, generators)
        return most_worth(pools, limits, budget, {kind: _variance(pool) / pool.cost for kind, pool in pools.items()})


def _variance(pool: Candidates) -> Float[Tensor, "R C"]:
    """Variance of the predicted answer; of a demonstrated episode the sum over its steps."""
    assert pool.outcomes is not None
    if pool.outcomes.ndim == 4:
        return disagreement(pool.outcomes)
    return torch.where(pool.answered, disagreement_of_actions(pool.outcomes), 0.0).sum(-1)
