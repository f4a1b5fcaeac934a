"""Simulation-based calibration: rewards drawn from the prior, and their ranks among draws from the posteriors.

Where the posterior is right, every rank is as probable as the others (Talts et al., 2018). Too many small and large
ranks: it is too narrow. Too many in the middle: too wide. A slope: it is biased.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import chisquare
from torch import Tensor


def ranks(draws: Float[Tensor, "R K N"], truth: Float[Tensor, "R N"]) -> Int[Tensor, "R N"]:
    """How many of K draws are below the true number, from 0 to K."""
    return (draws < truth[:, None]).sum(1)


def rank_histogram(found: Int[np.ndarray, "N"], n_draws: int, bins: int) -> Int[np.ndarray, "bins"]:
    """Ranks in bins that hold equally many of them; the number of ranks, K + 1, must be a multiple of that of bins.

    Args:
        found: ranks, from 0 to `n_draws`.
        n_draws: K.
        bins: number of them.

    Raises:
        ValueError: it is not.
    """
    if (n_draws + 1) % bins:
        raise ValueError(f"{n_draws + 1} ranks are not a multiple of {bins} bins")
    return np.bincount(found // ((n_draws + 1) // bins), minlength=bins)


def uniformity(histogram: Int[np.ndarray, "bins"]) -> float:
    """p-value of a chi-square test that all bins are as probable; for ranks that are independent of one another."""
    return float(chisquare(histogram).pvalue)
