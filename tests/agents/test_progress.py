"""How far policies are that train elsewhere."""

from pathlib import Path

from mavrl.agents.progress import curves_read
from mavrl.progress import Count


def _row(directory: Path, *returns: float) -> None:
    directory.mkdir(exist_ok=True)
    rows = [f"{100 * k},{value},1.0" for k, value in enumerate(returns, 1)]
    (directory / "curve.csv").write_text("\n".join(["step,true_return,seconds", *rows]) + "\n")


def test_it_counts_the_rows_of_all_curves(tmp_path: Path) -> None:
    directories = [tmp_path / name for name in ("0", "1", "2")]
    look, count = curves_read(directories), Count(total=12)
    look(count)
    assert (count.done, count.facts) == (0, {})
    _row(directories[0], 10.0, 20.0)
    _row(directories[1], 40.0)
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "curve.csv").touch()
    look(count)
    assert (count.done, count.facts) == (3, {"true_return": 30.0})
