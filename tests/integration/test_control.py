"""The main job where a policy is trained on the learned reward, and everything that reads, repeats or resumes it."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mavrl
from mavrl.policies.network import NetworkPolicy
from mavrl.storage.files import read_json

pytestmark = pytest.mark.integration

BASELINES = (
    "env.baselines.positive=60", "env.baselines.negative=10", "env.normalization={optimal:500,uniform:21.878}"
)  # fmt: skip


@pytest.fixture(scope="module")
def first(control_app: Any) -> Any:
    outcome = control_app(*BASELINES, process=True)
    assert outcome.status == 0, outcome.err
    return outcome


def _curve(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as table:
        return list(csv.DictReader(table))


def test_the_output_ends_with_the_run_directory_and_nothing_is_complained_about(first: Any, control_app: Any) -> None:
    assert first.run.is_dir()
    assert first.run.parts[-3:-1] == ("cartpole_v1", "pdrs")
    assert control_app.directory in first.run.parents
    assert first.err == ""
    for words in ("normalized return (100 is optimal)", "mean return", "regret", "normalized return of others: expert"):
        assert words in first.out


def test_the_run_directory_is_complete(first: Any) -> None:
    names = {str(path.relative_to(first.run)) for path in first.run.rglob("*") if path.is_file()}
    of_policies = {f"policies/{k}/{name}" for k in (0, 1) for name in ("policy.safetensors", "card.json", "curve.csv")}
    expected = {
        "status.json", "config.json", "metrics.json", "metrics.csv", "shown.safetensors",
        "figures/training.png",
        "reward_model/weights.safetensors", "reward_model/description.json", "reward_model/metrics.json",
        "reward_model/README.md",
        ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml",
    }  # fmt: skip
    assert names - {".lock"} == expected | of_policies
    assert read_json(first.run / "status.json")["state"] == "completed"
    assert (first.run / "figures/training.png").read_bytes().startswith(b"\x89PNG")


def test_the_metrics_follow_their_schema(first: Any) -> None:
    text = (first.run / "metrics.json").read_text()
    metrics = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in metrics.json"))
    assert "null" not in text
    assert (metrics["env"], metrics["modality"], metrics["seed"]) == ("cartpole_v1", "pdrs", 0)
    assert (metrics["replicates"], metrics["members"]) == (2, 2)
    assert metrics["n_samples"] == {"preference": 6, "demonstration": 2, "rating": 6, "stop": 6}
    required = {"objective", "q", "backup", "termination", "selection", "policy", "reward", "checkpoint"}
    assert required <= set(metrics["protocol"])
    assert metrics["protocol"]["checkpoint"] == "last"
    assert (metrics["protocol"]["q"], metrics["protocol"]["backup"]) == ("inverse", "optimal")
    assert metrics["protocol"]["warm_start"] is True
    assert set(metrics["final"]) == {"normalized_return", "mean_return", "regret", "bound"}  # a constant true reward
    for name, values in metrics["final"].items():
        assert len(values) == 2
        assert all(math.isfinite(value) for value in values)
        assert metrics["mean"][name] == pytest.approx(np.mean(values), abs=1e-12)
        assert metrics["stderr"][name] == pytest.approx(np.std(values, ddof=1) / 2**0.5, abs=1e-12)
    for normalized, value in zip(metrics["final"]["normalized_return"], metrics["final"]["mean_return"], strict=True):
        assert normalized == pytest.approx(100 * (value - 21.878) / (500 - 21.878))
    assert metrics["objective"] == metrics["mean"]["normalized_return"]
    assert set(metrics["seconds"]) == {"data", "train", "policy", "evaluate", "total"}
    assert metrics["config_hash"] == first.run.name
    assert metrics["version"] == mavrl.__version__


def test_others_stand_beside_the_learned_reward(first: Any) -> None:
    comparison, final = first.metrics["comparison"], first.metrics["final"]
    assert comparison.keys() == {"expert", "uniform", "constant reward +1", "constant reward -1"}
    assert comparison["constant reward +1"] == pytest.approx(100 * (60 - 21.878) / (500 - 21.878))
    assert comparison["constant reward -1"] == pytest.approx(100 * (10 - 21.878) / (500 - 21.878))
    expert = 21.878 + comparison["expert"] / 100 * (500 - 21.878)
    assert 50 < expert <= 60
    for regret, value in zip(final["regret"], final["mean_return"], strict=True):
        assert regret == pytest.approx(expert - value)  # in the same episodes


def test_the_curves(first: Any) -> None:
    rows = _curve(first.run / "metrics.csv")
    assert [row["epoch"] for row in rows] == ["0", "1"]
    for kind in ("preference", "demonstration", "rating", "stop"):
        assert all(float(row[f"train/{kind}/log_likelihood"]) < 0 for row in rows)
    for replicate in ("0", "1"):
        rows = _curve(first.run / "policies" / replicate / "curve.csv")
        assert [int(row["step"]) for row in rows] == [256, 512]
        assert all(1 <= float(row["true_return"]) <= 60 for row in rows)


def test_what_was_learned_loads(first: Any) -> None:
    model = mavrl.load_reward_model(first.run)
    assert len(model) == 2
    states, actions = np.zeros((3, 4), dtype=np.float32), np.array([0, 1, 0])
    assert model.mean(states, actions, states).shape == (2, 3)
    assert (model.std(states, actions, states) > 0).all()
    for replicate in ("0", "1"):
        policy = NetworkPolicy.load(first.run / "policies" / replicate)
        assert policy.act(states).shape == (3,)
        assert policy.card["steps"] == 512


def test_a_finished_run_is_returned_at_once_without_torch(first: Any, control_app: Any, snapshot: Any) -> None:
    before = snapshot(first.run)
    again = control_app(*BASELINES, process=True, python=("-X", "importtime"))
    assert again.status == 0
    assert again.run == first.run
    assert "finished before" in again.out
    imported = {line.rpartition("|")[2].strip() for line in again.err.splitlines()}
    assert "hydra" in imported
    assert not imported & {"torch", "lightning", "matplotlib", "scipy", "gymnasium", "stable_baselines3"}
    assert snapshot(first.run) == before


def test_evaluation_reproduces_what_is_stored_and_writes_nothing(
    first: Any, control_app: Any, experts: Path, snapshot: Any
) -> None:
    before = snapshot(control_app.directory)
    outcome = control_app("task=evaluate", f"run_dir={first.run}", f"paths.experts={experts}", tiny=False)
    assert outcome.status == 0, outcome.err
    assert "as stored" in outcome.out
    assert "differs" not in outcome.out
    assert snapshot(control_app.directory) == before


def test_two_processes_without_a_cache_give_the_same_result(first: Any, control_app: Any) -> None:
    other = control_app(*BASELINES, "processes=2", "paths.runs=elsewhere", "paths.cache=null")
    assert other.status == 0, other.err
    assert other.err == ""
    for name in ("final", "mean", "stderr", "comparison", "objective"):
        assert other.metrics[name] == first.metrics[name]
    curves = [_curve(run / "policies" / "1" / "curve.csv") for run in (first.run, other.run)]
    assert [row["true_return"] for row in curves[0]] == [row["true_return"] for row in curves[1]]


def test_rerun_trains_the_policies_again(first: Any, control_app: Any) -> None:
    before, policy = first.metrics, first.run / "policies" / "0" / "policy.safetensors"
    stamp, weights = policy.stat().st_mtime_ns, policy.read_bytes()
    again = control_app(*BASELINES, "rerun=true")
    assert again.status == 0, again.err
    assert policy.stat().st_mtime_ns != stamp
    assert policy.read_bytes() == weights
    assert again.metrics["final"] == before["final"]


# Cut off --------------------------------------------------------------------------------------------------------------


def _trained(replicate: int, chunks: int) -> Any:
    def reached(directory: Path) -> bool:
        found = (directory / "policies" / str(replicate) / "checkpoints").glob("step=*.ckpt")
        return any(int(path.name[5:13]) >= chunks for path in found)

    return reached


@pytest.mark.parametrize(
    ("settings", "moments"),
    [
        ((), [_trained(0, 2), _trained(1, 1), _trained(1, 5)]),
        (("policy.reward=sample", "policy.checkpoint=true_reward"), [_trained(1, 5)]),
    ],
)
def test_a_run_killed_while_it_trains_policies_ends_like_one_that_was_not(
    settings: tuple[str, ...], moments: list[Any], fresh_control_app: Any
) -> None:
    arguments = ("policy.total_steps=1024", "policy.parts=8", *settings)
    whole = fresh_control_app(*arguments, "paths.runs=whole")
    assert whole.status == 0, whole.err
    for moment in moments:
        directory = fresh_control_app.kill_when(arguments, moment)
        assert read_json(directory / "status.json")["state"] == "running"
        assert not (directory / "metrics.json").exists()
    resumed = fresh_control_app(*arguments)
    assert resumed.status == 0, resumed.err
    assert resumed.run == directory
    assert resumed.metrics["final"] == whole.metrics["final"]
    for replicate in ("0", "1"):
        curves = [_curve(run / "policies" / replicate / "curve.csv") for run in (whole.run, resumed.run)]
        assert [(row["step"], row["true_return"]) for row in curves[0]] == [
            (row["step"], row["true_return"]) for row in curves[1]
        ]
        assert len(curves[1]) == 8
    assert not list(resumed.run.rglob("*.ckpt"))


# Variants -------------------------------------------------------------------------------------------------------------


def test_imitation_trains_no_policy(fresh_control_app: Any, make_control_app: Any) -> None:
    app = make_control_app(fresh_control_app.directory, ppo=())
    outcome = app("policy=imitation", "modality=d")
    assert outcome.status == 0, outcome.err
    assert not (outcome.run / "policies").exists()
    assert (outcome.run / "figures/training.png").exists()
    assert outcome.metrics["protocol"]["policy"] == "imitation"
    assert outcome.metrics["comparison"].keys() >= {"expert", "uniform"}
    assert "policy" in outcome.out
    again = app("task=evaluate", f"run_dir={outcome.run}", tiny=False)
    assert "as stored" in again.out, again.err
    fewer = app("task=evaluate", f"run_dir={outcome.run}", "evaluation.episodes=5", tiny=False)
    assert "differs from what is stored; which is of evaluation.episodes=8" in fewer.out, fewer.err


def test_constants_of_another_limit_are_not_used(make_control_app: Any, tmp_path: Path) -> None:
    """Those in the YAML are of episodes of 500 steps, not of 60."""
    outcome = make_control_app(tmp_path, ppo=())("policy=imitation", "modality=d")
    assert outcome.status == 0, outcome.err
    assert outcome.metrics["comparison"] == {"expert": 100.0, "uniform": 0.0}
    final = outcome.metrics["final"]
    for normalized, regret in zip(final["normalized_return"], final["regret"], strict=True):
        assert (normalized >= 100) == (regret <= 0)


def test_a_fixed_horizon(fresh_control_app: Any) -> None:
    outcome = fresh_control_app("env.fixed_horizon=true")
    assert outcome.status == 0, outcome.err
    description = read_json(outcome.run / "reward_model/description.json")
    assert description["n_features"] == 5  # one says that the episode is over
    assert read_json(outcome.run / "policies/0/card.json")["network"]["sizes"][0] == 5
    assert all(1 <= value <= 60 for value in outcome.metrics["final"]["mean_return"])


def test_perturbed_dynamics_are_another_run(fresh_control_app: Any) -> None:
    plain, perturbed = (fresh_control_app(f"env.perturbation.gravity={g}", "modality=p") for g in ("null", "30.0"))
    assert (plain.status, perturbed.status) == (0, 0), plain.err + perturbed.err
    assert plain.run != perturbed.run
    weights = [(outcome.run / "reward_model/weights.safetensors").read_bytes() for outcome in (plain, perturbed)]
    assert weights[0] != weights[1]
    assert plain.metrics["comparison"]["uniform"] == perturbed.metrics["comparison"]["uniform"] == 0


def test_the_reference_protocol(fresh_control_app: Any) -> None:
    outcome = fresh_control_app("experiment=reference", "trainer.max_epochs=2", "members=1", "model.hidden_sizes=[8]")
    assert outcome.status == 0, outcome.err
    protocol = outcome.metrics["protocol"]
    assert (protocol["objective"], protocol["backup"], protocol["reward"]) == ("weighted", "behaviour", "sample")
    assert protocol["checkpoint"] == "true_reward"
    assert protocol["warm_start"] is False
    rows = _curve(outcome.run / "metrics.csv")
    assert {"validation/loss", "val/loss"} & set(rows[0])


def test_the_data_can_be_simulated_ahead(fresh_control_app: Any) -> None:
    filled = fresh_control_app("task=data", "feedback.rating.gen_samples=9", "processes=2")
    assert filled.status == 0, filled.err
    assert "train rating: 9 samples" in filled.out
    kinds = ("preference", "demonstration", "rating", "stop")
    entries = {kind: list((fresh_control_app.directory / "cache" / kind).iterdir()) for kind in kinds}
    assert [len(found) for found in entries.values()] == [2] * 4
    stamps = {path: path.stat().st_mtime_ns for found in entries.values() for path in found}
    trained = fresh_control_app()
    assert trained.status == 0, trained.err
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


@pytest.mark.slow
def test_all_modalities_run(fresh_control_app: Any) -> None:
    modalities = "p,d,r,s,pd,pr,ps,dr,ds,rs,pdr,pds,drs,prs"
    outcome = fresh_control_app("-m", f"modality={modalities}", "replicates=1", "policy.total_steps=256")
    assert outcome.status == 0, outcome.err
    for modality in modalities.split(","):
        (path,) = fresh_control_app.directory.glob(f"runs/cartpole_v1/{modality}/*/metrics.json")
        metrics = read_json(path)
        assert all(math.isfinite(value) for values in metrics["final"].values() for value in values)
        assert metrics["protocol"]["warm_start"] == ("d" in modality)


@pytest.mark.slow
@pytest.mark.parametrize(("env", "names"), [("acrobot_v1", ["dqn"]), ("lunar_lander_v3", ["dqn", "ppo"])])
def test_the_other_environments(env: str, names: list[str], fresh_control_app: Any) -> None:
    """With untrained experts."""
    import torch

    sizes = {"acrobot_v1": (6, 3), "lunar_lander_v3": (8, 4)}[env]
    for name in names:
        layers = [(torch.randn(sizes[1], sizes[0]), torch.zeros(sizes[1]))]
        NetworkPolicy.from_layers(layers, "relu", "q").save(fresh_control_app.directory / "experts" / env / name)
    outcome = fresh_control_app(
        f"env={env}", "paths.experts=experts", "env.feedback.minimum_return=null", "env.normalization.optimal=300"
    )
    assert outcome.status == 0, outcome.err
    metrics = outcome.metrics
    constant = env == "acrobot_v1"  # -1 at every step but the last
    assert ("spearman" in metrics["final"]) != constant or abs(metrics["mean"]["spearman"]) <= 1
    assert metrics["env"] == env
    if env == "lunar_lander_v3":
        assert all(-1 <= value <= 1 for value in metrics["final"]["spearman"])
        assert all(value > 0 for value in metrics["final"]["posterior_std"])
