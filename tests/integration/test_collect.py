"""Episodes are recorded into folders by one command, labelled by another, and learned from."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mavrl import FeedbackFolder
from mavrl.streams import numpy_stream

pytestmark = pytest.mark.integration

SMALL_LABELS = [f"feedback.{kind}.n_samples=6" for kind in ("preference", "rating", "stop")]


@pytest.fixture(scope="module")
def recorded(control_app: Any) -> Any:
    """Two episodes of a random walk, and a third of the expert, which demonstrates."""
    first = control_app("task=collect", "env=cartpole_v1", "data=labels", "episodes=2", "seed=5", tiny=False)
    words = ("task=collect", "data=labels", "episodes=1", "policy=expert", "demonstrations=true", "seed=5")
    second = control_app(*words, f"paths.experts={_experts(control_app)}", tiny=False)
    assert (first.status, second.status) == (0, 0), first.err + second.err
    return first, second


def _experts(app: Any) -> str:
    return next(word.partition("=")[2] for word in app.settings if word.startswith("paths.experts="))


@pytest.fixture
def folder(recorded: Any, control_app: Any) -> FeedbackFolder:
    return FeedbackFolder.open(control_app.directory / "labels")


def test_what_is_said(recorded: Any, folder: FeedbackFolder) -> None:
    first, second = recorded
    steps = folder.lengths().tolist()
    returned = f"{sum(steps[:2]) / 2:.4g}"
    assert first.out.splitlines() == [
        f"2 episodes of {sum(steps[:2])} steps; 2 terminated; mean return {returned}",
        "videos/0.mp4 to videos/1.mp4",
        "labels",
    ]
    assert second.out.splitlines()[1] == "videos/2.mp4"
    assert first.err == second.err == ""


def test_what_is_recorded_is_what_the_environment_does(folder: FeedbackFolder) -> None:
    episodes, row = folder.episodes(), 0
    env = gym.make("CartPole-v1")
    for number, length in enumerate(episodes.lengths):
        seen, _ = env.reset(seed=int(numpy_stream(5, "collect", number).integers(2**31 - 1)))
        for step in range(length):
            assert np.array_equal(seen, episodes.observations[row + number])
            seen, reward, terminated, truncated, _ = env.step(episodes.actions[row])
            assert reward == episodes.rewards[row]  # type: ignore[index]
            assert (terminated or truncated) == (step == length - 1)
            row += 1
        assert np.array_equal(seen, episodes.observations[row + number])
        assert episodes.terminated[number] == terminated
    assert folder.description.max_steps == 500
    assert dict(folder.description.environment) == {"option": "cartpole_v1"}


def test_each_has_a_video_and_the_expert_demonstrates(
    folder: FeedbackFolder, frames_of: Callable[[Path], tuple[dict, np.ndarray]]
) -> None:
    for number, length in enumerate(folder.lengths()):
        path = folder.video(number)
        assert path is not None
        assert len(frames_of(path)[1]) == length + 1
    assert [(label.type, label.segments[0].episode) for label in folder.labels()] == [("demonstration", 2)]
    assert {path.name for path in folder.path.iterdir()} == {
        "dataset.json", "episodes", "feedback.jsonl", "videos", ".lock"
    }  # fmt: skip


def test_ten_at_once_are_the_same_as_one_after_the_other(control_app: Any, folder: FeedbackFolder) -> None:
    words = ("task=collect", "env=cartpole_v1", "data=at_once", "episodes=2", "seed=5", "video=false")
    outcome = control_app(*words, tiny=False)
    assert outcome.out.splitlines()[1:] == ["no videos: task.video=false", "at_once"]
    at_once, bit_by_bit = FeedbackFolder.open(control_app.directory / "at_once").episodes(), folder.episodes()
    assert np.array_equal(at_once.actions, bit_by_bit.actions[: len(at_once.actions)])
    assert not (control_app.directory / "at_once" / "videos").exists()


def test_teachers_label_it_and_a_reward_is_learned(control_app: Any, folder: FeedbackFolder) -> None:
    before = (folder.path / "episodes" / "main_data.hdf5").read_bytes()
    place = folder.path.with_name("labelled")
    shutil.copytree(folder.path, place)
    words = ("data=labelled", "env.feedback.segment_len=8")
    outcome = control_app("task=simulate", *words, *SMALL_LABELS, f"paths.experts={_experts(control_app)}", tiny=False)
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines()[-2].endswith("6 preference, 6 rating, 6 stop added")
    assert (place / "episodes" / "main_data.hdf5").read_bytes() == before
    summary = FeedbackFolder.open(place).validate()
    assert summary.labels == {"demonstration": 1, "preference": 6, "rating": 6, "stop": 6}
    fitting = [word for word in control_app.settings if ".n_samples=" not in word and not word.startswith("env")]
    learned = control_app("data=labelled", *fitting, tiny=False)
    assert learned.status == 0, learned.err
    assert learned.metrics["n_samples"] == summary.labels

    watched = control_app("task=collect", f"run_dir={learned.run}", "data=watched", "episodes=1", tiny=False)
    assert watched.status == 0, watched.err
    seen = FeedbackFolder.open(control_app.directory / "watched")
    from mavrl.policies.network import NetworkPolicy

    policy, episodes = NetworkPolicy.load(learned.run / "policies" / "0"), seen.episodes()
    assert episodes.actions.tolist() == policy.act(episodes.observations[:-1]).tolist()
    again = control_app("task=collect", f"run_dir={learned.run}", "data=labelled", "episodes=1", tiny=False)
    assert again.status == 0, again.err
    shorter = control_app("task=collect", f"run_dir={learned.run}", "data=shorter", "env.max_steps=5", tiny=False)
    assert shorter.status == 0, shorter.err
    found = FeedbackFolder.open(control_app.directory / "shorter")
    assert found.lengths().tolist() == [5] * 20
    assert found.description.environment["settings"]["max_steps"] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("data=labels", "env=grid_trap"),
            "error: data=labels: has episodes of another environment: env.name=cartpole",
        ),
        (("data=labels", "env=cartpole_v1", "env.max_steps=9"), "env.max_steps=null, and not 9"),
        (("env=grid_trap",), "error: data=null: must be the folder to record into"),
        (("data=new", "policy=exprt"), "error: task.policy=exprt: must be random or expert"),
        (("data=new", "env=cartpole_v1_left", "policy=expert"), "error: task.policy=expert: cartpole_v1_left has none"),
        (("data=new", "policy=expert", "run_dir=runs"), "error: task.policy=expert: must be null with run_dir"),
        (("data=new", "run_dir=nowhere"), "error: run_dir=nowhere: must be the directory of a finished run"),
        (("data=occupied",), "error: data=occupied: is there and not empty"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_what_cannot_work_is_one_line(words: tuple[str, ...], said: str, control_app: Any) -> None:
    occupied = control_app.directory / "occupied"
    occupied.mkdir(exist_ok=True)
    (occupied / "notes.txt").touch()
    before = (control_app.directory / "labels" / "feedback.jsonl").read_bytes()
    outcome = control_app("task=collect", "episodes=1", *words, tiny=False)
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (control_app.directory / "new").exists()
    assert (control_app.directory / "labels" / "feedback.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("modality=pd",), "error: modality=pd: recorded episodes do not tell who demonstrates"),
        (("env=grid_trap",), "error: data=labels: has episodes of another environment"),
        (("replicates=3",), "error: replicates=3: must be 1"),
        (("env.feedback.segment_len=501",), "segment_len=501"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_what_cannot_be_labelled_is_one_line(words: tuple[str, ...], said: str, control_app: Any) -> None:
    before = (control_app.directory / "labels" / "feedback.jsonl").read_bytes()
    experts = f"paths.experts={_experts(control_app)}"
    outcome = control_app("task=simulate", "data=labels", experts, *words, tiny=False)
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
    assert (control_app.directory / "labels" / "feedback.jsonl").read_bytes() == before


def test_episodes_without_rewards_cannot_be_labelled_in_a_control_environment(control_app: Any) -> None:
    spaces = gym.spaces.Box(-np.inf, np.inf, (4,), np.float32), gym.spaces.Discrete(2)
    folder = FeedbackFolder.create(control_app.directory / "unpaid", *spaces, {"id": "CartPole-v1"})
    folder.add_episode(np.zeros((9, 4), np.float32), np.zeros(8, int))
    outcome = control_app("task=simulate", "data=unpaid", f"paths.experts={_experts(control_app)}", tiny=False)
    assert outcome.status == 2
    assert outcome.err.startswith("error: data=unpaid: has episodes without rewards, and cartpole_v1 does not tell")


def test_a_grid_is_recorded_labelled_and_learned(app: Any) -> None:
    """With the reward that its cells have, and stops by the exact Q."""
    grid = ("env=grid_trap", "env.size=4")
    for policy in ("random", "expert"):
        outcome = app(
            "task=collect", *grid, "env.max_steps=50", "data=grid", "episodes=4", f"policy={policy}", tiny=False
        )
        assert outcome.status == 0, outcome.err
    folder = FeedbackFolder.open(app.directory / "grid")
    assert folder.lengths()[4:].tolist() == [7] * 4  # three cells to the right, three down, and a step in the goal
    assert dict(folder.description.environment) == {"option": "grid_trap", "settings": {"size": 4, "max_steps": 50}}
    labelled = app("task=simulate", "data=grid", "env.feedback.segment_len=5", *SMALL_LABELS, tiny=False)
    assert labelled.status == 0, labelled.err
    learned = app("data=grid", "replicates=2", "trainer.max_epochs=3", tiny=False)
    assert learned.status == 0, learned.err
    watched = app("task=collect", f"run_dir={learned.run}", "data=grid", "episodes=1", tiny=False)
    assert watched.status == 0, watched.err
    assert folder.validate().episodes == 9


def test_a_kill_leaves_no_half_folder(fresh_app: Any) -> None:
    process = fresh_app.start("task=collect", "env=cartpole_v1", "data=labels", "episodes=500", tiny=False)
    deadline = time.monotonic() + 120
    while not list(fresh_app.directory.glob(".labels.*/folder/.videos.*/3.mp4")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted; the same command goes on"
    assert list(fresh_app.directory.iterdir()) == []


def test_a_kill_leaves_a_folder_that_was_there_as_it_was(fresh_app: Any, snapshot: Any) -> None:
    assert fresh_app("task=collect", "env=cartpole_v1", "data=labels", "episodes=1", tiny=False).status == 0
    before = snapshot(fresh_app.directory / "labels")
    process = fresh_app.start("task=collect", "data=labels", "episodes=500", tiny=False)
    deadline = time.monotonic() + 120
    while not list(fresh_app.directory.glob("labels/.videos.*/3.mp4")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    after = snapshot(fresh_app.directory / "labels")
    assert {name: content for name, content in after.items() if not name.startswith(".videos.")} == before
    assert FeedbackFolder.open(fresh_app.directory / "labels").validate().episodes == 1
