"""Wall time and peak memory of whole processes, on the main job.

    python benchmarks/speed.py              the commands that users wait for
    python benchmarks/speed.py --growth     how cost grows with replicates and with the size of the grid

Prints one JSON line a measurement: seconds and MB of the fastest of `--repeats` runs, each in fresh directories with an
empty cache. Run it on an otherwise idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = Path(__file__).resolve().parents[1] / "run.py"
COMMANDS = {
    "20 replicates": [],
    "1 replicate": ["replicates=1"],
    "reference protocol, 20 replicates": ["experiment=reference"],
    "--help": ["--help"],
}
REPLICATES = (1, 5, 20, 100)
SIZES = (10, 20, 50, 100)
PER_SIZE = ["replicates=5", "env.max_steps=1000"]  # a random walk on a large grid hardly ever meets the goal


def measure(arguments: list[str], directory: Path) -> dict[str, float]:
    """Seconds and peak resident MB of one process, and the seconds that it reports for its parts."""
    paths = [] if "--help" in arguments else [f"paths.runs={directory}/runs", f"paths.cache={directory}/cache"]
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, RUN, *arguments, *paths], stdout=subprocess.DEVNULL, cwd=directory)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status != 0:
        raise SystemExit(f"{' '.join(arguments)} failed")
    process.returncode = 0
    parts = {}
    for path in directory.glob("runs/*/*/*/metrics.json"):
        seconds_of = json.loads(path.read_text(encoding="utf-8"))["seconds"]
        parts = {name: round(value, 2) for name, value in seconds_of.items()}
    return {
        "seconds": round(seconds, 2),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "cpu": round(usage.ru_utime, 1),
        **parts,
    }


def report(name: str, arguments: list[str], repeats: int, again: bool = False) -> None:
    """Measure one command, and if `again`, the same command once its run is finished."""
    results, repeated = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as directory:
            results.append(measure(arguments, Path(directory)))
            if again:
                repeated.append(measure(arguments, Path(directory)))
    print(json.dumps({"measurement": name, **min(results, key=lambda r: r["seconds"])}), flush=True)
    if again:
        best = min(repeated, key=lambda r: r["seconds"])
        print(json.dumps({"measurement": f"{name}, repeated", "seconds": best["seconds"]}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if not arguments.growth:
        for name, overrides in COMMANDS.items():
            report(name, overrides, arguments.repeats, again=not overrides)
        return
    for replicates in REPLICATES:
        report(f"{replicates} replicates, 10 x 10", [f"replicates={replicates}"], arguments.repeats)
    for size in SIZES:
        report(f"5 replicates, {size} x {size}, 1000 steps", [f"env.size={size}", *PER_SIZE], arguments.repeats)


if __name__ == "__main__":
    main()
