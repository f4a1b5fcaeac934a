"""Rewards that an agent is paid at each step of a vector environment."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from safetensors.torch import save

from mavrl.model.frozen import FrozenRewardModel, Taken
from mavrl.model.step_reward import StepRewardModel
from mavrl.storage.files import checksum
from mavrl.streams import numpy_stream


@dataclass(frozen=True)
class Rollout:
    """T steps in a row of N environments, which begin new episodes in the step that ends one.

    Args:
        state: that is acted in.
        next_state: that the step leads to, also where it ends the episode.
        over: the step ended the episode.
    """

    state: Float[np.ndarray, "T N O"]
    action: Int[np.ndarray, "T N"] | Float[np.ndarray, "T N D"]  # in the unit box
    next_state: Float[np.ndarray, "T N O"]
    terminated: Bool[np.ndarray, "T N"]
    over: Bool[np.ndarray, "T N"]
    true_reward: Float[np.ndarray, "T N"]


class StepReward(ABC):
    """The reward of one step in each of N environments, or of many steps at once."""

    @abstractmethod
    def __call__(
        self,
        state: Float[np.ndarray, "N O"],
        action: Taken,
        next_state: Float[np.ndarray, "N O"],
        terminated: Bool[np.ndarray, "N"],
        true_reward: Float[np.ndarray, "N"],
    ) -> Float[np.ndarray, "N"]:
        """The reward of each environment's step."""

    @property
    def fingerprint(self) -> str:
        """What it has in common with no reward that pays something else."""
        return type(self).__name__

    def seed(self, seed: int) -> None:  # noqa: B027 -- most have no randomness
        """Begin new randomness, which depends on nothing that was paid before."""

    def begin(self, started: Bool[np.ndarray, "N"]) -> None:  # noqa: B027 -- most have nothing to begin
        """Note that new episodes have started in these environments."""

    def of_rollout(self, rollout: Rollout) -> Float[np.ndarray, "T N"]:
        """The reward of every step: what a call for each of them pays, with `begin` after those that end episodes."""
        paid = [self._of_step(rollout, t) for t in range(len(rollout.action))]
        return np.stack(paid)

    def _of_step(self, rollout: Rollout, t: int) -> Float[np.ndarray, "N"]:
        reward = self(
            rollout.state[t], rollout.action[t], rollout.next_state[t], rollout.terminated[t], rollout.true_reward[t]
        )
        if rollout.over[t].any():
            self.begin(rollout.over[t])
        return np.asarray(reward)


class TrueReward(StepReward):
    """The environment's own reward."""

    def __call__(self, state, action, next_state, terminated, true_reward):
        return true_reward

    def of_rollout(self, rollout: Rollout) -> Float[np.ndarray, "T N"]:
        return rollout.true_reward


@dataclass
class ConstantReward(StepReward):
    """One reward at every step: what a policy gains from staying alive, or from ending its episodes."""

    value: float

    @property
    def fingerprint(self) -> str:
        return f"{type(self).__name__} {self.value}"

    def __call__(self, state, action, next_state, terminated, true_reward):
        return np.full(len(action), self.value)

    def of_rollout(self, rollout: Rollout) -> Float[np.ndarray, "T N"]:
        return np.full(rollout.over.shape, self.value)


@dataclass(frozen=True)
class LearnedRewardSettings:
    """Settings of a learned reward: how it is paid.

    Args:
        reward: "mean" of the members; "lower_bound", the mean minus kappa times the members' standard deviation; or a
            "sample" of the posterior.
        kappa: how pessimistic the lower bound is.
        sample_per: whether a sample is drawn for each "step", or one reward function for each "episode".
        standardize: give each member mean 0 and standard deviation 1 on the feedback.
        clip: largest absolute reward after that.
        termination_weight: what being in a terminal state is worth a step, in units of clip and of the prior mean
            there; every other step is paid that much less.
        reference_weight: of the demonstrators' advantage, where there is feedback from demonstrations.
    """

    reward: Literal["mean", "lower_bound", "sample"]
    kappa: float
    sample_per: Literal["step", "episode"]
    standardize: bool
    clip: float
    termination_weight: float
    reference_weight: float


class LearnedStepReward(StepReward):
    """A learned reward, computed at once for all environments.

    The posterior knows rewards only up to a shift, while the end of an episode makes a shift matter: an agent that is
    paid too little hurries to end it. So an episode that terminates is taken to go on for ever in its terminal state,
    which is worth weight * clip * prior mean there a step. The shift is chosen such that this is 0, since an agent is
    paid nothing after the end: every step is paid that much less. With a weight above 1 a failure is worse than the
    worst reward for ever, and a success better than the best.

    Where there are demonstrations, their likelihood says how probable each action is for the demonstrator. The agent
    is also paid reference_weight * (log pi(a | s) - sum_a' pi(a' | s) log pi(a' | s)). That is the advantage of the
    learned Q in units of 1 / rationality; on average it is 0 for one who acts like the demonstrator, so it favours
    neither long nor short episodes.

    Args:
        model: one replicate.
        settings: how it is paid.
        seed: address of the samples' randomness.
    """

    LEAST_ADVANTAGE = -5.0  # nats; what the demonstrator would never do costs no more than this
    _PART = 512  # transitions that are paid at once: more of them no longer stay in the cache

    def __init__(self, model: StepRewardModel, settings: LearnedRewardSettings, seed: int) -> None:
        self._model = FrozenRewardModel(model)
        self._settings = settings
        weights = {name: tensor.contiguous() for name, tensor in model.tensors().items()}
        self._fingerprint = checksum(f"{settings} {model.description}".encode() + save(weights))
        centre, scale = (values[0, :, None].numpy() for values in model.on_feedback())
        self._centre, self._scale = (centre, scale) if settings.standardize else (0.0, 1.0)
        self._worth_of_end = settings.termination_weight * settings.clip * model.at_termination
        self._guided = settings.reference_weight > 0 and model.demonstrated
        self._seed = seed
        self._stream = numpy_stream(seed, "paid sample")
        self._member, self._deviation = np.zeros(0, dtype=np.int64), np.zeros(0)

    @property
    def fingerprint(self) -> str:
        return self._fingerprint

    def seed(self, seed: int) -> None:
        self._stream = numpy_stream(self._seed, "paid sample", seed)

    def begin(self, started: Bool[np.ndarray, "N"]) -> None:
        if self._settings.reward != "sample":
            return
        n = len(started)
        member, deviation = self._stream.integers(self._model.n_members, size=n), self._stream.standard_normal(n)
        if len(self._member) == n:
            member, deviation = (
                np.where(started, new, old) for new, old in ((member, self._member), (deviation, self._deviation))
            )
        self._member, self._deviation = member, deviation

    def __call__(self, state, action, next_state, terminated, true_reward):
        if self._settings.reward == "sample" and self._settings.sample_per == "step":
            self.begin(np.ones(len(action), dtype=bool))
        return self._paid(state, action, next_state, terminated, self._member, self._deviation)

    def of_rollout(self, rollout: Rollout) -> Float[np.ndarray, "T N"]:
        """The reward of every step, from few calls of the networks: one for many transitions costs little more."""
        shape = rollout.over.shape
        member, deviation = (each.reshape(-1) for each in self._samples(rollout))
        flat = [
            each.reshape(shape[0] * shape[1], *each.shape[2:])
            for each in (rollout.state, rollout.action, rollout.next_state, rollout.terminated)
        ]
        paid = [
            self._paid(*(each[k : k + self._PART] for each in (*flat, member, deviation)))
            for k in range(0, len(flat[0]), self._PART)
        ]
        return np.concatenate(paid).reshape(shape)

    def _samples(self, rollout: Rollout) -> tuple[Int[np.ndarray, "T N"], Float[np.ndarray, "T N"]]:
        """Which sample is paid at each step, drawn as calls for the single steps draw them."""
        shape = rollout.over.shape
        member, deviation = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        if self._settings.reward != "sample":
            return member, deviation
        for t in range(shape[0]):
            if self._settings.sample_per == "step":
                self.begin(np.ones(shape[1], dtype=bool))
            member[t], deviation[t] = self._member, self._deviation
            if rollout.over[t].any():
                self.begin(rollout.over[t])
        return member, deviation

    def _paid(
        self,
        state: Float[np.ndarray, "N O"],
        action: Taken,
        next_state: Float[np.ndarray, "N O"],
        terminated: Bool[np.ndarray, "N"],
        member: Int[np.ndarray, "_"],
        deviation: Float[np.ndarray, "_"],
    ) -> Float[np.ndarray, "N"]:
        seen = self._model.standardized(state)
        reward = self._posterior_reward(*self._model.moments(seen, action, next_state, terminated), member, deviation)
        reward = np.clip(reward, -self._settings.clip, self._settings.clip) - self._worth_of_end
        if self._guided:
            reward = reward + self._settings.reference_weight * self._advantage(seen, action)
        return reward

    def _posterior_reward(
        self,
        mean: Float[np.ndarray, "M N"],
        std: Float[np.ndarray, "M N"],
        member: Int[np.ndarray, "_"],
        deviation: Float[np.ndarray, "_"],
    ) -> Float[np.ndarray, "N"]:
        mean, std = (mean - self._centre) / self._scale, std / self._scale
        if self._settings.reward == "lower_bound":
            return mean.mean(0) - self._settings.kappa * mean.std(0)
        if self._settings.reward == "mean":
            return mean.mean(0)
        columns = np.arange(mean.shape[-1])
        return mean[member, columns] + std[member, columns] * deviation

    def _advantage(self, seen: Float[np.ndarray, "M N O"], action: Taken) -> Float[np.ndarray, "N"]:
        return np.maximum(self._model.advantage(seen, action), self.LEAST_ADVANTAGE)
