"""Rewards in units of the return, and advantages, of all replicates at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

_LARGEST_REWARD, _LEAST_VARIANCE = 10.0, 1e-8  # of Stable-Baselines3's VecNormalize


@dataclass(frozen=True)
class RunningVariance:
    """Mean and variance of all numbers so far (Chan et al. 1979), beginning as Stable-Baselines3's RunningMeanStd."""

    mean: float = 0.0
    variance: float = 1.0
    count: float = 1e-4


def normalized(
    paid: Float[np.ndarray, "R T N"],
    over: Bool[np.ndarray, "R T N"],
    discounted: Float[np.ndarray, "R N"],
    returns: Sequence[RunningVariance],
    gamma: float,
) -> tuple[Float[np.ndarray, "R T N"], Float[np.ndarray, "R N"], list[RunningVariance]]:
    """Rewards divided by the running standard deviation of the discounted return, and clipped at 10.

    Each step's return, discounted from the episode's start on, is counted before the step's reward is divided.

    Args:
        discounted: return so far of the episodes that are under way.
        returns: of each replicate, the variance so far.

    Returns:
        The rewards, and both arguments after them.
    """
    mean, variance, count = (np.array([getattr(each, k) for each in returns]) for k in ("mean", "variance", "count"))
    n = paid.shape[-1]
    deviation = np.empty(paid.shape[:2])
    for t in range(paid.shape[1]):
        discounted = discounted * gamma + paid[:, t]
        total = count + n
        off = discounted.mean(-1) - mean
        variance = (variance * count + discounted.var(-1) * n + off * off * count * n / total) / total
        mean, count = mean + off * n / total, total
        deviation[:, t] = np.sqrt(variance + _LEAST_VARIANCE)
        discounted = np.where(over[:, t], 0.0, discounted)
    scaled = np.clip(paid / deviation[..., None], -_LARGEST_REWARD, _LARGEST_REWARD).astype(np.float32)
    after = [RunningVariance(*map(float, each)) for each in zip(mean, variance, count, strict=True)]
    return scaled, discounted, after


def advantages(
    paid: Float[np.ndarray, "R T N"],
    values: Float[np.ndarray, "R T N"],
    last_value: Float[np.ndarray, "R N"],
    over: Bool[np.ndarray, "R T N"],
    gamma: float,
    gae_lambda: float,
) -> Float[np.ndarray, "R T N"]:
    """Generalized advantage estimates (Schulman et al. 2016, equation 16).

    Args:
        values: of the state of each step.
        last_value: of the states after the last step.
        over: the step ended its episode, so that what follows is of another one.
    """
    goes_on = (~over).astype(np.float32)
    following = np.concatenate([values[:, 1:], last_value[:, None]], axis=1)
    errors = paid + np.float32(gamma) * following * goes_on - values
    decay = np.float32(gamma * gae_lambda) * goes_on
    found, ahead = np.empty_like(errors), np.zeros_like(last_value)
    for t in reversed(range(errors.shape[1])):
        ahead = errors[:, t] + decay[:, t] * ahead
        found[:, t] = ahead
    return found
