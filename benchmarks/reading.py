"""What reading many runs and long studies costs.

    python benchmarks/reading.py                                     5,000 runs, a journal of 20,000 trials
    python benchmarks/reading.py --runs 500 --trials 2000
    python benchmarks/reading.py --program ../older/run.py           the same files, read by another version, too

One real run and one real trial are made, and their files are written again and again with other numbers. Prints one
JSON line a measurement: seconds of a whole process, those that it was busy, and its largest memory.
"""

import argparse
import itertools
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
RUN = Path(__file__).resolve().parents[1] / "run.py"
TINY = ["env.size=4", "env.max_steps=50", "trainer.max_epochs=3", "trainer.passes_per_epoch=2"]
SEARCH = ["-m", "hydra/sweeper=optuna", "env=grid_trap", "modality=pdrs", "study=long", *TINY]
ENVS = ("grid_trap", "grid_cliff", "grid_sparse", "grid_path")
MODALITIES = ("p", "d", "r", "s", "pd", "pr", "ps", "dr", "ds", "rs", "pdrs")
RATES = (0.003, 0.01)
FILES = ("status.json", "config.json", "metrics.json", "metrics.csv", ".lock")
CREATE_TRIAL, SET_PARAM, SET_STATE = 4, 5, 6  # codes in Optuna's journal


def measure(program: Path, arguments: list[str], directory: Path) -> dict[str, float]:
    """Seconds of one process, those in which it worked, and its megabytes."""
    environment = {**os.environ, "PYTHONPATH": str(program.parent)}
    command = [sys.executable, str(program), *arguments]
    started = time.monotonic()
    with open(os.devnull, "wb") as nowhere:
        process = subprocess.Popen(command, cwd=directory, stdout=nowhere, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(arguments)} failed")
    seconds, busy = time.monotonic() - started, usage.ru_utime + usage.ru_stime
    return {"seconds": round(seconds, 2), "busy": round(busy, 2), "megabytes": round(usage.ru_maxrss / 1024)}


def report(measurement: str, program: Path, words: list[str], directory: Path) -> None:
    found = measure(program, words, directory)
    print(json.dumps({"measurement": measurement, "program": str(program), **found}), flush=True)


def write_runs(directory: Path, count: int) -> None:
    """Write runs that differ in environment, subset, learning rate and seed, made of a real one of ten replicates."""
    measure(RUN, [*TINY, "replicates=10", "paths.runs=one"], directory)
    (source,) = (path.parent for path in directory.glob("one/*/*/*/metrics.json"))
    texts = {name: (source / name).read_text() for name in FILES}
    config, metrics = json.loads(texts["config.json"]), json.loads(texts["metrics.json"])
    cells = itertools.product(range(count), RATES, MODALITIES, ENVS)
    for number, (seed, rate, modality, env) in zip(range(count), cells, strict=False):
        config["choices"].update(env=env, modality=modality)
        config["env"].update(name=env)
        config.update(seed=10 * seed, optim={**config["optim"], "lr": rate})
        config["overrides"] = [f"env={env}", f"modality={modality}", f"seed={10 * seed}", f"optim.lr={rate}"]
        metrics.update(env=env, modality=modality, seed=10 * seed)
        run = directory / "runs" / env / modality / f"{number:012x}"
        run.mkdir(parents=True)
        changed = {"config.json": json.dumps(config, indent=1), "metrics.json": json.dumps(metrics, indent=1)}
        for name, text in {**texts, **changed}.items():
            (run / name).write_text(text)


def write_study(directory: Path, count: int) -> None:
    """Write the journal of a search that one real trial was run of."""
    measure(RUN, [*SEARCH, "search.n_trials=1"], directory)
    path = directory / "studies/long/grid_trap/pdrs/journal.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first = next(k for k, line in enumerate(lines) if line["op_code"] == CREATE_TRIAL)
    draw = random.Random(0)
    with path.open("w") as journal:
        for line in lines[:first]:
            journal.write(json.dumps(line, separators=(",", ":")) + "\n")
        for trial in range(count):
            for line in _other_numbers(lines[first:], trial, draw):
                journal.write(json.dumps(line, separators=(",", ":")) + "\n")


def _other_numbers(lines: list[dict[str, Any]], trial: int, draw: random.Random) -> Iterator[dict[str, Any]]:
    for line in lines:
        changed = {**line, "trial_id": trial} if "trial_id" in line else line
        if line["op_code"] == SET_PARAM:
            about = json.loads(line["distribution"])["attributes"]
            if "choices" in about:
                value: float = draw.randrange(len(about["choices"]))
            elif about["log"]:
                value = math.exp(draw.uniform(math.log(about["low"]), math.log(about["high"])))
            else:
                value = draw.uniform(about["low"], about["high"])
            changed = {**changed, "param_value_internal": value}
        if line["op_code"] == SET_STATE and line.get("values"):
            changed = {**changed, "values": [draw.random()]}
        yield changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--program", type=Path, action="append", default=[], help="run.py of another version")
    arguments = parser.parse_args()
    programs = [*(path.resolve() for path in arguments.program), RUN]
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if arguments.runs:
            write_runs(directory, arguments.runs)
        if arguments.trials:
            write_study(directory, arguments.trials)
        for number, program in enumerate(programs):
            for task in ("status", "list", "table") if arguments.runs else ():
                words = [f"task={task}", *(["optim.lr=0.01"] if task == "table" else [])]
                report(f"task={task} of {arguments.runs} runs", program, words, directory)
            if arguments.trials:
                for task in ("study", "table"):
                    words = [f"task={task}", "study=long"]
                    report(f"task={task} of {arguments.trials} trials", program, words, directory)
                words = [*SEARCH, f"search.n_trials={arguments.trials + number + 1}"]
                report(f"one more after {arguments.trials} trials", program, words, directory)


if __name__ == "__main__":
    main()
