"""What normalized returns and baselines are made of."""

import json
from typing import Any

import pytest

pytestmark = pytest.mark.integration


def _printed(outcome: Any) -> dict[str, Any]:
    assert outcome.status == 0, outcome.err
    return json.loads(outcome.out)


def test_a_grid_s_are_exact(fresh_app: Any) -> None:
    found = _printed(fresh_app("task=normalize", "env=grid_sparse"))
    # Six steps of -0.1 and then +1 for ever, at a discount of 0.95.
    optimal = sum(-0.1 * 0.95**t for t in range(6)) + 0.95**6 / 0.05
    assert found["normalization"]["optimal"] == pytest.approx(optimal, abs=1e-4)
    assert found["normalization"]["uniform"] < optimal
    assert "exactly" in found["measured"]
    assert list(fresh_app.directory.iterdir()) == []


def test_control(fresh_control_app: Any) -> None:
    outcome = fresh_control_app("task=normalize")
    found = _printed(outcome)
    assert outcome.err == ""
    optimal, uniform = (found["normalization"][key] for key in ("optimal", "uniform"))
    assert 50 < optimal <= 60
    assert 5 < uniform < 50
    assert found["stderr"]["uniform"] > 0
    assert found["baselines"].keys() == {"positive", "negative"}
    assert all(1 <= value <= 60 for value in found["baselines"].values())
    assert found["baseline_seeds"] == [0, 1]
    assert found["episodes"] == 8
    assert found["expert"] == {"algorithm": "by hand", "return_mean": 60.0, "steps": 0, "seed": 0}
    assert {path.name for path in fresh_control_app.directory.iterdir()} == {"cache"}


def test_what_it_measures_is_what_a_run_without_constants_uses(fresh_control_app: Any) -> None:
    found = _printed(fresh_control_app("task=normalize", "replicates=1", "policy.total_steps=256"))
    unknown = ("env.normalization={optimal:null,uniform:null}", "env.baselines={positive:null,negative:null}")
    run = fresh_control_app(*unknown, "modality=p")
    assert run.status == 0, run.err
    assert run.metrics["comparison"] == {"expert": 100.0, "uniform": 0.0}
    optimal, uniform = (found["normalization"][key] for key in ("optimal", "uniform"))
    final = run.metrics["final"]
    for normalized, value in zip(final["normalized_return"], final["mean_return"], strict=True):
        assert normalized == pytest.approx(100 * (value - uniform) / (optimal - uniform), abs=0.01)


def test_baselines_are_trained_with_ppo(make_control_app: Any, tmp_path: Any) -> None:
    outcome = make_control_app(tmp_path, ppo=())("task=normalize", "policy=imitation")
    assert outcome.status == 2
    assert "policy=imitation: must be ppo" in outcome.err
