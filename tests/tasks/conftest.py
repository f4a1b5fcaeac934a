"""Configurations composed from conf/, as run.py would compose them."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from mavrl.tasks.configuration import register_resolvers

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    """The configuration of these overrides; one object for all tests, which change copies."""
    known: dict[tuple[str, ...], DictConfig] = {}
    register_resolvers()

    def get(*overrides: str) -> DictConfig:
        if overrides not in known:
            GlobalHydra.instance().clear()
            with initialize_config_dir(str(CONF)):
                known[overrides] = compose("config", list(overrides))
        return known[overrides]

    return get


@pytest.fixture(scope="session")
def default(composed: Callable[..., DictConfig]) -> DictConfig:
    return composed()


@pytest.fixture(scope="session")
def control(composed: Callable[..., DictConfig]) -> DictConfig:
    return composed("env=cartpole_v1")


@pytest.fixture(scope="session")
def changed() -> Callable[..., DictConfig]:
    """A copy of a configuration with other values, given by their keys."""

    def change(config: DictConfig, values: dict[str, Any]) -> DictConfig:
        other = copy.deepcopy(config)
        for key, value in values.items():
            OmegaConf.update(other, key, value, merge=False)
        return other

    return change
