"""The description of a feedback folder, dataset.json: its environment, and where its episodes come from."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mavrl.folder.faults import FolderFault
from mavrl.storage.files import naming, write_json

FORMAT = 1
DESCRIPTION = "dataset.json"
_KEYS = ("format", "environment", "observation_space", "action_space", "max_steps", "source", "told")
_ENVIRONMENT = {"option": str, "id": str, "kwargs": dict, "settings": dict}


@dataclass(frozen=True)
class Space:
    """The space of observations or actions: numbers from 0, or boxes of real numbers.

    Args:
        n: how many numbers; None for a box.
        shape: of a box; () for numbers.
        dtype: of an element, as NumPy names it.
        start: the first number.
        low, high: bounds of a box, one for each element in order or one for all; None where there is none.
    """

    n: int | None = None
    shape: tuple[int, ...] = ()
    dtype: str = "int64"
    start: int = 0
    low: Any = None
    high: Any = None

    @classmethod
    def from_gymnasium(cls, space: Any) -> "Space":
        """The description of a Box or Discrete space.

        Raises:
            ValueError: it is another kind of space.
        """
        kind = type(space).__name__
        if kind == "Discrete":
            return cls(n=int(space.n), start=int(space.start))
        if kind != "Box":
            raise ValueError(f"a space of numbers (Discrete) or vectors (Box) is needed, not {kind}")
        low, high = (_bounds(bound) for bound in (space.low, space.high))
        return cls(None, tuple(int(size) for size in space.shape), str(space.dtype), 0, low, high)

    def to_gymnasium(self) -> Any:
        """The space as Gymnasium has it."""
        import gymnasium
        import numpy as np

        if self.n is not None:
            return gymnasium.spaces.Discrete(self.n, start=self.start)
        low, high = (
            np.broadcast_to(np.array([infinite if x is None else x for x in _listed(bound)], dtype=self.dtype), size)
            for bound, infinite, size in ((self.low, -math.inf, self.size), (self.high, math.inf, self.size))
        )
        return gymnasium.spaces.Box(low.reshape(self.shape), high.reshape(self.shape), dtype=np.dtype(self.dtype).type)

    @property
    def size(self) -> int:
        """Numbers in one element."""
        return math.prod(self.shape)

    def written(self) -> dict[str, Any]:
        """The space as dataset.json has it."""
        if self.n is not None:
            return {"type": "Discrete", "n": self.n, "start": self.start}
        shape = list(self.shape)
        return {"type": "Box", "shape": shape, "dtype": self.dtype, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Description:
    """What dataset.json says.

    Args:
        observation_space, action_space: of the environment.
        environment: what is known of it: `id` and `kwargs` as Gymnasium has them, or the `option` of this program's
            group `env` that stands for it, with the `settings` below env that differ.
        max_steps: time limit of an episode; None where it is not known.
        source: where all this comes from, in words.
        told: what a model is told of who labelled, by kind of feedback: numbers that only simulated teachers have.
    """

    observation_space: Space
    action_space: Space
    environment: Mapping[str, Any] = field(default_factory=dict)
    max_steps: int | None = None
    source: str = ""
    told: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write dataset.json."""
        content = {
            "format": FORMAT,
            "environment": dict(self.environment),
            "observation_space": self.observation_space.written(),
            "action_space": self.action_space.written(),
            "max_steps": self.max_steps,
            "source": self.source,
        }
        write_json(folder / DESCRIPTION, content | ({"told": dict(self.told)} if self.told else {}))


def read_description(folder: Path) -> Description:
    """The description of a folder.

    Raises:
        FolderFault: there is no such folder, or its dataset.json is not as the format has it.
    """
    if not folder.is_dir():
        raise FolderFault(folder, DESCRIPTION, "there is no such folder")
    path = folder / DESCRIPTION
    if not path.is_file():
        raise FolderFault(folder, DESCRIPTION, "is missing, so this is no feedback folder")
    with naming(path):
        content = path.read_bytes()
    try:
        values = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FolderFault(folder, DESCRIPTION, f"is no JSON: {error}") from error

    def fault(cause: str) -> FolderFault:
        return FolderFault(folder, DESCRIPTION, cause)

    if not isinstance(values, dict):
        raise fault("must be an object")
    version = values.get("format")
    if type(version) is not int or version < 1:
        raise fault(f"format is {_said(values, 'format')}; must be {FORMAT}")
    if version > FORMAT:
        raise fault(f"format is {version}, which a later version of this program writes; this one reads {FORMAT}")
    for key in values:
        if key not in _KEYS:
            raise fault(f"{key} is no key; allowed are {', '.join(_KEYS)}")
    environment = values.get("environment", {})
    if not isinstance(environment, dict):
        raise fault(f"environment is {_said(values, 'environment')}; must be an object")
    for key, value in environment.items():
        if key not in _ENVIRONMENT or not isinstance(value, _ENVIRONMENT[key]):
            raise fault(f"environment.{key} is {_said(environment, key)}; allowed are id, kwargs, option and settings")
    steps = values.get("max_steps")
    if steps is not None and (type(steps) is not int or steps < 1):
        raise fault(f"max_steps is {_said(values, 'max_steps')}; must be a whole number of at least 1, or null")
    if not isinstance(values.get("source", ""), str):
        raise fault(f"source is {_said(values, 'source')}; must be a text")
    spaces = {}
    for key in ("observation_space", "action_space"):
        try:
            spaces[key] = _space(values.get(key))
        except ValueError as error:
            raise fault(f"{key} {error}") from error
    told = _told(values.get("told", {}), fault)
    return Description(**spaces, environment=environment, max_steps=steps, source=values.get("source", ""), told=told)


def _space(values: Any) -> Space:
    """
    Raises:
        ValueError: the values are those of no space.
    """
    if not isinstance(values, dict) or values.get("type") not in ("Discrete", "Box"):
        raise ValueError('must be {"type": "Discrete", "n": ...} or {"type": "Box", "shape": [...], "dtype": ...}')
    if values["type"] == "Discrete":
        n, start = values.get("n"), values.get("start", 0)
        if type(n) is not int or n < 1 or type(start) is not int or set(values) - {"type", "n", "start"}:
            raise ValueError(f"is {values}; a Discrete space has n, at least 1, and start")
        return Space(n=n, start=start)
    shape, dtype = values.get("shape"), values.get("dtype", "float32")
    if not isinstance(shape, list) or not all(type(size) is int and size > 0 for size in shape):
        raise ValueError(f"has the shape {shape}; must be a list of whole numbers of at least 1")
    if dtype not in ("float32", "float64", "uint8", "int8", "int16", "int32", "int64", "float16"):
        raise ValueError(f"has the dtype {dtype}; must be a number type of NumPy such as float32")
    if set(values) - {"type", "shape", "dtype", "low", "high"}:
        raise ValueError(f"has {', '.join(values)}; a Box has shape, dtype, low and high")
    for key in ("low", "high"):
        bound = values.get(key)
        flat = _listed(bound)
        if len(flat) not in (1, math.prod(shape)) or not all(x is None or _is_number(x) for x in flat):
            raise ValueError(f"has {key} {bound}; must be null, a number, or a list of one for each element")
    return Space(None, tuple(shape), dtype, 0, values.get("low"), values.get("high"))


def _told(values: Any, fault: Any) -> dict[str, dict[str, float]]:
    numbers = isinstance(values, dict) and all(
        isinstance(inner, dict) and all(_is_number(x) for x in inner.values()) for inner in values.values()
    )
    if not numbers:
        raise fault(f'told is {values}; must be numbers by kind and name, such as {{"stop": {{"rate": 0.1}}}}')
    return values


def _bounds(bound: Any) -> Any:
    """Bounds of a box: one number where all are alike, a list otherwise; None for an infinite one."""
    flat = [float(x) if math.isfinite(x) else None for x in bound.ravel().tolist()]
    return flat[0] if len(set(flat)) == 1 else flat


def _listed(bound: Any) -> list[Any]:
    return bound if isinstance(bound, list) else [bound]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _said(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key], default=str)[:60] if key in values else "not there"
