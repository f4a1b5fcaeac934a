"""The training of policies on the rewards that replicates have learned: many at once, in parts, resumed after kills."""

import csv
import io
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mavrl.agents.expert_training import true_returns
from mavrl.agents.rewards import ConstantReward, LearnedRewardSettings, LearnedStepReward, StepReward, TrueReward
from mavrl.agents.sac_settings import SACSettings
from mavrl.agents.trainer import Agent, AgentSettings, Trainer, trainer_of
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.pool import Vector
from mavrl.errors import StorageError, TrainingError
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.loading import StoredPolicy, load_policy
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
        agent: hyperparameters, which say the algorithm.
        reward: how a learned reward is paid; or "true" for the true one, or a number that is paid at every step.
        seed: address of all randomness.
        directory: for the policy, its training curve and its checkpoints.
        chunks: parts of the training, each ending with an evaluation on the true reward for the curve.
        looks: evaluations during the whole training, beside those.
        evaluation_episodes: episodes of each evaluation.
        checkpoint: which policy is kept: the "last", or the best in those evaluations ("true_reward").
        stop_below: ends the training when an evaluation falls below this return; None for never.
        model: directory of the learned reward.
        replicate: which replicate of the learned reward is paid.
        warm_states: states in which the policy first imitates the demonstrators, shape (N, O); None for no such start.
        vector: whose copies of the environment it is trained in (`mavrl.envs.pool`).
    """

    environment: ControlEnvironment
    agent: AgentSettings
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
    vector: Vector = "gymnasium"
    looks: int = 1

    @property
    def n_evaluations(self) -> int:
        """Rows of the training curve in all."""
        equally = {self.agent.steps_until(k + 1, self.looks) for k in range(self.looks)}
        return len(equally | {self.agent.steps_until(k + 1, self.chunks) for k in range(self.chunks)} - {0})


def train_policies(trainings: Sequence[PolicyTraining], workers: Workers, until: int | None = None) -> None:
    """Train and save policies; does nothing about those that are trained. Trainings that were cut off go on.

    The policies are divided among the processes. With PPO each process trains its share together
    (`mavrl.agents.batched_ppo`): that costs little more than one of them alone, and each policy is what it would be
    alone. With SAC it trains one after the other.

    A training may be done in parts: a call with `until` ends after that chunk, and a later one goes on from there, with
    the policy, the optimizer, the scale of rewards and what SAC remembers as they are, on the reward that it names.
    `policy_after` reads the policy in between.

    Args:
        until: number of chunks after which a training rests; None for its end.

    Raises:
        TrainingError: the weights of a policy are no longer finite.
    """
    pending = [each for each in trainings if not _is_trained(each.directory)]
    if parts := min(workers.count, len(pending)):
        workers.map(_train_together, [(pending[part::parts], until) for part in range(parts)])


def policy_after(directory: Path, chunk: int) -> StoredPolicy:
    """The policy of a training that has rested after this chunk, or that ended before.

    Raises:
        StorageError: there is none.
    """
    rested = _rested(directory, chunk)
    return load_policy(rested if (rested / "card.json").exists() else directory)


def _rested(directory: Path, chunk: int) -> Path:
    return directory / "after" / str(chunk)


def _is_trained(directory: Path) -> bool:
    if not (directory / "card.json").exists():
        return False
    try:
        load_policy(directory)
    except StorageError as error:
        log.warning("%s; it is trained again", error)
        return False
    return True


def _train_together(trainings: Sequence[PolicyTraining], until: int | None) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are small
    try:
        waiting = list(trainings)
        while waiting:
            form = _form(waiting[0])
            _train_alike([each for each in waiting if _form(each) == form], until)
            waiting = [each for each in waiting if _form(each) != form]
    finally:
        torch.set_num_threads(threads)


def _form(training: PolicyTraining) -> tuple[Any, ...]:
    """What trainings must share to be one batch."""
    alone = training.directory if isinstance(training.agent, SACSettings) else None
    return training.environment, training.vector, training.agent, training.chunks, training.looks, alone


def _train_alike(trainings: Sequence[PolicyTraining], until: int | None) -> None:
    environment, vector, settings, chunks, looks, _ = _form(trainings[0])
    trainer = trainer_of(environment, vector, settings, chunks, looks, len(trainings))
    end = trainer.chunks if until is None else min(until, trainer.chunks)
    runs = [_Run(training, trainer, end) for training in trainings]
    while going_on := [run for run in runs if run.chunk < end]:
        chunk = min(run.chunk for run in going_on)  # after a kill some may be one ahead
        now = [run for run in going_on if run.chunk == chunk]
        rewards, seeds, agents = ([getattr(run, k) for run in now] for k in ("reward", "seed", "agent"))
        for run, seen in zip(now, trainer.train(rewards, seeds, agents, chunk), strict=True):
            run.take(seen)
        for run in now:
            run.check()
    trainer.close()
    for run in runs:
        run.rest(until)


class _Run:
    """The training of one policy among others.

    Args:
        end: chunk after which it rests now.
    """

    def __init__(self, training: PolicyTraining, trainer: Trainer[Any], end: int) -> None:
        self._training, self._trainer = training, trainer
        self._checkpoints = Checkpoints(training.directory / "checkpoints")
        self.seed = training.seed
        newest = self._checkpoints.newest()
        if newest is None:
            self.chunk, self.agent = 0, trainer.begin(training.seed)
        else:
            state = torch.load(newest, weights_only=True)
            self.chunk, self.agent = state["chunk"], trainer.restored(training.seed, state["learner"])
        model = None
        if training.model is not None and self.chunk < end:
            model = StepRewardModel.load(training.model)[training.replicate]
        self.reward = _paid(training, model) if self.chunk < end else ConstantReward(0.0)
        if model is not None and training.warm_states is not None and newest is None:
            self.agent = trainer.imitating(self.agent, self.seed, torch.from_numpy(training.warm_states), model)
        self._rows = read_curve(training.directory / CURVE)
        self._begun = time.monotonic()

    def take(self, seen: Sequence[Agent]) -> None:
        """Judge what was seen in a chunk, and keep what came out of it, unless its weights are not finite."""
        self.agent = seen[-1]
        if not self.agent.finite:
            return
        done = self.chunk + 1
        go_on = [self._goes_on(agent.steps, self._trainer.policy(agent)) for agent in seen]
        self.chunk = done if all(go_on) else self._trainer.chunks
        self._checkpoints.save(done, self._write)

    def _write(self, path: Path) -> None:
        content = io.BytesIO()  # torch's own way to a file does not say that a disk is full
        torch.save({"chunk": self.chunk, "learner": self._trainer.state(self.agent)}, content)
        path.write_bytes(content.getbuffer())

    def check(self) -> None:
        """
        Raises:
            TrainingError: the weights are not finite.
        """
        if not self.agent.finite:
            who = f"replicate {self._training.replicate} (seed {self.seed})"
            name, steps = self._trainer.algorithm.upper(), self.agent.steps
            text = f"{name} of {who} after {steps} steps: the policy's weights are not finite"
            raise TrainingError(f"{text}; a smaller learning_rate may help")

    def rest(self, until: int | None) -> None:
        """Write the policy, when the training has ended or has come to the chunk where it rests."""
        if self.chunk >= self._trainer.chunks:
            self._finish()
        elif until is not None and not _is_trained(rested := _rested(self._training.directory, until)):
            self._kept(self._trainer.policy(self.agent)).save(rested)

    def _finish(self) -> None:
        last = self._trainer.policy(self.agent)
        if self._training.checkpoint == "true_reward":
            last = load_policy(self._training.directory / "best")
        self._kept(last).save(self._training.directory)
        self._checkpoints.clear()

    def _kept(self, policy: StoredPolicy) -> StoredPolicy:
        card = {
            "algorithm": self._trainer.algorithm,
            "steps": self.agent.steps,
            "seed": self.seed,
            "checkpoint": self._training.checkpoint,
        }
        return replace(policy, card=card)

    def _goes_on(self, steps: int, policy: StoredPolicy) -> bool:
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


def read_curve(path: Path) -> list[dict[str, Any]]:
    """The rows of a policy's training curve, one for each part; none where there is no file.

    Raises:
        StorageError: it is damaged.
    """
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
