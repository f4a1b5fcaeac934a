"""Journals that writers were killed in, and places that cannot be a storage."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from mavrl.errors import StorageError
from mavrl.search.storage import MendingJournal, open_storage

optuna.logging.set_verbosity(optuna.logging.WARNING)


def study(place: str, create: bool = False) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=open_storage(place, create), load_if_exists=True)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_that_was_cut_off_is_dropped_and_the_journal_goes_on(tmp_path: Path, cut: int) -> None:
    place = str(tmp_path / "journal.log")
    first = study(place, create=True)
    first.tell(first.ask(), 1.0)
    whole = Path(place).read_bytes()
    first.tell(first.ask(), 2.0)
    torn = Path(place).read_bytes()[:-cut]
    Path(place).write_bytes(torn)
    again = study(place)
    again.tell(again.ask(), 3.0)
    values = [trial.value for trial in study(place).get_trials()]
    assert values[0] == 1.0
    assert values[-1] == 3.0
    kept = torn[: torn.rfind(b"\n") + 1]
    assert Path(place).read_bytes().startswith(kept)
    assert kept.startswith(whole)


def test_a_long_torn_line_is_dropped_whole(tmp_path: Path) -> None:
    place = tmp_path / "journal.log"
    study(str(place), create=True)
    before = place.read_bytes()
    place.write_bytes(before + b'{"op_code": 8, "user_attr": "' + b"x" * 10_000)
    again = study(str(place))
    again.tell(again.ask(), 3.0)
    assert place.read_bytes().startswith(before + b"{")
    assert b"xxx" not in place.read_bytes()


def test_two_writers_see_each_other(tmp_path: Path) -> None:
    place = str(tmp_path / "journal.log")
    one, other = study(place, create=True), study(place)
    one.tell(one.ask(), 1.0)
    other.tell(other.ask(), 2.0)
    assert [trial.value for trial in one.get_trials()] == [1.0, 2.0]


def test_a_database_by_its_address(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path / 'studies.db'}"
    first = study(place)
    first.tell(first.ask(), 1.0)
    assert [trial.value for trial in study(place).get_trials()] == [1.0]


@pytest.mark.parametrize(
    ("place", "said"),
    [("nowhere/journal.log", "no such study"), ("nosuch://x", "nosuch"), ("sqlite:////no/such/folder/x.db", "unable")],
)
def test_what_cannot_be_opened_is_one_line(tmp_path: Path, place: str, said: str) -> None:
    with pytest.raises(StorageError, match=said) as caught:
        open_storage(place if "://" in place else str(tmp_path / place))
    assert "\n" not in str(caught.value)


def test_a_driver_that_is_missing_names_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StorageError, match=r'pip install "mavrl\[postgres\]"') as caught:
        open_storage("postgresql://nobody@localhost/studies")
    assert "\n" not in str(caught.value)


def test_looking_for_a_study_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        open_storage(str(tmp_path / "x" / "journal.log"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        open_storage(str(tmp_path / "file" / "x" / "journal.log"), create=True)


def _written(place: Path, trials: int) -> list[bytes]:
    """The lines of a journal with so many finished trials."""
    first = study(str(place), create=True)
    for value in range(trials):
        first.tell(first.ask(), value)
    return place.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    "garbage", ["garbage", "[]", "3", "null", "{}", '{"op_code": "4", "worker_id": "a"}', "\x00\xff"]
)
@pytest.mark.parametrize("from_end", [0, 1, 3])
def test_a_damaged_line_is_named_and_the_lines_before_it_are_a_journal(
    garbage: str, from_end: int, tmp_path: Path
) -> None:
    place = tmp_path / "a journal.log"
    lines = _written(place, 3)
    at = len(lines) - from_end
    place.write_bytes(b"".join([*lines[:at], garbage.encode("latin-1") + b"\n", *lines[at:]]))
    damaged = place.read_bytes()
    with pytest.raises(StorageError) as caught:
        open_storage(str(place))
    said = str(caught.value)
    assert said.startswith(f"{place}: line {at + 1} is damaged; ")
    assert "\n" not in said
    assert place.read_bytes() == damaged
    subprocess.run(said.split("`")[1], shell=True, check=True)  # what the message says
    assert place.read_bytes() == b"".join(lines[:at])
    again = study(str(place))
    again.tell(again.ask(), 3.0)
    assert again.trials[-1].value == 3.0


def test_a_line_that_is_damaged_meanwhile_is_named_too(tmp_path: Path) -> None:
    place = tmp_path / "journal.log"
    opened = study(str(place), create=True)
    number = len(place.read_bytes().splitlines())
    with place.open("a") as journal:
        journal.write("garbage\n")
    with pytest.raises(StorageError, match=rf"line {number + 1} is damaged"):
        opened.ask()


def test_a_full_disk_names_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "journal.log"
    opened = study(str(place), create=True)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=rf"{place}: No space left on device"):
        opened.ask()


def test_only_what_is_new_is_read_again(tmp_path: Path) -> None:
    place = tmp_path / "journal.log"
    number = len(_written(place, 2))
    journal = MendingJournal(place)
    assert len(list(journal.read_logs(0))) == number
    assert list(journal.read_logs(number)) == []
    _written(place, 1)
    assert len(list(journal.read_logs(number))) == len(place.read_bytes().splitlines()) - number
    assert len(list(journal.read_logs(3))) == len(place.read_bytes().splitlines()) - 3
