"""Speed on the control environments: whole runs as processes, and PPO on the learned beside the true reward.

    python benchmarks/control.py                              all three environments, cold caches
    python benchmarks/control.py --envs cartpole_v1 --steps 50000
    python benchmarks/control.py --envs lunar_lander_v3 trainer.max_epochs=250

    python benchmarks/control.py --envs lunar_lander_v3 --run <directory of a run>      PPO alone, on that run's reward

Prints one JSON line a measurement. A whole run is timed by the clock, with its parts from metrics.json. PPO is timed
in this process on the run's own reward model: Stable-Baselines3's and the batched one, on the true and the learned
reward, in Gymnasium's and, where it is installed, EnvPool's environments, all in turns, with the shares of time that
the environment, the reward and the gradients take. Times of PPO are those of the processor: what else runs on the
machine hardly changes them.
"""

import argparse
import importlib.util
import itertools
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
_PAID = ("true", "learned")
_ROUNDS = 3  # of all kinds of PPO, in turns


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
            started = time.process_time()
            try:
                return inner(*arguments, **settings)
            finally:
                self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - started

        setattr(owner, method, timed)


def policy_speed(env: str, overrides: list[str], directory: Path, steps: int) -> dict[str, Any]:
    """Environment steps a second of processor time: Stable-Baselines3's PPO, and batches of 1 and of 5 replicates.

    Args:
        directory: of a run, whose learned reward is paid.
    """
    import dataclasses

    import torch

    from mavrl.agents.ppo import PPOTraining
    from mavrl.agents.ppo_settings import PPOSettings
    from mavrl.agents.rewards import LearnedRewardSettings, LearnedStepReward, StepReward, TrueReward
    from mavrl.configuration.composition import compose
    from mavrl.configuration.settings import RunSettings
    from mavrl.families.control.family import Control
    from mavrl.model.step_reward import StepRewardModel
    from mavrl.workers import Workers

    torch.set_num_threads(1)
    config = compose(f"env={env}", "modality=pdrs", "replicates=1", *overrides)
    control = Control(RunSettings.from_config(config), Workers(1))
    policy = control.acting.policy
    model = StepRewardModel.load(directory)
    assert isinstance(policy.agent, PPOSettings)
    ppo = dataclasses.replace(policy.agent, total_steps=steps)
    vectors = ["gymnasium", *(["envpool"] if importlib.util.find_spec("envpool") else [])]
    rates: dict[str, list[float]] = {}
    shares: dict[str, dict[str, float]] = {}

    def reward(who: str, seed: int) -> StepReward:
        if who == "true":
            return TrueReward()
        assert isinstance(policy.paid, LearnedRewardSettings)
        return LearnedStepReward(model[0], policy.paid, seed)

    for _ in range(_ROUNDS):
        for who in _PAID:
            training = PPOTraining(
                control.environment.training_vector(ppo.n_envs), control.environment.actions, reward(who, 0), ppo, 0, 1
            )
            started = time.process_time()
            done = training.run()
            rates.setdefault(f"stable-baselines3, {who}", []).append(done / (time.process_time() - started))
        for vector, replicates, who in itertools.product(vectors, (1, 5), _PAID):
            name = f"batch of {replicates}, {who}, {vector}"
            rewards = [reward(who, seed) for seed in range(replicates)]
            rate, shares[name] = batched_speed(control.environment, vector, ppo, rewards)
            rates.setdefault(name, []).append(rate)
    best = {name: round(max(values)) for name, values in rates.items()}  # the least disturbed round
    return {"measured": "PPO", "env": env, "steps_per_second": best, "shares": shares}


def batched_speed(environment: Any, vector: Any, settings: Any, rewards: list[Any]) -> tuple[float, dict[str, float]]:
    """Steps a second of a batch, all replicates together, and the shares of time of its parts."""
    from mavrl.agents import batched_ppo
    from mavrl.envs.pool import stepped_environments

    watch, gradient = Stopwatch(), batched_ppo.loss_gradient
    ppo = batched_ppo.BatchedPPO.of(environment.observation_size, environment.actions, settings, 1)
    envs = stepped_environments(environment, len(rewards) * settings.n_envs, vector)
    watch.wrap(envs, "step", "environment")
    for reward in rewards:
        watch.wrap(reward, "of_rollout", "reward")
    seeds = list(range(len(rewards)))
    learners = [ppo.begin(seed) for seed in seeds]
    watch.wrap(batched_ppo, "loss_gradient", "gradients")
    started = time.process_time()
    try:
        learners = [seen[-1] for seen in ppo.train(envs, rewards, seeds, learners, 0)]
    finally:
        batched_ppo.loss_gradient = gradient
    seconds = time.process_time() - started
    shares = {name: round(value / seconds, 3) for name, value in watch.seconds.items()}
    return sum(learner.steps for learner in learners) / seconds, shares


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", default=",".join(ENVS), help="comma-separated")
    parser.add_argument("--steps", type=int, default=50_000, help="of each timed PPO training")
    parser.add_argument("--run", type=Path, help="a run whose reward is paid, instead of a new one")
    parser.add_argument("overrides", nargs="*", help="configuration overrides")
    arguments = parser.parse_intermixed_args()
    for env in arguments.envs.split(","):
        with tempfile.TemporaryDirectory() as scratch:
            directory = arguments.run or Path(scratch) / "run"
            if arguments.run is None:
                print(json.dumps(whole_run(env, arguments.overrides, directory)), flush=True)
            print(json.dumps(policy_speed(env, arguments.overrides, directory, arguments.steps)), flush=True)


if __name__ == "__main__":
    main()
