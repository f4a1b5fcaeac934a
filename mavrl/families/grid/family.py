"""Grids: finite, with known dynamics. The optimal policy of a learned reward is planned, and judged exactly."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from mavrl.configuration.settings import RunSettings
from mavrl.envs import LAYOUTS, GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.evaluation.calibration import interval_coverage
from mavrl.evaluation.distance import epic_distance, spearman
from mavrl.evaluation.returns import ReferenceValues, return_metrics
from mavrl.families.base import Family
from mavrl.families.grid.drawing import grid_figure
from mavrl.families.grid.learning import GridInference, grid_inference, grid_weights
from mavrl.families.grid.settings import GridSettings
from mavrl.feedback.combined import CombinedDataModule
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.simulation.tabular import TabularSimulator
from mavrl.workers import Workers

_TRANSFERRED = ("normalized_return", "regret", "discounted_value")


class Grid(Family):
    """A grid with the settings of a run."""

    picture = "rewards"

    def __init__(self, settings: RunSettings, workers: Workers) -> None:
        super().__init__(settings, workers)
        self.env = GridSettings.from_env(settings.env)
        self.problem = problem_of(self.env)

    @cached_property
    def simulator(self) -> TabularSimulator:
        return TabularSimulator(self.problem)

    @property
    def simulation(self) -> dict[str, Any]:
        return {key: getattr(self.env, key) for key in ("layout", "size", "p_rand", "gamma", "max_steps")}

    def inference(self, data: CombinedDataModule) -> GridInference:
        return grid_inference(self.settings, self.problem, self.env.termination, data)

    def stored(self, inference: GridInference, data: CombinedDataModule) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return grid_weights(inference, self.problem.transitions.n_states)

    def judge(self, directory: Path) -> dict[str, Tensor]:
        model, truth = TabularRewardModel.load(directory), self.problem.reward
        mean, std = model.mean_table().double(), model.std_table().double()
        values = {
            **return_metrics(self.problem, mean),
            "epic_distance": epic_distance(mean, truth),
            "spearman": spearman(mean, truth),
            "posterior_std": std.mean(-1),
            "coverage_50": interval_coverage(mean, std, truth, 0.5),
            "coverage_90": interval_coverage(mean, std, truth, 0.9),
        }
        if model.description["members"] > 1:
            values["member_spread"] = model.member_spread().mean(-1)
        return values

    def protocol(self) -> dict[str, Any]:
        return {"checkpoint": self.settings.selection}

    def figure(self, directory: Path, result: Mapping[str, Any]) -> Figure:
        score, epic = result["final"]["normalized_return"][0], result["final"]["epic_distance"][0]
        title = (
            f"{self.env.name} {self.settings.modality}, seed {self.settings.seed}: "
            f"normalized return {score:.1f}, EPIC distance {epic:.2f}"
        )
        return grid_figure(self.problem, TabularRewardModel.load(directory), title)

    def normalization(self) -> dict[str, Any]:
        reference = ReferenceValues.of(self.problem)
        constants = {"optimal": float(reference.optimal[0]), "uniform": float(reference.uniform[0])}
        return {"normalization": constants, "measured": "exactly, as discounted values at the start"}

    @classmethod
    def changed_dynamics(cls, trained: RunSettings, wanted: RunSettings) -> dict[str, Any]:
        p_rand = wanted.env["p_rand"]
        if p_rand == trained.env["p_rand"]:
            raise ConfigurationError("env.p_rand", p_rand, "are the dynamics of the run; choose another env.p_rand")
        return {"p_rand": p_rand}

    def transfer(self, directory: Path, place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        values = self.judge(directory)
        return {name: values[name] for name in _TRANSFERRED}, {}


def problem_of(env: GridSettings) -> TabularProblem:
    """The tabular problem of a grid.

    Raises:
        ConfigurationError: there is no such layout.
    """
    if env.layout not in LAYOUTS:
        raise ConfigurationError("env.layout", env.layout, f"must be one of {', '.join(LAYOUTS)}")
    grid = GridEnv(layout=env.layout, size=env.size, p_rand=env.p_rand, max_steps=env.max_steps)
    return TabularProblem.of_grid(grid, env.gamma)
