"""Ranks among draws: by hand, and flat where the posterior is right."""

import numpy as np
import pytest
import torch

from mavrl.evaluation.ranks import rank_histogram, ranks, uniformity


def test_by_hand() -> None:
    draws = torch.tensor([[[0.0, 9.0], [1.0, 8.0], [2.0, 7.0]]])
    assert ranks(draws, torch.tensor([[1.5, 6.0]])).tolist() == [[2, 0]]
    assert rank_histogram(np.array([0, 1, 2, 3, 3]), 3, 2).tolist() == [2, 3]
    with pytest.raises(ValueError, match="10 ranks are not a multiple of 4 bins"):
        rank_histogram(np.array([0]), 9, 4)


def test_a_conjugate_posterior_has_flat_ranks_and_a_narrower_one_has_not() -> None:
    generator = torch.Generator().manual_seed(2)
    truth = torch.randn(2000, 1, generator=generator)
    observed = truth + torch.randn(2000, 1, generator=generator)
    noise = torch.randn(2000, 99, 1, generator=generator)
    p_values = []
    for std in (0.5**0.5, 0.4):
        found = ranks(observed[:, None] / 2 + std * noise, truth).flatten().numpy()
        p_values.append(uniformity(rank_histogram(found, 99, 10)))
    assert p_values[0] > 0.01
    assert p_values[1] < 1e-6
