"""What a run prints."""

from pathlib import Path
from typing import Any

import pytest

from mavrl.reports.run_report import print_metrics

METRICS = {
    "env": "grid_trap",
    "modality": "pr",
    "replicates": 2,
    "n_samples": {"preference": 3, "rating": 0},
    "protocol": {"objective": "elbo", "selection": "last"},
    "mean": {"normalized_return": 12.3456, "regret": 0.5},
    "stderr": {"normalized_return": 1.5},
    "seconds": {"total": 1.25},
}


def test_the_table_has_what_there_is_and_the_directory_comes_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = tmp_path / ("x" * 200)
    print_metrics(METRICS, long, "a remark")
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == str(long)
    for text in ("grid_trap pr, 2 replicates", "12.346", "1.500", "3 preference", "objective elbo", "a remark"):
        assert text in out
    assert "0 rating" not in out
    assert "EPIC" not in out
    assert "failed" not in out
    assert "nan" not in out.lower()


def test_one_replicate_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics({**METRICS, "env": "[red]own", "replicates": 1}, tmp_path)
    assert "[red]own pr, 1 replicate\n" in capsys.readouterr().out


def test_what_the_returns_stand_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mean = {"normalized_return": 60.0, "mean_return": 312.0, "regret": 188.0}
    comparison = {"expert": 100.0, "uniform": 0.0, "constant reward +1": 97.26}
    print_metrics({**METRICS, "mean": mean, "comparison": comparison}, tmp_path)
    out = capsys.readouterr().out
    assert "normalized return of others: expert 100.0, uniform 0.0, constant reward +1 97.3" in out
    assert "312.000" in out


def test_failed_replicates_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics({**METRICS, "failed_replicates": [1]}, tmp_path)
    assert "failed replicates, left out of the means: [1]" in capsys.readouterr().out


def test_nothing_is_not_negative(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics({**METRICS, "mean": {"regret": -1e-9}}, tmp_path)
    assert "-0.000" not in capsys.readouterr().out


def test_annotators_stand_with_what_was_learned_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factor = {"median": 1.234, "low": 0.5, "high": 3.0}
    annotators = [
        {"name": "", "labels": {"preference": 7}, "others": {"compared": 5, "agreed": 4},
         "learned": {"preference": {"reliability": factor, "reliability_upright": 0.987}}},
        {"name": "bob", "labels": {"stop": 2}, "learned": {"stop": {"lag": factor}}},
    ]  # fmt: skip
    print_metrics({**METRICS, "annotators": annotators}, tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["(unnamed)", "7", "preference", "4", "of", "5"] in lines
    assert ["bob", "2", "stop"] in lines
    assert ["(unnamed)", "1.2", "(0.5", "to", "3)", "0.99"] in lines
    assert ["bob", "1.2", "(0.5", "to", "3)"] in lines


def _kind(better: bool, stderr: dict[str, float], **more: float) -> dict[str, Any]:
    mean = {"log_likelihood": -0.4, "constant": -0.69, "gain": 0.29, **more}
    return {"labels": 60, "episodes": 12, "better": better, "mean": mean, "stderr": stderr}


def test_what_is_not_better_than_a_constant_comes_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = {"gain": 0.1, "log_likelihood": 0.05, "accuracy": 0.04}
    kinds = {"preference": _kind(True, known, accuracy=0.83), "rating": _kind(False, known), "stop": _kind(False, {})}
    print_metrics({**METRICS, "held_out": {"folds": 5, "kinds": kinds}}, tmp_path)
    out = capsys.readouterr().out
    first = "not better than a constant: rating, stop (all of one episode, which cannot tell)"
    assert out.splitlines()[0] == first
    for text in ("held-out labels, 5 folds by episode", "-0.40 ± 0.05", "0.29 ± 0.10"):
        assert text in out
    assert "preference: accuracy 0.83 ± 0.04" in out
    print_metrics({**METRICS, "held_out": {"folds": 5, "kinds": {"preference": kinds["preference"]}}}, tmp_path)
    assert "not better" not in capsys.readouterr().out


def test_why_nothing_was_held_out_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_metrics({**METRICS, "held_out": {"left_out": "there is one episode"}}, None)
    out = capsys.readouterr().out
    assert "not judged by held-out labels: there is one episode" in out
    assert out.splitlines()[-1] == "seconds: total 1.2"


def test_a_run_without_metrics_has_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {"env": "x", "modality": "p", "replicates": 1, "n_samples": {"preference": 3}}
    print_metrics({**about, "protocol": {}, "seconds": {}, "mean": {}, "stderr": {}}, tmp_path)
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert (first, second) == ("x p, 1 replicate", "feedback: 3 preference")
