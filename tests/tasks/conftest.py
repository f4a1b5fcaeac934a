"""Configurations composed from conf/, as run.py would compose them."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf


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
