"""Training one policy on one replicate's learned reward, as a job that a worker process can take."""

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mavrl.agents.expert_training import true_returns
from mavrl.agents.ppo import PPOSettings, PPOTraining
from mavrl.agents.rewards import ConstantReward, LearnedRewardSettings, LearnedStepReward, StepReward, TrueReward
from mavrl.envs.control import ControlEnvironment
from mavrl.model.reward_model import load_reward_model
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.network import NetworkPolicy
from mavrl.storage.checkpoints import Checkpoints
from mavrl.storage.files import write_text
from mavrl.workers import Workers

CURVE = "curve.csv"


@dataclass(frozen=True)
class PolicyJob:
    """One policy to be trained.

    Args:
        environment: where.
        ppo: hyperparameters.
        reward: how a learned reward is paid; or "true" for the true one, or a number that is paid at every step.
        seed: address of all randomness.
        directory: for the policy, its training curve and its checkpoints.
        chunks: parts of the training, each ending with an evaluation on the true reward for the curve.
        evaluation_episodes: of each.
        checkpoint: which policy is kept: the "last", or the best in those evaluations ("true_reward").
        stop_below: ends the training when an evaluation falls below this return; None for never.
        model: directory of the learned reward.
        replicate: of the learned reward.
        warm_states: states in which the policy first imitates the demonstrators, shape (N, O); None for no such start.
    """

    environment: ControlEnvironment
    ppo: PPOSettings
    reward: LearnedRewardSettings | float | Literal["true"]
    seed: int
    directory: Path
    chunks: int
    evaluation_episodes: int
    checkpoint: Literal["last", "true_reward"] = "last"
    stop_below: float | None = None
    model: Path | None = None
    replicate: int = 0
    warm_states: np.ndarray | None = None


def train_policy(job: PolicyJob) -> None:
    """Train and save the policy; does nothing when that has been done. A job that was cut off goes on."""
    if (job.directory / "card.json").exists():
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small
    try:
        _Training(job).run()
    finally:
        torch.set_num_threads(threads)


class _Training:
    def __init__(self, job: PolicyJob) -> None:
        self._job = job
        self._checkpoints = Checkpoints(job.directory / "checkpoints")
        model = self._learned_reward()
        self._ppo = PPOTraining(
            job.environment.training_vector(job.ppo.n_envs),
            self._paid(model),
            job.ppo,
            job.seed,
            job.chunks,
            self._checkpoints,
        )
        if model is not None and job.warm_states is not None and self._checkpoints.newest() is None:
            states = torch.from_numpy(job.warm_states)
            self._ppo.imitate(states, model.demonstrator(states)[0].exp())
        self._rows = _read_curve(job.directory / CURVE)
        self._begun = time.monotonic()

    def _learned_reward(self) -> StepRewardModel | None:
        if self._job.model is None:
            return None
        model = load_reward_model(self._job.model)
        assert isinstance(model, StepRewardModel)
        return model[self._job.replicate]

    def _paid(self, model: StepRewardModel | None) -> StepReward:
        reward = self._job.reward
        if isinstance(reward, LearnedRewardSettings):
            assert model is not None
            return LearnedStepReward(model, reward, self._job.seed)
        return TrueReward() if reward == "true" else ConstantReward(float(reward))

    def run(self) -> None:
        steps = self._ppo.run(self._after_chunk)
        card = {"algorithm": "ppo", "steps": steps, "seed": self._job.seed, "checkpoint": self._job.checkpoint}
        last = self._ppo.policy()
        if self._job.checkpoint == "true_reward":
            last = NetworkPolicy.load(self._job.directory / "best")
        NetworkPolicy(last.network, last.scores, last.activation, card).save(self._job.directory)
        self._checkpoints.clear()

    def _after_chunk(self, steps: int, policy: NetworkPolicy) -> bool:
        job = self._job
        address = (job.seed, "training curve", steps)
        mean = float(true_returns(job.environment, policy, address, job.evaluation_episodes, Workers(1)).mean())
        self._rows = [row for row in self._rows if row["step"] < steps]
        if job.checkpoint == "true_reward" and all(mean > row["true_return"] for row in self._rows):
            policy.save(job.directory / "best")
        self._rows.append({"step": steps, "true_return": mean, "seconds": time.monotonic() - self._begun})
        _write_curve(job.directory / CURVE, self._rows)
        return job.stop_below is None or mean >= job.stop_below


def _read_curve(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    with path.open(newline="") as table:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)]
    return [{**row, "step": int(row["step"])} for row in rows]


def _write_curve(path: Path, rows: list[dict[str, Any]]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, table.getvalue())
