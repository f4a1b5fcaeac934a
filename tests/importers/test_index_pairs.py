"""Index pairs, with real labels of people and with made ones of which each segment is known."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mavrl.errors import ConfigurationError
from mavrl.importers import read
from mavrl.importers.base import LAST_STEP
from mavrl.importers.index_pairs import CROSSES, GIVEN_UP, UNKNOWN

FILES = Path(__file__).parent / "files" / "index_pairs"
HOPPER = FILES / "hopper-medium-replay-v2"
Arrays = dict[str, np.ndarray]
Write = Callable[[Arrays], Path]


def _pickled(folder: Path, first: Any, second: Any, labels: Any, names: tuple[str, str, str] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    names = names or ("indices_num4_q2", "indices_2_num4_q2", "label_human")
    for name, value in zip(names, (first, second, labels), strict=True):
        (folder / name).write_bytes(pickle.dumps(value))
    return folder


def _long(rows: int, every: int) -> Arrays:
    """Arrays of so many rows, in which each episode of `every` rows is cut off by a time limit."""
    numbers = np.arange(rows, dtype=np.float32)
    return {
        "observations": numbers[:, None],
        "next_observations": numbers[:, None] + 0.5 + 0.5 * ((numbers[:, None] + 1) % every != 0),
        "actions": np.zeros((rows, 1), dtype=np.float32),
        "terminals": np.zeros(rows, dtype=bool),
        "timeouts": (np.arange(rows) + 1) % every == 0,
    }


def test_segments_and_choices_of_queries(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    """Episodes are rows 0-2, 3-6, 7-8; row 6, a time limit, is not counted: index 6 is row 7."""
    folder = _pickled(tmp_path / "labels", np.array([0, 3, 6]), np.array([4, 1, 0]), [0, 1, -1])
    imported = read("index_pairs", folder, episodes=saved(flat), env_id="Walk-v0")
    one = {"episode": 0, "start": 0, "stop": 2}
    assert imported.labels == [
        {"type": "preference", "segments": [one, {"episode": 1, "start": 1, "stop": 3}], "choice": 0},
        {
            "type": "preference",
            "segments": [{"episode": 1, "start": 0, "stop": 2}, {"episode": 0, "start": 1, "stop": 3}],
            "choice": 1,
        },
        {"type": "preference", "segments": [{"episode": 2, "start": 0, "stop": 2}, one], "choice": "equal"},
    ]
    assert imported.left_out == {}
    assert len(list(imported.episodes)) == 3
    assert imported.environment == {"id": "Walk-v0", "kwargs": {}}


def test_all_rows_are_counted_if_so_said(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    folder = _pickled(tmp_path / "labels", [5], [7], [1])
    (label,) = read("index_pairs", folder, episodes=saved(flat), rows="all").labels
    assert label["segments"] == [{"episode": 1, "start": 2, "stop": 4}, {"episode": 2, "start": 0, "stop": 2}]


def test_a_segment_across_the_end_of_an_episode_is_left_out(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    folder = _pickled(tmp_path / "labels", [2, 0, 0], [0, 2, 5], [0, 1, 1])
    imported = read("index_pairs", folder, episodes=saved(flat))
    assert imported.labels == []
    assert imported.left_out == {CROSSES: 3}


def test_a_segment_with_a_step_that_was_given_up_is_left_out(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    del flat["next_observations"]
    folder = _pickled(tmp_path / "labels", [0, 0], [1, 3], [0, 1])
    imported = read("index_pairs", folder, episodes=saved(flat))
    assert [label["segments"][1] for label in imported.labels] == [{"episode": 1, "start": 0, "stop": 2}]
    assert imported.left_out == {LAST_STEP: 3, GIVEN_UP: 1}


def test_answers_as_weights_and_of_a_script(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    end = "domain_mujoco_env_walk_num_3_len_2_00ff.pkl"
    names = (f"indices_1_{end}", f"indices_2_{end}", f"fake_label_{end}")
    weights = np.array([[1, 0], [0, 1], [0.5, 0.5], [0, 0]])
    starts = np.zeros(4, dtype=np.int32)
    folder = _pickled(tmp_path / "labels", starts, starts + 3, weights, names)
    imported = read("index_pairs", folder, episodes=saved(flat))
    assert [(label["choice"], label["annotator"]) for label in imported.labels] == [
        (0, "script"),
        (1, "script"),
        ("equal", "script"),
    ]
    assert imported.left_out == {UNKNOWN.format("0 0"): 1}


def test_an_answer_of_unknown_meaning_is_counted(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    folder = _pickled(tmp_path / "labels", [0, 0, 0], [3, 3, 3], [2, 0, 2])
    imported = read("index_pairs", folder, episodes=saved(flat))
    assert [label["choice"] for label in imported.labels] == [0]
    assert imported.left_out == {UNKNOWN.format("2"): 2}


def test_real_labels_with_a_length_in_the_name(saved: Write) -> None:
    imported = read("index_pairs", FILES / "Can_ph", episodes=saved(_long(24_000, 24_000)))
    assert len(imported.labels) == 100
    assert [label["choice"] for label in imported.labels] == _choices(FILES / "Can_ph")
    starts = np.array([[segment["start"] for segment in label["segments"]] for label in imported.labels])
    assert (starts.min(), starts.max()) == (2, 22_729)
    assert {s["stop"] - s["start"] for label in imported.labels for s in label["segments"]} == {50}


def test_real_labels_count_rows_without_those_of_time_limits(saved: Write) -> None:
    """With a time limit at every 1000th row, as in replays that were collected in rounds of 1000 steps.

    No segment of the 1000 crosses one: the labels themselves say how they count. Counted in all rows, many would.
    """
    arrays = saved(_long(402_000, 1000))
    imported = read("index_pairs", HOPPER, episodes=arrays, length=100)
    assert imported.left_out == {}
    assert [label["choice"] for label in imported.labels] == _choices(HOPPER)
    for at, name in enumerate(("indices_num500", "indices_2_num500")):
        starts = np.asarray(pickle.loads((HOPPER / name).read_bytes()))
        segments = [label["segments"][at] for label in imported.labels]
        assert [segment["episode"] for segment in segments] == (starts // 999).tolist()
        assert [segment["start"] for segment in segments] == (starts % 999).tolist()
    assert read("index_pairs", HOPPER, episodes=arrays, length=100, rows="all").left_out[CROSSES] > 50


def test_queries_that_cross_an_end_are_counted_and_the_others_kept(saved: Write) -> None:
    """With a time limit at every 500th row, index i is step i % 499 of its episode."""
    imported = read("index_pairs", HOPPER, episodes=saved(_long(403_000, 500)), length=100)
    starts = [np.asarray(pickle.loads((HOPPER / f"indices_{n}num500").read_bytes())) for n in ("", "2_")]
    whole = np.all([each % 499 <= 399 for each in starts], axis=0)
    assert 0 < whole.sum() < 500
    assert imported.left_out == {CROSSES: int((~whole).sum())}
    answers = _choices(HOPPER)
    assert [label["choice"] for label in imported.labels] == [answers[query] for query in np.flatnonzero(whole)]


def _choices(folder: Path) -> list[int | str]:
    answers = pickle.loads((folder / "label_human").read_bytes())
    return [{0: 0, 1: 1, -1: "equal"}[answer] for answer in answers]


def test_a_pickle_that_would_run_code_does_not(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path / 'witness'}",)

    folder = _pickled(tmp_path / "labels", [0], [3], Attack())
    with pytest.raises(ConfigurationError, match=r"label_human: wants to load (posix|os)\.system"):
        read("index_pairs", folder, episodes=saved(flat))
    assert not (tmp_path / "witness").exists()


def test_indices_beyond_the_arrays_show_that_they_are_others(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    folder = _pickled(tmp_path / "labels", [0, 0], [3, 7], [0, 1])
    path = saved(flat)
    message = r"its 8 rows do not hold query 1 \(from 0\), 2 rows from \[0, 7\]; were the labels given for other arrays"
    with pytest.raises(ConfigurationError, match=message) as raised:
        read("index_pairs", folder, episodes=path)
    assert str(raised.value).startswith(f"episodes={path}: ")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (([0], [3], [0, 1]), r"label_human: holds 2 answers, but there are 1 queries"),
        (([0, 1], [3], [0, 1]), r"labels: holds 2 and 1 indices"),
        (([0.5], [3], [0]), r"indices_num4_q2: holds numbers of shape \(1,\); one whole number a query is wanted"),
        (([0], ["x"], [0]), r"indices_2_num4_q2: does not hold numbers alone"),
        (([0], 3, [0]), r"indices_2_num4_q2: holds one number"),
    ],
)
def test_pickles_that_do_not_go_together(values: Any, message: str, flat: Arrays, saved: Write, tmp_path: Path) -> None:
    folder = _pickled(tmp_path / "labels", *values)
    with pytest.raises(ConfigurationError, match=message) as raised:
        read("index_pairs", folder, episodes=saved(flat))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"^length=null: the names of the pickles do not tell"),
        ({"length": 0}, r"^length=0: must be 1 or more"),
        ({"length": 2, "rows": "some"}, r"^rows=some: must be transitions or all"),
    ],
)
def test_options_are_checked(options: dict, message: str, flat: Arrays, saved: Write, tmp_path: Path) -> None:
    names = ("indices_num1", "indices_2_num1", "label_human")
    folder = _pickled(tmp_path / "labels", [0], [3], [0], names)
    with pytest.raises(ConfigurationError, match=message):
        read("index_pairs", folder, episodes=saved(flat), **options)


def test_a_length_must_be_that_in_the_name(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    folder = _pickled(tmp_path / "labels", [0], [3], [0])
    with pytest.raises(ConfigurationError, match="length=3: must be 2, as a name says"):
        read("index_pairs", folder, episodes=saved(flat), length=3)


def test_a_folder_holds_one_set_of_pickles(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    folder = _pickled(tmp_path / "labels", [0], [3], [0])
    shutil.copy(folder / "label_human", folder / "label_dummy")
    read("index_pairs", folder, episodes=saved(flat))
    shutil.copy(folder / "label_human", folder / "human_label_again.pkl")
    with pytest.raises(
        ConfigurationError, match=r"must hold one file label_human.*; there is human_label_again\.pkl, l"
    ):
        read("index_pairs", folder, episodes=saved(flat))
    with pytest.raises(ConfigurationError, match=r"must be a folder that holds indices_\*, indices_2_\*"):
        read("index_pairs", folder / "label_human", episodes=saved(flat))
