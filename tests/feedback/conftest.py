"""Ways to build feedback for the likelihoods' tests."""

from collections.abc import Callable

import pytest
import torch

from mavrl.types import Transitions


@pytest.fixture
def transitions_of() -> Callable[[torch.Tensor], Transitions]:
    """Transitions with this validity; the likelihoods read nothing else of them."""

    def build(valid: torch.Tensor) -> Transitions:
        zeros = torch.zeros(valid.shape, dtype=torch.int64)
        return Transitions(zeros, zeros, zeros, zeros, torch.zeros_like(valid), valid)

    return build


@pytest.fixture
def generators() -> Callable[..., list[torch.Generator]]:
    """One seeded generator per replicate."""

    def build(*seeds: int) -> list[torch.Generator]:
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    return build
