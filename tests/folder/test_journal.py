"""feedback.jsonl: whole lines, whatever happens to those who write."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mavrl.folder.faults import FolderFault
from mavrl.folder.journal import FEEDBACK, append, read

LINES = [{"id": "a", "text": "ü\n"}, {"id": "b", "number": 1.5}, {"id": "c"}]


def test_lines_come_back(tmp_path: Path) -> None:
    append(tmp_path, LINES[:1])
    append(tmp_path, LINES[1:])
    assert list(read(tmp_path)) == [(1, LINES[0]), (2, LINES[1]), (3, LINES[2])]


def test_whatever_a_kill_leaves_of_a_line_is_no_line_and_harms_none(tmp_path: Path) -> None:
    append(tmp_path, LINES)
    whole = (tmp_path / FEEDBACK).read_bytes()
    begin = whole.rindex(b"\n", 0, -1) + 1
    for end in range(begin, len(whole) + 1):
        (tmp_path / FEEDBACK).write_bytes(whole[:end])
        expected = LINES if end >= len(whole) - 1 else LINES[:2]  # all but its line feed is the whole line
        assert [line for _, line in read(tmp_path)] == expected
        append(tmp_path, [{"id": "d"}])
        assert [line for _, line in read(tmp_path)] == [*expected, {"id": "d"}]
        assert (tmp_path / FEEDBACK).read_bytes().startswith(whole[:begin])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"id": "a"\n{"id": "b"}\n', "feedback.jsonl, line 1: is no JSON"),
        (b'{"id": "a"}\n\n{"id": "b"}\n', "line 2: is empty"),
        (b'{"id": "\xff"}\n', "line 1: is no UTF-8"),
        (b'{"id": NaN}\n', "NaN is no number of JSON"),
        (b'{"id": 1, "id": 2}\n', "id stands twice"),
    ],
)
def test_a_line_that_is_torn_within_the_file_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / FEEDBACK).write_bytes(content)
    with pytest.raises(FolderFault, match=said):
        list(read(tmp_path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderFault, match=r"feedback\.jsonl: is missing"):
        list(read(tmp_path))


_WRITER = """
import sys, time
from pathlib import Path
from mavrl.folder.journal import append
name = sys.argv[2]
for k in range(100000):
    append(Path(sys.argv[1]), [{"id": f"{name}{k}", "text": "x" * (k % 300)}])
    print(k, flush=True)
    time.sleep(0.001)  # for whoever waits for the lock
"""


@pytest.mark.slow
def test_several_writers_and_a_kill_lose_no_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*command, name], stdout=subprocess.PIPE) for name in "abc"]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        time.sleep(0.5)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
    found = [line["id"] for _, line in read(tmp_path)]
    for name in "abc":
        own = [each for each in found if each[0] == name]
        assert own == [f"{name}{k}" for k in range(len(own))]
        assert own
    for line in (tmp_path / FEEDBACK).read_bytes().split(b"\n")[:-1]:
        json.loads(line)
