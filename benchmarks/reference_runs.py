"""Numbers that a change of the code must not change: fourteen commands, and every final metric that they leave.

    python benchmarks/reference_runs.py before.json                       about five minutes on one core
    python benchmarks/reference_runs.py after.json --compare before.json  the same again, and what differs
    python benchmarks/reference_runs.py part.json --only grid             commands whose name begins with this

Metrics of grids must agree to 1e-6, those of control environments to the last digit. Both files have to come from the
same machine: other processors round differently, and training amplifies that. Each command runs in a directory of its
own, with an empty cache, on one thread and in one process.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RUN = Path(__file__).resolve().parents[1] / "run.py"
SHORT = "replicates=3 trainer.max_epochs=10"
CARTPOLE = "env=cartpole_v1 processes=1"
SHORT_CARTPOLE = f"{CARTPOLE} replicates=2 members=2 trainer.max_epochs=10 evaluation.episodes=50"
SHORT_PPO = "policy.total_steps=20000"
PUBLISHED = "experiment=reference trainer.max_epochs=20"

# Each name has the commands that run one after the other in its directory; {run} is the directory of the first's run.
COMMANDS: dict[str, list[str]] = {
    "grid default": ["env=grid_trap modality=pdrs"],
    "grid every layout": [f"-m env=grid_cliff,grid_sparse,grid_dense,grid_path,grid_center modality=pdrs {SHORT}"],
    "grid every subset": [f"-m env=grid_trap modality=p,d,r,s,pd,pr,ps,dr,ds,rs,pdr,pds,prs,drs {SHORT}"],
    "grid neutral prior": [f"env=grid_cliff modality=pr env.termination=neutral model.prior.scale=1 {SHORT}"],
    "grid reference protocol": [f"env=grid_trap modality=pdrs {PUBLISHED} replicates=5"],
    "grid learned q": [f"env=grid_sparse modality=ds model.q=learned model.backup=soft {SHORT}"],
    "grid members, mini-batches": [f"env=grid_trap members=3 optim.batch_size=16 {SHORT} trainer.passes_per_epoch=2"],
    "grid best of a validation": [f"env=grid_trap trainer.validation=true selection=best env.p_rand=0.1 {SHORT}"],
    "grid transfer, evaluate": [
        f"env=grid_trap modality=pdrs {SHORT}",
        "task=transfer env=grid_trap run_dir={run} env.p_rand=0.2",
        "task=evaluate run_dir={run}",
    ],
    "grid search": [
        f"-m hydra/sweeper=optuna env=grid_trap modality=pdrs search.n_trials=4 search.budget=64 study=s {SHORT}"
    ],
    "control cartpole": [f"{CARTPOLE} modality=pdrs replicates=1"],
    "control cartpole transfer": [
        f"{SHORT_CARTPOLE} {SHORT_PPO} modality=pds",
        f"task=transfer {CARTPOLE} run_dir={{run}} env.perturbation.pole_length=1.0",
        "task=evaluate run_dir={run}",
    ],
    "control imitation": [f"{SHORT_CARTPOLE} modality=d policy=imitation"],
    "control fixed horizon, reference": [
        f"{SHORT_CARTPOLE} {SHORT_PPO} modality=prs env.fixed_horizon=true experiment=reference trainer.max_epochs=10 "
        "feedback.stop.behaviour_epsilon=0.2"
    ],
}


def run(command: str, directory: Path) -> str:
    """The output of one command."""
    process = subprocess.run(
        [sys.executable, RUN, *shlex.split(command)],
        cwd=directory,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if process.returncode != 0:
        raise SystemExit(f"{command} failed:\n{process.stderr}")
    return process.stdout


def measured(commands: list[str]) -> dict[str, Any]:
    """The final metrics of all runs and transfers that the commands leave, by a name that has no hash in it."""
    with tempfile.TemporaryDirectory() as name:
        directory, first = Path(name), ""
        for command in commands:
            out = run(command.replace("{run}", first), directory)
            first = first or out.splitlines()[-1]
        found: dict[str, Any] = {}
        for path in sorted(directory.rglob("metrics.json")):
            metrics = json.loads(path.read_text(encoding="utf-8"))
            counts = "-".join(str(n) for n in metrics["n_samples"].values())
            label = f"{metrics['env']} {metrics['modality']} {counts}"
            assert label not in found, label
            found[label] = {key: metrics[key] for key in ("final", "comparison") if key in metrics}
        for path in sorted(directory.rglob("transfer/*.json")):
            found[f"transfer {path.stem}"] = json.loads(path.read_text(encoding="utf-8"))["final"]
        return found


def differences(before: Any, after: Any, tolerance: float, path: str = "") -> list[str]:
    """What differs by more than the tolerance, a line each."""
    if isinstance(before, dict) and isinstance(after, dict):
        missing = [f"{path}/{key}: only {'before' if key in before else 'after'}" for key in before.keys() ^ after]
        shared = (differences(before[key], after[key], tolerance, f"{path}/{key}") for key in before if key in after)
        return missing + [line for lines in shared for line in lines]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        lines = (
            differences(x, y, tolerance, f"{path}/{k}") for k, (x, y) in enumerate(zip(before, after, strict=True))
        )
        return [line for found in lines for line in found]
    if isinstance(before, float) and isinstance(after, float) and abs(before - after) <= tolerance:
        return []
    return [] if before == after else [f"{path}: {before} -> {after}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="file for the metrics")
    parser.add_argument("--compare", type=Path, help="file of an earlier call")
    parser.add_argument("--only", default="", help="run commands whose name begins with this")
    arguments = parser.parse_args()
    chosen = {name: commands for name, commands in COMMANDS.items() if name.startswith(arguments.only)}
    results: dict[str, Any] = {}
    different = False
    before = json.loads(arguments.compare.read_text(encoding="utf-8")) if arguments.compare else {}
    for name, commands in chosen.items():
        started = time.monotonic()
        results[name] = measured(commands)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        line: dict[str, Any] = {"command": name, "seconds": round(time.monotonic() - started, 1)}
        if name in before:
            found = differences(before[name], results[name], 1e-6 if name.startswith("grid") else 0.0)
            line["different"] = found
            different = different or bool(found)
        print(json.dumps(line), flush=True)
    return int(different)


if __name__ == "__main__":
    sys.exit(main())
