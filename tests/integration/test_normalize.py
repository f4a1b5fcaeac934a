"""What normalized returns and baselines are made of."""

from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.integration

_NAMES = {
    "optimal policy": "optimal", "uniform policy": "uniform", "paid +1 at each step": "positive",
    "paid -1 at each step": "negative",
}  # fmt: skip


def _printed(outcome: Any) -> dict[str, list[str]]:
    """The rows of the table by name of the return: mean, standard error and percent."""
    assert outcome.status == 0, outcome.err
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in outcome.out.splitlines() if "│" in line]
    return {_NAMES[name]: cells for name, *cells in rows if name in _NAMES}


def test_a_grid_s_are_exact(fresh_app: Any) -> None:
    outcome = fresh_app("task=normalize", "env=grid_sparse")
    found = _printed(outcome)
    # Six steps of -0.1 and then +1 for ever, at a discount of 0.95.
    optimal = sum(-0.1 * 0.95**t for t in range(6)) + 0.95**6 / 0.05
    assert float(found["optimal"][0]) == pytest.approx(optimal, abs=1e-3)
    assert float(found["uniform"][0]) < optimal
    assert [cells[1:] for cells in found.values()] == [["", "100.0"], ["", "0.0"]]
    assert "measured exactly" in outcome.out
    assert list(fresh_app.directory.iterdir()) == []


def test_control(fresh_control_app: Any) -> None:
    outcome = fresh_control_app("task=normalize")
    found = _printed(outcome)
    assert outcome.err == ""
    mean = {name: float(cells[0]) for name, cells in found.items()}
    assert 50 < mean["optimal"] <= 60
    assert 5 < mean["uniform"] < 50
    assert float(found["uniform"][1]) > 0
    assert all(1 <= mean[name] <= 60 for name in ("positive", "negative"))
    assert "in 8 episodes; optimal is the dqn expert; those paid a constant over 2 seeds, 0 to 1" in outcome.out
    constants = yaml.safe_load(outcome.out.splitlines()[-1])["constants"]
    assert constants == {"id": "CartPole-v1", "max_steps": 60, **mean}
    assert {path.name for path in fresh_control_app.directory.iterdir()} == {"cache"}


def test_what_it_prints_is_what_a_run_uses(fresh_control_app: Any) -> None:
    outcome = fresh_control_app("task=normalize", "replicates=1", "policy.total_steps=256")
    found = {name: float(cells[0]) for name, cells in _printed(outcome).items()}
    line = outcome.out.splitlines()[-1].partition("constants: ")[2]
    run = fresh_control_app(f"++env.constants={line}", "modality=p")
    assert run.status == 0, run.err
    assert run.metrics["comparison"].keys() == {"expert", "uniform", "constant reward +1", "constant reward -1"}
    optimal, uniform = found["optimal"], found["uniform"]
    final = run.metrics["final"]
    for normalized, value in zip(final["normalized_return"], final["mean_return"], strict=True):
        assert normalized == pytest.approx(100 * (value - uniform) / (optimal - uniform), abs=0.01)


def test_baselines_are_trained_with_ppo(make_control_app: Any, tmp_path: Any) -> None:
    outcome = make_control_app(tmp_path, ppo=())("task=normalize", "policy=imitation")
    assert outcome.status == 2
    assert "policy=imitation: must be ppo" in outcome.err
