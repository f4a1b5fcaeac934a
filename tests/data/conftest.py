"""Small problems and sources of every kind of feedback."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mavrl.data.base import FeedbackData
from mavrl.data.cache import DatasetCache
from mavrl.data.demonstration import DemonstrationData
from mavrl.data.preference import PreferenceData
from mavrl.data.rating import RatingData
from mavrl.data.stop import StopData
from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem

_SEGMENTS = {"segment_len": 5, "n_episodes": 32, "behaviour_rationality": 0.0}
_SOURCES: dict[str, tuple[Callable[..., FeedbackData], dict[str, Any]]] = {
    "preference": (PreferenceData, {"teacher_rationality": 5.0, "model_rationality": 5.0, **_SEGMENTS}),
    "demonstration": (DemonstrationData, {"teacher_rationality": 2.0, "model_rationality": 2.0}),
    "rating": (RatingData, {"n_categories": 5, **_SEGMENTS}),
    "stop": (StopData, {"discount": 0.5, "percentile": 50.0, "scale": 1.0, "lapse": 1e-6, **_SEGMENTS}),
}


@pytest.fixture(scope="session")
def make_problem() -> Callable[..., TabularProblem]:
    def make(layout: str = "cliff", gamma: float = 0.9, **grid: Any) -> TabularProblem:
        return TabularProblem.of_grid(GridEnv(layout, **{"size": 4, "max_steps": 60, **grid}), gamma)

    return make


@pytest.fixture(scope="session")
def make_source() -> Callable[..., FeedbackData]:
    def make(kind: str, n_samples: int, gen_samples: int = 0, **changes: Any) -> FeedbackData:
        build, settings = _SOURCES[kind]
        return build(n_samples=n_samples, gen_samples=gen_samples, **{**settings, **changes})

    return make


@pytest.fixture(scope="session")
def simulate(make_problem: Callable[..., TabularProblem]) -> Callable[..., Any]:
    """The batch of a source for some seeds; also what the model is told of the teacher, when asked for."""

    def run(
        source: FeedbackData,
        seeds: list[int],
        problem: TabularProblem | None = None,
        cache: Any = None,
        split: str = "train",
        with_teacher: bool = False,
    ) -> Any:
        problem = problem or make_problem()
        batch, teacher = source.simulate_all(problem, seeds, DatasetCache(cache), split, {"layout": "cliff"})
        return (batch, teacher) if with_teacher else batch

    return run


@pytest.fixture(scope="session")
def equal() -> Callable[[Any, Any], bool]:
    """Whether two batches hold the same numbers in the same shapes."""

    def compare(left: Any, right: Any) -> bool:
        pairs = list(zip(_tensors(left), _tensors(right), strict=True))
        return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)

    return compare


def _tensors(batch: Any) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor

    batch.map(keep)
    return found
