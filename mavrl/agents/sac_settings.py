"""Hyperparameters of SAC."""

from collections.abc import Sequence
from dataclasses import dataclass

from mavrl.agents.ppo_settings import schedule


@dataclass(frozen=True)
class SACSettings:
    """Hyperparameters of SAC, by the names of Stable-Baselines3; of one copy of the environment.

    Args:
        total_steps: environment steps, to whole multiples of train_freq.
        learning_rate: a number, or "lin_x" for a linear schedule from x to 0.
        batch_size: transitions of a gradient step.
        buffer_size: transitions that are remembered.
        learning_starts: environment steps with random actions, before the first gradient step.
        tau: how far the target networks follow in a gradient step.
        train_freq: environment steps between two times of gradient steps.
        gradient_steps: of each such time; -1 for as many as there were environment steps.
        ent_coef: of the entropy: a number, or "auto" or "auto_x", beginning at x, for one that keeps the entropy.
        hidden_sizes: size of each hidden layer, of actor and critics.
    """

    total_steps: int
    learning_rate: float | str
    batch_size: int
    buffer_size: int
    learning_starts: int
    tau: float
    gamma: float
    train_freq: int
    gradient_steps: int
    ent_coef: float | str
    hidden_sizes: Sequence[int]

    def __post_init__(self) -> None:
        schedule(self.learning_rate)

    def parts(self, wanted: int) -> int:
        """Parts that a training has of as many as are wanted."""
        return min(wanted, self._rounds)

    def steps_until(self, part: int, parts: int) -> int:
        """Environment steps before part number `part`."""
        parts = self.parts(parts)
        return self._rounds * min(part, parts) // parts * self.train_freq

    @property
    def _rounds(self) -> int:
        return max(1, -(-self.total_steps // self.train_freq))
