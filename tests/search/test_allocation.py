"""Division of a budget, against hand-computed counts and against its constraints on random draws."""

import math

import numpy as np
import pytest

from mavrl.search.allocation import allocate

KINDS = ("preference", "demonstration", "rating", "stop")


def shares(*values: float) -> dict[str, float]:
    """Draws that give these shares."""
    return {kind: math.exp(-value) for kind, value in zip(KINDS, values, strict=False)}


def test_counts_are_proportional_where_nothing_is_capped() -> None:
    assert allocate(64, shares(4, 2, 1, 1), {}) == dict(zip(KINDS, (32, 16, 8, 8), strict=True))


def test_the_largest_remainders_are_rounded_up() -> None:
    # 10 * (5, 3, 2) / 10 would be whole; of 10 * (3, 3, 1) / 7 = (4.29, 4.29, 1.43) the third goes up
    assert allocate(10, shares(3, 3, 1), {}) == {"preference": 4, "demonstration": 4, "rating": 2}


def test_the_excess_over_a_cap_goes_to_the_others_in_proportion() -> None:
    # demonstrations would get 32; 16 of them go to 24 : 8
    assert allocate(64, shares(3, 4, 1), {"demonstration": 16}) == {"preference": 36, "demonstration": 16, "rating": 12}


def test_an_excess_can_fill_another_cap() -> None:
    counts = allocate(64, shares(1, 6, 1), {"demonstration": 16, "rating": 20})
    assert counts == {"preference": 28, "demonstration": 16, "rating": 20}


def test_one_kind_takes_the_budget_up_to_its_cap() -> None:
    assert allocate(64, {"stop": 0.3}, {}) == {"stop": 64}
    assert allocate(64, {"demonstration": 0.3}, {"demonstration": 16}) == {"demonstration": 16}


def test_caps_that_hold_less_than_the_budget_are_filled() -> None:
    caps = {"preference": 5, "demonstration": 6}
    assert allocate(64, shares(1, 9), caps) == caps


def test_draws_of_one_share_equally() -> None:
    assert allocate(64, dict.fromkeys(KINDS, 1.0), {}) == dict.fromkeys(KINDS, 16)


@pytest.mark.parametrize("budget", [1, 3, 64, 257])
def test_any_draws_sum_to_the_budget_within_caps(budget: int) -> None:
    rng = np.random.default_rng(budget)
    for _ in range(500):
        kinds = KINDS[: rng.integers(1, 5)]
        draws = {kind: float(1 - rng.random() ** rng.integers(1, 30)) or 1e-300 for kind in kinds}
        caps = {kind: int(rng.integers(0, budget + 2)) if rng.random() < 0.5 else None for kind in kinds}
        counts = allocate(budget, draws, caps)
        limits = [budget if caps[kind] is None else min(budget, caps[kind]) for kind in kinds]
        assert sum(counts.values()) == min(budget, sum(limits))
        assert all(0 <= counts[kind] <= limit for kind, limit in zip(kinds, limits, strict=True))
        assert list(counts) == list(kinds)


def test_uniform_draws_are_uniform_on_the_simplex() -> None:
    rng = np.random.default_rng(0)
    counts = [allocate(1000, dict(zip(KINDS, 1 - rng.random(4), strict=True)), {}) for _ in range(4000)]
    each = np.array([[c[kind] for kind in KINDS] for c in counts]) / 1000
    # Dirichlet(1, 1, 1, 1): mean 1/4, variance 3/80
    assert each.mean(0) == pytest.approx(np.full(4, 0.25), abs=0.015)
    assert each.var(0) == pytest.approx(np.full(4, 3 / 80), rel=0.1)
