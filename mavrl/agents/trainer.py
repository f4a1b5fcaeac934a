"""What trains policies, seen from the trainings: an agent is made, goes on chunk by chunk, and is kept in between."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from mavrl.agents.batched_ppo import BatchedPPO, Learner
from mavrl.agents.imitation import demonstrated
from mavrl.agents.ppo_settings import PPOSettings
from mavrl.agents.rewards import StepReward
from mavrl.agents.sac_settings import SACSettings
from mavrl.agents.sac_training import SACTrainer
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.pool import Vector, stepped_environments
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.loading import StoredPolicy

AgentSettings = PPOSettings | SACSettings


@runtime_checkable
class Agent(Protocol):
    """One in training, as it is after some steps."""

    @property
    def steps(self) -> int:
        """Environment steps so far."""
        ...

    @property
    def finite(self) -> bool:
        """Whether all parameters are."""
        ...


A = TypeVar("A", bound=Agent)


@runtime_checkable
class Trainer(Protocol[A]):
    """An algorithm in an environment, with hyperparameters.

    Attributes:
        algorithm: its name.
        chunks: parts of a training. Each begins with new episodes and random streams.
    """

    @property
    def algorithm(self) -> str: ...

    @property
    def chunks(self) -> int: ...

    def begin(self, seed: int) -> A:
        """An agent before its training."""
        ...

    def restored(self, seed: int, state: dict[str, Any]) -> A:
        """An agent of which `state` was kept."""
        ...

    def state(self, agent: A) -> dict[str, Any]:
        """Plain containers and tensors only, for a checkpoint; of an agent at the end of a chunk."""
        ...

    def policy(self, agent: A) -> StoredPolicy:
        """A copy of its present policy."""
        ...

    def imitating(self, agent: A, seed: int, states: Float[Tensor, "N O"], model: StepRewardModel) -> A:
        """The agent before its training, moved towards the demonstrators of a replicate's model."""
        ...

    def train(
        self, rewards: Sequence[StepReward], seeds: Sequence[int], agents: Sequence[A], chunk: int
    ) -> list[list[A]]:
        """Train agents for one chunk.

        Returns:
            Each at every look of this chunk, the last of which is its end. One whose training failed is not finite.
        """
        ...

    def close(self) -> None:
        """Close the environments."""
        ...


class PPOTrainer:
    """PPO of several agents at once.

    Args:
        environment: what they act in.
        vector: whose copies of it.
        settings: hyperparameters.
        chunks, looks: see `BatchedPPO`.
        most: agents that are trained at once.
    """

    algorithm = "ppo"

    def __init__(
        self, environment: ControlEnvironment, vector: Vector, settings: PPOSettings, chunks: int, looks: int, most: int
    ) -> None:
        self._ppo = BatchedPPO.of(environment.observation_size, environment.actions, settings, chunks, looks)
        self._envs = stepped_environments(environment, most * settings.n_envs, vector)

    @property
    def chunks(self) -> int:
        return self._ppo.chunks

    def begin(self, seed: int) -> Learner:
        return self._ppo.begin(seed)

    def restored(self, seed: int, state: dict[str, Any]) -> Learner:
        return Learner.from_state(state)

    def state(self, agent: Learner) -> dict[str, Any]:
        return agent.state()

    def policy(self, agent: Learner) -> StoredPolicy:
        return self._ppo.policy(agent)

    def imitating(self, agent: Learner, seed: int, states: Float[Tensor, "N O"], model: StepRewardModel) -> Learner:
        return self._ppo.imitate(agent, seed, states, *demonstrated(model, states))

    def train(
        self, rewards: Sequence[StepReward], seeds: Sequence[int], agents: Sequence[Learner], chunk: int
    ) -> list[list[Learner]]:
        return self._ppo.train(self._envs, rewards, seeds, agents, chunk)

    def close(self) -> None:
        self._envs.close()


def trainer_of(
    environment: ControlEnvironment, vector: Vector, settings: AgentSettings, chunks: int, looks: int, most: int
) -> Trainer[Any]:
    """What trains agents with these settings, at most so many at once."""
    if isinstance(settings, SACSettings):
        return SACTrainer(environment, settings, chunks, looks)
    return PPOTrainer(environment, vector, settings, chunks, looks, most)
