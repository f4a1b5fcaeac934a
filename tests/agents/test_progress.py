"""The bar over policies that train elsewhere."""

from pathlib import Path
from typing import Any

import pytest

from mavrl.agents import progress
from mavrl.agents.progress import policy_progress
from mavrl.waiting import is_watched


def _row(directory: Path, *returns: float) -> None:
    directory.mkdir(exist_ok=True)
    rows = [f"{100 * k},{value},1.0" for k, value in enumerate(returns, 1)]
    (directory / "curve.csv").write_text("\n".join(["step,true_return,seconds", *rows]) + "\n")


def test_it_counts_the_rows_of_all_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0.01)
    directories = [tmp_path / name for name in ("0", "1", "2")]
    with policy_progress(True, directories, 12):
        _row(directories[0], 10.0, 20.0)
        _row(directories[1], 40.0)
        (tmp_path / "2").mkdir()
        (tmp_path / "2" / "curve.csv").touch()
    output = capsys.readouterr()
    assert output.out == ""
    last = output.err.replace("\n", "\r").strip("\r").split("\r")[-1]
    assert "acting" in last
    assert "3/12" in last
    assert "true_return=30" in last


def test_it_begins_where_a_resumed_training_does(tmp_path: Path, capsys: Any) -> None:
    _row(tmp_path / "0", 1.0, 2.0, 3.0)
    with policy_progress(True, [tmp_path / "0"], 4):
        pass
    assert "3/4" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", [False, "auto"])
def test_none_where_none_is_wanted(wanted: Any, tmp_path: Path, capsys: Any) -> None:
    assert not is_watched(wanted)  # the error stream of a test is no terminal
    with policy_progress(wanted, [tmp_path], 3):
        pass
    assert capsys.readouterr().err == ""


def test_an_error_passes_through(tmp_path: Path) -> None:
    with pytest.raises(KeyError), policy_progress(True, [tmp_path], 3):
        raise KeyError
