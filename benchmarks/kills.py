"""Kills at random moments: the same commands go on, and end with what undisturbed ones end with.

    python benchmarks/kills.py                              100 kills, about 15 minutes on two cores
    python benchmarks/kills.py --kills 10 --only searches   some of them; --list names the scenarios

Whatever has finished when something is killed must be there, unchanged, ever after. In the end the metrics of all runs,
and the trials of a search, must be those of the same commands in another folder that nobody disturbed. Prints one JSON
line a scenario, and one for all; the exit status is 1 when anything was lost or differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
MOST_OF_ROUND = 8  # kills: a trial that ends without a result ten times is given up, as it should be
GRID = ["env.size=4", "env.max_steps=30", "replicates=2", "trainer.passes_per_epoch=2", "threads=1",
        "checkpoint_seconds=0"]  # fmt: skip
LONG, SHORT = [*GRID, "trainer.max_epochs=150"], [*GRID, "trainer.max_epochs=5"]
CONTROL = [
    "env=cartpole_v1", "modality=pd", "env.max_steps=60", "replicates=2", "members=2", "model.hidden_sizes=[8]",
    "trainer.max_epochs=20", "trainer.least_steps=2", "evaluation.episodes=8", "env.feedback.segment_len=8",
    "env.feedback.n_episodes=16", "feedback.preference.n_samples=6", "feedback.demonstration.n_samples=2",
    "policy.total_steps=2048", "policy.n_envs=4", "policy.n_steps=32", "policy.batch_size=64", "policy.n_epochs=2",
    "policy.parts=8", "policy.evaluation_episodes=4", "policy.hidden_sizes=[8]", "checkpoint_seconds=0",
    "threads=1",
]  # fmt: skip
SLURM = ["hydra/launcher=euler", "hydra.launcher.setup=[]", "hydra.launcher.mem_per_cpu=null",
         "hydra.launcher.cpus_per_task=1"]  # fmt: skip
SEARCH = ["-m", "hydra/sweeper=optuna", *SHORT, "modality=pd", "search.budget=20"]
TRIALS = 16  # more than the 10 that the sampler draws without a model

Results = dict[str, Any]


def finished_runs(folder: Path) -> Results:
    """Numbers per replicate of all completed runs, by their directory."""
    found = {}
    for path in folder.glob("*/*/*/*/metrics.json"):
        status = json.loads((path.parent / "status.json").read_text(encoding="utf-8"))
        if status["state"] == "completed":
            name = str(path.parent.relative_to(folder))
            found[name] = json.loads(path.read_text(encoding="utf-8"))["final"]
    return found


def finished_trials(folder: Path) -> Results:
    """What was drawn and what came of it, of all finished trials, by study and number."""
    from mavrl.search.record import read_studies
    from mavrl.search.storage import open_storage

    found = {}
    for journal in folder.glob("studies/*/*/*/journal.log"):
        for study in read_studies(open_storage(str(journal))):
            for trial in study.trials:
                if trial.state == "completed":
                    found[f"{study.name} {trial.number}"] = {"params": trial.params, "final": trial.final}
    return found


@dataclass(frozen=True)
class Scenario:
    """Something that is killed.

    Args:
        kills: how many of 100 are its share.
        words: the command line of a round; a round ends when its command does, and another begins.
        undisturbed: the command line that does what so many rounds do.
        victims: what is killed: the command, a worker process of it, or a process of a scheduler's job.
        results: what has finished in a folder.
        same_draws: whether an undisturbed command ends with the same; searches side by side draw in another order.
        torn: ends the command in the middle of a write to the journal instead, after so many writes at most.
    """

    kills: int
    words: Callable[[int], list[str]]
    undisturbed: Callable[[int], list[str]]
    victims: tuple[str, ...] = ("command",)
    results: Callable[[Path], Results] = finished_runs
    same_draws: bool = True
    torn: int | None = None


def seeds(numbers: range) -> str:
    return "seed=" + ",".join(map(str, numbers))


def sweep(modalities: str, *more: str) -> tuple[Callable[[int], list[str]], Callable[[int], list[str]]]:
    """A sweep over these and two seeds a round, and one of the runs of all rounds."""
    cells = ["-m", *LONG, f"modality={modalities}", *more]
    return (
        lambda number: [*cells, seeds(range(2 * number, 2 * number + 2))],
        lambda rounds: [*cells, seeds(range(2 * rounds))],
    )


def search(name: str, *more: str) -> tuple[Callable[[int], list[str]], Callable[[int], list[str]]]:
    """A search a round, and one for all rounds: their trials are the same, but for the study's name."""
    words = [*SEARCH, f"search.n_trials={TRIALS}", *more]
    return lambda number: [*words, f"study={name}{number}"], lambda rounds: [*words, f"study={name}0"]


SCENARIOS = {
    "runs": Scenario(
        24, lambda number: [*LONG, f"seed={number}"], lambda rounds: ["-m", *LONG, seeds(range(rounds))]
    ),
    "sweeps": Scenario(16, *sweep("p,d,rs")),
    "local workers": Scenario(
        16, *sweep("p,d,rs", "hydra/launcher=local", "hydra.launcher.workers=2"), ("command", "worker")
    ),
    "searches": Scenario(16, *search("alone"), results=finished_trials),
    "batches": Scenario(
        6, *search("batch", "hydra/launcher=local", "hydra.launcher.workers=2"), ("command", "worker"),
        finished_trials, same_draws=False,
    ),
    "search workers": Scenario(
        6, *search("shared", "search.workers=2"), ("command", "worker"), finished_trials, same_draws=False
    ),
    "journal": Scenario(3, *search("torn"), results=finished_trials, torn=60),
    "control": Scenario(
        9, lambda number: [*CONTROL, "processes=2", f"seed={2 * number}"],
        lambda rounds: ["-m", *CONTROL, "processes=2", "seed=" + ",".join(str(2 * k) for k in range(rounds))],
        ("command", "worker"),
    ),
    "slurm": Scenario(4, *sweep("p", *SLURM), ("command", "job")),
}  # fmt: skip


@dataclass
class Tally:
    """What became of a scenario.

    Args:
        kills: processes that were killed while they ran.
        rounds: commands that reached their end.
        finished: runs or trials that finished.
        lost: those that had finished and were gone, or others, later.
        missing: those that an undisturbed command has and the killed ones have not, or the other way round.
        different: those that ended with other numbers than undisturbed.
        largest_difference: between two numbers of the same run.
        seconds: of it all.
    """

    kills: int = 0
    rounds: int = 0
    finished: int = 0
    lost: int = 0
    missing: int = 0
    different: int = 0
    largest_difference: float = 0.0
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        return not (self.lost or self.missing or self.different)


def measure(scenario: Scenario, kills: int, moments: random.Random) -> Tally:
    """Kill, go on, kill, and so on; then compare."""
    started, tally = time.monotonic(), Tally()
    with tempfile.TemporaryDirectory() as place:
        killed, whole = Path(place, "killed"), Path(place, "whole")
        killed.mkdir()
        whole.mkdir()
        finished: Results = {}
        of_round = 0
        while tally.kills < kills:
            disturbed = _disturb(scenario, scenario.words(tally.rounds), killed, moments)
            of_round += disturbed.kills
            tally.kills += disturbed.kills
            if not disturbed.ended and of_round >= MOST_OF_ROUND:
                _complete(scenario.words(tally.rounds), killed)
            if disturbed.ended or of_round >= MOST_OF_ROUND:
                tally.rounds, of_round = tally.rounds + 1, 0
            now = scenario.results(killed)
            tally.lost += sum(now.get(name) != value for name, value in finished.items())
            finished = now
        _complete(scenario.words(tally.rounds), killed)
        tally.rounds += 1
        now = scenario.results(killed)
        tally.lost += sum(now.get(name) != value for name, value in finished.items())
        tally.finished = len(now)
        _complete(scenario.undisturbed(tally.rounds), whole)
        _compare(tally, now, scenario.results(whole), scenario)
    tally.seconds = time.monotonic() - started
    return tally


@dataclass
class _Disturbed:
    kills: int
    ended: bool


def _disturb(scenario: Scenario, words: list[str], folder: Path, moments: random.Random) -> _Disturbed:
    """Start a command and kill at a random moment: at any, or soon after it has written its first file."""
    before = _newest(folder)
    torn = None if scenario.torn is None else moments.randint(1, scenario.torn)
    process = _start(words, folder, torn)
    if torn is None:
        deadline = time.monotonic() + moments.uniform(0.5, 9.0)
        if moments.random() < 0.75:
            while process.poll() is None and _newest(folder) == before:
                time.sleep(0.01)
            deadline = time.monotonic() + moments.expovariate(1 / 1.5)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    kills = 0
    victim = moments.choice(scenario.victims)
    others = {"worker": lambda: children(process.pid), "job": lambda: _at_work(folder)}.get(victim, list)()
    if torn is None and process.poll() is None and others:
        kills += _kill(moments.choice(others))
        time.sleep(moments.uniform(0.1, 2.0))
    if torn is None and process.poll() is None:
        kills += _kill(process.pid)
    status = process.wait()
    if torn is not None:
        kills += status == -signal.SIGKILL
    if status not in (0, 1, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(words)} ended with status {status}")
    return _Disturbed(kills, status == 0)


def _complete(words: list[str], folder: Path) -> None:
    """Run a command to its end; again where it says that something it had not begun itself was still killed."""
    for _ in range(3):
        if _start(words, folder).wait() == 0:
            return
    said = (folder / "output.log").read_text(encoding="utf-8", errors="replace").splitlines()
    raise SystemExit("\n".join([*said[-20:], f"{' '.join(words)} failed; its files are gone with its folder"]))


def _start(words: list[str], folder: Path, torn: int | None = None) -> subprocess.Popen:
    program = [ROOT / "run.py"] if torn is None else [__file__, f"--torn={torn}"]
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen([sys.executable, *program, *words], stdout=log, stderr=log, cwd=folder)


def _newest(folder: Path) -> int:
    """When a file of a run or a journal was last written, in nanoseconds."""
    found = 0
    for pattern in ("runs/*/*/*/*", "runs/*/*/*/checkpoints/*", "studies/*/*/*/*", "runs/*/*/*/policies/*/*"):
        for path in folder.glob(pattern):
            try:
                found = max(found, path.stat().st_mtime_ns)
            except OSError:
                continue
    return found


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not been waited for, without Python's own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            command = stat.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"resource_tracker" not in command:
            found.append(int(stat.parent.name))
    return found


def _at_work(folder: Path) -> list[int]:
    """The processes that the runs say to be at work in, wherever these were started."""
    found = []
    for path in folder.glob("runs/*/*/*/status.json"):
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["state"] == "running" and Path(f"/proc/{status['pid']}").exists():
            found.append(status["pid"])
    return found


def _kill(pid: int) -> int:
    """Kill a process; returns 1 if it was there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


def _compare(tally: Tally, killed: Results, whole: Results, scenario: Scenario) -> None:
    if not scenario.same_draws:
        rounds = tally.rounds
        tally.missing = abs(len(killed) - rounds * len(whole))
        return
    if scenario.results is finished_trials:  # one undisturbed study stands for all of them
        numbers = {name.rpartition(" ")[2]: value for name, value in whole.items()}
        cells = {name.rpartition(" ")[0] for name in killed}
        whole = {f"{cell} {number}": value for cell in cells for number, value in numbers.items()}
    tally.missing = len(killed.keys() ^ whole.keys())
    for name in killed.keys() & whole.keys():
        difference = _difference(killed[name], whole[name])
        tally.largest_difference = max(tally.largest_difference, difference)
        tally.different += difference > 1e-6


def _difference(one: Any, other: Any) -> float:
    """The largest difference of two numbers; infinity where anything else differs."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((_difference(one[key], other[key]) for key in one), default=0.0)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max((_difference(a, b) for a, b in zip(one, other, strict=True)), default=0.0)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other)
    return 0.0 if one == other else float("inf")


def run_until_torn(count: int, words: list[str]) -> None:
    """Do what run.py does, and die in the middle of the write number `count` to a journal."""
    from mavrl.cli import main
    from mavrl.search.storage import MendingJournal

    append, left = MendingJournal.append_logs, iter(range(count - 1))

    def append_or_die(self: MendingJournal, logs: list[dict[str, Any]]) -> None:
        if next(left, None) is None:
            line = json.dumps(logs[-1]).encode()
            self._write_lock.acquire()
            with open(self._path, "ab") as file:
                file.write(line[: random.randint(1, len(line) - 1)])
            os.kill(os.getpid(), signal.SIGKILL)
        append(self, logs)

    MendingJournal.append_logs = append_or_die  # type: ignore[method-assign]
    sys.argv[1:] = words
    main()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, help="in each scenario, instead of its share of 100")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="this scenario; may be given again")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--list", action="store_true", help="name the scenarios and their shares")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{name}: {scenario.kills}" for name, scenario in SCENARIOS.items()))
        return 0
    total, clean = Tally(), True
    for name in arguments.only or SCENARIOS:
        if name == "slurm" and not _has_slurm():
            print(json.dumps({"measurement": "kills, slurm", "skipped": "there is no SLURM here"}), flush=True)
            continue
        scenario = SCENARIOS[name]
        tally = measure(scenario, arguments.kills or scenario.kills, random.Random(f"{name} {arguments.seed}"))
        print(json.dumps({"measurement": f"kills, {name}", **vars(tally)}), flush=True)
        clean &= tally.clean
        for key, value in vars(tally).items():
            merged = max(getattr(total, key), value) if key == "largest_difference" else getattr(total, key) + value
            setattr(total, key, merged)
    print(json.dumps({"measurement": "kills", **vars(total), "nothing_lost_and_equal": clean}), flush=True)
    return 0 if clean else 1


def _has_slurm() -> bool:
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo", "--noheader"], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1].startswith("--torn="):
        run_until_torn(int(sys.argv[1].partition("=")[2]), sys.argv[2:])
    else:
        sys.exit(main())
