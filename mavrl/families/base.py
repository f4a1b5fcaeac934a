"""What a family of environments is: how one simulates in them, learns about them, acts in them and is judged there.

All that differs between families ends here. A family has its own files and an entry in
`mavrl.configuration.registry`; nothing else knows which families there are.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mavrl.actions import Actions, NumberedActions, VectorActions
from mavrl.configuration.identity import environment_code
from mavrl.configuration.registry import FAMILIES, resolve
from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.evaluation.returns import Scale
from mavrl.feedback.combined import CombinedDataModule
from mavrl.folder.episodes import Episodes
from mavrl.model.beliefs import Belief
from mavrl.model.objective import RewardInference
from mavrl.simulation.base import Behaviour, Simulator
from mavrl.simulation.collecting import Scene
from mavrl.workers import Workers

Drawing = Callable[[], Figure | None]  # draws a figure when it is called; None where there is nothing to be seen

PRIOR_MEAN_AT_TERMINATION = {"success": 1.0, "neutral": 0.0, "failure": -1.0}


@dataclass(frozen=True)
class Measured:
    """Returns that normalized returns and baselines are made of.

    Args:
        returns: mean return by name: optimal, uniform, and positive and negative where policies were trained on the
            rewards +1 and -1.
        stderr: standard error of those that were sampled.
        how: they were measured, in words.
        environment: what is to stand beside them in `env.constants`; empty where they are computed anyway.
    """

    returns: Mapping[str, float]
    stderr: Mapping[str, float]
    how: str
    environment: Mapping[str, Any] = field(default_factory=dict)

    def normalized(self) -> dict[str, float]:
        """The returns in percent; none, with a warning, where the optimal policy is no better than the uniform one."""
        scale = Scale.between(self.returns["optimal"], self.returns["uniform"])
        values = torch.tensor(list(self.returns.values()), dtype=torch.float64)
        return {} if scale is None else dict(zip(self.returns, scale.normalized(values).tolist(), strict=True))


class Family(ABC):
    """One environment of a family, with the settings of a run.

    Args:
        settings: of the run.
        workers: processes that share simulation, training of policies and evaluation.

    Raises:
        ConfigurationError: the environment cannot be made.
    """

    trains_policies: ClassVar[bool] = False  # whether acting takes training
    picture: ClassVar[str]  # name of the figure that says most, which every run has

    def __init__(self, settings: RunSettings, workers: Workers) -> None:
        self.settings = settings
        self.workers = workers

    @cached_property
    def code(self) -> dict[str, str]:
        """Versions and digests of code outside of this package that the environment is made of, by name."""
        return environment_code(self.settings.env)

    # Simulating ------------------------------------------------------------------------------------------------------

    @cached_property
    @abstractmethod
    def simulator(self) -> Simulator:
        """The simulator of the environment."""

    @property
    @abstractmethod
    def simulation(self) -> dict[str, Any]:
        """What simulated behaviour depends on besides its own settings and `code`: which environment it is."""

    @property
    def spaces(self) -> tuple[Any, Any]:
        """The spaces of observations and of actions, as Gymnasium has them.

        Raises:
            ConfigurationError: environments of this family are not recorded in folders.
        """
        allowed = f"environments of the family {self.settings.env['family']} are not written into folders"
        raise ConfigurationError("data", self.settings.execution.folder, allowed)

    def fitted(self, episodes: Episodes, n_actions: int | None) -> Episodes:
        """Recorded episodes with states and actions as the simulator has them.

        Args:
            n_actions: of the recorded environment; None where actions are vectors.

        Raises:
            ConfigurationError: they are of another environment.
        """
        allowed = f"environments of the family {self.settings.env['family']} read no folders"
        raise ConfigurationError("data", self.settings.execution.folder, allowed)

    def scene(self, actor: Literal["random", "expert"] | Path) -> Scene:
        """The environment with who acts in it, for episodes that are recorded.

        Args:
            actor: a random walk; the best that the environment has, without mistakes; or the directory of a run, whose
                first replicate acts.

        Raises:
            ConfigurationError: there is no expert, or environments of this family are not recorded.
        """
        allowed = f"environments of the family {self.settings.env['family']} are not recorded"
        raise ConfigurationError("task", "collect", allowed)

    # Learning --------------------------------------------------------------------------------------------------------

    @abstractmethod
    def inference(self, data: CombinedDataModule) -> RewardInference:
        """What is learned from feedback that has been set up."""

    @abstractmethod
    def stored(self, inference: Any, data: CombinedDataModule) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights of a learned reward, and what is needed to build it again.

        Args:
            inference: what `inference` returned, trained.
        """

    @abstractmethod
    def go_on(self, inference: Any, weights: Mapping[str, Tensor]) -> None:
        """Begin a learning with the weights that an earlier one ended with, which knew less feedback.

        Args:
            inference: what `inference` returned.
            weights: of the earlier one, by their names in its state.
        """

    @abstractmethod
    def belief(self, inference: Any, place: Path) -> Belief:
        """What is believed of the reward: reward functions that can be drawn, for queries.

        Args:
            inference: what `inference` returned, trained.
            place: where its reward model is stored.
        """

    # Acting and judging ----------------------------------------------------------------------------------------------

    def act(
        self, directory: Path, data: CombinedDataModule, place: Path | None = None, until: int | None = None
    ) -> None:
        """Train what acts on a stored reward model, where that takes training.

        Args:
            directory: of the run, for what acts.
            place: where the reward model is stored; None for in `directory`.
            until: part of the training after which it rests; None for its end.
        """
        return None

    @abstractmethod
    def explorer(self, directory: Path, place: Path, parts: int) -> tuple[Simulator, Behaviour]:
        """Who acts in the segments that are asked about after a round, and how.

        Args:
            directory: of the run.
            place: where the reward model of that round is stored.
            parts: of a policy's training that had passed.
        """

    @property
    def parts(self) -> int:
        """Parts of the training of what acts, between which questions can be asked."""
        return 1

    @abstractmethod
    def standing(self, directory: Path, place: Path, parts: int) -> dict[str, float]:
        """How good what acted after a round was, by metric: means over replicates; for reading, never for choosing.

        Args:
            directory, place, parts: as for `explorer`.
        """

    @abstractmethod
    def judge(self, directory: Path) -> dict[str, Tensor]:
        """Metrics of the stored reward model of a run and of what acts on it, each of shape (R,)."""

    def comparison(self) -> dict[str, float]:
        """Normalized returns to see a learned reward's beside, by name."""
        return {}

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """How the policy was found, for metrics.json."""

    # Drawing ---------------------------------------------------------------------------------------------------------

    def shown(self, data: CombinedDataModule) -> dict[str, np.ndarray]:
        """What figures need of the feedback: arrays by name, kept in the run's directory so that it can be drawn again.

        Args:
            data: that was learned from.
        """
        return {}

    def stored_belief(self, directory: Path) -> Belief | None:
        """What is believed of the reward by the stored model of a run; None where nobody has made a belief of it."""
        return None

    @abstractmethod
    def figures(self, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Drawing]:
        """Figures of a run that other families do not have, by name; `picture` is among them.

        Args:
            directory: of the run, with what `shown` has kept.
            result: content of metrics.json.
        """

    # Tasks of their own ----------------------------------------------------------------------------------------------

    @abstractmethod
    def normalization(self) -> Measured:
        """What normalized returns are made of, measured; for task=normalize."""

    @classmethod
    def changed_dynamics(cls, trained: RunSettings, wanted: RunSettings) -> dict[str, Any]:
        """The settings of `env` in which the dynamics of two runs differ.

        Raises:
            ConfigurationError: they do not differ, or the family has only one.
        """
        raise ConfigurationError("task", "transfer", f"{trained.env['name']} has no other dynamics")

    @abstractmethod
    def transfer(self, directory: Path, place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Act on the reward model of a run under this environment's dynamics.

        Args:
            directory: of the run.
            place: folder for what has to be trained.

        Returns:
            Metrics of shape (R,), and what else is to be said about them.
        """

    def train_expert(self, directory: Path) -> dict[str, Any]:
        """Train an expert with the algorithm of `policy`, and write it; returns its card.

        Raises:
            ConfigurationError: there is nothing to train.
        """
        raise ConfigurationError("env", self.settings.env["name"], "has known dynamics: its optimal policy is planned")


def family_of(settings: RunSettings, workers: Workers) -> Family:
    """The environment of a run."""
    return family_class(settings)(settings, workers)


def family_class(settings: RunSettings) -> type[Family]:
    """The family that the environment of a run belongs to."""
    return resolve(FAMILIES[settings.env["family"]].target)


def check_actions(settings: RunSettings, taken: np.ndarray, recorded: int | None, actions: Actions) -> None:
    """Refuse recorded episodes with other actions than an environment has.

    Args:
        taken: all actions, shape (N,) or (N, D).
        recorded: number of actions of the recorded environment; None where actions are vectors.
        actions: of the environment.
    """
    vectors = recorded is None
    of_size = isinstance(actions, VectorActions) and taken.shape[1:] == (actions.size,)
    if not (of_size if vectors else actions == NumberedActions(recorded or 0)):
        has = f"vectors of {taken.shape[-1]} numbers as actions" if vectors else f"{recorded} actions"
        allowed = f"has {has}; {settings.env['name']} has {actions.in_words}"
        raise ConfigurationError("data", settings.execution.folder, allowed)
