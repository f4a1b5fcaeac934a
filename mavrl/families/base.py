"""What each family of environments does in its own way: simulate, learn, act and be judged."""

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import Tensor

from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.combined import CombinedFeedback
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import RewardInference
from mavrl.simulation.base import Simulator

PRIOR_MEAN_AT_TERMINATION = {"success": 1.0, "neutral": 0.0, "failure": -1.0}
Models = list[tuple[int, int]]  # seed of the replicate and number of the member, of each model


class Setting(ABC):
    """One environment with the settings of a run.

    Args:
        config: of the run, checked.
    """

    trains_policies: ClassVar[bool]
    picture: ClassVar[str]  # name of the figure

    def __init__(self, config: DictConfig) -> None:
        self.config = config

    @cached_property
    @abstractmethod
    def simulator(self) -> Simulator:
        """Where simulated feedback comes from."""

    @property
    @abstractmethod
    def simulation(self) -> dict[str, Any]:
        """What simulated feedback depends on besides its own settings, for the cache's keys."""

    @abstractmethod
    def inference(
        self, feedback: CombinedFeedback, likelihoods: dict[str, FeedbackLikelihood], models: Models
    ) -> RewardInference:
        """What is learned from this feedback."""

    @abstractmethod
    def saved(self, learner: RewardLearner, feedback: CombinedFeedback) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """A learned reward's weights, and what is needed to build it again."""

    def act(self, directory: Path, feedback: CombinedFeedback) -> None:
        """Train what acts on the saved reward model of a run, where that takes training."""
        return None

    @abstractmethod
    def judge(self, directory: Path) -> dict[str, Tensor]:
        """Metrics of the saved reward model and of what acts on it, each of shape (R,)."""

    def comparison(self) -> dict[str, float]:
        """Normalized returns to see a learned reward's beside, by name."""
        return {}

    @abstractmethod
    def figure(self, directory: Path, result: dict[str, Any]) -> Figure:
        """What a run's picture shows."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """How the policy was found, for metrics.json."""
