"""Hyperparameters of PPO, and their schedules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class PPOSettings:
    """Hyperparameters of PPO.

    Args:
        total_steps: environment steps, over all copies of the environment.
        n_envs: copies of the environment.
        n_steps: environment steps of each copy between two updates.
        batch_size: transitions in a minibatch of an update.
        n_epochs: passes of an update over the transitions since the last one.
        learning_rate, clip_range: numbers, or "lin_x" for a linear schedule from x to 0.
        gamma, gae_lambda, ent_coef, vf_coef, max_grad_norm: as in Stable-Baselines3.
        normalize_reward: divide rewards by the running standard deviation of the discounted return.
        normalize_observations: give them mean 0 and variance 1, by running moments.
        hidden_sizes: size of each hidden layer, of the policy and of the value function.
    """

    total_steps: int
    n_envs: int
    n_steps: int
    batch_size: int
    n_epochs: int
    learning_rate: float | str
    clip_range: float | str
    gamma: float
    gae_lambda: float
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    normalize_reward: bool
    hidden_sizes: Sequence[int]
    normalize_observations: bool = False  # what runs of earlier versions did

    def __post_init__(self) -> None:
        schedule(self.learning_rate)
        schedule(self.clip_range)

    @property
    def updates(self) -> int:
        """Updates of a whole training."""
        return max(1, -(-self.total_steps // (self.n_envs * self.n_steps)))

    def parts(self, wanted: int) -> int:
        """Parts that a training has of as many as are wanted: at most one for each update."""
        return min(wanted, self.updates)

    def updates_until(self, part: int, parts: int) -> int:
        """Updates before part number `part`."""
        parts = self.parts(parts)
        return self.updates * min(part, parts) // parts

    def steps_until(self, part: int, parts: int) -> int:
        """Environment steps before part number `part`."""
        return self.updates_until(part, parts) * self.n_envs * self.n_steps


def schedule(value: float | str) -> Callable[[float], float]:
    """A schedule, from the share of the training that remains to a value: constant, or linear from x to 0 for "lin_x".

    Raises:
        ValueError: the text is neither.
    """
    if isinstance(value, str) and value.startswith("lin_"):
        start = float(value.removeprefix("lin_"))
        return lambda remaining: start * remaining
    constant = float(value)
    return lambda remaining: constant
