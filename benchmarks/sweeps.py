"""What running many runs costs besides the runs: multirun, search, and reading long studies.

    python benchmarks/sweeps.py                    all of it, about ten minutes on two cores
    python benchmarks/sweeps.py --only multirun    or search, or journal

Prints one JSON line a measurement. Run it on an otherwise idle machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
RUN = Path(__file__).resolve().parents[1] / "run.py"
GRID = ["env=grid_trap,grid_cliff,grid_sparse", "modality=p,d,r,s,pdrs", "seed=0,20,40,60", "replicates=3"]
SEARCH = ["-m", "hydra/sweeper=optuna", "env=grid_trap", "modality=pdrs", "replicates=3"]
FINISHED = 500  # trials in a long journal


def run(arguments: list[str], directory: Path) -> float:
    """Seconds of one process."""
    started = time.monotonic()
    process = subprocess.run([sys.executable, RUN, *arguments], stdout=subprocess.DEVNULL, cwd=directory, check=False)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)} failed")
    return time.monotonic() - started


def report(measurement: str, **values: Any) -> None:
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in values.items()}
    print(json.dumps({"measurement": measurement, **rounded}), flush=True)


def inside(directory: Path) -> tuple[int, float]:
    """How many runs there are, and their seconds of simulation, training and evaluation, without imports."""
    seconds = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in directory.glob("**/metrics.json")]
    return len(seconds), sum(value for each in seconds for part, value in each.items() if part != "total")


def multirun() -> None:
    """60 grid runs of 3 replicates, in sequence and on both cores."""
    for name, launcher, count in (("in sequence", [], 1), ("two workers", ["hydra/launcher=local"], 2)):
        with tempfile.TemporaryDirectory() as directory:
            wall = run(["-m", *GRID, *launcher, "paths.cache=null"], Path(directory))
            runs, busy = inside(Path(directory))
            again = run(["-m", *GRID, *launcher, "paths.cache=null"], Path(directory))
        report(
            f"{runs} runs of 3 replicates, {name}",
            seconds=wall,
            share_inside=busy / (count * wall),
            overhead_a_run=(count * wall - busy) / runs,
            issued_again=again,
        )


def search(trials: int) -> None:
    """Trials a minute of one and of two searches on a study, and of batches on two workers."""
    rates = {}
    for name, how in (
        ("one", []),
        ("two searches", ["search.workers=2"]),
        ("batches of two", ["hydra/launcher=local", "search.batch=2"]),
    ):
        with tempfile.TemporaryDirectory() as directory:
            wall = run([*SEARCH, *how, f"search.n_trials={trials}", "study=s"], Path(directory))
            rates[name] = _rate(Path(directory) / "studies/s/grid_trap/pdrs/journal.log")
        report(f"search, {name}", trials_a_minute=rates[name], ratio=rates[name] / rates["one"], seconds=wall)


def _rate(journal: Path) -> float:
    """Trials a minute once the search is under way: from the end of the fourth trial to the end of the last."""
    import optuna

    from mavrl.search.storage import open_storage

    storage = open_storage(str(journal))
    (name,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=name, storage=storage).get_trials()
    ends = sorted(trial.datetime_complete for trial in trials if trial.datetime_complete is not None)
    return 60 * (len(ends) - 4) / (ends[-1] - ends[3]).total_seconds()


def journal() -> None:
    """Starting a search and reading it, with 500 finished trials and with none."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        started = run([*SEARCH, "search.n_trials=1", "study=short"], directory)
        _copy_trials(directory / "studies/short/grid_trap/pdrs/journal.log", FINISHED, "long")
        goes_on = run([*SEARCH, f"search.n_trials={FINISHED + 1}", "study=long"], directory)
        report(f"one more trial after {FINISHED}", seconds=goes_on, after_none=started, more=goes_on - started)
        for task in ("study", "table"):
            few, many = (run([f"task={task}", f"study={study}"], directory) for study in ("short", "long"))
            report(f"task={task} of {FINISHED} trials", seconds=many, of_one=few, more=many - few)


def _copy_trials(path: Path, count: int, study: str) -> None:
    """A study in which one finished trial stands many times, with other numbers."""
    import optuna
    from optuna.trial import create_trial

    from mavrl.search.storage import open_storage

    (source,) = optuna.get_all_study_names(open_storage(str(path)))
    one = optuna.load_study(study_name=source, storage=open_storage(str(path)))
    target = path.parents[3] / study / path.parent.parent.name / path.parent.name / path.name
    name = source.replace("short", study, 1)
    many = optuna.create_study(study_name=name, storage=open_storage(str(target), create=True), direction="minimize")
    for key, value in one.user_attrs.items():
        many.set_user_attr(key, value)
    (trial,) = one.get_trials()
    for k in range(count):
        copied = create_trial(
            params={**trial.params, "optim.lr": 1e-3 * 30 ** ((k + 0.5) / count)},
            distributions=trial.distributions,
            value=float(trial.value or 0.0) + k % 7,
            user_attrs=trial.user_attrs,
        )
        many.add_trial(copied)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["multirun", "search", "journal"])
    parser.add_argument("--trials", type=int, default=24, help="of each search (default 24)")
    arguments = parser.parse_args()
    for name, measure in (("multirun", multirun), ("search", lambda: search(arguments.trials)), ("journal", journal)):
        if arguments.only in (None, name):
            measure()


if __name__ == "__main__":
    main()
