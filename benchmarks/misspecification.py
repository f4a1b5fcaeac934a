"""Teachers who are not what the model takes them to be, with the models' rationality given and learned.

    python benchmarks/misspecification.py                          the 3 grids, all four kinds, seeds 800 to 809
    python benchmarks/misspecification.py --seeds 0-19 --envs grid_cliff --teachers wrong_demonstrations
    python benchmarks/misspecification.py optim.lr=0.02            any configuration override

Last weights: nothing is chosen on the true value. Prints one JSON line a cell (normalized return and EPIC distance with
standard errors, the median of each learned rationality, seconds) and a table of all of them in Markdown.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
GRIDS = ("grid_cliff", "grid_sparse", "grid_trap")
TEACHERS = {  # options of the group, and what is wrong
    "simulated": "none",
    "wrong_preferences": "p",
    "wrong_demonstrations": "d",
    "wrong_ratings": "r",
    "wrong_stops": "s",
    "wrong": "all",
}
WAYS = ("given", "learned")
QUIET = ("paths.cache=null", "figures=none", "progress=false")
PUBLISHED = {  # with p, d, r, s and all wrong; the best epoch, chosen on the true value
    "grid_cliff": (90, 38, 100, 100, 43),
    "grid_sparse": (90, 50, 100, 90, 50),
    "grid_trap": (92, 73, 100, 100, 54),
}


def run_cell(env: str, teacher: str, way: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Learn and judge one cell, in a directory that is thrown away."""
    from mavrl.configuration.composition import compose
    from mavrl.configuration.settings import RunSettings
    from mavrl.training.run import run

    words = [
        "experiment=misspecification",
        f"env={env}",
        f"teacher={teacher}",
        f"learn_rationality={str(way == WAYS[1]).lower()}",
    ]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        result = run(RunSettings.from_config(compose(*words, *QUIET, *overrides)), Path(directory))
    found = {
        metric: [round(result[part].get(metric, 0.0), 4) for part in ("mean", "stderr")]
        for metric in ("normalized_return", "epic_distance")
    }
    learned = {kind: round(each["median"], 4) for kind, each in result.get("rationality", {}).items()}
    return {
        **{"env": env, "wrong": TEACHERS[teacher], "rationality": way, **found, "learned": learned},
        "each": [round(value) for value in result["final"]["normalized_return"]],
        "seconds": round(time.monotonic() - started, 1),
    }


def table(cells: Sequence[dict[str, Any]]) -> str:
    """A row for each environment and what is wrong, a column for each way, and the published figure."""
    wrong = list(TEACHERS.values())
    header = ("grid", "wrong", "published", "given", "learned", "EPIC given", "EPIC learned")
    rows = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    by_cell = {(cell["env"], cell["wrong"], cell["rationality"]): cell for cell in cells}
    for env, condition in dict.fromkeys((cell["env"], cell["wrong"]) for cell in cells):
        published = str(PUBLISHED[env][wrong.index(condition) - 1]) if env in PUBLISHED and condition != "none" else ""
        numbers = [
            "{:.{digits}f} ± {:.{digits}f}".format(*by_cell[env, condition, way][metric], digits=digits)
            if (env, condition, way) in by_cell
            else ""
            for metric, digits in (("normalized_return", 1), ("epic_distance", 3))
            for way in WAYS
        ]
        rows.append(f"| {' | '.join([env.removeprefix('grid_'), condition, published, *numbers])} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="800-809", help="first and last seed")
    parser.add_argument("--envs", default=",".join(GRIDS))
    parser.add_argument("--teachers", default=",".join(TEACHERS), help="options of the group teacher")
    parser.add_argument("--ways", default=",".join(WAYS), help="of the models' rationality")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    options = parser.parse_intermixed_args()
    first, _, last = options.seeds.partition("-")
    seeds = [f"seed={first}", f"replicates={int(last or first) - int(first) + 1}"]
    cells = []
    for env in options.envs.split(","):
        for teacher in options.teachers.split(","):
            for way in options.ways.split(","):
                cells.append(run_cell(env, teacher, way, [*seeds, *options.overrides]))
                print(json.dumps(cells[-1]), flush=True)
    print(table(cells))


if __name__ == "__main__":
    main()
