"""A table of labels beside episodes: each type, and one clear line for what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mavrl.errors import ConfigurationError
from mavrl.importers import Imported, read
from mavrl.importers.base import LAST_STEP, NO_PLACE_INFOS
from mavrl.importers.table import GIVEN_UP

Arrays = dict[str, np.ndarray]
Write = Callable[[Arrays], Path]
STORED = Path(__file__).parent / "files" / "minari" / "cartpole" / "test-v0"
TABLE = """\
type,annotator,session,time,episode_0,start_0,stop_0,episode_1,start_1,stop_1,choice,value,low,high,step
preference,ann,s1,2026-01-02T03:04:05,0,0,2,1,1,4,1,,,,
preference,ann,,,0,,,2,,,equal,,,,
preference,bob,,,1,0,1,1,1,2,skip,,,,
rating,,,,1,0,3,,,,,4,1,5,
stop,,,,1,1,4,,,,,,,,2
stop,,,,1,1,4,,,,,,,,
demonstration,,,,2,,,,,,,,,,
demonstration,,,,1,1,3,,,,,,,,
"""


def _segment(episode: int, start: int, stop: int) -> dict[str, int]:
    return {"episode": episode, "start": start, "stop": stop}


LABELS: list[dict[str, Any]] = [
    {
        "type": "preference",
        "segments": [_segment(0, 0, 2), _segment(1, 1, 4)],
        "choice": 1,
        "annotator": "ann",
        "session": "s1",
        "time": "2026-01-02T03:04:05",
    },
    {"type": "preference", "segments": [_segment(0, 0, 3), _segment(2, 0, 2)], "choice": "equal", "annotator": "ann"},
    {"type": "preference", "segments": [_segment(1, 0, 1), _segment(1, 1, 2)], "choice": "skip", "annotator": "bob"},
    {"type": "rating", "segment": _segment(1, 0, 3), "value": 4, "scale": [1, 5]},
    {"type": "stop", "segment": _segment(1, 1, 4), "step": 2},
    {"type": "stop", "segment": _segment(1, 1, 4), "step": None},
    {"type": "demonstration", "episode": 2},
    {"type": "demonstration", "segment": _segment(1, 1, 3)},
]


@pytest.fixture
def imported(flat: Arrays, saved: Write, tmp_path: Path) -> Callable[..., Imported]:
    """Imports a table of the text of a CSV, about three episodes of 3, 4 and 2 steps."""

    def get(text: str) -> Imported:
        (tmp_path / "labels.csv").write_text(text)
        return read("table", tmp_path / "labels.csv", episodes=saved(flat), env_id="Walk-v0")

    return get


def test_labels_of_every_type(imported: Callable[..., Imported]) -> None:
    result = imported(TABLE)
    assert result.labels == LABELS
    assert len(list(result.episodes)) == 3
    assert result.environment == {"id": "Walk-v0", "kwargs": {}}
    assert result.left_out == {}


@pytest.mark.parametrize("typed", [False, True])
def test_a_parquet_file_says_the_same(typed: bool, flat: Arrays, saved: Write, tmp_path: Path) -> None:
    """With columns of texts, and with those of numbers and times."""
    table = pl.read_csv(TABLE.encode(), infer_schema=typed, try_parse_dates=typed)
    if typed:
        assert table.schema["episode_0"] == pl.Int64
        assert isinstance(table.schema["time"], pl.Datetime)
    table.write_parquet(tmp_path / "labels.parquet")
    assert read("table", tmp_path / "labels.parquet", episodes=saved(flat)).labels == LABELS


@pytest.mark.filterwarnings("ignore")
def test_labels_about_a_minari_dataset(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("type,episode_0,start_0,stop_0,value,low,high\nrating,1,0,12,2,0,10\n")
    result = read("table", tmp_path / "labels.csv", episodes=STORED)
    assert result.labels == [{"type": "rating", "segment": _segment(1, 0, 12), "value": 2, "scale": [0, 10]}]
    assert result.environment["id"] == "CartPole-v1"
    assert result.max_steps == 12
    assert result.left_out == {NO_PLACE_INFOS: 2}


def test_episodes_keep_the_numbers_that_they_had(flat: Arrays, saved: Write, tmp_path: Path) -> None:
    """The second of four episodes is of one step, which is given up: the third is then the second that is left."""
    del flat["next_observations"]
    flat["terminals"][3] = True
    rows = ["demonstration,0,,", "demonstration,1,,", "demonstration,2,,", "demonstration,2,0,2", "demonstration,2,0,3"]
    (tmp_path / "labels.csv").write_text("\n".join(["type,episode_0,start_0,stop_0", *rows]))
    result = read("table", tmp_path / "labels.csv", episodes=saved(flat))
    assert result.labels == [
        {"type": "demonstration", "episode": 0},
        {"type": "demonstration", "episode": 1},
        {"type": "demonstration", "segment": _segment(1, 0, 2)},
    ]
    assert result.left_out[GIVEN_UP] == 2
    assert result.left_out[LAST_STEP] == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type,colour\n", "column colour is none of type, annotator"),
        ("episode_0\n0\n", "row 1, type=: is wanted here"),
        ("type,episode_0\ncomment,0\n", "row 1, type=comment: must be one of preference, rating, stop, demonstration"),
        ("type,episode_0\nstop,0\nstop,3\n", "row 2, episode_0=3: must be a whole number from 0 to 2"),
        ("type,episode_0\nstop,0.5\n", "row 1, episode_0=0.5: must be a whole number from 0 to 2"),
        ("type,episode_0\nstop,first\n", "row 1, episode_0=first: must be a number"),
        ("type,episode_0,start_0\nstop,0,3\n", "row 1, start_0=3: must be a whole number from 0 to 2"),
        ("type,episode_0,start_0,stop_0\nstop,0,2,2\n", "row 1, stop_0=2: must be a whole number from 3 to 3"),
        ("type,episode_0,stop_0,step\nstop,0,2,2\n", "row 1, step=2: must be a whole number from 0 to 1"),
        ("type,episode_0,value,low,high\nrating,0,6,1,5\n", "row 1, value=6: must be from 1 to 5"),
        ("type,episode_0,value,low,high\nrating,0,6,5,5\n", "row 1, high=5: must be more than low, 5"),
        ("type,episode_0,value,low,high\nrating,0,nan,1,5\n", "row 1, value=nan: must be a finite number"),
        ("type,episode_0,value\nrating,0,6\n", "row 1, low=: is wanted here"),
        ("type,episode_0,episode_1,choice\npreference,0,1,2\n", "row 1, choice=2: must be one of 0, 1, equal, skip"),
        ("type,episode_0,choice\npreference,0,1\n", "row 1, episode_1=: is wanted here"),
        ("type,episode_0,choice\nstop,0,1\n", "row 1, choice=1: is not used by a stop; leave it empty"),
        ("type,episode_0\nstop,0,7\n", "cannot be read; "),
    ],
)
def test_what_is_wrong_is_said_with_file_row_and_column(
    text: str, message: str, imported: Callable[..., Imported], tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        imported(text)
    assert str(raised.value).startswith(f"path={tmp_path / 'labels.csv'}: {message}")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["labels.xlsx", "missing.csv", "missing.parquet"])
def test_other_files_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"^path={tmp_path / name}: (must be a|cannot be read)"):
        read("table", tmp_path / name, episodes="x.npz")
