"""Acting in control environments: a policy is trained on each replicate's learned reward."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mavrl.agents.imitation import DemonstratedPolicy
from mavrl.agents.progress import curves_read
from mavrl.agents.training import PolicyTraining, train_policies
from mavrl.configuration.settings import RunSettings
from mavrl.envs.control import ControlEnvironment
from mavrl.families.control.learning import all_states
from mavrl.families.control.settings import PolicySettings, Unlearned
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.base import Policy
from mavrl.policies.loading import load_policy
from mavrl.progress import Count, stage
from mavrl.workers import Workers

_MOST_WARM_STATES = 20_000


@dataclass(frozen=True)
class ControlActing:
    """The policies of a run.

    Args:
        settings: of the run.
        policy: of who acts.
        environment: where.
        workers: processes that share the training.
    """

    settings: RunSettings
    policy: PolicySettings
    environment: ControlEnvironment
    workers: Workers

    def train(self, trainings: list[PolicyTraining], until: int | None = None) -> None:
        """Train policies together, and show how far they are, to their end or until after a part."""
        looks, look = sum(each.n_evaluations for each in trainings), curves_read([each.directory for each in trainings])
        count = Count()
        look(count)
        with stage(self.settings.execution.progress, "acting", "part", looks, count.done, look):
            train_policies(trainings, self.workers, until)

    def steps_after(self, parts: int) -> int:
        """Environment steps of a training until the end of its part number `parts`, counted from 1."""
        agent = self.policy.agent
        return 0 if agent is None else agent.steps_until(parts, self.policy.parts)

    def training(
        self, directory: Path, replicate: int, warm_states: np.ndarray | None = None, place: Path | None = None
    ) -> PolicyTraining:
        """The training of one replicate's policy on the reward that a run has learned, or on what is paid instead.

        Args:
            directory: of the run.
            warm_states: states in which it first imitates the demonstrators; None for no such start.
            place: where the reward model is stored; None for in the run's directory.
        """
        policy = self.policy
        assert policy.agent is not None
        assert policy.paid is not None
        learned = policy.learned is not None
        return PolicyTraining(
            environment=self.environment,
            agent=policy.agent,
            reward=policy.paid,
            seed=self.settings.seeds[replicate],
            directory=policy_directory(directory, replicate),
            chunks=policy.parts,
            looks=policy.looks,
            evaluation_episodes=policy.evaluation_episodes,
            checkpoint=policy.checkpoint,
            stop_below=policy.stop_below,
            model=(place or directory) if learned else None,
            replicate=replicate,
            warm_states=warm_states if learned else None,
            vector=policy.vector,
        )

    def unlearned_training(self, directory: Path, reward: Unlearned, seed: int) -> PolicyTraining:
        """The training of a policy that is paid the true reward, or the same one at every step."""
        assert self.policy.agent is not None
        return PolicyTraining(
            environment=self.environment,
            agent=self.policy.agent,
            reward=reward,
            seed=seed,
            directory=directory,
            chunks=self.policy.parts,
            looks=self.policy.looks,
            evaluation_episodes=self.policy.evaluation_episodes,
            vector=self.policy.vector,
        )

    def warm_states(self, data: CombinedDataModule, replicate: int) -> np.ndarray | None:
        """States of the feedback, in which the policy begins by acting like the demonstrators."""
        if not self.policy.warm_start or "demonstration" not in data.modules:
            return None
        states, valid = all_states(data)
        found = states[replicate][valid[replicate]]
        return found[:: -(-len(found) // _MOST_WARM_STATES)].numpy()

    def acts(self, directory: Path, model: StepRewardModel, replicate: int) -> Policy:
        """What a replicate of a finished run acts with."""
        if self.policy.name == "imitation":
            return DemonstratedPolicy(model[replicate])
        return load_policy(policy_directory(directory, replicate))


def policy_directory(directory: Path, replicate: int) -> Path:
    """Where a run keeps the policy of a replicate."""
    return directory / "policies" / str(replicate)
