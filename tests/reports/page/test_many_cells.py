"""A page of 66 cells stays small."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mavrl.reports.page.runs import runs_page
from mavrl.reports.page.writing import page_html
from mavrl.storage.index import find_runs

SUBSETS = ("p", "d", "r", "s", "pd", "pr", "ps", "dr", "ds", "rs", "pdrs")


def test_pictures_of_66_cells_fit_into_10_megabytes(make_run: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 120, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((1056, 539), Image.Resampling.NEAREST)  # more in it than any figure has
    picture.save(tmp_path / "picture.png", compress_level=1)
    for env in ("grid_trap", "grid_cliff", "grid_sparse", "cartpole_v1", "acrobot_v1", "lunar_lander_v3"):
        for subset in SUBSETS:
            directory = make_run(f"{env}/{subset}/aaa", values={"normalized_return": [90.0, 95.0, 93.0]})
            (directory / "figures").mkdir()
            shutil.copy(tmp_path / "picture.png", directory / "figures/rewards.png")
    root = tmp_path / "runs"
    page = runs_page("all runs", find_runs(root), [], root, root, "made today")
    html = page_html(page)
    assert html.count("<img") == 66
    assert len(html) < 10e6
