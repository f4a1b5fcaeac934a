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
OTHERS: dict[str, Any] = {  # None: has no other value
    "modality.active": ["demonstration"], "counts": "small", "env.family": None
}  # fmt: skip
LEAST = 120  # keys, so that the test does not pass because there are none


def _of_result(config: DictConfig) -> dict[str, Any]:
    """What of a configuration reaches the run, and is read there."""
    settings = {key: value for key, value in asdict(RunSettings.from_config(config)).items() if key not in BESIDE}
    for kind in settings["feedback"].values():
        for key in NOT_OF_RESULT:
            del kind[key]
    settings["policy"].pop("minibatches", None)  # in batch_size
    read = FAMILIES[config.env.family].result_keys
    if "policy" not in read:
        del settings["policy"]
    if "evaluation" not in read:
        del settings["evaluation_episodes"]
    return settings


def _another(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, list):
        return [*value, 7]
    return {"name": 7} if value == {} else 7


def _with_each_key_changed(config: DictConfig) -> Iterator[tuple[str, DictConfig]]:
    """The same object each time, with one key at another value."""
    other = copy.deepcopy(config)
    written = flatten(OmegaConf.to_container(config, resolve=False))
    for key, raw in written.items():
        value = OmegaConf.select(config, key)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        new = OTHERS.get(key, _another(value)) if key in OTHERS else _another(value)
        if new is not None:
            OmegaConf.update(other, key, new, merge=False, force_add=True)
            yield key, other
            OmegaConf.update(other, key, raw, merge=False, force_add=True)


@pytest.mark.parametrize(
    "arguments",
    [("env=grid_trap",), ("env=cartpole_v1", "modality=d"), ("env=cartpole_v1", "policy=imitation", "modality=ds")],
)
def test_another_hash_is_another_result(arguments: tuple[str, ...], composed: Any) -> None:
    config = composed(*arguments)
    name, made = config_hash(config), _of_result(config)
    changed, keys = set(), []
    for key, other in _with_each_key_changed(config):
        keys.append(key)
        if (config_hash(other) != name) != (_of_result(other) != made):
            changed.add(key)
    assert changed == set()
    assert len(keys) > LEAST
    assert config_hash(config) == name
