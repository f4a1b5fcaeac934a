"""The training of one policy on one replicate's learned reward, which a worker process can do."""

import csv
import io
import logging
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
from mavrl.errors import StorageError
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.network import NetworkPolicy
from mavrl.storage.checkpoints import Checkpoints
from mavrl.storage.files import write_text
from mavrl.workers import Workers

CURVE = "curve.csv"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PolicyTraining:
    """One policy to be trained, and what it is trained on.

    Args:
        environment: what the policy acts in.
        ppo: hyperparameters.
        reward: how a learned reward is paid; or "true" for the true one, or a number that is paid at every step.
        seed: address of all randomness.
        directory: for the policy, its training curve and its checkpoints.
        chunks: parts of the training, each ending with an evaluation on the true reward for the curve.
        evaluation_episodes: episodes of each evaluation.
        checkpoint: which policy is kept: the "last", or the best in those evaluations ("true_reward").
        stop_below: ends the training when an evaluation falls below this return; None for never.
        model: directory of the learned reward.
        replicate: which replicate of the learned reward is paid.
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


def train_policy(training: PolicyTraining) -> None:
    """Train and save the policy; does nothing when that has been done. A training that was cut off goes on."""
    if _is_trained(training.directory):
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small
    try:
        _Run(training).run()
    finally:
        torch.set_num_threads(threads)


def _is_trained(directory: Path) -> bool:
    if not (directory / "card.json").exists():
        return False
    try:
        NetworkPolicy.load(directory)
    except StorageError as error:
        log.warning("%s; it is trained again", error)
        return False
    return True


class _Run:
    def __init__(self, training: PolicyTraining) -> None:
        self._training = training
        self._checkpoints = Checkpoints(training.directory / "checkpoints")
        model = None if training.model is None else StepRewardModel.load(training.model)[training.replicate]
        self._ppo = PPOTraining(
            training.environment.training_vector(training.ppo.n_envs),
            _paid(training, model),
            training.ppo,
            training.seed,
            training.chunks,
            self._checkpoints,
        )
        if model is not None and training.warm_states is not None and self._checkpoints.newest() is None:
            states = torch.from_numpy(training.warm_states)
            self._ppo.imitate(states, model.demonstrator(states)[0].exp())
        self._rows = _read_curve(training.directory / CURVE)
        self._begun = time.monotonic()

    def run(self) -> None:
        steps = self._ppo.run(self._after_chunk)
        card = {
            "algorithm": "ppo",
            "steps": steps,
            "seed": self._training.seed,
            "checkpoint": self._training.checkpoint,
        }
        last = self._ppo.policy()
        if self._training.checkpoint == "true_reward":
            last = NetworkPolicy.load(self._training.directory / "best")
        NetworkPolicy(last.network, last.scores, last.activation, card).save(self._training.directory)
        self._checkpoints.clear()

    def _after_chunk(self, steps: int, policy: NetworkPolicy) -> bool:
        training = self._training
        address = (training.seed, "training curve", steps)
        mean = float(
            true_returns(training.environment, policy, address, training.evaluation_episodes, Workers(1)).mean()
        )
        self._rows = [row for row in self._rows if row["step"] < steps]
        if training.checkpoint == "true_reward" and all(mean > row["true_return"] for row in self._rows):
            policy.save(training.directory / "best")
        self._rows.append({"step": steps, "true_return": mean, "seconds": time.monotonic() - self._begun})
        _write_curve(training.directory / CURVE, self._rows)
        return training.stop_below is None or mean >= training.stop_below


def _paid(training: PolicyTraining, model: StepRewardModel | None) -> StepReward:
    reward = training.reward
    if not isinstance(reward, LearnedRewardSettings):
        return TrueReward() if reward == "true" else ConstantReward(float(reward))
    if model is None:
        raise ValueError("a learned reward is paid from a model, and the training names none")
    return LearnedStepReward(model, reward, training.seed)


def _read_curve(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as table:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)]
        return [{**row, "step": int(row["step"]), "true_return": row["true_return"]} for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise StorageError(f"{path}: damaged; without {path.parent} the policy is trained again") from error


def _write_curve(path: Path, rows: list[dict[str, Any]]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, table.getvalue())
