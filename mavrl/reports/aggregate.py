"""Scores of several cells as one number with an interval."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

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
    drawn, begin = np.empty((_RESAMPLES, sum(map(len, scores)))), 0
    for cell in scores:
        end = begin + len(cell)
        drawn[:, begin:end] = cell[generator.integers(len(cell), size=(_RESAMPLES, len(cell)))]
        begin = end
    tail = (1 - coverage) / 2
    low, high = np.quantile(_middle_mean(drawn), [tail, 1 - tail])
    return float(_middle_mean(np.concatenate(scores)[None])[0]), (float(low), float(high))


def _middle_mean(values: Float[np.ndarray, "B N"]) -> Float[np.ndarray, "B"]:
    """Mean of the middle half of each row, which is reordered. scipy.stats has it, but takes a second to import."""
    number = values.shape[1]
    cut = number // 4
    values.partition((cut, number - cut - 1), axis=1)
    return values[:, cut : number - cut].mean(1)
