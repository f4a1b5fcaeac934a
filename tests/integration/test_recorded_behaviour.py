"""Feedback folders whose environment nobody can run here, or that no option is about, from other tools' files on."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from mavrl import FeedbackFolder, load_reward_model

pytestmark = pytest.mark.integration

FILES = Path(__file__).parents[1] / "importers" / "files"
LEARNING = ("replicates=2", "members=2", "model.hidden_sizes=[8]", "trainer.max_epochs=2", "trainer.least_steps=2")
ACTING = (
    "policy.total_steps=256", "policy.n_envs=2", "policy.n_steps=32", "policy.batch_size=32", "policy.hidden_sizes=[8]",
    "policy.evaluation_episodes=2", "policy.parts=2", "evaluation.episodes=4", "processes=1",
)  # fmt: skip


@pytest.fixture
def learn(make_app: Callable[..., Any], tmp_path: Path) -> Any:
    """Runs small jobs."""
    return make_app(tmp_path, LEARNING)


def _import(app: Any, source: str, path: Path, *words: str) -> None:
    outcome = app("task=import", f"from={source}", f"path={path}", "data=folder", *words, tiny=False)
    assert outcome.status == 0, outcome.err


def _flat(path: Path, actions: np.ndarray) -> Path:
    """40 episodes of 50 steps, as flat arrays."""
    stream = np.random.default_rng(0)
    seen = stream.normal(size=(2000, 3)).astype(np.float32)
    arrays = {"observations": seen, "next_observations": np.roll(seen, -1, axis=0), "actions": actions}
    ends = (np.arange(2000) + 1) % 50 == 0
    np.savez(path, **arrays, rewards=seen[:, 0], terminals=np.zeros(2000, bool), timeouts=ends)  # type: ignore
    return path


def test_index_pairs_about_vectors_as_actions(learn: Any) -> None:
    """As of the Preference Transformer, which does not count the last row of an episode that time has cut off."""
    stream = np.random.default_rng(0)
    flat = _flat(learn.directory / "flat.npz", stream.normal(size=(2000, 2)).astype(np.float32))
    place = learn.directory / "labels"
    place.mkdir()
    first, second, answers = 49 * np.arange(20), 49 * np.arange(20, 40) + 5, np.arange(20) % 2
    for name, values in (("indices_num20_q20", first), ("indices_2_num20_q20", second), ("label_human", answers)):
        (place / name).write_bytes(pickle.dumps(values))
    _import(learn, "index_pairs", place, f"episodes={flat}", "env_id=Walk-v0")
    outcome = learn("data=folder")
    assert outcome.status == 0, outcome.err
    assert "Walk-v0 is not registered with Gymnasium; it is left out" in outcome.err
    metrics = outcome.metrics
    assert (metrics["env"], metrics["n_samples"]["preference"]) == ("Walk-v0", 20)
    assert metrics["final"].keys() == {"spearman", "posterior_std", "bound"}
    assert "Spearman correlation" in outcome.out
    states, actions = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)
    assert load_reward_model(outcome.run).mean(states, actions, states).shape == (2, 4)


def test_demonstrations_of_flat_arrays(learn: Any) -> None:
    numbers = np.random.default_rng(0).integers(0, 3, 2000)
    flat = _flat(learn.directory / "flat.npz", numbers)
    _import(learn, "arrays", flat, "demonstrations=true")
    outcome = learn("data=folder")
    assert outcome.status == 0, outcome.err
    assert (outcome.metrics["env"], outcome.metrics["modality"]) == ("recorded", "d")


def test_demonstrations_with_vectors_are_refused(learn: Any) -> None:
    flat = _flat(learn.directory / "flat.npz", np.zeros((2000, 2), np.float32))
    _import(learn, "arrays", flat, "demonstrations=true")
    outcome = learn("data=folder")
    assert (outcome.status, outcome.err) == (
        2, "error: data=folder: demonstrations need numbered actions, and its actions are vectors\n"
    )  # fmt: skip
    assert not (learn.directory / "runs").exists()


def test_trajectories_of_imitation(learn: Any) -> None:
    _import(learn, "imitation", FILES / "imitation")
    outcome = learn("data=folder")
    assert outcome.status == 0, outcome.err
    assert "it names no environment; it is left out" in outcome.err
    assert outcome.metrics["final"].keys() >= {"posterior_std", "bound"}


def test_a_dataset_of_minari_without_its_environment(learn: Any) -> None:
    _import(learn, "minari", FILES / "minari" / "cartpole" / "test-v0", "demonstrations=true")
    outcome = learn("data=folder", "env=recorded")
    assert outcome.status == 0, outcome.err
    assert (outcome.metrics["env"], outcome.metrics["modality"]) == ("CartPole-v1", "d")
    assert outcome.err == ""


@pytest.fixture
def folder(tmp_path: Path) -> FeedbackFolder:
    """CartPole's spaces, and five preferences between two episodes."""
    stream = np.random.default_rng(0)
    spaces = gymnasium.spaces.Box(-np.inf, np.inf, (4,)), gymnasium.spaces.Discrete(2)
    made = FeedbackFolder.create(tmp_path / "folder", *spaces, {"id": "CartPole-v0"}, 30)
    for _ in range(2):
        made.add_episode(stream.normal(size=(21, 4)).astype(np.float32), stream.integers(0, 2, 20), terminated=True)
    pair = [{"episode": 0, "start": 0, "stop": 9}, {"episode": 1, "start": 4, "stop": 12}]
    made.add_all([{"type": "preference", "segments": pair, "choice": k % 2} for k in range(5)])
    made.add("demonstration", episode=1)
    made.add("stop", segment=pair[0], step=3)
    return made


def test_any_environment_of_gymnasium_is_run(learn: Any, folder: FeedbackFolder) -> None:
    outcome = learn("data=folder", *ACTING)
    assert outcome.status == 0, outcome.err
    metrics = outcome.metrics
    assert (metrics["env"], metrics["modality"]) == ("CartPole-v0", "pds")
    assert {"mean_return", "bound"} <= metrics["final"].keys()
    assert all(1 <= value <= 30 for value in metrics["final"]["mean_return"])
    assert not {"normalized_return", "regret"} & metrics["final"].keys()
    assert "comparison" not in metrics
    assert "normalized returns are left out" in outcome.err
    assert "out of date" not in outcome.err
    assert (outcome.run / "policies" / "1" / "policy.safetensors").exists()
    again = learn("task=evaluate", f"run_dir={outcome.run}", "processes=1", tiny=False)
    assert (again.status, "as stored" in again.out) == (0, True), again.err
    moved = learn("task=transfer", f"run_dir={outcome.run}", tiny=False)
    assert moved.status == 2
    assert "add env=recorded_control ++env.name=CartPole-v0" in moved.err


def test_numbered_states_of_an_environment_that_is_run(learn: Any) -> None:
    spaces = gymnasium.spaces.Discrete(16), gymnasium.spaces.Discrete(4)
    made = FeedbackFolder.create(learn.directory / "lake", *spaces, {"id": "FrozenLake-v1"}, 30)
    made.add_episode(np.array([0, 4, 8, 9]), np.array([1, 1, 2]))
    made.add("demonstration", episode=0)
    outcome = learn("data=lake", *ACTING)
    assert outcome.status == 0, outcome.err
    assert outcome.metrics["mean"]["mean_return"] >= 0


def test_reading_runs_without_returns(learn: Any, folder: FeedbackFolder) -> None:
    first = learn("data=folder", "env=recorded")
    assert first.status == 0, first.err
    shutil.move(folder.path, folder.path.with_name("moved"))
    again = learn("data=moved", "env=recorded")
    assert again.run == first.run  # named by what is in the folder

    def tells(text: str, *words: str) -> None:
        outcome = learn(*words, tiny=False)
        assert outcome.status == 0, outcome.err
        assert text in outcome.out

    run = f"run_dir={first.run}"
    tells("posterior_std", "task=show", run)
    tells("completed", "task=list")
    tells("1 of 1 completed", "task=status")
    tells("1 run", "task=export")
    tells("nothing searched", "task=table")
    tells("highest bound", "task=select_best", "task.metric=bound")
    tells("as stored", "task=evaluate", run, "data.folder=moved")
    for words, said in (
        (("task=evaluate", run), "there is no such folder"),
        (("task=select_best",), "task.metric=normalized_return: none of 1 completed run"),
        (("task=transfer", run), "task=transfer: runs an environment"),
    ):
        outcome = learn(*words, tiny=False)
        assert (outcome.status, outcome.err.count("\n")) == (2, 1), outcome.err
        assert said in outcome.err


def test_sweeps_and_loggers(learn: Any, folder: FeedbackFolder) -> None:
    pytest.importorskip("tensorboard")
    outcome = learn("-m", "data=folder", "env=recorded", "seed=0,4", "logger=tensorboard")
    assert outcome.status == 0, outcome.err
    assert len(list(learn.directory.glob("runs/CartPole-v0/pds/*/metrics.json"))) == 2
    words = ("-m", "data=folder", "env=recorded", "hydra/sweeper=optuna", "search=fixed", "search.n_trials=2")
    refused = learn(*words)
    assert refused.status == 2
    assert "search.metric=regret: must be one of spearman, bound in a recorded environment" in refused.err
    found = learn(*words, "search.metric=bound")
    assert found.status == 0, found.err
    cell = ("env=recorded", "env.name=CartPole-v0", "modality=pds")
    told = learn("task=study", "study=fixed-bound", *cell, tiny=False)
    assert told.status == 0, told.err
    assert "bound, to maximize" in told.out
