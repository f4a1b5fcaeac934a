"""Scores of several cells as one number with an interval."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import trim_mean

_RESAMPLES = 2000  # of the bootstrap


def interquartile_mean(cells: Sequence[Sequence[float]], coverage: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Mean of the middle half of all scores, with a percentile interval of its stratified bootstrap.

    As Agarwal et al. (2021, arXiv 2108.13264) and their package rliable, but cells may differ in the number of seeds:
    each resample draws the seeds of each cell with replacement, so cells stay as they are represented.

    Args:
        cells: the scores of each cell, one for each seed.
        coverage: probability that the interval is meant to hold the mean with.
    """
    scores = [np.asarray(cell, dtype=float) for cell in cells]
    generator = np.random.default_rng(0)
    drawn = np.concatenate(
        [cell[generator.integers(len(cell), size=(_RESAMPLES, len(cell)))] for cell in scores], axis=1
    )
    tail = (1 - coverage) / 2
    low, high = np.quantile(trim_mean(drawn, 0.25, axis=1), [tail, 1 - tail])
    return float(trim_mean(np.concatenate(scores), 0.25)), (float(low), float(high))
