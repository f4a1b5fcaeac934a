"""The benchmarks of quality, of the posterior, and of kills, on a small share of their work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _lines(name: str, *arguments: str) -> list[dict]:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.integration
def test_default_setting_solves_all_feedback_together():
    cells = "grid_trap:pdrs,grid_cliff:pdrs,grid_sparse:d"
    *results, summary = _lines("quality.py", "--seeds", "700-704", "--cells", cells, "--jobs", "1")
    assert [cell["normalized_return"] >= 98 for cell in results] == [True] * 3
    assert summary["mean_epic_distance"] < 0.45


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("kind", list("pdrs"))
def test_posterior_is_near_the_exact_one(kind: str):
    (result,) = _lines("posterior.py", "--kinds", kind, "--replicates", "6", "--samples", "80")
    assert result["mean_difference_in_std"] < 0.5
    assert result["correlation_of_means"] > 0.9
    # Independent states cannot hold the correlations of the exact posterior: their standard deviations are those of a
    # state given all others, and at most those of the state alone.
    assert 0.7 < result["std_ratio_mean_field"] < 1.4
    assert result["std_ratio_mean"] < 1.2
    assert 0.8 < result["exact_coverage_90"] <= 1.0


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("what", ["searches", "search workers", "batches", "local workers"])
def test_kills_at_random_moments_lose_nothing(what: str):
    """Of a command, its workers and the jobs in them: what had finished stays, and all is there in the end."""
    *_, summary = _lines("kills.py", "--kills", "4", "--only", what)
    assert summary["kills"] >= 4
    assert summary["finished"] > 0
    assert summary["nothing_lost_and_equal"]
