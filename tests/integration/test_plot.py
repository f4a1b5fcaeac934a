"""task=plot: figures are drawn from files, at any time."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.integration

CART = (
    "env=cartpole_v1", "modality=p", "env.max_steps=40", "policy.total_steps=512", "policy.n_envs=4",
    "policy.n_steps=32", "policy.batch_size=64", "policy.n_epochs=2", "policy.parts=2", "policy.hidden_sizes=[8]",
    "policy.evaluation_episodes=4", "members=2", "model.hidden_sizes=[8]", "evaluation.episodes=8",
    "env.feedback.segment_len=8", "env.feedback.n_episodes=16", "feedback.preference.n_samples=6",
    "trainer.max_epochs=2", "trainer.least_steps=2", "replicates=1", "figures=none",
)  # fmt: skip


def _plot(app: Any, *words: str) -> list[str]:
    found = app("task=plot", *words, tiny=False)
    assert found.status == 0, found.err
    assert found.err == ""
    *paths, folder = found.out.splitlines()
    assert all((app.directory / path).stat().st_size > 1000 for path in paths)
    assert {Path(path).parent for path in paths} == {Path(folder)}
    return [Path(path).name for path in paths]


def test_a_run_and_what_it_lacks_is_looked_for_again(app: Any) -> None:
    run = app("modality=pr", "figures=none").run
    assert not (run / "figures").exists()
    (run / "shown.safetensors").unlink()
    metrics = (run / "metrics.json").read_bytes()
    names = _plot(app, f"run_dir={run}")
    assert names[0] == "rewards.png"
    assert {"occupancy.pdf", "reliability.png", "segment_returns.png", "losses.png", "value.png"} <= set(names)
    assert (run / "metrics.json").read_bytes() == metrics


def test_a_control_run_has_a_clip(app: Any) -> None:
    run = app(*CART, tiny=False).run
    names = _plot(app, f"run_dir={run}")
    assert {"training.png", "reward_slices.png", "policy.gif"} <= set(names)
    with Image.open(run / "figures" / "policy.gif") as clip:
        assert clip.size[0] == 320


def test_a_sweep(app: Any) -> None:
    assert app("-m", "modality=p,s", "feedback.preference.n_samples=4,8", "feedback.stop.n_samples=4,8").status == 0
    status = app("task=status", tiny=False).out
    (sweep,) = {word for line in status.splitlines() for word in line.split()[:1] if word[:1] == "s" and len(word) == 8}
    names = _plot(app, f"task.sweep={sweep}")
    expected = {"budgets_grid_trap", "rewards_grid_trap"}
    assert expected <= {Path(name).stem for name in names}
    assert _plot(app, f"task.sweep={sweep}", "task.output=mine") == names
    refused = app("task=plot", f"task.sweep={sweep}", "env=grid_cliff", tiny=False)
    assert refused.status == 2
    assert "no completed run" in refused.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "task=plot: draws one of run_dir=..., study=..., task.sweep=...; nothing is given"),
        (("run_dir=x", "study=y"), "run_dir and study is given"),
        (("run_dir=nowhere",), "run_dir=nowhere: must be the directory of a finished run"),
        (("task.sweep=s1234567",), "task.sweep=s1234567: no such sweep in"),
        (("study=none",), "study=none: there is no such study"),
        (("run_dir=x", "task.output=y"), "task.output=y: is of a sweep"),
        (("figures=most",), "figures=most: must be one of auto, all, one, none"),
    ],
)
def test_what_cannot_be_drawn_is_a_line(app: Any, words: tuple[str, ...], said: str) -> None:
    refused = app("task=plot", *words, tiny=False)
    assert refused.status == 2
    assert said in refused.err
    assert len(refused.err.splitlines()) == 1
