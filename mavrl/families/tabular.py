"""Finite environments with known dynamics: the optimal policy of a learned reward is planned, and judged exactly."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from mavrl.actions import NumberedActions
from mavrl.configuration.registry import KINDS
from mavrl.configuration.settings import ModelSettings
from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.evaluation.calibration import coverage_curve
from mavrl.evaluation.differences import coverages, segment_differences
from mavrl.evaluation.returns import ReferenceValues
from mavrl.evaluation.tabular import TabularJudgement
from mavrl.families.base import PRIOR_MEAN_AT_TERMINATION, Drawing, Family, Measured, check_actions
from mavrl.feedback.combined import CombinedDataModule
from mavrl.folder.episodes import Episodes
from mavrl.metrics import measure
from mavrl.model.action_heads import NumberedHead
from mavrl.model.beliefs import TabularBelief
from mavrl.model.correlation import chosen_covariance, first_correlation
from mavrl.model.layers import BatchedMLP
from mavrl.model.objective import RewardInference
from mavrl.model.posterior import RewardPrior, StatePosterior
from mavrl.model.sampled_reward import SampledBelief, SampledRewardModel
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.model.values import LearnedStateValues, PlannedValues, ValueSource
from mavrl.planning import optimal_action_values
from mavrl.reports.figures.coverage import coverage_figure
from mavrl.simulation.base import Behaviour
from mavrl.simulation.tabular import TabularSimulator
from mavrl.streams import model_streams

_EXPLORING = 0.3  # how often a planned policy takes a random action in the segments of a round
_EPISODES, _PAIRS = 32, 64  # that fresh segments are drawn from, and pairs of these
_CURVES = ("normalized_return", "epic_distance")
_TRANSFERRED = ("normalized_return", "regret", "discounted_value")

TabularInference = RewardInference[StatePosterior, ValueSource]


class TabularFamily(Family):
    """A finite environment with the settings of a run. A family says what its problem is, and draws it."""

    problem: TabularProblem

    @property
    @abstractmethod
    def termination(self) -> str:
        """What it means that an episode terminates: success, neutral or failure."""

    @cached_property
    def simulator(self) -> TabularSimulator:
        return TabularSimulator(self.problem)

    @property
    def spaces(self) -> tuple[spaces.Discrete, spaces.Discrete]:
        transitions = self.problem.transitions
        return spaces.Discrete(transitions.n_states), spaces.Discrete(transitions.n_actions)

    def fitted(self, episodes: Episodes, n_actions: int | None) -> Episodes:
        """Recorded episodes with numbered states, which may have been recorded as one-hot vectors."""
        states, n_states = episodes.observations, self.problem.transitions.n_states
        if states.ndim > 1:
            one_hot = states.shape[1] == n_states and bool(((states == 0) | (states == 1)).all())
            if not one_hot or not bool((states.sum(-1) == 1).all()):
                allowed = (
                    f"has observations of {states.shape[1]} numbers; must have one-hot vectors of {n_states} states"
                )
                raise ConfigurationError("data", self.settings.execution.folder, allowed)
            states = states.argmax(-1)
        elif states.max() >= n_states:
            allowed = f"has state {states.max()}; {self.settings.env['name']} has {n_states} states, from 0"
            raise ConfigurationError("data", self.settings.execution.folder, allowed)
        check_actions(self.settings, episodes.actions, n_actions, NumberedActions(self.problem.transitions.n_actions))
        return replace(episodes, observations=states)

    @property
    def prior_mean(self) -> Float[Tensor, "S"]:
        """Prior mean of the reward of every state."""
        return self.problem.terminal_states * PRIOR_MEAN_AT_TERMINATION[self.termination]

    def inference(self, data: CombinedDataModule) -> TabularInference:
        model, prior, models = self.settings.model, self.settings.model.prior, data.models
        n_states = self.problem.transitions.n_states
        covariance = chosen_covariance(model.covariance, model.objective, n_states)
        states = first_correlation(covariance, n_states, model.covariance_rank, model_streams(models, "correlation"))
        return RewardInference(
            StatePosterior(n_states, model.hidden_sizes, model_streams(models, "encoder"), states),
            RewardPrior(self.prior_mean, prior.scale, len(models), prior.hyperprior_shape, prior.hyperprior_rate),
            self._values(model, models),
            data.likelihoods(),
        )

    def _values(self, model: ModelSettings, models: list[tuple[int, int]]) -> ValueSource:
        transitions, gamma = self.problem.transitions, self.problem.gamma
        if model.q == "planned":
            return PlannedValues(transitions, gamma, len(models))
        streams = model_streams(models, "q")
        head = NumberedHead(transitions.n_actions)
        network = BatchedMLP(transitions.n_states, model.hidden_sizes, head.n_outputs, streams)
        return LearnedStateValues(network, head, gamma, model.backup, model.soft_temperature)

    @torch.no_grad()
    def stored(self, inference: TabularInference, data: CombinedDataModule) -> tuple[dict[str, Tensor], dict[str, Any]]:
        prior = {"prior.mean": inference.prior.mean, "prior.variance": inference.prior.variance}
        states, n_states = inference.posterior.state_correlation, self.problem.transitions.n_states
        covariance = "diagonal" if states is None else states.covariance
        form = {"kind": "tabular", "reward_domain": "s", "n_states": n_states, "covariance": covariance}
        return {**inference.posterior.state_dict(), **prior}, form

    def go_on(self, inference: TabularInference, weights: Mapping[str, Tensor]) -> None:
        inference.load_state_dict(dict(weights), strict=False)  # a kind that was not asked about before is new

    def belief(self, inference: TabularInference, place: Path) -> TabularBelief:
        transitions, gamma = self.problem.transitions, self.problem.gamma
        return TabularBelief.from_posterior(inference.posterior, self.settings.members, transitions, gamma)

    def explorer(self, directory: Path, place: Path, parts: int) -> tuple[TabularSimulator, Behaviour]:
        reward = TabularRewardModel.load(place).mean_table().double()
        q = optimal_action_values(self.problem.transitions, reward[..., None], self.problem.gamma)
        return TabularSimulator(self.problem, q), Behaviour(math.inf, _EXPLORING)

    def standing(self, directory: Path, place: Path, parts: int) -> dict[str, float]:
        values = self.judge(place)
        return {name: float(values[name].mean()) for name in _CURVES if name in values}

    def judge(self, directory: Path) -> dict[str, Tensor]:
        return measure("tabular", self._judgement(directory))

    def _judgement(self, directory: Path) -> TabularJudgement:
        return TabularJudgement(self.problem, TabularRewardModel.load(directory), self._segments())

    def _segments(self) -> Float[Tensor, "R P S"] | None:
        """Differences of fresh segments of the first kind of feedback that is about some; None without such feedback.

        They are the same for every model of the same seeds.
        """
        kind = next((kind for kind in KINDS.values() if kind.segments and kind.name in self.settings.feedback), None)
        if kind is None:
            return None
        about = self.settings.feedback[kind.name]
        streams = [(seed, kind.name, "judged") for seed in self.settings.seeds]
        behaviour = Behaviour(about["behaviour_rationality"], about["behaviour_epsilon"])
        found = self.simulator.segments(streams, behaviour, _EPISODES, 2 * _PAIRS, about["segment_len"], 0)
        pairs = found.transitions.map(lambda tensor: tensor.unflatten(1, (_PAIRS, 2)))
        return segment_differences(pairs, self.problem.transitions.n_states)

    def protocol(self) -> dict[str, Any]:
        return {"checkpoint": self.settings.selection}

    def shown(self, data: CombinedDataModule) -> dict[str, np.ndarray]:
        """How often the samples of each kind visit each state, in the first replicate."""
        found = {}
        for kind, batch in data.train_sets.items():
            steps = batch.transitions.flatten()
            visited = steps.state[0][steps.valid[0]]
            found[kind] = torch.bincount(visited, minlength=self.problem.transitions.n_states).numpy()
        return found

    def stored_belief(self, directory: Path) -> TabularBelief:
        model, dynamics = TabularRewardModel.load(directory), (self.problem.transitions, self.problem.gamma)
        if isinstance(model, SampledRewardModel):
            return SampledBelief(model, *dynamics)
        return TabularBelief(*model.member_tables(), *dynamics, model.member_correlation())

    def figures(self, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Drawing]:
        judgement = self._judgement(directory)
        title = f"{self.settings.env['name']} {self.settings.modality}"

        def coverage() -> Figure:
            levels, shares = coverage_curve(judgement.below)
            weights = {"differences of segments": judgement.segments, "differences of policies": judgement.policies}
            others = {
                name: coverages(each, judgement.drawn, judgement.truth, levels).mean(0).numpy()
                for name, each in weights.items()
                if each is not None
            }
            return coverage_figure(levels.numpy(), shares.numpy(), "states", title, others)

        return {"coverage": coverage}

    def normalization(self) -> Measured:
        reference = ReferenceValues.of_problem(self.problem)
        returns = {"optimal": float(reference.optimal[0]), "uniform": float(reference.uniform[0])}
        return Measured(returns, {}, "exactly, as discounted values at the start")

    def transfer(self, directory: Path, place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        values = self.judge(directory)
        return {name: values[name] for name in _TRANSFERRED if name in values}, {}
