"""Quality on the published grid cells: 3 grids x 11 subsets of feedback.

    python benchmarks/quality.py                                   the default setting, seeds 500 to 519
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
CONF = Path(__file__).resolve().parents[1] / "conf"
GRIDS = ("grid_trap", "grid_cliff", "grid_sparse")
SUBSETS = ("pdrs", "rs", "ds", "ps", "s", "dr", "pd", "d", "pr", "p", "r")  # slow ones first, to share the work evenly


def run_cell(env: str, modality: str, overrides: list[str], published: bool) -> dict[str, Any]:
    """Learn and evaluate one cell in this process, in a directory that is thrown away."""
    import torch
    from hydra import compose, initialize_config_dir

    from mavrl.results.checkpoints import Checkpoints
    from mavrl.results.published import published_cells, published_overrides
    from mavrl.tasks.building import build_feedback, build_problem
    from mavrl.tasks.configuration import check, register_resolvers
    from mavrl.tasks.evaluate import evaluate_run
    from mavrl.tasks.fitting import fit, store

    torch.set_num_threads(1)
    register_resolvers()
    tuned = published_overrides(env, modality) if published else []
    with initialize_config_dir(str(CONF)):
        config = compose("config", [f"env={env}", f"modality={modality}", "paths.cache=null", *tuned, *overrides])
    check(config)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        problem = build_problem(config)
        feedback = build_feedback(config, problem)
        feedback.prepare()
        learner = fit(config, problem, feedback, Checkpoints(path / "checkpoints"), path)
        result = evaluate_run(config, path, store(config, problem, learner, path))
    cell = published_cells()[env, modality]
    return {
        "env": env,
        "modality": modality,
        "normalized_return": round(result["mean"]["normalized_return"], 2),
        "stderr": round(result["stderr"].get("normalized_return", 0.0), 2),
        "epic_distance": round(result["mean"]["epic_distance"], 4),
        "epic_stderr": round(result["stderr"].get("epic_distance", 0.0), 4),
        "coverage_90": round(result["mean"]["coverage_90"], 3),
        "published": cell["normalized_return"],
        "published_epic": cell["epic_distance"],
        "seconds": round(time.monotonic() - started, 1),
    }


def summarise(cells: list[dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    """Means over the cells, and how many are at or above the published figure (to its two decimals)."""
    returns = [cell["normalized_return"] for cell in cells]
    with_demonstrations = [cell["normalized_return"] for cell in cells if "d" in cell["modality"]]
    return {
        "summary": True,
        **options,
        "cells": len(cells),
        "mean_normalized_return": round(sum(returns) / len(returns), 2),
        "mean_epic_distance": round(sum(cell["epic_distance"] for cell in cells) / len(cells), 4),
        "at_or_above_published": sum(cell["normalized_return"] >= cell["published"] - 0.005 for cell in cells),
        "below": [f"{c['env']}:{c['modality']}" for c in cells if c["normalized_return"] < c["published"] - 0.005],
        "lowest_with_demonstrations": min(with_demonstrations, default=None),
        "pdrs": {cell["env"]: cell["normalized_return"] for cell in cells if cell["modality"] == "pdrs"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="500-519", help="first and last seed (default 500-519)")
    parser.add_argument("--cells", help="comma-separated env:modality; all 33 by default")
    parser.add_argument("--published", action="store_true", help="reference protocol, published settings of each cell")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    arguments = parser.parse_intermixed_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = [f"seed={first}", f"replicates={int(last or first) - int(first) + 1}"]
    cells = [tuple(cell.split(":")) for cell in arguments.cells.split(",")] if arguments.cells else [
        (env, modality) for modality in SUBSETS for env in GRIDS
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
