"""The exact posterior as a run, and posteriors of finished runs combined."""

from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.files import read_json
from mavrl.storage.index import read_run

pytestmark = pytest.mark.integration
SHORT = ("model.sampling.warmup=4", "model.sampling.draws=4", "model.sampling.thinning=1", "model.sampling.chains=2")


def _refused(outcome: Any, *words: str) -> None:
    assert outcome.status == 2, outcome.out + outcome.err
    (line,) = outcome.err.splitlines()
    for word in words:
        assert word in line


@pytest.fixture(scope="module")
def runs(app: Any) -> dict[str, Path]:
    found = {}
    for name, words in {
        "p": ("modality=p",),
        "d": ("modality=d",),
        "other seed": ("modality=d", "seed=7"),
        "other size": ("modality=d", "env.size=5"),
    }.items():
        outcome = app(*words)
        assert outcome.status == 0, outcome.err
        found[name] = outcome.run
    return found


def test_the_exact_posterior_is_a_run(app: Any) -> None:
    outcome = app("experiment=exact", "modality=p", *SHORT)
    assert outcome.status == 0, outcome.err
    assert outcome.metrics["protocol"]["objective"] == "exact"
    final = outcome.metrics["final"]
    assert {"normalized_return", "epic_distance", "coverage_90", "segment_coverage_90", "r_hat"} <= final.keys()
    assert "bound" not in final
    assert not (outcome.run / "checkpoints").exists()
    assert (outcome.run / "figures" / "rewards.png").exists() or not (outcome.run / "figures").exists()
    again = app("experiment=exact", "modality=p", *SHORT)
    assert "finished before" in again.out
    evaluated = app("task=evaluate", f"run_dir={outcome.run}")
    assert "as stored" in evaluated.out


@pytest.mark.parametrize("rule", ["product", "mixture"])
def test_two_posteriors_are_one_run(rule: str, runs: dict[str, Path], app: Any) -> None:
    outcome = app("task=average", f"task.run_dirs=[{runs['p']},{runs['d']}]", f"task.rule={rule}")
    assert outcome.status == 0, outcome.err
    place = Path(outcome.out.splitlines()[-1])
    metrics = read_json(place / "metrics.json")
    assert place.parent.name == metrics["modality"] == "pd"
    assert metrics["protocol"]["average"] == rule
    assert metrics["n_samples"]["preference"] > 0
    assert metrics["n_samples"]["demonstration"] > 0
    assert ("member_spread" in metrics["final"]) == (rule == "mixture")
    run = read_run(place)
    assert run is not None
    assert run.state == "completed"
    assert run.config["average"] == {"rule": rule, "of": ["p", "d"]}
    evaluated = app("task=evaluate", f"run_dir={place}")
    assert "as stored" in evaluated.out, evaluated.out + evaluated.err


def test_what_cannot_be_combined(runs: dict[str, Path], app: Any) -> None:
    _refused(app("task=average"), "task.run_dirs=null", "two finished runs or more")
    _refused(app("task=average", f"task.run_dirs=[{runs['p']}]"), "task.run_dirs", "must be a list such as")
    _refused(app("task=average", f"task.run_dirs=[{runs['p']},nowhere]"), "task.run_dirs=nowhere", "finished run")
    for other, key in (("other seed", "seed=7"), ("other size", "env.size=5")):
        words = app("task=average", f"task.run_dirs=[{runs['p']},{runs[other]}]")
        _refused(words, str(runs[other]), f"has {key}", "averages are of the same")
