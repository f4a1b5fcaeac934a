"""Opposed teachers: what is learned from each one's feedback, judged by him and by the others, and baselines beside it.

    python benchmarks/opposed.py                                     all environments, seeds 0 to 4
    python benchmarks/opposed.py --envs grid_two_goals,cartpole_v1 --seeds 7600-7604
    python benchmarks/opposed.py --rows learned,true optim.lr=1e-3   these rows only, with other settings

Each row of a teacher is one run of run.py with a replicate for each seed, kept in --runs: started again, this runs only
what is missing. Prints one JSON line a row, and at the end the table in Markdown. Values are normalized returns: 100 is
PPO on the teacher's reward with the same number of steps (row `true`), 0 is the uniform policy; on grids the optimal
policy is 100. Without the row `true` they are returns.

Rows: learned from the teacher's labels; shuffled labels; the prior alone, a model without a step of training; policies
that are paid +1 or -1 at every step; and the true reward. There is no imitation: nobody demonstrates. A policy wins
with a seed where its own teacher pays it more than every policy that was learned from another teacher.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
TEACHERS = {
    "grid_two_goals": ("first", "second"),
    "cartpole_v1": ("left", "right"),
    "mo_lunar_lander_v3": ("landing", "fuel", "speed"),
    "highway_v0": ("fast", "gentle"),
    "half_cheetah_v5": ("forward", "backward"),
    "mo_half_cheetah_v5": ("speed", "energy"),
}
NOT_LEARNED = "trainer.max_epochs=0"  # of runs whose policy is paid nothing that is learned
ROWS = {
    "learned": (),
    "shuffled": ("teacher=shuffled",),
    "prior": (NOT_LEARNED,),
    "positive": ("policy.reward=positive", NOT_LEARNED),
    "negative": ("policy.reward=negative", NOT_LEARNED),
    "true": ("policy.reward=true_reward", NOT_LEARNED),
}
ROWS_OF_GRIDS = ("learned", "shuffled", "prior")  # whose policies are planned: nothing else is paid


@dataclass(frozen=True)
class Row:
    """One run: what a teacher's labels, or a baseline, lead to.

    Args:
        env: option of the group env, which names the teacher too.
        name: one of `ROWS`.
        words: of the command line, besides env and row.
        runs: folder of runs.
    """

    env: str
    name: str
    words: tuple[str, ...]
    runs: Path

    @property
    def overrides(self) -> list[str]:
        """The command line of the run."""
        return [f"env={self.env}", "experiment=opposed", *self.words, *ROWS[self.name]]

    def run(self) -> Path:
        """Run it, or take it as it was; returns its directory.

        Raises:
            SystemExit: it fails.
        """
        command = [sys.executable, str(ROOT / "run.py"), *self.overrides, f"paths.runs={self.runs}"]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            raise SystemExit(f"{' '.join(command)}\n{finished.stderr}")
        return Path(finished.stdout.splitlines()[-1])


class Judge:
    """Judges policies by one teacher's reward.

    Args:
        row: any of the teacher's.
        processes: that simulate.
    """

    def __init__(self, row: Row) -> None:
        from mavrl.configuration.check import check
        from mavrl.configuration.composition import compose
        from mavrl.configuration.settings import RunSettings
        from mavrl.families.base import family_of
        from mavrl.workers import Workers

        config = compose(*row.overrides)
        check(config, {})
        self.family: Any = family_of(RunSettings.from_config(config), Workers(1))

    def returns(self, directory: Path) -> list[float]:
        """What the teacher pays what acts on the reward model of a run, one number a replicate.

        On grids they are percents already.
        """
        if not self.family.trains_policies:
            return self.family.judge(directory)["normalized_return"].tolist()
        from mavrl.model.step_reward import StepRewardModel

        model, judging, acting = StepRewardModel.load(directory), self.family.judging, self.family.acting
        return [float(judging.returns(acting.acts(directory, model, k)).mean()) for k in range(len(model))]

    def scale(self, true: list[float] | None) -> tuple[float, float] | None:
        """The returns that are 100 and 0; None where the first is not known, or no better than the other.

        Args:
            true: returns of policies that were paid the true reward; None without such a row.
        """
        if not self.family.trains_policies:
            return 100.0, 0.0
        if true is None:
            return None
        best, uniform = sum(true) / len(true), float(self.family.judging.uniform_returns().mean())
        return (best, uniform) if best > uniform else None


def measured(env: str, rows: Iterable[str], words: tuple[str, ...], runs: Path) -> list[dict[str, Any]]:
    """All rows of all teachers of an environment."""
    names = [f"{env}_{teacher}" for teacher in TEACHERS[env]]
    rows = [row for row in rows if not env.startswith("grid_") or row in ROWS_OF_GRIDS]
    directories = {(name, row): Row(name, row, words, runs).run() for name in names for row in rows}
    found = []
    for name in names:
        judge = Judge(Row(name, rows[0], words, runs))
        returns = {row: judge.returns(directories[name, row]) for row in rows}
        others = {
            other: judge.returns(directories[other, "learned"]) for other in names if (other, "learned") in directories
        }
        others.pop(name, None)
        scale = judge.scale(returns.get("true"))
        for row in rows:
            line = {"env": env, "teacher": name.removeprefix(f"{env}_"), "row": row, **summary(returns[row], scale)}
            if row == "learned":
                line["of_other_teachers"] = {
                    other.removeprefix(f"{env}_"): summary(values, scale)["values"] for other, values in others.items()
                }
                best = [max(values) for values in zip(*others.values(), strict=True)]
                line["wins"] = sum(own > other for own, other in zip(returns[row], best, strict=True))
            line["normalized"] = scale is not None
            line["run"] = str(directories[name, row])
            found.append(line)
            print(json.dumps(line), flush=True)
    return found


def summary(returns: list[float], scale: tuple[float, float] | None) -> dict[str, Any]:
    """Values of each seed with their mean and standard error, normalized where there is a scale."""
    from mavrl.statistics import mean_and_stderr

    best, worst = scale or (100.0, 0.0)
    values = [100 * (value - worst) / (best - worst) for value in returns]
    mean, stderr = mean_and_stderr(values)
    rounded = {"values": [round(value, 1) for value in values], "mean": round(mean, 1)}
    return {**rounded, **({} if stderr is None else {"stderr": round(stderr, 1)})}


def markdown(lines: list[dict[str, Any]]) -> str:
    """The table: a line for each teacher, a column for each row."""
    teachers = list(dict.fromkeys((line["env"], line["teacher"]) for line in lines))
    rows = [row for row in ROWS if any(line["row"] == row for line in lines)]
    cells = {(line["env"], line["teacher"], line["row"]): line for line in lines}
    head = ["environment", "teacher", *rows, "best of another teacher", "wins"]
    table = [head, ["---"] * len(head)]
    for env, teacher in teachers:
        learned = cells.get((env, teacher, "learned"), {})
        others = [sum(values) / len(values) for values in learned.get("of_other_teachers", {}).values()]
        wins = f"{learned['wins']} of {len(learned['values'])}" if learned else "-"
        found = [_cell(cells.get((env, teacher, row))) for row in rows]
        table.append([env, teacher, *found, f"{max(others):.1f}" if others else "-", wins])
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return "-"
    return f"{line['mean']:.1f}" + (f" ± {line['stderr']:.1f}" if "stderr" in line else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", default=",".join(TEACHERS), help="comma-separated")
    parser.add_argument("--rows", default=",".join(ROWS), help="comma-separated")
    parser.add_argument("--seeds", default="0-4", help="first-last")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    arguments = parser.parse_intermixed_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = (f"seed={first}", f"replicates={int(last or first) - int(first) + 1}")
    envs, rows = arguments.envs.split(","), arguments.rows.split(",")
    for given, known in ((envs, TEACHERS), (rows, ROWS)):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"{unknown[0]}: must be one of {', '.join(known)}")
    lines = [
        line for env in envs for line in measured(env, rows, (*seeds, *arguments.overrides), arguments.runs.resolve())
    ]
    print(markdown(lines))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
