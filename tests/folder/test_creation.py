"""New folders, whole or not at all."""

from pathlib import Path

import pytest

from mavrl.errors import ConfigurationError
from mavrl.folder.creation import check_new, creating


def test_a_folder_has_its_name_once_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "a" / "new"
    with creating(place) as new:
        new.mkdir()
        (new / "file").write_text("x", encoding="utf-8")
        assert not place.exists()
    assert [path.name for path in place.parent.rglob("*")] == ["new", "file"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with creating(tmp_path / "new") as new:
            new.mkdir()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_something_is_is_refused(tmp_path: Path) -> None:
    check_new(tmp_path / "new")
    check_new(tmp_path)
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(ConfigurationError, match="is there and not empty"):
            check_new(place)
