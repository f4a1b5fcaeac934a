"""Tiny trainings: a 3 x 3 grid or a few made-up observations, a few samples of each kind, models that are small."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from lightning import Trainer

from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.feedback.base import FeedbackBatch
from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.datamodule import Asking, FeedbackDataModule, Serving
from mavrl.feedback.demonstration import DemonstrationBatch, DemonstrationDataModule, DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceBatch, PreferenceDataModule, PreferenceLikelihood
from mavrl.feedback.rating import RatingBatch, RatingDataModule, RatingLikelihood
from mavrl.feedback.stop import StopBatch, StopDataModule, StopLikelihood
from mavrl.model.action_heads import NumberedHead
from mavrl.model.correlation import Covariance, first_correlation
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.learner import RewardLearner
from mavrl.model.objective import EvidenceLowerBound, RewardInference, WeightedAverages
from mavrl.model.posterior import RewardPrior, StatePosterior, StepPosterior
from mavrl.model.support import StepSupport
from mavrl.model.values import LearnedStateValues, LearnedStepValues, PlannedValues
from mavrl.simulation.tabular import TabularSimulator
from mavrl.streams import model_streams
from mavrl.types import Transitions

GAMMA = 0.8
N_FEATURES, N_ACTIONS, N_CATEGORIES = 3, 4, 4  # of the made-up control environment
HEAD = NumberedHead(N_ACTIONS)
_SEGMENTS = {"segment_len": 3, "n_episodes": 256, "behaviour_rationality": 0.0}


def _module(kind: str, n_samples: int, asking: Asking, serving: Serving) -> FeedbackDataModule:
    shared = {"asking": asking, "serving": serving, "n_samples": n_samples}
    if kind == "preference":
        return PreferenceDataModule(teacher_rationality=5.0, model_rationality=5.0, **shared, **_SEGMENTS)
    if kind == "demonstration":
        return DemonstrationDataModule(teacher_rationality=2.0, model_rationality=2.0, **shared)
    if kind == "rating":
        return RatingDataModule(n_categories=4, **shared, **_SEGMENTS)
    return StopDataModule(discount=0.3, percentile=50.0, scale=2.0, lapse=1e-6, **shared, **_SEGMENTS)


@pytest.fixture(scope="session")
def problem() -> TabularProblem:
    return TabularProblem.of_grid(GridEnv("cliff", 3, max_steps=30), GAMMA)


@pytest.fixture(scope="session")
def make_feedback(problem: TabularProblem) -> Callable[..., CombinedDataModule]:
    def make(counts: dict[str, int], seeds: list[int], **settings: Any) -> CombinedDataModule:
        together = {key: settings.pop(key) for key in ("least_steps", "passes_per_epoch") if key in settings}
        asking = Asking(TabularSimulator(problem), seeds, {}, validation=settings.pop("validation", False))
        sizes = {"demonstration": settings.pop("demonstration_batch_size", None)}
        size, members = settings.pop("batch_size", None), settings.pop("members", 1)
        modules = {
            kind: _module(kind, n, asking, Serving(sizes.get(kind, size), members=members))
            for kind, n in counts.items()
        }
        feedback = CombinedDataModule(modules, **together)
        feedback.setup()
        return feedback

    return make


@pytest.fixture(scope="session")
def make_inference(problem: TabularProblem) -> Callable[..., RewardInference]:
    def make(
        feedback: CombinedDataModule,
        q: str = "planned",
        backup: Any = "optimal",
        scale: float | None = 1.0,
        hidden: tuple[int, ...] = (8,),
        covariance: Covariance = "diagonal",
    ) -> RewardInference:
        models = feedback.models
        n_states, n_actions = problem.transitions.n_states, problem.transitions.n_actions
        if q == "planned":
            values = PlannedValues(problem.transitions, GAMMA, len(models))
        else:
            network = BatchedMLP(n_states, hidden, n_actions, model_streams(models, "q"))
            values = LearnedStateValues(network, NumberedHead(n_actions), GAMMA, backup, 0.5)
        return RewardInference(
            StatePosterior(
                n_states,
                hidden,
                model_streams(models, "encoder"),
                first_correlation(covariance, n_states, 3, model_streams(models, "correlation")),
            ),
            RewardPrior(problem.terminal_states.float(), scale, len(models), 4.0, 0.8),
            values,
            feedback.likelihoods(),
        )

    return make


@pytest.fixture(scope="session")
def make_learner(make_inference: Callable[..., RewardInference]) -> Callable[..., RewardLearner]:
    def make(
        feedback: CombinedDataModule, objective: Any = "elbo", settings: dict[str, Any] | None = None, **model: Any
    ) -> RewardLearner:
        sizes = feedback.sizes()
        if objective == "elbo":
            objective = EvidenceLowerBound(sizes, 1.0)
        elif objective == "weighted":
            objective = WeightedAverages(sizes, 0.5, 0.03, False)
        elif isinstance(objective, type):
            objective = objective(sizes, 1.0)
        models = feedback.models
        defaults = {
            "lr": 0.02, "schedule": "constant", "total_steps": 100, "gradient_clip": 1.0, "weight_decay": 0.0
        }  # fmt: skip
        return RewardLearner(make_inference(feedback, **model), objective, models, **{**defaults, **(settings or {})})

    return make


@pytest.fixture(scope="session")
def fit() -> Callable[..., None]:
    def run(
        learner: RewardLearner, feedback: CombinedDataModule, epochs: int, callbacks: Any = None, checkpoint: Any = None
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


# Control -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def make_steps() -> Callable[..., Transitions]:
    """Made-up transitions of shape (R, B, ..., T): observations, padding of zeros, some segments that terminate.

    Args:
        lengths: valid steps of each segment, or of each replicate's demonstrations; random when not given.
    """

    def make(*shape: int, seed: int = 0, lengths: Any = None) -> Transitions:
        stream = torch.Generator().manual_seed(seed)
        n_steps = shape[-1]
        if lengths is None:
            length = torch.randint(1, n_steps + 1, shape[:-1], generator=stream)
        else:
            length = torch.as_tensor(lengths).expand(shape[:-1])
        step = torch.arange(n_steps).expand(shape)
        valid = step < length[..., None]
        ends = (torch.rand(shape[:-1], generator=stream) < 0.5)[..., None] & (step == length[..., None] - 1)

        def observation() -> torch.Tensor:
            return 2 * torch.randn(*shape, N_FEATURES, generator=stream) * valid[..., None]

        def action() -> torch.Tensor:
            return torch.randint(N_ACTIONS, shape, generator=stream) * valid

        return Transitions(observation(), action(), observation(), action() * ~ends, ends, valid)

    return make


@pytest.fixture(scope="session")
def control_batches(make_steps: Callable[..., Transitions]) -> dict[str, FeedbackBatch]:
    """Two replicates with every kind; the second has fewer demonstrated steps than the first."""
    stop = make_steps(2, 4, 5, seed=3)
    stopped = (stop.valid.sum(-1) - 1).clamp(min=0)
    return {
        "preference": PreferenceBatch(make_steps(2, 3, 2, 4), torch.tensor([[True, False, True], [False, True, True]])),
        "demonstration": DemonstrationBatch(make_steps(2, 6, seed=1, lengths=[6, 4])),
        "rating": RatingBatch(make_steps(2, 4, 3, seed=2), torch.tensor([[0, 1, 2, 3], [3, 0, 2, 2]])),
        "stop": StopBatch(stop, torch.where(torch.tensor([True, False, True, False]), stopped, 5)),
    }


@pytest.fixture(scope="session")
def make_control_inference() -> Callable[..., RewardInference]:
    def make(
        kinds: Iterable[str],
        n_models: int = 2,
        domain: Any = "sa",
        count: Any = "sample",
        backup: Any = "optimal",
        at_termination: float = 0.0,
        scale: float | None = 1.0,
        hidden: tuple[int, ...] = (8,),
        standardization: Standardization | None = None,
    ) -> RewardInference:
        models = [(seed, 0) for seed in range(n_models)]
        likelihoods = {
            "preference": PreferenceLikelihood(2.0),
            "demonstration": DemonstrationLikelihood(1.5),
            "rating": RatingLikelihood.from_counts(torch.ones(n_models, N_CATEGORIES)),
            "stop": StopLikelihood(torch.linspace(0.5, 1.0, n_models), 0.4),
        }
        if standardization is None:
            standardization = Standardization.identity(n_models, N_FEATURES)
        encoder_streams, q_streams = (model_streams(models, purpose) for purpose in ("encoder", "q"))
        network = BatchedMLP(N_FEATURES, hidden, N_ACTIONS, q_streams)
        return RewardInference(
            StepPosterior(N_FEATURES, HEAD, domain, hidden, encoder_streams, standardization, at_termination),
            RewardPrior(torch.full((1,), at_termination), scale, n_models, 4.0, 0.8),
            LearnedStepValues(network, HEAD, GAMMA, backup, 0.5, standardization=standardization),
            {kind: likelihoods[kind] for kind in kinds},
            lambda batches, scales, valued: StepSupport(batches, scales, valued, count, HEAD),
        )

    return make
