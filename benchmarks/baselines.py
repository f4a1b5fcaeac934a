"""What else could be done with the same feedback, on the published cells of grids.

    python benchmarks/baselines.py                                 3 grids x 11 subsets, seeds 500 to 504: hours
    python benchmarks/baselines.py --cells grid_trap:pd            one of them
    python benchmarks/baselines.py --rows ours,product,mixture,imitation
                                                                   without the exact posterior: minutes

ours: one posterior learned from all feedback together. exact: the exact posterior of all of it, by Hamiltonian Monte
Carlo (`model=exact`; overrides of model.sampling are for it alone). product and mixture: a posterior learned from each
kind alone, combined afterwards (`task=average`). imitation: the demonstrators' actions where they were shown, and all
actions alike elsewhere; it has no reward. Prints one JSON line for each row of a cell: means and standard errors over
seeds.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
GRIDS = ("grid_trap", "grid_cliff", "grid_sparse")
SUBSETS = ("p", "d", "r", "s", "pd", "pr", "ps", "dr", "ds", "rs", "pdrs")
ROWS = ("ours", "exact", "product", "mixture", "imitation")
REPORTED = ("normalized_return", "epic_distance", "coverage_90", "segment_coverage_90", "value_coverage_90", "r_hat")
_APART = "alone"  # what names the run of a cell with one kind


def row(name: str, env: str, modality: str, place: Path, overrides: list[str]) -> dict[str, Any] | None:
    """One row of a cell; None where there is none, such as imitation without demonstrations.

    Args:
        place: for the runs, of which those of single kinds are shared by cells.
    """
    from mavrl.configuration.composition import compose
    from mavrl.configuration.settings import RunSettings
    from mavrl.evaluation.summary import summarize
    from mavrl.storage.contents import read_metrics
    from mavrl.training.averaging import average_runs
    from mavrl.training.run import run

    def settings_of(letters: str, *more: str) -> RunSettings:
        alone = [f"env={env}", f"modality={letters}", "processes=1", "threads=1", "paths.cache=null", "figures=none"]
        fitting = [word for word in overrides if "model=exact" in more or not word.startswith("model.sampling.")]
        return RunSettings.from_config(compose(*alone, *more, *fitting))

    def learned(letters: str) -> Path:
        directory = place / env / letters / _APART
        if not read_metrics(directory / "reward_model"):
            run(settings_of(letters), directory)
        return directory

    started, settings = time.monotonic(), settings_of(modality)
    if name == "imitation":
        if "demonstration" not in settings.feedback:
            return None
        result = summarize(_imitation(settings))
    elif name == "ours":
        result = read_metrics(learned(modality) / "reward_model")
    elif name == "exact":
        result = run(settings_of(modality, "model=exact"), place / env / modality / name)
    elif len(modality) == 1:
        return None
    else:
        silent = replace(settings, execution=replace(settings.execution, figures="none"))
        alone = [learned(letter) for letter in modality]
        result = average_runs(silent, alone, name, place / env / modality / name)  # type: ignore[arg-type]
    found = {metric: round(result["mean"][metric], 3) for metric in REPORTED if metric in result["mean"]}
    errors = {f"{m}_stderr": round(result["stderr"][m], 3) for m in REPORTED[:2] if m in result["stderr"]}
    seconds = result.get("seconds", {}).get("train", time.monotonic() - started)
    return {"env": env, "modality": modality, "row": name, **found, **errors, "seconds": round(seconds, 1)}


def _imitation(settings: Any) -> Any:
    """The normalized return of the cloned policy."""
    from mavrl.evaluation.cloning import cloned_policy
    from mavrl.evaluation.returns import ReferenceValues, Scale, value_at_start
    from mavrl.families.grid.family import Grid
    from mavrl.training.building import build_data
    from mavrl.workers import Workers

    grid = Grid(settings, Workers(1))
    data = build_data(settings, grid)
    data.setup()
    problem, dynamics = grid.problem, grid.problem.transitions
    policy = cloned_policy(data.train_sets["demonstration"].transitions, dynamics.n_states, dynamics.n_actions)
    reference = ReferenceValues.of_problem(problem)
    scale = Scale.between(reference.optimal, reference.uniform)
    assert scale is not None
    return {"normalized_return": scale.normalized(value_at_start(problem, policy))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="500-504", help="first-last")
    parser.add_argument("--cells", help="comma-separated env:modality; all published ones by default")
    parser.add_argument("--rows", default=",".join(ROWS), help="comma-separated")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    arguments = parser.parse_intermixed_args()
    first, _, last = arguments.seeds.partition("-")
    overrides = [f"seed={first}", f"replicates={int(last or first) - int(first) + 1}", *arguments.overrides]
    cells = [cell.split(":") for cell in arguments.cells.split(",")] if arguments.cells else [
        [env, modality] for env in GRIDS for modality in SUBSETS
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        for env, modality in cells:
            for name in arguments.rows.split(","):
                if (found := row(name, env, modality, Path(place), overrides)) is not None:
                    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
