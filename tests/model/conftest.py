"""Tiny trainings: a 3 x 3 grid, a few samples of each kind, models that are small."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from lightning import Trainer

from mavrl.data.base import FeedbackData
from mavrl.data.cache import DatasetCache
from mavrl.data.combined import CombinedFeedback
from mavrl.data.demonstration import DemonstrationData
from mavrl.data.preference import PreferenceData
from mavrl.data.rating import RatingData
from mavrl.data.stop import StopData
from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import EvidenceLowerBound, RewardInference, WeightedAverages
from mavrl.model.posterior import RewardPosterior, RewardPrior
from mavrl.model.values import LearnedValues, PlannedValues
from mavrl.streams import torch_stream

GAMMA = 0.8
_SEGMENTS = {"segment_len": 3, "n_episodes": 256, "behaviour_rationality": 0.0}


def _source(kind: str, n_samples: int) -> FeedbackData:
    counts = {"n_samples": n_samples, "gen_samples": 0}
    if kind == "preference":
        return PreferenceData(teacher_rationality=5.0, model_rationality=5.0, **counts, **_SEGMENTS)
    if kind == "demonstration":
        return DemonstrationData(teacher_rationality=2.0, model_rationality=2.0, **counts)
    if kind == "rating":
        return RatingData(n_categories=4, **counts, **_SEGMENTS)
    return StopData(discount=0.3, percentile=50.0, scale=2.0, lapse=1e-6, **counts, **_SEGMENTS)


@pytest.fixture(scope="session")
def problem() -> TabularProblem:
    return TabularProblem.of_grid(GridEnv("cliff", 3, max_steps=30), GAMMA)


@pytest.fixture(scope="session")
def make_feedback(problem: TabularProblem) -> Callable[..., CombinedFeedback]:
    def make(counts: dict[str, int], seeds: list[int], **settings: Any) -> CombinedFeedback:
        sources = {kind: _source(kind, n) for kind, n in counts.items()}
        feedback = CombinedFeedback(sources, problem, seeds, DatasetCache(None), {}, **settings)
        feedback.prepare()
        return feedback

    return make


@pytest.fixture(scope="session")
def make_inference(problem: TabularProblem) -> Callable[..., RewardInference]:
    def make(
        feedback: CombinedFeedback,
        q: str = "planned",
        backup: Any = "optimal",
        scale: float | None = 1.0,
        hidden: tuple[int, ...] = (8,),
    ) -> RewardInference:
        models = [(seed, member) for seed in feedback.seeds for member in range(feedback.members)]

        def streams(purpose: str) -> list[torch.Generator]:
            return [torch_stream(seed, purpose, member) for seed, member in models]

        n_states, n_actions = problem.transitions.n_states, problem.transitions.n_actions
        if q == "planned":
            values = PlannedValues(problem.transitions, GAMMA, len(models))
        else:
            values = LearnedValues(n_states, n_actions, hidden, streams("q"), GAMMA, backup, 0.5)
        return RewardInference(
            RewardPosterior(n_states, hidden, streams("encoder")),
            RewardPrior(problem.terminal_states.float(), scale, len(models), 4.0, 0.8),
            values,
            feedback.likelihoods(),
        )

    return make


@pytest.fixture(scope="session")
def make_learner(make_inference: Callable[..., RewardInference]) -> Callable[..., RewardLearner]:
    def make(
        feedback: CombinedFeedback, objective: Any = "elbo", settings: dict[str, Any] | None = None, **model: Any
    ) -> RewardLearner:
        sizes = {
            name: batch.valid_samples.sum(-1).float().repeat_interleave(feedback.members)
            for name, batch in feedback.sets["train"].items()
        }
        if objective == "elbo":
            objective = EvidenceLowerBound(sizes, 1.0)
        elif objective == "weighted":
            objective = WeightedAverages(sizes, 0.5, 0.03, False)
        elif isinstance(objective, type):
            objective = objective(sizes, 1.0)
        models = [(seed, member) for seed in feedback.seeds for member in range(feedback.members)]
        defaults = {
            "lr": 0.02, "schedule": "constant", "total_steps": 100, "gradient_clip": 1.0, "weight_decay": 0.0
        }  # fmt: skip
        return RewardLearner(make_inference(feedback, **model), objective, models, **{**defaults, **(settings or {})})

    return make


@pytest.fixture(scope="session")
def fit() -> Callable[..., None]:
    def run(
        learner: RewardLearner, feedback: CombinedFeedback, epochs: int, callbacks: Any = None, checkpoint: Any = None
    ) -> Trainer:
        trainer = Trainer(
            max_epochs=epochs,
            callbacks=callbacks,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            trainer.fit(learner, datamodule=feedback, ckpt_path=checkpoint, weights_only=True)
        return trainer

    return run
