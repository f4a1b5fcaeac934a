"""Recorded behaviour of environments that nobody can run: the result is what the labels themselves can tell."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from torch import Tensor

from mavrl.actions import Actions, NumberedActions
from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.evaluation.recorded import RecordedJudgement
from mavrl.families.base import Drawing, Family, Measured
from mavrl.families.control.learning import ControlInference, control_inference, control_weights, go_on
from mavrl.feedback.combined import CombinedDataModule
from mavrl.folder.digest import digest
from mavrl.folder.episodes import Episodes, with_one_hot_states
from mavrl.folder.folder import FeedbackFolder
from mavrl.folder.learnable import check_kinds, check_observations, has_numbered_actions
from mavrl.metrics import measure
from mavrl.model.beliefs import StepBelief
from mavrl.model.step_reward import StepRewardModel
from mavrl.reports.figures.recorded import recorded_figure
from mavrl.simulation.base import Behaviour, Simulator
from mavrl.workers import Workers

log = logging.getLogger(__name__)


class Recorded(Family):
    """The behaviour in a feedback folder. States are observations or numbers; actions are numbers, or left out.

    Of vectors as actions a reward cannot be a function here, and there is no Q of them: where the folder has such
    actions, the reward is one of the observation alone.
    """

    picture = "rewards"

    def __init__(self, settings: RunSettings, workers: Workers) -> None:
        super().__init__(settings, workers)
        place = settings.execution.folder
        if place is None:
            raise ConfigurationError("data.folder", None, "is not there; recorded behaviour is in a feedback folder")
        self.folder = FeedbackFolder.open(place)
        self.description = self.folder.description
        check_observations(self.description, place)
        check_kinds(self.description, list(settings.feedback))
        if not has_numbered_actions(self.description):
            _check_without_actions(settings)

    # Simulating ------------------------------------------------------------------------------------------------------

    @property
    def simulator(self) -> Simulator:  # type: ignore[override]
        self._refuse()

    @property
    def simulation(self) -> dict[str, Any]:
        self._refuse()

    def fitted(self, episodes: Episodes, n_actions: int | None) -> Episodes:
        """Numbered states become one-hot vectors; vectors as actions become 0."""
        n_states = self.description.observation_space.n
        if n_states is not None:
            episodes = with_one_hot_states(episodes, n_states)
        if n_actions is None:
            episodes = replace(episodes, actions=np.zeros(len(episodes.actions), dtype=np.int64))
        return episodes

    # Learning --------------------------------------------------------------------------------------------------------

    @property
    def _sizes(self) -> tuple[int, Actions]:
        """Numbers in an observation as it is learned from, and actions that are told apart."""
        observations, actions = self.description.observation_space, self.description.action_space
        return observations.n or observations.size, NumberedActions(actions.n or 1)

    def inference(self, data: CombinedDataModule) -> ControlInference:
        env = self.settings.env
        return control_inference(self.settings, *self._sizes, env["gamma"], env["termination"], data)

    def stored(self, inference: ControlInference, data: CombinedDataModule) -> tuple[dict[str, Tensor], dict[str, Any]]:
        weights, form = control_weights(inference, data, self.settings, *self._sizes)
        numbered_states = self.description.observation_space.n is not None
        shape = None if has_numbered_actions(self.description) else list(self.description.action_space.shape)
        return weights, {**form, "numbered_states": numbered_states, "action_shape": shape}

    def go_on(self, inference: ControlInference, weights: Mapping[str, Tensor]) -> None:
        go_on(inference, weights)

    def belief(self, inference: ControlInference, place: Path) -> StepBelief:
        return StepBelief(StepRewardModel.load(place))

    # Judging ---------------------------------------------------------------------------------------------------------

    @cached_property
    def episodes(self) -> Episodes:
        """All episodes of the folder, as they are learned from."""
        if digest(self.folder.path) != self.settings.data:
            log.warning("%s has changed since the run, which is judged by what is there now", self.folder.path)
        return self.fitted(self.folder.episodes(), self.description.action_space.n)

    def judge(self, directory: Path) -> dict[str, Tensor]:
        return measure("recorded", RecordedJudgement(StepRewardModel.load(directory), self.episodes))

    def protocol(self) -> dict[str, Any]:
        return {}

    def figures(self, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Drawing]:
        judgement = RecordedJudgement(StepRewardModel.load(directory), self.episodes)
        title = f"{self.settings.env['name']} {self.settings.modality}: learned reward of the recorded episodes"
        return {"rewards": lambda: recorded_figure(*judgement.of_episodes(), title)}

    # What takes an environment ---------------------------------------------------------------------------------------

    def explorer(self, directory: Path, place: Path, parts: int) -> tuple[Simulator, Behaviour]:
        self._refuse()

    def standing(self, directory: Path, place: Path, parts: int) -> dict[str, float]:
        self._refuse()

    def normalization(self) -> Measured:
        self._refuse()

    def transfer(self, directory: Path, place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        self._refuse()

    def train_expert(self, directory: Path) -> dict[str, Any]:
        self._refuse()

    def _refuse(self) -> NoReturn:
        allowed = "is recorded behaviour of an environment that nobody can run here"
        raise ConfigurationError("env", self.settings.env["name"], allowed)


def _check_without_actions(settings: RunSettings) -> None:
    """Refuse a reward of actions, and one that follows from their Q, where actions are vectors."""
    wanted = (("reward_domain", settings.model.reward_domain, "s"), ("q", settings.model.q, "learned"))
    for key, value, needed in wanted:
        if value != needed:
            allowed = f"needs numbered actions; those of the folder are vectors, so it must be {needed}"
            raise ConfigurationError(f"model.{key}", value, allowed)
