"""How a budget of feedback is divided among its kinds: a point of the simplex, clipped at caps and rounded."""

import math
from collections.abc import Iterable, Mapping

_LEAST_WEIGHT = 1e-12  # sum of the weights below which the shares are taken to be equal


def allocate(budget: int, draws: Mapping[str, float], caps: Mapping[str, int | None]) -> dict[str, int]:
    """Sample counts of the kinds, which sum to the budget exactly, or to the caps where those are less.

    Shares are proportional to -log u, which makes uniform draws uniform on the simplex. A share above its cap gives
    the excess to the kinds below theirs, in proportion. Counts are rounded by the largest remainder.

    Args:
        budget: samples in all.
        draws: u of each kind, in (0, 1].
        caps: most samples of a kind; None or absent for no limit.
    """
    weights = {kind: -math.log(u) for kind, u in draws.items()}
    if sum(weights.values()) < _LEAST_WEIGHT:
        weights = dict.fromkeys(weights, 1.0)
    limits, total = _limits(budget, draws, caps), spendable(budget, draws, caps)
    return _rounded(_clipped(total, weights, limits), limits, total)


def spendable(budget: int, kinds: Iterable[str], caps: Mapping[str, int | None]) -> int:
    """Samples that every division of a budget gives out: all of it, or what the caps allow where that is less."""
    return min(budget, sum(_limits(budget, kinds, caps).values()))


def _limits(budget: int, kinds: Iterable[str], caps: Mapping[str, int | None]) -> dict[str, int]:
    return {kind: budget if (cap := caps.get(kind)) is None else min(cap, budget) for kind in kinds}


def _clipped(total: int, weights: Mapping[str, float], limits: Mapping[str, int]) -> dict[str, float]:
    """Shares in proportion to the weights, none above its limit, that sum to the total."""
    shares: dict[str, float] = {}
    free = dict(weights)
    while free:
        rest, scale = total - sum(shares.values()), sum(free.values())
        proposed = {kind: rest * (w / scale if scale > _LEAST_WEIGHT else 1 / len(free)) for kind, w in free.items()}
        full = [kind for kind, share in proposed.items() if share >= limits[kind]]
        if not full:
            return shares | proposed
        for kind in full:
            shares[kind] = float(limits[kind])
            del free[kind]
    return shares


def _rounded(shares: Mapping[str, float], limits: Mapping[str, int], total: int) -> dict[str, int]:
    """Whole numbers by the largest remainder; of equal remainders the first kind's goes up."""
    order = list(limits)
    counts = {kind: min(math.floor(shares[kind] + 1e-9), limits[kind]) for kind in order}
    remainders = sorted(order, key=lambda kind: (counts[kind] - shares[kind], order.index(kind)))
    while (missing := total - sum(counts.values())) > 0:
        for kind in [kind for kind in remainders if counts[kind] < limits[kind]][:missing]:
            counts[kind] += 1
    return counts
