"""Speed on the control environments: whole runs as processes, and PPO on the learned beside the true reward.

    python benchmarks/control.py                              all three environments, cold caches
    python benchmarks/control.py --envs cartpole_v1 --steps 50000
    python benchmarks/control.py --envs lunar_lander_v3 trainer.max_epochs=250

Prints one JSON line a measurement. A whole run is timed by the clock, with its parts from metrics.json. PPO is timed
in this process on the run's own reward model: on the true and the learned reward in turns, with the shares of time that
the environment, the reward model, the policy's own computation and its updates take.
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
ROOT = Path(__file__).resolve().parents[1]
ENVS = ("cartpole_v1", "acrobot_v1", "lunar_lander_v3")
_ROUNDS = 3  # of PPO on the true and the learned reward, in turns


def whole_run(env: str, overrides: list[str], directory: Path) -> dict[str, Any]:
    """Time one run with one replicate and an empty cache."""
    command = [sys.executable, str(ROOT / "run.py"), f"env={env}", "modality=pdrs", "replicates=1", *overrides]
    command += [f"hydra.run.dir={directory}", f"paths.cache={directory}.cache"]
    started = time.monotonic()
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(finished.stderr)
    seconds = time.monotonic() - started
    metrics = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
    parts = {name: round(value, 1) for name, value in metrics["seconds"].items()}
    return {
        "measured": "whole run",
        "env": env,
        "overrides": overrides,
        "seconds": round(seconds, 1),
        "parts": parts,
        "normalized_return": round(metrics["mean"]["normalized_return"], 1),
    }


class Stopwatch:
    """Seconds spent in functions, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, owner: Any, method: str, name: str) -> None:
        inner = getattr(owner, method)

        def timed(*arguments: Any, **settings: Any) -> Any:
            started = time.perf_counter()
            try:
                return inner(*arguments, **settings)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

        setattr(owner, method, timed)


class Timed:
    """A reward whose calls are timed."""

    def __init__(self, reward: Any, watch: Stopwatch) -> None:
        self._reward = reward
        self.begin, self.seed = reward.begin, reward.seed
        watch.wrap(self, "pay", "reward model")

    def pay(self, *arguments: Any) -> Any:
        return self._reward(*arguments)

    def __call__(self, *arguments: Any) -> Any:
        return self.pay(*arguments)


def policy_speed(env: str, overrides: list[str], directory: Path, steps: int) -> dict[str, Any]:
    """Environment steps a second of PPO on the true and on the learned reward, and where the time goes."""
    import dataclasses

    import torch

    from mavrl.agents.ppo import PPOTraining
    from mavrl.agents.rewards import LearnedStepReward, TrueReward
    from mavrl.configuration.composition import compose
    from mavrl.configuration.settings import RunSettings
    from mavrl.families.control.family import Control
    from mavrl.model.step_reward import StepRewardModel
    from mavrl.workers import Workers

    torch.set_num_threads(1)
    config = compose(f"env={env}", "modality=pdrs", "replicates=1", *overrides)
    control = Control(RunSettings.from_config(config), Workers(1))
    policy, model = control.acting.policy, StepRewardModel.load(directory)
    assert policy.ppo is not None
    assert policy.paid is not None
    rates: dict[str, list[float]] = {"true": [], "learned": []}
    shares: dict[str, float] = {}
    for _ in range(_ROUNDS):
        for who in rates:
            watch = Stopwatch()
            reward = TrueReward() if who == "true" else LearnedStepReward(model[0], policy.paid, 0)
            envs = control.environment.training_vector(policy.ppo.n_envs)
            watch.wrap(envs, "step", "environment")
            ppo = dataclasses.replace(policy.ppo, total_steps=steps)
            training = PPOTraining(envs, Timed(reward, watch), ppo, 0, 1)  # type: ignore[arg-type]
            watch.wrap(training._model, "train", "updates")
            started = time.perf_counter()
            done = training.run()
            seconds = time.perf_counter() - started
            rates[who].append(done / seconds)
            shares = {name: round(value / seconds, 3) for name, value in watch.seconds.items()}
    shares["policy and bookkeeping"] = round(1 - sum(shares.values()), 3)
    best = {who: max(values) for who, values in rates.items()}  # the least disturbed round
    return {
        "measured": "PPO",
        "env": env,
        "steps_per_second": {who: round(value) for who, value in best.items()},
        "learned_over_true": round(best["learned"] / best["true"], 3),
        "shares_on_learned": shares,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", default=",".join(ENVS), help="comma-separated")
    parser.add_argument("--steps", type=int, default=50_000, help="of each timed PPO training")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    arguments = parser.parse_intermixed_args()
    for env in arguments.envs.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            directory = Path(scratch) / "run"
            print(json.dumps(whole_run(env, arguments.overrides, directory)), flush=True)
            print(json.dumps(policy_speed(env, arguments.overrides, directory, arguments.steps)), flush=True)


if __name__ == "__main__":
    main()
