"""docs/first-labels.md works as it stands there: its commands and its script, one after the other."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from mavrl import FeedbackFolder
from tests.fixtures.pages import DOCS, blocks

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PAGE = (DOCS / "first-labels.md").read_text()
COMMANDS = [block.text.removeprefix("python run.py ") for block in blocks("first-labels.md", "command")]
FILES = {block.name: block.text for block in blocks("first-labels.md", "file")}
QUICK = (
    "trainer.max_epochs=2", "policy.total_steps=1024", "policy.n_envs=4", "policy.updates=4", "model.hidden_sizes=[8]",
)  # fmt: skip


def test_the_page(make_app: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Recorded episodes and labels are those of the page, number by number; a quick training stands for its own."""
    app = make_app(tmp_path, ())
    *recording, learning, watching = COMMANDS
    for command in recording:
        recorded = app(*command.split())
        assert recorded.status == 0, recorded.err
        assert recorded.out.splitlines()[0] in PAGE

    (tmp_path / "label.py").write_text(FILES["label.py"])
    monkeypatch.chdir(tmp_path)
    runpy.run_path("label.py")
    assert capsys.readouterr().out.strip() in PAGE
    labels = FeedbackFolder.open("labels").labels()
    choices = [label.answer for label in labels if label.type == "preference"]
    assert 20 < sum(choices) < 40  # type: ignore[arg-type]

    learned = app(*learning.split(), *QUICK)
    assert learned.status == 0, learned.err
    assert "feedback: 60 preference, 3 demonstration" in learned.out
    assert "feedback: 60 preference, 3 demonstration" in PAGE
    assert learned.run.parts[-4:-1] == ("runs", "cartpole_v1", "pd")
    assert (learned.run / "figures" / "training.png").exists()

    watched = app(*watching.replace("runs/cartpole_v1/pd/<hash>", str(learned.run)).split())
    assert watched.status == 0, watched.err
    assert watched.out.splitlines()[1:] == ["videos/0.mp4 to videos/1.mp4", "learned"]
    assert FeedbackFolder.open("learned").video(1) is not None
