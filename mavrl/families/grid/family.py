"""Finite environments with known dynamics: the optimal policy of a learned reward is planned."""

from functools import cached_property
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from omegaconf import DictConfig
from torch import Tensor

from mavrl.configuration.identity import environment
from mavrl.envs import LAYOUTS, GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.evaluation.returns import policy_of
from mavrl.evaluation.tabular import TabularJudgement
from mavrl.families.base import PRIOR_MEAN_AT_TERMINATION, Models, Setting
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.combined import CombinedFeedback
from mavrl.metrics import measure
from mavrl.model.layers import BatchedMLP
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import RewardInference
from mavrl.model.posterior import RewardPrior, StatePosterior
from mavrl.model.reward_model import load_reward_model
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.model.values import LearnedStateValues, PlannedValues, ValueSource
from mavrl.reports.figures.rewards import reward_figure
from mavrl.simulation.tabular import TabularSimulator
from mavrl.streams import model_streams


class FiniteSetting(Setting):
    """A grid."""

    trains_policies = False
    picture = "rewards"

    def __init__(self, config: DictConfig, problem: TabularProblem | None = None) -> None:
        super().__init__(config)
        self.problem = problem or build_problem(config)

    @cached_property
    def simulator(self) -> TabularSimulator:
        return TabularSimulator(self.problem)

    @property
    def simulation(self) -> dict[str, Any]:
        return {k: v for k, v in environment(self.config).items() if k not in ("termination", "name", "family")}

    def inference(
        self, feedback: CombinedFeedback, likelihoods: dict[str, FeedbackLikelihood], models: Models
    ) -> RewardInference:
        model, prior = self.config.model, self.config.model.prior
        mean = self.problem.terminal_states * PRIOR_MEAN_AT_TERMINATION[self.config.env.termination]
        return RewardInference(
            StatePosterior(self.problem.transitions.n_states, model.hidden_sizes, model_streams(models, "encoder")),
            RewardPrior(mean, prior.scale, len(models), prior.hyperprior_shape, prior.hyperprior_rate),
            self._values(models),
            likelihoods,
        )

    def _values(self, models: Models) -> ValueSource:
        model, transitions = self.config.model, self.problem.transitions
        if model.q == "planned":
            return PlannedValues(transitions, self.problem.gamma, len(models))
        network = BatchedMLP(
            transitions.n_states, model.hidden_sizes, transitions.n_actions, model_streams(models, "q")
        )
        return LearnedStateValues(network, self.problem.gamma, model.backup, model.soft_temperature)

    def saved(self, learner: RewardLearner, feedback: CombinedFeedback) -> tuple[dict[str, Tensor], dict[str, Any]]:
        inference = learner.inference
        tensors = {f"encoder.{name}": t for name, t in inference.posterior.encoder.state_dict().items()}
        tensors |= {"prior.mean": inference.prior.mean, "prior.variance": inference.prior.variance}
        form = {"kind": "tabular", "reward_domain": "s", "n_states": self.problem.transitions.n_states}
        return tensors, form

    def judge(self, directory: Path) -> dict[str, Tensor]:
        return measure("grid", TabularJudgement(self.problem, self._model(directory)))

    def protocol(self) -> dict[str, Any]:
        return {"checkpoint": self.config.selection}

    def figure(self, directory: Path, result: dict[str, Any]) -> Figure:
        """The first replicate's reward beside the true one."""
        model, problem, config = self._model(directory), self.problem, self.config
        mean, std = model.mean_table()[:1].double(), model.std_table()[0]
        learned = policy_of(problem, mean)[0].argmax(-1)
        score, epic = result["final"]["normalized_return"][0], result["final"]["epic_distance"][0]
        return reward_figure(
            problem.reward[0].numpy(),
            mean[0].numpy(),
            std.numpy(),
            problem.q[0].argmax(-1).numpy(),
            learned.numpy(),
            _path(problem, learned),
            f"{config.env.name} {config.modality.name}, seed {config.seed}: "
            f"normalized return {score:.1f}, EPIC distance {epic:.2f}",
        )

    @staticmethod
    def _model(directory: Path) -> TabularRewardModel:
        model = load_reward_model(directory)
        assert isinstance(model, TabularRewardModel)
        return model


def build_problem(config: DictConfig) -> TabularProblem:
    env = config.env
    if env.layout not in LAYOUTS:
        raise ConfigurationError("env.layout", env.layout, f"must be one of {', '.join(LAYOUTS)}")
    grid = GridEnv(layout=env.layout, size=env.size, p_rand=env.p_rand, max_steps=env.max_steps)
    return TabularProblem.of_grid(grid, env.gamma)


def _path(problem: TabularProblem, actions: Tensor) -> list[int]:
    """States that a policy most probably visits from the start, until it stands still or goes in circles."""
    state, path = int(problem.initial_distribution.argmax()), []
    while state not in path:
        path.append(state)
        outcome = int(problem.transitions.probabilities[state, actions[state]].argmax())
        state = int(problem.transitions.successors[state, actions[state], outcome])
    return path
