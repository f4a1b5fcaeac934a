"""Runs made by hand, as `task=train` leaves them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run below tmp_path / "runs"; values of metrics are lists, one number for each replicate."""

    def make(
        name: str = "grid_trap/pd/aaa",
        state: str = "completed",
        *,
        values: dict[str, list[float]] | None = None,
        config: dict[str, Any] | None = None,
        **status: Any,
    ) -> Path:
        directory = tmp_path / "runs" / name
        directory.mkdir(parents=True)
        (directory / ".lock").touch()
        env, modality = name.split("/")[-3:-1]
        plain = {"seed": 0, "replicates": 2, "optim": {"lr": 0.01}, "choices": {"env": env, "modality": modality}}
        (directory / "config.json").write_text(json.dumps({**plain, **(config or {})}))
        (directory / "status.json").write_text(json.dumps({"state": state, **status}))
        if values is not None:
            mean = {key: sum(x) / len(x) for key, x in values.items()}
            metrics = {"env": env, "modality": modality, "final": values, "mean": mean}
            metrics["stderr"] = {key: 0.5 for key, x in values.items() if len(x) > 1}
            (directory / "metrics.json").write_text(json.dumps(metrics))
        return directory

    return make
