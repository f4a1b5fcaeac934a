"""The objects of a run, built from its configuration."""

from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from mavrl.data.cache import DatasetCache
from mavrl.data.combined import CombinedFeedback
from mavrl.envs import LAYOUTS, GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import EvidenceLowerBound, Objective, RewardInference, WeightedAverages
from mavrl.model.posterior import RewardPosterior, RewardPrior
from mavrl.model.values import LearnedValues, PlannedValues, ValueSource
from mavrl.streams import torch_stream
from mavrl.tasks.configuration import active_kinds, environment

PRIOR_MEAN_AT_TERMINATION = {"success": 1.0, "neutral": 0.0, "failure": -1.0}


def build_problem(config: DictConfig) -> TabularProblem:
    env = config.env
    if env.layout not in LAYOUTS:
        raise ConfigurationError("env.layout", env.layout, f"must be one of {', '.join(LAYOUTS)}")
    grid = GridEnv(layout=env.layout, size=env.size, p_rand=env.p_rand, max_steps=env.max_steps)
    return TabularProblem.of_grid(grid, env.gamma)


def build_feedback(config: DictConfig, problem: TabularProblem) -> CombinedFeedback:
    simulation = {k: v for k, v in environment(config).items() if k not in ("termination", "name")}
    return CombinedFeedback(
        sources={
            kind: instantiate(config.feedback[kind], _execution_whitelist_=["mavrl.data.*"])
            for kind in active_kinds(config)
        },
        problem=problem,
        seeds=seeds(config),
        cache=DatasetCache(config.paths.cache),
        environment=simulation,
        batch_size=config.optim.batch_size,
        passes_per_epoch=config.trainer.passes_per_epoch,
        validation=config.trainer.validation,
        members=config.members,
    )


def seeds(config: DictConfig) -> list[int]:
    return [config.seed + k for k in range(config.replicates)]


def build_learner(config: DictConfig, problem: TabularProblem, feedback: CombinedFeedback) -> RewardLearner:
    """The learner of prepared feedback."""
    models = [(seed, member) for seed in seeds(config) for member in range(config.members)]
    model, settings = config.model, config.model.prior
    mean = problem.terminal_states * PRIOR_MEAN_AT_TERMINATION[config.env.termination]
    inference = RewardInference(
        RewardPosterior(problem.transitions.n_states, model.hidden_sizes, _streams(models, "encoder")),
        RewardPrior(mean, settings.scale, len(models), settings.hyperprior_shape, settings.hyperprior_rate),
        _build_values(config, problem, models),
        feedback.likelihoods(),
    )
    return RewardLearner(
        inference,
        _build_objective(config, feedback),
        models,
        total_steps=config.trainer.max_epochs * feedback.steps_per_epoch,
        selection=config.selection,
        patience=config.trainer.patience,
        **{key: config.optim[key] for key in ("lr", "schedule", "weight_decay", "gradient_clip")},
    )


def _build_values(config: DictConfig, problem: TabularProblem, models: list[tuple[int, int]]) -> ValueSource:
    model = config.model
    if model.q == "planned":
        return PlannedValues(problem.transitions, problem.gamma, len(models))
    return LearnedValues(
        problem.transitions.n_states,
        problem.transitions.n_actions,
        model.hidden_sizes,
        _streams(models, "q"),
        problem.gamma,
        model.backup,
        model.soft_temperature,
    )


def _build_objective(config: DictConfig, feedback: CombinedFeedback) -> Objective:
    sizes = {
        name: batch.valid_samples.sum(-1).float().repeat_interleave(config.members)
        for name, batch in feedback.sets["train"].items()
    }
    model = config.model
    if model.objective == "elbo":
        return EvidenceLowerBound(sizes, model.bellman_weight)
    return WeightedAverages(sizes, model.bellman_weight, model.kl_weight, model.importance_weights)


def _streams(models: list[tuple[int, int]], purpose: str) -> list[torch.Generator]:
    return [torch_stream(seed, purpose, member) for seed, member in models]


def description(config: DictConfig, problem: TabularProblem) -> dict[str, Any]:
    """What a saved reward model needs to be built again, and what it was trained on."""
    return {
        "kind": "tabular",
        "reward_domain": "s",
        "n_states": problem.transitions.n_states,
        "hidden_sizes": OmegaConf.to_container(config.model.hidden_sizes),
        "replicates": config.replicates,
        "members": config.members,
        "seeds": seeds(config),
        "env": environment(config),
        "modality": config.modality.name,
    }
