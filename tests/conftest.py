"""Shape checks, seeds and a guard against leaked global state, for every test."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

# Before anything imports mavrl: its shape annotations are checked in tests and only there. As for a
# type checker, an int will do for a float.
jaxtyping.install_import_hook("mavrl", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

torch.set_num_threads(1)

# A shell that runs the tests in the background has them ignore Ctrl-C, and with them every process that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

CONF = Path(__file__).parents[1] / "conf"

pytest_plugins = (
    "tests.fixtures.configurations",
    "tests.fixtures.films",
    "tests.fixtures.runs",
    "tests.fixtures.worlds",
)

# Set by pytest itself, by torch when its first optimizer is built, and by Stable-Baselines3 and polars when imported.
_IGNORED_VARIABLES = {
    "PYTEST_CURRENT_TEST", "TORCHINDUCTOR_CACHE_DIR", "PYGAME_HIDE_SUPPORT_PROMPT", "_RJEM_MALLOC_CONF"
}  # fmt: skip


def _environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in _IGNORED_VARIABLES}


def _global_state() -> dict[str, object]:
    return {
        "torch default dtype": torch.get_default_dtype(),
        "torch threads": torch.get_num_threads(),
        "torch grad mode": torch.is_grad_enabled(),
        "torch deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "working directory": os.getcwd(),
        "environment variables": _environment(),
    }


def _restore(state: dict) -> None:
    """One test that leaks must not fail all that follow it."""
    torch.set_default_dtype(state["torch default dtype"])
    torch.set_num_threads(state["torch threads"])
    torch.set_grad_enabled(state["torch grad mode"])
    torch.use_deterministic_algorithms(state["torch deterministic algorithms"])
    os.chdir(state["working directory"])
    before = state["environment variables"]
    for key in _environment().keys() - before.keys():
        del os.environ[key]
    os.environ.update(before)


def _difference(before: object, after: object) -> str:
    if isinstance(before, dict) and isinstance(after, dict):
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        return ", ".join(f"{key}: {before.get(key)!r} -> {after.get(key)!r}" for key in changed)
    return f"{before!r} -> {after!r}"


@pytest.fixture(autouse=True)
def _seeded_and_contained() -> Iterator[None]:
    """Seeds the global generators, and fails a test that changes the state of the whole process."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 -- the legacy generator is the global one
    before = _global_state()
    yield
    after = _global_state()
    leaked = [f"{name} ({_difference(before[name], after[name])})" for name in before if before[name] != after[name]]
    if leaked:
        _restore(before)
        pytest.fail(f"the test left global state changed: {'; '.join(leaked)}")


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """The configuration that run.py would compose of overrides; one object for all tests, which change copies."""
    from mavrl.configuration.check import register_with_hydra

    known: dict[tuple[str, ...], DictConfig] = {}
    register_with_hydra()

    def get(*overrides: str) -> DictConfig:
        if overrides not in known:
            GlobalHydra.instance().clear()
            with initialize_config_dir(str(CONF)):
                known[overrides] = compose("config", list(overrides))
        return known[overrides]

    return get
