"""Grids: finite environments that can be drawn."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mavrl.configuration.settings import RunSettings
from mavrl.envs import LAYOUTS, GridEnv
from mavrl.envs.layouts import ENDLESS, PARTS
from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.evaluation.returns import policy_of
from mavrl.families.base import Drawing
from mavrl.families.grid.drawing import grid_drawings
from mavrl.families.grid.settings import GridSettings
from mavrl.families.tabular import TabularFamily
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.planning import greedy_policy, uniform_policy
from mavrl.reports.words import score_in_words
from mavrl.simulation.collecting import Scene, by_probabilities
from mavrl.storage.shown import read_shown
from mavrl.workers import Workers


class Grid(TabularFamily):
    """A grid with the settings of a run."""

    picture = "rewards"

    def __init__(self, settings: RunSettings, workers: Workers) -> None:
        super().__init__(settings, workers)
        self.env = GridSettings.from_env(settings.env)
        self.problem = problem_of(self.env)

    @property
    def termination(self) -> str:
        return self.env.termination

    @property
    def simulation(self) -> dict[str, Any]:
        own = {key: getattr(self.env, key) for key in ("layout", "size", "p_rand", "gamma", "max_steps")}
        return {**own, **({"teacher_reward": dict(self.env.teacher_reward)} if self.env.teacher_reward else {})}

    def scene(self, actor: Literal["random", "expert"] | Path) -> Scene:
        """The grid, in which an optimal policy is planned on the true reward or on that of a run."""
        if actor == "random":
            policy = uniform_policy(self.problem.transitions)[0]
        elif actor == "expert":
            policy = greedy_policy(self.problem.q)[0]
        else:
            policy = policy_of(self.problem, TabularRewardModel.load(Path(actor)).mean_table()[:1].double())[0]
        table = policy.numpy()
        return Scene(self._environment, by_probabilities(lambda state: table[state]), self.env.max_steps)

    def _environment(self, filmed: bool) -> GridEnv:
        env = self.env
        mode = "rgb_array" if filmed else None
        return GridEnv(env.layout, env.size, env.p_rand, env.max_steps, mode, env.teacher_reward)

    def figures(self, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Drawing]:
        first = {name: values[0] for name, values in result["final"].items()}
        name = f"{self.env.name} {self.settings.modality}, seed {self.settings.seed}"
        score = f"{score_in_words(first, 'regret')}, EPIC distance {first['epic_distance']:.2f}"
        own = grid_drawings(self.problem, TabularRewardModel.load(directory), read_shown(directory), name, score)
        return {**own, **super().figures(directory, result)}

    @classmethod
    def changed_dynamics(cls, trained: RunSettings, wanted: RunSettings) -> dict[str, Any]:
        p_rand = wanted.env["p_rand"]
        if p_rand == trained.env["p_rand"]:
            raise ConfigurationError("env.p_rand", p_rand, "are the dynamics of the run; choose another env.p_rand")
        return {"p_rand": p_rand}


def problem_of(env: GridSettings) -> TabularProblem:
    """The tabular problem of a grid.

    Raises:
        ConfigurationError: there is no such layout, it has not the parts that are weighted, or no episode would end.
    """
    if env.layout not in LAYOUTS:
        raise ConfigurationError("env.layout", env.layout, f"must be one of {', '.join(LAYOUTS)}")
    parts = PARTS.get(env.layout, {})
    for name, weight in (env.teacher_reward or {}).items():
        if name not in parts:
            allowed = f"layout {env.layout} has {'the parts ' + ', '.join(parts) if parts else 'no parts to weigh'}"
            raise ConfigurationError(f"env.teacher_reward.{name}", weight, allowed)
    if env.layout in ENDLESS and env.max_steps is None:
        raise ConfigurationError("env.max_steps", None, f"must be a number: in layout {env.layout} no episode ends")
    grid = GridEnv(env.layout, env.size, env.p_rand, env.max_steps, weights=env.teacher_reward)
    return TabularProblem.of_grid(grid, env.gamma)
