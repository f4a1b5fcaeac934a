"""Every key of every task, given what makes no sense: refused in one line, or allowed here by name.

The keys are those of the composed configurations and the values are few, so what is tried grows with conf/ by itself.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf, open_dict

from mavrl.configuration.check import check, check_sweep, register_with_hydra, resolved
from mavrl.configuration.identity import is_execution
from mavrl.configuration.registry import OWN_TASKS
from mavrl.configuration.rules import READING
from mavrl.errors import ConfigurationError
from tests.conftest import CONF

VALUES: dict[str, Any] = {
    "text": "nonsense", "upwards": "../../x", "empty text": "", "number as text": "1", "null": None, "true": True,
    "list": [1, "a"], "empty list": [], "mapping": {"nonsense": 1}, "empty mapping": {}, "negative": -1,
    "fraction": 0.5, "huge": 10**400, "NaN": math.nan, "infinity": math.inf,
}  # fmt: skip
BASES = {  # words, and which keys are tried: "" for all, or those that begin so
    "grid": ((), ""),
    "control": (("env=cartpole_v1",), ""),
    "imitation": (("env=cartpole_v1", "policy=imitation", "modality=d"), "policy"),
    "reference": (("experiment=reference",), "policy"),
    "wandb": (("logger=wandb",), "logger"),
    "tensorboard": (("logger=tensorboard",), "logger"),
    "search=fixed": (("search=fixed",), "search"),
    **{f"task={task}": ((f"task={task}",), "task") for task in OWN_TASKS if task != "search_worker"},
    "task=search_worker": (("task=search_worker", "task.command=x"), "task"),
    "reading": (("task=table",), ("paths", "search", "run_dir", "study", "cells", "logger")),
}
TAKE_ANYTHING = {  # they are for others: constructors of environments, perturbations
    "env.kwargs", "env.perturbation", "skip",
}  # fmt: skip


def keys_of(values: Any, prefix: str = "") -> Iterator[str]:
    """Every key, sections before what is in them."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if "." not in str(name):  # names of other keys, in skip and search.spaces
            yield key
            if isinstance(value, dict):
                yield from keys_of(value, f"{key}.")


def refused(config: DictConfig, values: dict[str, Any], key: str, value: Any) -> ConfigurationError | None:
    """The error with which a value of a key is refused; everything is the same afterwards."""
    parent, _, name = key.rpartition(".")
    node, inner = OmegaConf.select(config, parent) if parent else config, values
    for part in filter(None, parent.split(".")):
        inner = inner[part]
    before = inner[name]
    node[name] = inner[name] = value
    try:
        check(config, {}, values)
    except ConfigurationError as error:
        return error
    finally:
        node[name] = inner[name] = before
    return None


def accepted(config: DictConfig, begin: str) -> tuple[set[tuple[str, str]], int]:
    """The pairs of key and kind of value that are accepted, and how many were tried."""
    values = resolved(config)
    without_references = OmegaConf.create(values)
    keys = [key for key in keys_of(values) if key.startswith(begin)]
    found = set()
    for key in keys:
        for kind, value in VALUES.items():
            error = refused(without_references, values, key, value)
            if error is None:
                found.add((key, kind))
            else:
                assert "\n" not in str(error), (key, kind, str(error))
                assert str(error).startswith(f"{error.key}="), str(error)
    return found, len(keys) * len(VALUES)


def test_dump(composed: Any) -> None:
    total = 0
    for name, (words, begin) in BASES.items():
        import time
        t = time.time()
        config = composed(*words)
        found, count = accepted(config, begin)
        total += count
        print(name, count, f"{time.time() - t:.1f}s")
        by = {}
        for key, kind in sorted(found):
            by.setdefault(key, []).append(kind)
        for key, kinds in by.items():
            print("   ", key, kinds)
    print(total)
