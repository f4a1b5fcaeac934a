"""Quality on the published cells: 6 environments x 11 subsets of feedback.

    python benchmarks/quality.py                                   the 3 grids, default setting, seeds 500 to 519
    python benchmarks/quality.py --envs cartpole_v1 --seeds 500-504
                                                                   a control environment (minutes for each cell)
    python benchmarks/quality.py env.termination=neutral           any configuration override
    python benchmarks/quality.py --published --cells grid_trap:pdrs,grid_cliff:ds
                                                                   the reference protocol with the published settings

Prints one JSON line a cell (normalized return and EPIC distance with standard errors, seconds, the published figures)
and a summary line.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
REPORTED = ("epic_distance", "coverage_90", "spearman", "mean_return", "regret")
GRIDS = ("grid_trap", "grid_cliff", "grid_sparse")
NO_CACHE = {grid: ["paths.cache=null"] for grid in GRIDS}  # simulated in milliseconds; the others take minutes
SUBSETS = ("pdrs", "rs", "ds", "ps", "s", "dr", "pd", "d", "pr", "p", "r")  # slow ones first, to share the work evenly


def run_cell(env: str, modality: str, overrides: list[str], published: bool) -> dict[str, Any]:
    """Learn and evaluate one cell in this process, in a directory that is thrown away."""
    import torch

    from mavrl.configuration.composition import compose
    from mavrl.configuration.settings import RunSettings
    from mavrl.reports.published import published_cells, published_overrides
    from mavrl.training.run import run

    torch.set_num_threads(1)
    tuned = published_overrides(env, modality) if published else []
    alone = [f"env={env}", f"modality={modality}", "processes=1", "threads=1", *NO_CACHE.get(env, ())]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        result = run(RunSettings.from_config(compose(*alone, *tuned, *overrides)), Path(directory))
    cell = published_cells().get((env, modality), {"normalized_return": None, "epic_distance": None})
    return {
        "env": env,
        "modality": modality,
        "normalized_return": round(result["mean"]["normalized_return"], 2),
        "stderr": round(result["stderr"].get("normalized_return", 0.0), 2),
        **{name: round(result["mean"][name], 4) for name in REPORTED if name in result["mean"]},
        "each": [round(value, 1) for value in result["final"]["normalized_return"]],
        "comparison": {name: round(value, 1) for name, value in result.get("comparison", {}).items()},
        "published": cell["normalized_return"],
        "published_epic": cell["epic_distance"],
        "seconds": round(time.monotonic() - started, 1),
    }


def summarise(cells: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    """Means over the cells, and how many are at or above the published figure (to its two decimals)."""
    returns = [cell["normalized_return"] for cell in cells]
    compared = [cell for cell in cells if cell["published"] is not None]
    epic = [cell["epic_distance"] for cell in cells if "epic_distance" in cell]
    with_demonstrations = [cell["normalized_return"] for cell in cells if "d" in cell["modality"]]
    return {
        "summary": True,
        **options,
        "cells": len(cells),
        "mean_normalized_return": round(sum(returns) / len(returns), 2),
        "mean_epic_distance": round(sum(epic) / len(epic), 4) if epic else None,
        "at_or_above_published": sum(cell["normalized_return"] >= cell["published"] - 0.005 for cell in compared),
        "below": [f"{c['env']}:{c['modality']}" for c in compared if c["normalized_return"] < c["published"] - 0.005],
        "lowest_with_demonstrations": min(with_demonstrations, default=None),
        "pdrs": {cell["env"]: cell["normalized_return"] for cell in cells if cell["modality"] == "pdrs"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="500-519", help="first and last seed (default 500-519)")
    parser.add_argument("--cells", help="comma-separated env:modality; all of --envs by default")
    parser.add_argument("--envs", default=",".join(GRIDS), help="comma-separated; all 11 subsets of feedback of each")
    parser.add_argument("--published", action="store_true", help="reference protocol, published settings of each cell")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    arguments = parser.parse_intermixed_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = [f"seed={first}", f"replicates={int(last or first) - int(first) + 1}"]
    cells = [tuple(cell.split(":")) for cell in arguments.cells.split(",")] if arguments.cells else [
        (env, modality) for modality in SUBSETS for env in arguments.envs.split(",")
    ]  # fmt: skip
    started, results = time.monotonic(), []
    with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
        overrides = [*seeds, *arguments.overrides]
        jobs = [pool.submit(run_cell, env, modality, overrides, arguments.published) for env, modality in cells]
        for job in jobs:
            results.append(job.result())
            print(json.dumps(results[-1]), flush=True)
    options = {"seeds": arguments.seeds, "published": arguments.published, "overrides": arguments.overrides}
    print(json.dumps({**summarise(results, options), "seconds": round(time.monotonic() - started, 1)}))


if __name__ == "__main__":
    sys.exit(main())
