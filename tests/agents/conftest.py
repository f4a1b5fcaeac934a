"""An environment that counts its steps, and reward models whose moments are known."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces

from mavrl.actions import Actions, NumberedActions
from mavrl.agents.ppo_settings import PPOSettings
from mavrl.agents.rewards import LearnedRewardSettings
from mavrl.envs.control import ControlEnvironment
from mavrl.model.step_reward import StepRewardModel


class Counter(gym.Env):
    """Observes a number drawn at its reset, and its steps so far; the reward is the number of the action.

    Args:
        ends_at: the step that terminates an episode; None for never.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, ends_at: int | None = None) -> None:
        self.observation_space = spaces.Box(0, np.inf, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.ends_at = ends_at

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.number, self.steps = self.np_random.random(), 0
        return self._observation(), {}

    def step(self, action):
        self.steps += 1
        return self._observation(), float(action), self.steps == self.ends_at, False, {}

    def _observation(self):
        return np.array([self.number, self.steps], np.float32)


@pytest.fixture
def counter() -> Iterator[Callable[..., ControlEnvironment]]:
    """Counters with this time limit that terminate at this step."""

    def make(limit: int = 5, ends_at: int | None = None, fixed_horizon: bool = False) -> ControlEnvironment:
        return ControlEnvironment("Counter-v0", {"ends_at": ends_at}, limit, fixed_horizon=fixed_horizon)

    gym.register("Counter-v0", entry_point=Counter)
    yield make
    del gym.registry["Counter-v0"]


@pytest.fixture(scope="session")
def make_model() -> Callable[..., StepRewardModel]:
    """A model of three features and two actions, or vectors of two; it is linear where its inputs are not negative."""

    def make(
        mean: Any,
        std: Any,
        bias: Any = None,
        end: Any = None,
        q: Any = None,
        on_feedback: Any = None,
        rationality: float = 1.0,
        at_termination: float = 0.0,
        replicates: int = 1,
        domain: str = "sa",
        actions: Actions = NumberedActions(2),  # noqa: B008 -- it is frozen
    ) -> StepRewardModel:
        """
        Args:
            mean: of each member, the reward of each feature and action, shape (M, 5), and of each feature of the next
                state (M, 8) where the domain is "sas"; a transition is worth their sum.
            std: of each member's posterior, shape (M,).
            bias: added to the reward by each member.
            end: added to it where a transition terminates, shape (M,).
            q: of each member, the Q of each action for each feature, shape (M, 3, 2), or of vectors the outputs that
                tell it, shape (M, 3, 5); None without demonstrations.
            on_feedback: mean and standard deviation on the feedback, each of shape (M,).
        """
        mean, std = torch.tensor(mean), torch.tensor(std)
        mean = torch.cat([mean, torch.tensor([0.0] * len(mean) if end is None else end)[:, None]], dim=-1)
        members, size = mean.shape
        bias = torch.zeros(members) if bias is None else torch.tensor(bias)
        first, out = torch.eye(size).expand(members, size, size), torch.stack([mean, torch.zeros_like(mean)], dim=-1)
        centre, scale = (torch.zeros(members), torch.ones(members)) if on_feedback is None else on_feedback
        tensors = {
            "encoder.layers.0.weight": first,
            "encoder.layers.0.bias": torch.zeros(members, 1, size),
            "encoder.layers.1.weight": out,
            "encoder.layers.1.bias": torch.stack([bias, 2 * std.log()], dim=-1)[:, None],
            "standardization.mean": torch.zeros(members, 1, 3),
            "standardization.std": torch.full((members, 1, 3), torch.inf),
            "feedback.mean": torch.as_tensor(centre),
            "feedback.std": torch.as_tensor(scale),
        }
        if q is not None:
            tensors |= {
                "q.layers.0.weight": first[:, :3],
                "q.layers.0.bias": torch.zeros(members, 1, size),
                "q.layers.1.weight": torch.nn.functional.pad(torch.tensor(q), (0, 0, 0, size - 3)),
                "q.layers.1.bias": torch.zeros(members, 1, torch.tensor(q).shape[-1]),
            }
        description = {
            "kind": "steps",
            "reward_domain": domain,
            "n_features": 3,
            **actions.described,
            "hidden_sizes": [size],
            "replicates": replicates,
            "members": members,
            "reward_at_termination": at_termination,
            "demonstration_rationality": None if q is None else rationality,
        }
        repeated = {name: torch.cat([tensor] * replicates) for name, tensor in tensors.items()}
        return StepRewardModel.from_tensors(repeated, description)

    return make


@pytest.fixture(scope="session")
def paid() -> Callable[..., LearnedRewardSettings]:
    """Settings of a learned reward that change nothing, except those that are given."""

    def make(**changes: Any) -> LearnedRewardSettings:
        plain = {
            "reward": "mean", "kappa": 0.0, "sample_per": "step", "standardize": False, "clip": 1e6,
            "termination_weight": 0.0, "reference_weight": 0.0,
        }  # fmt: skip
        return LearnedRewardSettings(**{**plain, **changes})

    return make


@pytest.fixture(scope="session")
def tiny_ppo() -> Callable[..., PPOSettings]:
    """Four updates of 32 steps."""

    def make(**changes: Any) -> PPOSettings:
        small = {
            "total_steps": 128, "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 2, "learning_rate": 1e-2,
            "clip_range": 0.2, "gamma": 0.9, "gae_lambda": 0.95, "ent_coef": 0.0, "vf_coef": 0.5, "max_grad_norm": 0.5,
            "normalize_reward": False, "hidden_sizes": [8],
        }  # fmt: skip
        return PPOSettings(**{**small, **changes})

    return make
