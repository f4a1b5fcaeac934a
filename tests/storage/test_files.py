"""Files are whole or absent."""

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mavrl.errors import StorageError
from mavrl.storage import files
from mavrl.storage.files import (
    checksum,
    naming,
    open_log,
    read_checked,
    read_json,
    replacing,
    touch,
    write_checked,
    write_json,
    write_text,
)


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_content_appears_under_its_name_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "hello")
    assert path.read_text() == "hello"
    assert _names(path.parent) == ["a.txt"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444


def test_a_failing_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def half() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(files.os, call, _full)
    with pytest.raises(StorageError, match=r"a\.txt: No space left on device"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a.txt"]


def test_a_full_disk_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", _full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_text(tmp_path / "a.txt", "new")
    assert _names(tmp_path) == []


def test_a_directory_below_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Not a directory|File exists"):
        write_text(tmp_path / "file" / "a.txt", "new")


def test_a_directory_without_permission_is_a_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:  # as the system does, except to root
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        write_text(tmp_path / "a.txt", "new")
    assert _names(tmp_path) == []


def test_json_makes_the_round_trip(tmp_path: Path) -> None:
    value = {"a": [1, 2.5, "é", None, True], "b": {"c": 1e-300}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text().endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_json_refuses_what_is_not_json(value: float, tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"mean": [1.0, value]})
    assert read_json(tmp_path / "a.json") == 1


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_damaged_json_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    assert read_json(tmp_path / "a.json") is None
    assert read_json(tmp_path / "b.json") is None


def test_binary_files_are_read_with_their_checksum(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, content = tmp_path / "a.bin", bytes(range(256))
    written = write_checked(path, content)
    assert written == hashlib.sha256(content).hexdigest() == checksum(content)
    assert read_checked(path, written) == content
    for place in (0, 100, 255):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(StorageError, match=r"a\.bin: damaged, its checksum is not the one in its description"):
            read_checked(path, written)
    assert caplog.text == ""
    assert len(read_checked(path, None)) == 256
    assert "no checksum" in caplog.text
    with pytest.raises(StorageError, match=r"b\.bin: No such file"):
        read_checked(tmp_path / "b.bin", written)


def test_a_path_is_named_where_the_system_names_none(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"journal\.log: No space left on device"), naming("journal.log"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(StorageError, match=r"other: Permission denied"), naming("journal.log"):
        raise PermissionError(errno.EACCES, "Permission denied", "other")


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    for opening in (touch, open_log):
        with pytest.raises(StorageError, match="link: is a symbolic link, which is not followed"):
            opening(link)
    assert not target.exists()
    touch(target)
    touch(target)
    for text in (b"one", b"two"):
        with open(open_log(target), "ab") as log:
            log.write(text)
    assert target.read_bytes() == b"onetwo"


def test_text_is_utf8_whatever_the_locale_says(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mavrl.storage.files import *\n"
        "write_json(Path(sys.argv[1], 'a.json'), {'a': chr(177)}); write_text(Path(sys.argv[1], 'a.txt'), chr(177))\n"
        "assert read_json(Path(sys.argv[1], 'a.json')) == {'a': chr(177)}"
    )
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, env=plain, cwd=Path(__file__).parents[2])
    assert (tmp_path / "a.txt").read_bytes() == "\u00b1".encode()
