"""The benchmarks of quality, posterior, opposed teachers, crowds, and kills, on a small share of their work."""

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
    assert 0.6 < result["std_ratio_mean"] < 1.3
    assert 0.8 < result["exact_coverage_90"] <= 1.0


@pytest.mark.slow
@pytest.mark.integration
def test_independent_states_are_as_wide_as_each_is_given_all_others():
    """They cannot hold the correlations of the exact posterior, and are narrower than it."""
    few = ("--kinds", "p", "--replicates", "6", "--samples", "80")
    (result,) = _lines("posterior.py", *few, "model.covariance=diagonal")
    assert 0.7 < result["std_ratio_mean_field"] < 1.4
    assert result["std_ratio_mean"] < 0.9


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("what", ["searches", "local workers"])  # the benchmark itself has nine
def test_kills_at_random_moments_lose_nothing(what: str):
    """Of a command, its workers and the jobs in them: what had finished stays, and all is there in the end."""
    *_, summary = _lines("kills.py", "--kills", "4", "--only", what)
    assert summary["kills"] >= 4
    assert summary["finished"] > 0
    assert summary["nothing_lost_and_equal"]


@pytest.mark.slow
@pytest.mark.integration
def test_opposed_teachers_of_a_grid_each_win_and_nothing_runs_twice(tmp_path: Path):
    arguments = ("--envs", "grid_two_goals", "--seeds", "0-1", "--rows", "learned,shuffled,prior,true")
    command = [sys.executable, str(BENCHMARKS / "opposed.py"), *arguments, "--runs", str(tmp_path / "runs")]
    command += ["progress=false", f"paths.cache={tmp_path / 'cache'}"]
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout.splitlines()
        for _ in range(2)
    )
    assert first == second
    lines = [json.loads(line) for line in first[:6]]
    assert [(line["teacher"], line["row"]) for line in lines] == [
        (teacher, row) for teacher in ("first", "second") for row in ("learned", "shuffled", "prior")
    ]
    assert [line["wins"] for line in lines if line["row"] == "learned"] == [2, 2]
    assert all(value < 0 for line in lines for values in line.get("of_other_teachers", {}).values() for value in values)
    assert len(list((tmp_path / "runs").glob("*/pr/*/metrics.json"))) == 6
    assert first[6].startswith("| environment | teacher | learned | shuffled | prior |")
    assert first[8].startswith("| grid_two_goals | first |")


@pytest.mark.slow
@pytest.mark.integration
def test_who_answers_the_wrong_way_round_is_found_out():
    """A quarter of the annotators: told apart, the reward is nearer than pooled, and as near as of the others alone."""
    crowd = ("--crowds", "9 good, 3 reversed", "--modalities", "p", "--seeds", "900-904")
    epic = {line["way"]: line["epic_distance"] for line in _lines("crowds.py", *crowd)}
    assert epic["learned"][0] < epic["pooled"][0] - 0.05
    assert epic["learned"][0] < epic["good"][0] + 0.05
