"""Control environments of Gymnasium: experts act in the data, and a policy is trained on the learned reward."""

import math
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from mavrl.actions import Actions, VectorActions
from mavrl.agents.expert_training import REQUIRED
from mavrl.agents.sac_settings import SACSettings
from mavrl.agents.training import CURVE, policy_after, read_curve
from mavrl.configuration.identity import which_environment
from mavrl.configuration.settings import RunSettings
from mavrl.envs.pool import check_vector
from mavrl.errors import ConfigurationError
from mavrl.evaluation.returns import Scale
from mavrl.families.base import Drawing, Family, Measured, check_actions
from mavrl.families.control.acting import ControlActing, policy_directory
from mavrl.families.control.drawing import coverage, feedback_steps, reward_slices
from mavrl.families.control.expert_library import ExpertLibrary, nominal
from mavrl.families.control.judging import ControlJudging, held_out_steps
from mavrl.families.control.learning import ControlInference, control_inference, control_weights, go_on
from mavrl.families.control.settings import CONSTANTS, ControlSettings, PolicySettings, Unlearned, described
from mavrl.feedback.combined import CombinedDataModule
from mavrl.folder.episodes import Episodes, with_one_hot_states
from mavrl.metrics import measure
from mavrl.model.beliefs import StepBelief
from mavrl.model.step_reward import StepRewardModel
from mavrl.policies.base import Policy, UniformPolicy
from mavrl.policies.loading import StoredPolicy, load_policy
from mavrl.progress import ticking
from mavrl.reports.figures.training import training_figure
from mavrl.reports.words import score_in_words, seeds_in_words
from mavrl.simulation.base import Behaviour
from mavrl.simulation.collecting import Scene
from mavrl.simulation.vectorized import ControlSimulator
from mavrl.statistics import mean_and_stderr
from mavrl.storage.answers import AnswerStore
from mavrl.storage.shown import read_shown
from mavrl.workers import Workers


class Control(Family):
    """A Gymnasium environment with vector observations, with the settings of a run."""

    trains_policies = True
    picture = "training"

    def __init__(self, settings: RunSettings, workers: Workers) -> None:
        super().__init__(settings, workers)
        self.env = ControlSettings.from_env(settings.env)
        self.environment = self.env.environment
        self.environment.check()
        _check_questions(settings, self.environment.actions)
        self.library = ExpertLibrary.from_settings(settings)
        policy = PolicySettings.from_policy(settings.policy)
        check_vector(self.environment, policy.vector)
        actions = self.environment.actions
        if isinstance(policy.agent, SACSettings) and not isinstance(actions, VectorActions):
            raise ConfigurationError(
                "policy", "sac", f"needs vectors as actions; {self.env.name} has {actions.in_words}"
            )
        self.acting = ControlActing(settings, policy, self.environment, workers)

    # Simulating ------------------------------------------------------------------------------------------------------

    @cached_property
    def behaviour_expert(self) -> StoredPolicy | UniformPolicy:
        """Whose Q acts in segments and tells the regret; or a random walk, which has none."""
        if self.env.behaviour_expert == "uniform":
            return UniformPolicy(self.environment.actions)
        return self.library.find(self.environment, self.env.behaviour_expert)

    @cached_property
    def demonstration_expert(self) -> StoredPolicy | None:
        """Who demonstrates, and whom the regret is measured against; None where there is nobody."""
        name = self.env.demonstration_expert
        return None if name is None else self.library.find(self.environment, name)

    @cached_property
    def simulator(self) -> ControlSimulator:
        experts = self.behaviour_expert, self.demonstration_expert
        return ControlSimulator(self.environment, *experts, self.workers, unit=self.env.reward_unit)

    @property
    def simulation(self) -> dict[str, Any]:
        acting = (self.behaviour_expert, self.demonstration_expert)
        experts = ["nobody" if each is None or isinstance(each, UniformPolicy) else each.fingerprint for each in acting]
        unit = {} if self.env.reward_unit == 1 else {"reward_unit": self.env.reward_unit}
        return {**described(self.environment), "experts": experts, **unit}

    @property
    def spaces(self) -> tuple[spaces.Box, spaces.Space]:
        size = self.environment.observation_size
        return spaces.Box(-np.inf, np.inf, (size,), np.float32), self.environment.actions.space

    def fitted(self, episodes: Episodes, n_actions: int | None) -> Episodes:
        size = self.environment.observation_size
        if episodes.observations.ndim == 1 and "FlattenObservation" in self.environment.wrappers:
            episodes = with_one_hot_states(episodes, max(size, int(episodes.observations.max()) + 1))
        if episodes.observations.ndim == 1 or episodes.observations.shape[1] != size:
            has = "numbered states" if episodes.observations.ndim == 1 else f"{episodes.observations.shape[1]} numbers"
            allowed = f"has observations of {has}; {self.env.name} has vectors of {size}"
            raise ConfigurationError("data", self.settings.execution.folder, allowed)
        check_actions(self.settings, episodes.actions, n_actions, self.environment.actions)
        if n_actions is None:
            unit = self.environment.actions.to_unit(episodes.actions.astype(np.float32))
            episodes = replace(episodes, actions=unit)
        return episodes

    def scene(self, actor: Literal["random", "expert"] | Path) -> Scene:
        """The environment, in which a random walk, an expert or the policy of a run acts."""
        policy = self._actor(actor)

        def choose(observation: np.ndarray, epsilon: float, draws: np.ndarray) -> Any:
            found = policy.choose(torch.from_numpy(observation)[None], math.inf, epsilon, draws[None])[0]
            return found if found.ndim else int(found)

        def made(filmed: bool) -> gym.Env:
            return (self.environment.filmed() if filmed else self.environment).make()

        return Scene(made, choose, self.environment.time_limit, policy.n_draws, self.environment.actions.from_unit)

    def _actor(self, actor: Literal["random", "expert"] | Path) -> Policy:
        if actor == "random":
            return self.uniform
        if isinstance(actor, Path):
            return self.acting.acts(actor, StepRewardModel.load(actor), 0)
        expert = self.demonstration_expert or self.behaviour_expert
        if isinstance(expert, UniformPolicy):
            allowed = f"{self.env.name} has none: env.demonstration_expert is null and env.behaviour_expert uniform"
            raise ConfigurationError("task.policy", "expert", allowed)
        return expert

    # Learning and acting ---------------------------------------------------------------------------------------------

    def inference(self, data: CombinedDataModule) -> ControlInference:
        return control_inference(self.settings, *self._sizes, self.env.gamma, self.env.termination, data)

    def stored(self, inference: ControlInference, data: CombinedDataModule) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return control_weights(inference, data, self.settings, *self._sizes)

    @property
    def _sizes(self) -> tuple[int, Actions]:
        return self.environment.observation_size, self.environment.actions

    def go_on(self, inference: ControlInference, weights: Mapping[str, Tensor]) -> None:
        go_on(inference, weights)

    def belief(self, inference: ControlInference, place: Path) -> StepBelief:
        return StepBelief(StepRewardModel.load(place))

    def act(
        self, directory: Path, data: CombinedDataModule, place: Path | None = None, until: int | None = None
    ) -> None:
        if self.acting.policy.agent is not None:
            replicates = range(self.settings.replicates)
            learned = self.acting.policy.learned is not None
            warm = [self.acting.warm_states(data, k) if learned else None for k in replicates]
            trainings = [self.acting.training(directory, k, warm[k], place) for k in replicates]
            self.acting.train(trainings, until)

    @property
    def parts(self) -> int:
        return self.acting.policy.parts

    def explorer(self, directory: Path, place: Path, parts: int) -> tuple[ControlSimulator, Behaviour]:
        policies = [
            policy_after(policy_directory(directory, k), parts) if parts else self.uniform
            for k in range(self.settings.replicates)
        ]
        return replace(self.simulator, actors=policies), Behaviour(1.0)

    @property
    def uniform(self) -> UniformPolicy:
        """A random walk."""
        return UniformPolicy(self.environment.actions)

    def standing(self, directory: Path, place: Path, parts: int) -> dict[str, float]:
        curves = [read_curve(policy_directory(directory, k) / CURVE) for k in range(self.settings.replicates)]
        steps = self.acting.steps_after(parts)
        returns = [row["true_return"] for rows in curves for row in rows if row["step"] == steps > 0]
        return {"true_return": sum(returns) / len(returns)} if returns else {}

    # Judging ---------------------------------------------------------------------------------------------------------

    @cached_property
    def judging(self) -> ControlJudging:
        """The evaluation of policies here."""
        settings, store = self.settings, AnswerStore(self.settings.execution.cache)
        return ControlJudging(
            self.environment,
            self.demonstration_expert,
            self.env.normalization,
            settings.evaluation_episodes,
            self.workers,
            store,
            self.code,
        )

    def judge(self, directory: Path) -> dict[str, Tensor]:
        model = StepRewardModel.load(directory)
        policies = [self.acting.acts(directory, model, k) for k in range(len(model))]
        return measure("episodic", self.judging.judgement(model, policies, self.simulator))

    def comparison(self) -> dict[str, float]:
        return self.judging.comparison(self.settings.baselines)

    def protocol(self) -> dict[str, Any]:
        policy, guided = self.acting.policy, "demonstration" in self.settings.feedback
        if policy.paid is None:
            return {"policy": policy.name, "checkpoint": policy.checkpoint}
        if policy.learned is None:  # a baseline, which is paid nothing that is learned
            return {"policy": policy.name, "reward": policy.reward, "checkpoint": policy.checkpoint}
        return {
            "policy": policy.name,
            "reward": policy.reward,
            "reference_weight": policy.learned.reference_weight if guided else 0.0,
            "warm_start": bool(policy.warm_start and guided),
            "checkpoint": policy.checkpoint,
        }

    # Drawing ---------------------------------------------------------------------------------------------------------

    def shown(self, data: CombinedDataModule) -> dict[str, np.ndarray]:
        """Some steps of the first replicate's feedback."""
        return feedback_steps(data, self.environment.actions)

    def stored_belief(self, directory: Path) -> StepBelief:
        return StepBelief(StepRewardModel.load(directory))

    def figures(self, directory: Path, result: Mapping[str, Any]) -> Mapping[str, Drawing]:
        curves = [policy_directory(directory, k) / CURVE for k in range(self.settings.replicates)]
        name = f"{self.env.name} {self.settings.modality}"
        return {
            "training": lambda: training_figure(
                [curve for curve in curves if curve.exists()],
                [float(value) for value in result["final"]["mean_return"]],
                None if (expert := self.judging.expert_returns()) is None else float(expert.mean()),
                self.judging.uniform,
                f"{name}: {score_in_words(result['mean'], 'mean_return')}",
            ),
            "reward_slices": lambda: reward_slices(
                StepRewardModel.load(directory)[0], read_shown(directory), self.environment.id, name
            ),
            "coverage": lambda: coverage(StepRewardModel.load(directory), held_out_steps(self.simulator), name),
        }

    # Tasks of their own ----------------------------------------------------------------------------------------------

    def normalization(self) -> Measured:
        acting, judging, seeds = self.acting, self.judging, self.settings.seeds
        if acting.policy.agent is None:
            allowed = "must be ppo or sac, which the baselines are trained with"
            raise ConfigurationError("policy", acting.policy.name, allowed)
        expert, uniform = judging.expert_returns(), judging.uniform_returns()
        paid: dict[str, Unlearned] = {**({"optimal": "true"} if expert is None else {}), **CONSTANTS}
        with tempfile.TemporaryDirectory() as scratch:
            trainings = {
                name: [acting.unlearned_training(Path(scratch) / name / str(seed), value, seed) for seed in seeds]
                for name, value in paid.items()
            }
            acting.train([each for of_name in trainings.values() for each in of_name])
            with ticking(self.settings.execution.progress, "evaluating", "episode"):
                returns = {
                    name: [judging.returns(load_policy(each.directory)).mean() for each in of_name]
                    for name, of_name in trainings.items()
                }
        found = {"optimal": expert if expert is not None else returns["optimal"], "uniform": uniform, **returns}
        summary = {name: mean_and_stderr(values) for name, values in found.items()}
        who = (
            f"{acting.policy.name.upper()} on the true reward"
            if expert is None
            else f"the {self.env.demonstration_expert} expert"
        )
        trained = "trained policies" if expert is None else "those paid a constant"
        return Measured(
            {name: round(mean, 3) for name, (mean, _) in summary.items()},
            {name: round(error, 3) for name, (_, error) in summary.items() if error is not None},
            f"in {judging.episodes} episodes; optimal is {who}; {trained} over {seeds_in_words(seeds)}",
            which_environment(self.settings.env),
        )

    @classmethod
    def changed_dynamics(cls, trained: RunSettings, wanted: RunSettings) -> dict[str, Any]:
        perturbation = wanted.env["perturbation"]
        if perturbation == trained.env["perturbation"]:
            allowed = "are the dynamics of the run; perturb something"
            raise ConfigurationError("env.perturbation", perturbation, allowed)
        return {"perturbation": perturbation}

    def transfer(self, directory: Path, place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Train again on the learned and on the true reward, with the same settings and seeds."""
        acting, judging = self.acting, self.judging
        if acting.policy.agent is None:
            raise ConfigurationError("policy", acting.policy.name, "uses no reward, so there is none to act on")
        model = StepRewardModel.load(directory)
        learned = [
            replace(acting.training(directory, k), directory=place / "learned" / str(k)) for k in range(len(model))
        ]
        true = [
            replace(each, reward="true", model=None, directory=place / "true" / str(k))
            for k, each in enumerate(learned)
        ]
        acting.train([*learned, *true])

        def means(policies: list[Any]) -> Tensor:
            return torch.tensor([judging.returns(policy).mean() for policy in policies])

        with ticking(self.settings.execution.progress, "evaluating", "episode"):
            of_learned, of_true = (means([load_policy(e.directory) for e in each]) for each in (learned, true))
            before = means([acting.acts(directory, model, k) for k in range(len(model))])
            uniform = float(judging.uniform_returns().mean())
        optimal = float(of_true.max())
        values = {"mean_return": of_learned}
        if (scale := Scale.between(optimal, uniform)) is not None:
            values = {
                "normalized_return": scale.normalized(of_learned),
                **values,
                "normalized_return_of_old_policy": scale.normalized(before),
                "normalized_return_of_true_reward": scale.normalized(of_true),
            }
        constants = {"optimal": optimal, "uniform": uniform, "optimal_is": "the best policy trained on the true reward"}
        return values, {"normalization": constants, "episodes": judging.episodes}

    def train_expert(self, directory: Path) -> dict[str, Any]:
        algorithm, environment = self.acting.policy.name, self.environment
        if algorithm not in REQUIRED:
            allowed = f"experts are trained with policy={', '.join(REQUIRED)}"
            raise ConfigurationError("policy", algorithm, allowed)
        if algorithm not in self.library.trainings:
            allowed = f"env.experts.{algorithm} says how to train it, and {self.env.name} has none"
            raise ConfigurationError("env.experts", list(self.library.trainings), allowed)
        if environment != nominal(environment):
            key = "env.perturbation" if environment.perturbation else "env.fixed_horizon"
            allowed = "experts are those of the environment as it is, which act in the changed one too; leave it out"
            raise ConfigurationError(key, environment.perturbation or environment.fixed_horizon, allowed)
        return self.library.make(environment, algorithm, directory).card


def _check_questions(settings: RunSettings, actions: Actions) -> None:
    """Refuse a rule that chooses between demonstrations of vectors, which counts the answers that there may be.

    Raises:
        ConfigurationError: a rule is to choose which ones are asked for.
    """
    rule = str(settings.query.get("_target_", "")).rpartition(".")[-1]
    if isinstance(actions, VectorActions) and "demonstration" in settings.feedback and rule != "RandomQuery":
        allowed = "chooses between answers that can be counted, and demonstrated vectors cannot; random, or no d"
        raise ConfigurationError("query", rule, allowed)
