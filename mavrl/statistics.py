"""Means and standard errors: of a few numbers, such as one for each seed, and of many that come in groups."""

import math
from collections.abc import Sequence

import numpy as np


def mean_and_stderr(values: Sequence[float] | np.ndarray) -> tuple[float, float | None]:
    """Mean, and sample standard deviation over the root of the number of values.

    The error of fewer than two values is None, and the mean of none is NaN.
    """
    array = np.asarray(values, dtype=float)
    if len(array) == 0:
        return math.nan, None
    if len(array) == 1:
        return float(array[0]), None
    deviation = (array - array[0]).std(ddof=1)  # from the first one: equal values have no error at all
    return float(array.mean()), float(deviation / math.sqrt(len(array)))


def clustered_mean(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float | None]:
    """Mean, and its standard error where values of one cluster may depend on one another.

    The error is the root of C / (C - 1) sum_c (sum of the deviations in cluster c)^2, over the number of values: with
    every value in a cluster of its own, that of `mean_and_stderr`. That of fewer than two clusters is None.

    Args:
        values: shape (N,).
        clusters: the number of each value's cluster, shape (N,).
    """
    if len(values) == 0:
        return math.nan, None
    mean = float(values.mean())
    _, cluster = np.unique(clusters, return_inverse=True)
    sums = np.bincount(cluster, weights=values - mean)
    if len(sums) < 2:
        return mean, None
    return mean, float(math.sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()) / len(values))


def mean_interval(mean: float, stderr: float | None, count: int, coverage: float = 0.95) -> tuple[float, float] | None:
    """The interval of a mean by Student's t; None where the mean has no error.

    Args:
        mean: of the values.
        stderr: of the mean.
        count: of the values.
        coverage: how often such intervals hold the mean of all values that could have been drawn.
    """
    if stderr is None or count < 2:
        return None
    from scipy.special import stdtrit

    reach = float(stdtrit(count - 1, (1 + coverage) / 2)) * stderr
    return mean - reach, mean + reach
