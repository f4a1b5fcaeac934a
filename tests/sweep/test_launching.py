"""How many runs of a launch have ended, read from their directories."""

from pathlib import Path

from mavrl.progress import Count
from mavrl.storage.files import write_json
from mavrl.sweep.launching import _runs_ended


def _state(directory: Path, state: str, ended: str = "2026-01-01T00:00:00+00:00") -> None:
    directory.mkdir(exist_ok=True)
    times = {"started": "2026-01-01T00:00:00+00:00", **({} if state == "running" else {"ended": ended})}
    write_json(directory / "status.json", {"state": state, "host": "here", "config_hash": "0", **times})


def test_runs_are_counted_as_they_end(tmp_path: Path) -> None:
    directories = [tmp_path / name for name in "abc"]
    _state(directories[1], "completed")  # before, and is repeated
    look, count = _runs_ended(directories), Count(total=3)
    found = []
    for state, which, ended in (
        ("running", 0, ""),
        ("completed", 0, "2026-01-01T00:01:00+00:00"),
        ("running", 1, ""),
        ("failed", 1, "2026-01-01T00:02:00+00:00"),
        ("completed", 2, "2026-01-01T00:03:00+00:00"),
    ):
        _state(directories[which], state, ended)
        look(count)
        found.append(count.done)
    assert found == [0, 1, 1, 2, 3]
