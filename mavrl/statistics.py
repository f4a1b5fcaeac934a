"""Mean and standard error of a few numbers, such as one for each replicate or seed."""

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
