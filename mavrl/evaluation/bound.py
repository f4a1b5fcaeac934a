"""The evidence lower bound of a learned reward, which needs no true reward."""

import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.evaluation.episodic import EpisodicJudgement
from mavrl.evaluation.recorded import RecordedJudgement
from mavrl.evaluation.tabular import TabularJudgement


def bound(judgement: TabularJudgement | EpisodicJudgement | RecordedJudgement) -> Float[Tensor, "R"] | None:
    """Bound that the training ended with, in nats; None where another objective was trained."""
    reached = judgement.model.description.get("bound")
    return None if reached is None else torch.tensor(reached)
