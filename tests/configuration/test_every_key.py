"""Every key of the configuration: its run is another one, or its result is the same."""

import copy
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import NOT_OF_RESULT, config_hash
from mavrl.configuration.plain import flatten
from mavrl.configuration.registry import FAMILIES
from mavrl.configuration.settings import RunSettings

# Parts of a run's settings that make no result: how it is executed, how an expert that is missing is trained, what
# stands beside the result, and the name of the kinds that are on.
BESIDE = {"execution", "experts", "baselines", "modality"}
TOGETHER = ("search.", "skip.", "env.experts.")  # prefixes of keys that are changed all at once
OTHERS: dict[str, Any] = {  # None: has no other value
    "data.folder": "x", "data.digest": "y",
    **{f"feedback.{kind}.annotators": "pooled" for kind in ("preference", "rating", "stop")},
    "modality.active": ["rating"], "counts": "small", "env.family": None, "selection": "best", "device": "cuda",
    "progress": True, "figures": "none", "model.objective": "weighted", "model.reward_domain": "sas",
    "rounds.name": "once", "rounds.first": "behaviour", "rounds.refit": "fresh", "rounds.budget": 7.0,
    "model.covariance": "low_rank", "model.backup": "soft", "model.kl_count": "transition",
    "optim.schedule": "constant",
}  # fmt: skip
LEAST = 120  # keys, so that the test does not pass because there are none


def _of_result(config: DictConfig) -> dict[str, Any]:
    """What of a configuration reaches the run, and is read there."""
    settings = {key: value for key, value in asdict(RunSettings.from_config(config)).items() if key not in BESIDE}
    for kind in settings["feedback"].values():
        for key in NOT_OF_RESULT:
            del kind[key]
    for key in ("minibatches", "updates"):  # in batch_size and n_steps
        settings["policy"].pop(key, None)
    read = FAMILIES[config.env.family].result_keys
    if "policy" not in read:
        del settings["policy"]
    if "evaluation" not in read:
        del settings["evaluation_episodes"]
    return settings


def _another(value: Any) -> Any:
    if value in ("planned", "learned", "inverse"):
        return {"planned": "learned", "learned": "planned", "inverse": "learned"}[value]
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, list):
        return [*value, 7]
    return {"name": 7} if value == {} else 7


def _with_each_key_changed(config: DictConfig) -> Iterator[tuple[list[str], DictConfig]]:
    """The same object each time, with one key at another value, or a few that belong together."""
    other, written = copy.deepcopy(config), flatten(OmegaConf.to_container(config, resolve=False))
    together: dict[str, list[str]] = {}
    for key in written:
        together.setdefault(next((prefix for prefix in TOGETHER if key.startswith(prefix)), key), []).append(key)
    for keys in together.values():
        changes = {key: OTHERS[key] if key in OTHERS else _another(_value(config, key)) for key in keys}
        if None not in changes.values():
            _put(other, changes)
            yield keys, other
            _put(other, {key: written[key] for key in keys})


def _value(config: DictConfig, key: str) -> Any:
    value = OmegaConf.select(config, key)
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _put(config: DictConfig, values: dict[str, Any]) -> None:
    for key, value in values.items():
        OmegaConf.update(config, key, value, merge=False, force_add=True)


ARGUMENTS = [("env=grid_trap", "modality=pr"), ("env=cartpole_v1", "modality=ds"), ("task=online", "modality=p")]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_another_hash_is_another_result(arguments: tuple[str, ...], composed: Any) -> None:
    config = composed(*arguments)
    name, made = config_hash(config), _of_result(config)
    wrong, known = [], []
    for keys, other in _with_each_key_changed(config):
        known += keys
        if (config_hash(other) != name) != (_of_result(other) != made):
            wrong += keys
    assert wrong == []
    assert len(known) > LEAST
