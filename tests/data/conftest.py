"""Small problems, a small control environment, and sources of every kind of feedback."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from mavrl.behaviour.network import NetworkPolicy
from mavrl.data.base import FeedbackData
from mavrl.data.cache import DatasetCache
from mavrl.data.control import ControlSimulator
from mavrl.data.demonstration import DemonstrationData
from mavrl.data.preference import PreferenceData
from mavrl.data.rating import RatingData
from mavrl.data.simulation import Simulator
from mavrl.data.stop import StopData
from mavrl.data.tabular import TabularSimulator
from mavrl.envs import GridEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.problem import TabularProblem
from mavrl.workers import Workers

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
def balance() -> NetworkPolicy:
    """Two layers, by hand, that push a cart under its falling pole: Q is +-3 (angle + 0.5 angular velocity)."""
    lean = torch.tensor([0.0, 0.0, 1.0, 0.5])
    into, out = torch.stack([lean, -lean]), 3.0 * torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    return NetworkPolicy.from_layers([(into, torch.zeros(2)), (out, torch.zeros(2))], "relu", "q")


@pytest.fixture(scope="session")
def make_control(balance: NetworkPolicy) -> Callable[..., ControlSimulator]:
    """CartPole with a reward of -1 for the step that ends an episode, and 0 for all others."""

    def make(policy: NetworkPolicy = balance, **environment: Any) -> ControlSimulator:
        description = {"id": "CartPole-v1", "kwargs": {"sutton_barto_reward": True}, "max_steps": 60, **environment}
        return ControlSimulator(ControlEnvironment(**description), policy, policy, Workers(1))

    return make


@pytest.fixture(scope="session")
def simulators(make_problem: Callable[..., TabularProblem], make_control: Any) -> dict[str, Simulator]:
    return {"grid": TabularSimulator(make_problem()), "control": make_control()}


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
        world: TabularProblem | Simulator | None = None,
        cache: Any = None,
        split: str = "train",
        with_teacher: bool = False,
    ) -> Any:
        world = world or make_problem()
        simulator = TabularSimulator(world) if isinstance(world, TabularProblem) else world
        batch, teacher = source.simulate_all(simulator, seeds, DatasetCache(cache), split, {"layout": "cliff"})
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
