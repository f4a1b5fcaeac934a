"""Learned rewards under other dynamics."""

import math
from pathlib import Path
from typing import Any

import pytest

from mavrl.storage.files import read_json

pytestmark = pytest.mark.integration


def _refused(outcome: Any, *words: str) -> None:
    assert outcome.status == 2, outcome.out + outcome.err
    (line,) = outcome.err.splitlines()
    for word in words:
        assert word in line


def _printed(outcome: Any) -> dict[str, Any]:
    """The result, whose means are printed as a table before the file that holds it."""
    assert outcome.status == 0, outcome.err
    *lines, path = outcome.out.splitlines()
    result = read_json(Path(path))
    means = [f"{value:.3f}" for value in result["mean"].values()]
    assert all(any(mean in line for line in lines) for mean in means)
    assert not any(line.startswith("{") for line in lines)
    return result


class TestGrids:
    @pytest.fixture(scope="class")
    def run(self, app: Any) -> Path:
        outcome = app("env.p_rand=0.1", "modality=d")
        assert outcome.status == 0, outcome.err
        return outcome.run

    def test_planned_again(self, run: Path, app: Any, snapshot: Any):
        before = snapshot(run)
        outcome = app("task=transfer", f"run_dir={run}", "env.p_rand=0.4")
        result = _printed(outcome)
        assert Path(outcome.out.splitlines()[-1]) == run / "transfer" / "p_rand=0.4.json"
        assert (result["env"], result["run"], result["dynamics"]) == ("grid_trap", str(run), {"p_rand": 0.4})
        stored = read_json(run / "metrics.json")
        for name in ("normalized_return", "regret", "discounted_value"):
            assert len(result["final"][name]) == 2
            assert all(math.isfinite(value) for value in result["final"][name])
        assert result["final"]["discounted_value"] != stored["final"]["discounted_value"]
        assert all(value <= 100 + 1e-6 for value in result["final"]["normalized_return"])
        assert {k: v for k, v in snapshot(run).items() if not k.startswith("transfer")} == before

    def test_several_stand_beside_each_other(self, run: Path, app: Any):
        for p_rand in (0.2, 0.3):
            _printed(app("task=transfer", f"run_dir={run}", f"env.p_rand={p_rand}"))
        assert {"p_rand=0.2.json", "p_rand=0.3.json"} <= {path.name for path in (run / "transfer").iterdir()}

    def test_what_cannot_be_done(self, run: Path, app: Any):
        _refused(app("task=transfer"), "run_dir=null", "finished run")
        _refused(app("task=transfer", "run_dir=nowhere"), "run_dir=nowhere", "finished run")
        same = app("task=transfer", f"run_dir={run}", "env.p_rand=0.1")
        _refused(same, "env.p_rand=0.1: are the dynamics of the run")
        other = app("task=transfer", f"run_dir={run}", "env=grid_cliff", "env.p_rand=0.4")
        _refused(other, "env=grid_cliff", "a run of grid_trap; add env=grid_trap")


class TestControl:
    @pytest.fixture(scope="class")
    def run(self, control_app: Any) -> Path:
        outcome = control_app("modality=d")
        assert outcome.status == 0, outcome.err
        return outcome.run

    def test_trained_again(self, run: Path, control_app: Any, snapshot: Any):
        before = snapshot(run)
        command = (
            "task=transfer",
            f"run_dir={run}",
            "env.perturbation.gravity=30.0",
            "env.perturbation.pole_length=1.0",
        )
        outcome = control_app(*command)
        result = _printed(outcome)
        assert outcome.err == ""
        name = "pole_length=1.0_gravity=30.0"
        assert Path(outcome.out.splitlines()[-1]) == run / "transfer" / f"{name}.json"
        assert result["dynamics"] == {"perturbation": {"pole_length": 1.0, "gravity": 30.0}}
        assert result["episodes"] == 8
        found = result["final"]
        assert found.keys() == {
            "normalized_return", "mean_return", "normalized_return_of_old_policy", "normalized_return_of_true_reward"
        }  # fmt: skip
        for values in found.values():
            assert len(values) == 2
            assert all(math.isfinite(value) for value in values)
        assert max(found["normalized_return_of_true_reward"]) == pytest.approx(100)
        optimal, uniform = (result["normalization"][key] for key in ("optimal", "uniform"))
        for normalized, value in zip(found["normalized_return"], found["mean_return"], strict=True):
            assert normalized == pytest.approx(100 * (value - uniform) / (optimal - uniform))
        trained = run / "transfer" / name
        assert {p.parent.relative_to(trained).as_posix() for p in trained.rglob("card.json")} == {
            f"{who}/{k}" for who in ("learned", "true") for k in (0, 1)
        }
        assert {k: v for k, v in snapshot(run).items() if not k.startswith("transfer")} == before
        after = snapshot(trained)
        assert _printed(control_app(*command)) == result
        assert snapshot(trained) == after  # what was trained is not trained again

    def test_settings_are_those_of_the_run(self, run: Path, control_app: Any):
        """Only the dynamics are taken from the command; it may say again what the run has."""
        transfer = ("task=transfer", f"run_dir={run}", "env.perturbation.gravity=20.0")
        for other in ("modality=p", "seed=77", "policy.total_steps=99999999", "evaluation.episodes=999999"):
            _refused(control_app(*transfer, other), other, "the run has", "only env.perturbation can be others")
        result = _printed(control_app(*transfer, "modality=d", "seed=0"))
        assert result["episodes"] == 8
        card = read_json(run / "transfer" / "gravity=20.0" / "learned" / "1" / "card.json")
        assert (card["seed"], card["steps"]) == (1, 512)

    def test_what_cannot_be_done(self, run: Path, control_app: Any):
        transfer = ("task=transfer", f"run_dir={run}")
        _refused(control_app(*transfer), "env.perturbation=", "are the dynamics of the run")
        _refused(control_app(*transfer, "env=acrobot_v1"), "env=acrobot_v1", "add env=cartpole_v1")
        _refused(control_app(*transfer, "env.perturbation.gravity=-3"), "env.perturbation.gravity=-3", "0 to 98")
        _refused(control_app(*transfer, "env.perturbation.gravty=3"), "did you mean env.perturbation.gravity?")

    def test_imitation_has_no_reward_to_act_on(self, make_control_app: Any, tmp_path: Path):
        app = make_control_app(tmp_path, ppo=())
        imitating = app("policy=imitation", "modality=d")
        assert imitating.status == 0, imitating.err
        outcome = app("task=transfer", f"run_dir={imitating.run}", "env.perturbation.gravity=30.0")
        _refused(outcome, "policy=imitation", "uses no reward")
