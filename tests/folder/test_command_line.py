"""data=FOLDER on the command line: the folder says the environment, the kinds and their counts."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from mavrl.errors import ConfigurationError
from mavrl.folder.command_line import with_folder
from mavrl.folder.digest import digest
from mavrl.folder.folder import FeedbackFolder

A, B = {"episode": 0, "start": 2, "stop": 7}, {"episode": 1, "start": 0, "stop": 20}


@pytest.fixture
def labelled(folder: FeedbackFolder) -> FeedbackFolder:
    """Two preferences, a skipped one, and three ratings from 1 to 7."""
    for choice in (0, 1, "skip"):
        folder.add("preference", segments=[A, B], choice=choice)
    for value in (1, 4, 7):
        folder.add("rating", segment=A, value=value, scale=[1, 7])
    return folder


def _values(words: list[str]) -> dict[str, str]:
    return {word.partition("=")[0]: word.partition("=")[2] for word in words}


def test_a_folder_says_what_there_is(labelled: FeedbackFolder) -> None:
    words = with_folder(["seed=3", f"data={labelled.path}"])
    assert words[0] == "seed=3"
    assert _values(words[1:]) == {
        "data.folder": f'"{labelled.path}"',
        "data.digest": f'"{digest(labelled.path)}"',
        "env": "cartpole_v1",
        "modality": "pr",
        "feedback.preference.n_samples": "2",
        "feedback.demonstration.n_samples": "0",
        "feedback.rating.n_samples": "3",
        "feedback.stop.n_samples": "0",
        "feedback.rating.n_categories": "7",
    }


def test_the_command_line_wins(labelled: FeedbackFolder) -> None:
    own = ["env=acrobot_v1", "modality=p", "feedback.preference.n_samples=1", "feedback.rating.n_categories=9"]
    words = with_folder([f"data={labelled.path}", *own])
    for word in own:
        assert words.count(word) == 1
        assert [each.partition("=")[0] for each in words].count(word.partition("=")[0]) == 1


def test_the_directory_may_be_another_one_later(labelled: FeedbackFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(labelled.path.parent)
    assert f'data.folder="{labelled.path}"' in with_folder([f"data={labelled.path.name}"])


@pytest.mark.parametrize("words", [["env=grid_trap"], ["task=status", "data=x"], ["data=null"], ["-m", "seed=1,2"]])
def test_other_commands_stay(words: list[str]) -> None:
    assert with_folder(words) == [word.replace("data=", "data.folder=") for word in words]


def test_an_import_has_words_of_its_own() -> None:
    words = with_folder(["task=import", "from=table", "path=a.csv", "episodes=b", "data=c", "seed=1"])
    assert words == ["task=import", "task.from=table", "task.path=a.csv", "task.episodes=b", "data.folder=c", "seed=1"]


def test_recording_has_words_of_its_own() -> None:
    own = ["policy=expert", "episodes=3", "epsilon=0.1", "video=false", "demonstrations=true"]
    assert with_folder(["task=collect", *own, "data=new", "seed=1"]) == [
        "task=collect", *(f"task.{word}" for word in own), "data.folder=new", "seed=1"
    ]  # fmt: skip
    assert with_folder(["policy=ppo", "episodes=3"]) == ["policy=ppo", "episodes=3"]


@pytest.mark.parametrize(
    ("said", "added"),
    [
        (["task=collect"], ["env=cartpole_v1"]),
        (["task=collect", "env=acrobot_v1"], []),
        (["task=collect", "run_dir=runs/x"], []),
        (["task=simulate"], ["env=cartpole_v1", "modality=prs", "replicates=1"]),
        (["task=simulate", "modality=p", "replicates=2"], ["env=cartpole_v1"]),
    ],
)
def test_what_adds_to_a_folder_is_told_its_environment(said: list[str], added: list[str], folder: FeedbackFolder):
    place = f"data={folder.path}"
    assert with_folder([*said, place]) == [*said, f"data.folder={folder.path}", *added]


def test_a_kind_that_is_not_there_is_refused(labelled: FeedbackFolder) -> None:
    said = r"modality=pds: .* has no demonstration that can be learned from; it has pr"
    with pytest.raises(ConfigurationError, match=said):
        with_folder([f"data={labelled.path}", "modality=pds"])


def test_a_folder_without_labels_is_refused(folder: FeedbackFolder) -> None:
    folder.add("preference", segments=[A, B], choice="skip")
    with pytest.raises(ConfigurationError, match="has no label that can be learned from"):
        with_folder([f"data={folder.path}"])


def test_of_scales_that_differ_the_largest_counts(labelled: FeedbackFolder) -> None:
    labelled.add("rating", segment=A, value=0, scale=[0, 9])
    assert "feedback.rating.n_categories=10" in with_folder([f"data={labelled.path}"])


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"option": "grid_trap", "settings": {"size": 5}}, ["env=grid_trap", "++env.size=5"]),
        ({"id": "LunarLander-v3", "kwargs": {"gravity": -9.0}}, ["env=lunar_lander_v3", "++env.kwargs.gravity=-9.0"]),
    ],
)
def test_environments_are_found(environment: dict, expected: list[str], tmp_path: Path) -> None:
    folder = _folder(tmp_path, environment)
    words = with_folder([f"data={folder.path}"])
    assert [word for word in words if word.lstrip("+").startswith("env")] == expected


@pytest.mark.parametrize(
    ("environment", "own", "said"),
    [
        ({}, [], "it names no environment"),
        ({"id": "Foo-v0"}, ['++env.name="Foo-v0"'], "Foo-v0 is not registered with Gymnasium"),
        ({"option": "maze"}, ['++env.name="maze"'], "maze is no option of env here"),
    ],
)
def test_environments_that_nobody_can_run_are_left_out(
    environment: dict, own: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _folder(tmp_path, environment)
    words = with_folder([f"data={folder.path}"])
    assert [word for word in words if word.lstrip("+").startswith(("env", "model"))] == ["env=recorded", *own]
    assert capsys.readouterr().err.startswith(f"data={folder.path}: {said}; it is left out, so no policy is trained")


def test_an_environment_may_be_left_out_though_it_is_known(
    labelled: FeedbackFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    words = _values(with_folder([f"data={labelled.path}", "env=recorded"]))
    assert (words["env"], words["++env.name"]) == ("recorded", '"CartPole-v1"')
    assert capsys.readouterr().err == ""
    words = _values(with_folder([f"data={labelled.path}", "env=recorded", "env.name=mine"]))
    assert (words["env.name"], "++env.name" in words) == ("mine", False)


def test_options_may_be_in_another_directory(tmp_path: Path) -> None:
    folder = _folder(tmp_path, {"option": "maze"})
    assert "env=maze" in with_folder(["--config-dir", "mine", f"data={folder.path}"])


class TestVectorsAsActions:
    BOX = gymnasium.spaces.Box(-1, 1, (3,), np.float32)

    def test_a_reward_of_observations_is_learned(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        folder = _folder(tmp_path, {}, self.BOX)
        folder.add("preference", segments=[{"episode": 0, "start": 0, "stop": 2}] * 2, choice=1)
        words = _values(with_folder([f"data={folder.path}"]))
        assert (words["modality"], words["model.q"], words["model.reward_domain"]) == ("p", "learned", "s")
        assert "its demonstrations are left out; they need numbered actions" in capsys.readouterr().err

    def test_demonstrations_are_refused(self, tmp_path: Path):
        folder = _folder(tmp_path, {}, self.BOX)
        with pytest.raises(ConfigurationError, match=r"demonstrations need numbered actions, and its actions are vec"):
            with_folder([f"data={folder.path}"])
        with pytest.raises(ConfigurationError, match=r"modality=d: demonstrations need numbered actions, and those of"):
            with_folder([f"data={folder.path}", "modality=d"])


def _folder(
    path: Path,
    environment: dict,
    actions: gymnasium.Space = gymnasium.spaces.Discrete(2),  # noqa: B008
) -> FeedbackFolder:
    observations = gymnasium.spaces.Box(0, 1, (2,), np.float32)
    made = FeedbackFolder.create(path / "made", observations, actions, environment)
    taken = np.zeros((3, *(actions.shape or ())), actions.dtype)
    made.add_episode(np.zeros((4, 2), np.float32), taken)
    made.add("demonstration", episode=0)
    return made


def test_the_digest_is_of_what_is_in_a_folder(labelled: FeedbackFolder, tmp_path: Path) -> None:
    before = digest(labelled.path)
    moved = labelled.path.rename(tmp_path / "moved")
    assert digest(moved) == before
    FeedbackFolder.open(moved).add("demonstration", episode=0)
    assert digest(moved) != before
