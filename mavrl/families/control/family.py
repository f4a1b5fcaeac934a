"""Environments with observations: experts act in the data, and a policy is trained on the learned reward."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from mavrl.agents.expert_training import true_returns
from mavrl.agents.imitation import DemonstratedPolicy
from mavrl.agents.ppo import PPOSettings
from mavrl.agents.progress import policy_progress
from mavrl.agents.rewards import LearnedRewardSettings
from mavrl.agents.training import PolicyTraining, train_policy
from mavrl.configuration.identity import active_kinds, seeds
from mavrl.envs.control import ControlEnvironment
from mavrl.evaluation.distance import spearman
from mavrl.families.base import PRIOR_MEAN_AT_TERMINATION, Models, Setting
from mavrl.families.control.expert_library import find_expert, nominal
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.combined import CombinedFeedback
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import RewardInference
from mavrl.model.posterior import RewardPrior, StepPosterior
from mavrl.model.reward_model import load_reward_model
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.support import StepSupport
from mavrl.model.values import LearnedStepValues
from mavrl.policies.network import NetworkPolicy, Policy, UniformPolicy
from mavrl.reports.figures.training import training_figure
from mavrl.simulation.base import Behaviour
from mavrl.simulation.vectorized import ControlSimulator
from mavrl.storage.answers import DatasetCache
from mavrl.streams import model_streams
from mavrl.workers import Workers

_HELD_OUT = (0, "held out", "evaluation")  # address of the transitions that rewards are compared on
_HELD_OUT_EPISODES, _HELD_OUT_STEPS = 32, 4096
_MOST_WARM_STATES = 20_000
_NO_BASELINES = DictConfig({"positive": None, "negative": None})


class ControlSetting(Setting):
    """A Gymnasium environment with vector observations and numbered actions.

    Args:
        workers: processes that share simulation, policies' training and evaluation.
    """

    trains_policies = True
    picture = "training"

    def __init__(self, config: DictConfig, workers: Workers) -> None:
        super().__init__(config)
        self.workers = workers
        self.environment = build_environment(config)
        self.environment.check()
        self.cache = DatasetCache(config.paths.cache)
        self._known_returns: dict[str, np.ndarray] = {}

    @cached_property
    def behaviour_expert(self) -> NetworkPolicy:
        return find_expert(self.config, self.environment, self.config.env.behaviour_expert)

    @cached_property
    def demonstration_expert(self) -> NetworkPolicy:
        return find_expert(self.config, self.environment, self.config.env.demonstration_expert)

    @cached_property
    def simulator(self) -> ControlSimulator:
        return ControlSimulator(self.environment, self.behaviour_expert, self.demonstration_expert, self.workers)

    @property
    def simulation(self) -> dict[str, Any]:
        experts = [expert.fingerprint for expert in (self.behaviour_expert, self.demonstration_expert)]
        return {**_described(self.environment), "experts": experts}

    # Learning --------------------------------------------------------------------------------------------------------

    def inference(
        self, feedback: CombinedFeedback, likelihoods: dict[str, FeedbackLikelihood], models: Models
    ) -> RewardInference:
        model, prior, env = self.config.model, self.config.model.prior, self.environment
        at_termination = PRIOR_MEAN_AT_TERMINATION[self.config.env.termination]
        standardization = self._standardization(feedback)
        posterior = StepPosterior(
            env.observation_size,
            env.n_actions,
            model.reward_domain,
            model.hidden_sizes,
            model_streams(models, "encoder"),
            standardization,
            at_termination,
        )
        network = BatchedMLP(env.observation_size, model.hidden_sizes, env.n_actions, model_streams(models, "q"))
        mean = torch.full((1,), at_termination)
        return RewardInference(
            posterior,
            RewardPrior(mean, prior.scale, len(models), prior.hyperprior_shape, prior.hyperprior_rate),
            LearnedStepValues(
                network, self.config.env.gamma, model.backup, model.soft_temperature, standardization=standardization
            ),
            likelihoods,
            lambda batches, scales, valued: StepSupport(batches, scales, valued, model.kl_count),
        )

    def _standardization(self, feedback: CombinedFeedback) -> Standardization:
        n_models, n_features = len(feedback.seeds) * feedback.members, self.environment.observation_size
        if not self.config.model.standardize:
            return Standardization.identity(n_models, n_features)
        states, valid = _all_states(feedback)
        count = valid.sum(1).clamp(min=1)[:, None]
        mean = torch.where(valid[..., None], states, 0.0).sum(1) / count
        variance = torch.where(valid[..., None], (states - mean[:, None]).square(), 0.0).sum(1) / count
        std = variance.sqrt().clamp(min=1e-3)
        return Standardization(*(x.repeat_interleave(feedback.members, dim=0) for x in (mean, std)))

    @torch.no_grad()
    def saved(self, learner: RewardLearner, feedback: CombinedFeedback) -> tuple[dict[str, Tensor], dict[str, Any]]:
        inference = learner.inference
        posterior, values = inference.posterior, inference.values
        assert isinstance(posterior, StepPosterior)
        assert isinstance(values, LearnedStepValues)
        read = any(likelihood.reads == "q" for likelihood in inference.likelihoods.values())
        demonstrated = "demonstration" in inference.likelihoods
        model = StepRewardModel(posterior, values.network if read else None, _on_feedback(posterior, feedback), {})
        form = {
            "kind": "steps",
            "reward_domain": self.config.model.reward_domain,
            "n_features": self.environment.observation_size,
            "n_actions": self.environment.n_actions,
            "reward_at_termination": posterior.at_termination,
            "demonstration_rationality": (
                self.config.feedback.demonstration.model_rationality if demonstrated else None
            ),
        }
        return {**model.tensors(), "prior.variance": inference.prior.variance}, form

    # Acting ----------------------------------------------------------------------------------------------------------

    def act(self, directory: Path, feedback: CombinedFeedback) -> None:
        if self.config.policy.name != "ppo":
            return
        jobs = [self.job(directory, k, self._warm_states(feedback, k)) for k in range(self.config.replicates)]
        self.train(jobs)

    def train(self, jobs: list[PolicyTraining]) -> None:
        """Train policies in parallel, with a progress bar."""
        with policy_progress(self.config.progress, [job.directory for job in jobs], sum(job.chunks for job in jobs)):
            self.workers.map(train_policy, [(job,) for job in jobs])

    def job(self, directory: Path, replicate: int, warm_states: np.ndarray | None) -> PolicyTraining:
        """The training of one replicate's policy on its learned reward."""
        policy = self.config.policy
        return PolicyTraining(
            environment=self.environment,
            ppo=ppo_settings(policy),
            reward=LearnedRewardSettings(
                **{
                    name: policy[name]
                    for name in ("reward", "kappa", "sample_per", "standardize", "clip", "termination_weight")
                },
                reference_weight=policy.reference_weight,
                gamma=policy.gamma,
            ),
            seed=seeds(self.config)[replicate],
            directory=policy_directory(directory, replicate),
            chunks=policy.evaluations,
            evaluation_episodes=policy.evaluation_episodes,
            checkpoint=policy.checkpoint,
            stop_below=policy.stop_below,
            model=directory,
            replicate=replicate,
            warm_states=warm_states,
        )

    def _warm_states(self, feedback: CombinedFeedback, replicate: int) -> np.ndarray | None:
        """States of the feedback, in which the policy begins by acting like the demonstrators."""
        if not self.config.policy.warm_start or "demonstration" not in feedback.sets["train"]:
            return None
        states, valid = _all_states(feedback)
        found = states[replicate][valid[replicate]]
        return found[:: -(-len(found) // _MOST_WARM_STATES)].numpy()

    # Judging ---------------------------------------------------------------------------------------------------------

    def judge(self, directory: Path) -> dict[str, Tensor]:
        model = load_reward_model(directory)
        assert isinstance(model, StepRewardModel)
        expert = self.expert_returns()
        rows = [self.returns(self.policy(directory, model, k)) for k in range(len(model))]
        mean = torch.tensor([row.mean() for row in rows], dtype=torch.float64)
        values = {
            "normalized_return": self.normalized(mean),
            "mean_return": mean,
            "regret": torch.tensor([(expert - row).mean() for row in rows], dtype=torch.float64),
        }
        return {**values, **self._agreement(model)}

    def policy(self, directory: Path, model: StepRewardModel, replicate: int) -> Policy:
        """What a run's replicate acts with."""
        if self.config.policy.name == "imitation":
            return DemonstratedPolicy(model[replicate])
        return NetworkPolicy.load(policy_directory(directory, replicate))

    def returns(self, policy: Policy) -> np.ndarray:
        """Undiscounted true returns in the evaluation's episodes, which are the same for all policies."""
        return true_returns(self.environment, policy, (0, "evaluation"), self.config.evaluation.episodes, self.workers)

    def expert_returns(self) -> np.ndarray:
        """The same of the demonstrator; kept in the cache."""
        return self._cached(self.demonstration_expert, self.demonstration_expert.fingerprint)

    def uniform_returns(self) -> np.ndarray:
        """The same of the uniform policy; kept in the cache."""
        return self._cached(UniformPolicy(self.environment.n_actions), "uniform")

    def _cached(self, policy: Policy, who: str) -> np.ndarray:
        if who in self._known_returns:
            return self._known_returns[who]
        key = {"kind": "evaluation", "who": who, "environment": _described(self.environment), "version": 2}
        count = self.config.evaluation.episodes
        entry = self.cache.read(key, count)
        if entry is None:
            entry = {"returns": self.returns(policy)}
            self.cache.write(key, entry, count)
        self._known_returns[who] = entry["returns"][:count]
        return self._known_returns[who]

    def normalization(self) -> tuple[float, float]:
        """Returns that count as 100 and 0: env.normalization, or what the demonstrator and the uniform policy reach."""
        given = self.config.env.normalization
        optimal = self.expert_returns().mean() if given.optimal is None else given.optimal
        uniform = self.uniform_returns().mean() if given.uniform is None else given.uniform
        return float(optimal), float(uniform)

    def normalized(self, value: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
        """100 for the optimal return, 0 for the uniform one; 100 where the two are equally good."""
        optimal, uniform = self.normalization()
        span = optimal - uniform
        return 100 * (value - uniform) / span if abs(span) > 1e-12 else torch.full_like(value, 100.0)

    def comparison(self) -> dict[str, float]:
        as_it_is = nominal(self.environment) == self.environment  # the baselines were measured there
        baselines = self.config.env.baselines if as_it_is else _NO_BASELINES
        found = {
            "expert": float(self.expert_returns().mean()),
            "uniform": self.normalization()[1],
            "constant reward +1": baselines.positive,
            "constant reward -1": baselines.negative,
        }
        measured = {name: x for name, x in found.items() if x is not None}
        normalized = self.normalized(torch.tensor(list(measured.values()), dtype=torch.float64))
        return dict(zip(measured, normalized.tolist(), strict=True))

    def _agreement(self, model: StepRewardModel) -> dict[str, Float[Tensor, "R"]]:
        """Rank correlation with the true reward on held-out transitions, where that is not constant."""
        rationality = self.config.feedback.preference.behaviour_rationality
        held_out = self.simulator.segments(
            [_HELD_OUT], Behaviour(rationality), _HELD_OUT_EPISODES, _HELD_OUT_STEPS, 1, 1
        )
        steps = held_out.transitions
        valid = steps.valid[0]
        truth = held_out.reward[0][valid].double()[None]
        if float(truth.std()) < 1e-9:
            return {}
        mean = model.mean(steps.state[0][valid], steps.action[0][valid], steps.next_state[0][valid])
        std = model.std(steps.state[0][valid], steps.action[0][valid], steps.next_state[0][valid])
        return {"spearman": spearman(mean.double(), truth), "posterior_std": std.mean(-1).double()}

    def protocol(self) -> dict[str, Any]:
        policy = self.config.policy
        if policy.name != "ppo":
            return {"policy": policy.name, "checkpoint": policy.checkpoint}
        guided = "demonstration" in active_kinds(self.config)
        return {
            "policy": policy.name,
            "reward": policy.reward,
            "reference_weight": policy.reference_weight if guided else 0.0,
            "warm_start": bool(policy.warm_start and guided),
            "checkpoint": policy.checkpoint,
        }

    def figure(self, directory: Path, result: dict[str, Any]) -> Figure:
        config = self.config
        curves = [policy_directory(directory, k) / "curve.csv" for k in range(config.replicates)]
        title = f"{config.env.name} {config.modality.name}: normalized return {result['mean']['normalized_return']:.1f}"
        return training_figure(
            [curve for curve in curves if curve.exists()],
            [float(value) for value in result["final"]["mean_return"]],
            float(self.expert_returns().mean()),
            self.normalization()[1],
            title,
        )


def build_environment(config: DictConfig) -> ControlEnvironment:
    env = config.env
    return ControlEnvironment(
        id=env.id,
        kwargs=_plain(env.kwargs),
        max_steps=env.max_steps,
        perturbation={name: value for name, value in _plain(env.perturbation).items() if value is not None},
        fixed_horizon=env.fixed_horizon,
    )


def ppo_settings(policy: DictConfig) -> PPOSettings:
    """The part of conf/policy/ppo.yaml that is PPO's own."""
    plain = _plain(policy)
    return PPOSettings(**{name: plain[name] for name in PPOSettings.__dataclass_fields__})


def policy_directory(directory: Path, replicate: int) -> Path:
    return directory / "policies" / str(replicate)


def _plain(node: Any) -> dict[str, Any]:
    plain = OmegaConf.to_container(node, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _described(environment: ControlEnvironment) -> dict[str, Any]:
    return {name: getattr(environment, name) for name in environment.__dataclass_fields__}


def _all_states(feedback: CombinedFeedback) -> tuple[Float[Tensor, "R N O"], Bool[Tensor, "R N"]]:
    """The states of all feedback to learn from, and which of them are real."""
    steps = [batch.transitions.flatten() for batch in feedback.sets["train"].values()]
    return torch.cat([part.state for part in steps], dim=1), torch.cat([part.valid for part in steps], dim=1)


def _on_feedback(
    posterior: StepPosterior, feedback: CombinedFeedback
) -> tuple[Float[Tensor, "RM"], Float[Tensor, "RM"]]:
    """Mean and standard deviation of each model's mean reward over the transitions of its feedback."""
    steps = [batch.transitions.flatten() for batch in feedback.sets["train"].values()]
    rewards, valid = [], []
    for part in (steps_part for whole in steps for steps_part in _in_parts(whole)):
        part = part.repeat_replicates(feedback.members)
        nowhere = torch.zeros_like(part.terminal)
        rewards.append(posterior.transition_moments(part.state, part.action, part.next_state, nowhere)[0])
        valid.append(part.valid)
    reward, real = torch.cat(rewards, dim=1), torch.cat(valid, dim=1)
    count = real.sum(1).clamp(min=1)
    mean = torch.where(real, reward, 0.0).sum(1) / count
    variance = torch.where(real, (reward - mean[:, None]).square(), 0.0).sum(1) / count
    return mean, variance.sqrt().clamp(min=1e-6)


def _in_parts(steps: Any, size: int = 4096) -> list[Any]:
    return [steps.map(lambda t, k=k: t[:, k : k + size]) for k in range(0, steps.action.shape[1], size)]
