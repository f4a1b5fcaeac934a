"""Pickles of NumPy arrays, lists, tuples, numbers and strings, read without running what else a pickle can ask for.

A pickle is a program: it names functions and calls them. This reader knows the few names that NumPy's arrays are
written with, and answers each with a stand-in of its own; every other name ends it. NumPy sees bytes and a plain type.
"""

import io
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mavrl.errors import ConfigurationError
from mavrl.importers.base import one_line

_ALLOWED = "only NumPy arrays of numbers, lists, tuples, numbers and strings are read from a pickle"


class _RefusedError(Exception):
    """A pickle wants something else than data."""


class _Type:
    """Stand-in of numpy.dtype."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = str(code)
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        self.order = state[1] if state[1] in ("<", ">") else "="

    def plain(self) -> np.dtype:
        if len(self.code) < 2 or self.code[0] not in "biuf" or not self.code[1:].isdigit():
            raise _RefusedError(f"holds an array of type {self.code}")
        return np.dtype(self.order + self.code)


class _Array:
    """Stand-in of an array: its shape, type and bytes."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state[-4:]  # after the version, which some do not have

    def plain(self) -> np.ndarray:
        shape, kind, fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(kind, _Type) or not isinstance(data, (bytes, bytearray)):
            raise _RefusedError("holds an array of Python objects")
        dtype = kind.plain()
        if math.prod(shape) * dtype.itemsize != len(data):
            raise _RefusedError(f"holds an array of shape {shape} in {len(data)} bytes")
        return np.frombuffer(data, dtype=dtype).reshape(shape, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _from_buffer(data: Any, kind: Any, shape: Any, order: object = "C") -> _Array:
    array = _Array()
    array.state = (shape, kind, order == "F", data)
    return array


def _scalar(kind: Any, data: Any = None) -> _Array:
    return _from_buffer(data, kind, ())


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _RefusedError(f"wants to encode a text as {encoding}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


class _Callable:
    """A stand-in that a pickle can call and cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise _RefusedError("wants to change a function")


_CORES = ("numpy.core", "numpy._core")  # before and from NumPy 2
_STAND_INS: dict[tuple[str, str], Callable | str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _Type,
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _from_buffer for core in _CORES},
    ("_codecs", "encode"): _encode,
    **{(builtins, "bytes"): _no_bytes for builtins in ("builtins", "__builtin__")},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise _RefusedError(f"wants to load {module}.{name}")
        found = _STAND_INS[module, name]
        return found if isinstance(found, str) else _Callable(found)


def read_pickle(path: Path, key: str = "path") -> Any:
    """What a pickle holds: arrays, lists, tuples, numbers, strings, None, in one another.

    Args:
        path: of the pickle.
        key: of the setting that names it, for messages.

    Raises:
        ConfigurationError: it wants anything else, which is named and does not happen; or it is damaged.
    """
    try:
        return _plain(_Unpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load())
    except _RefusedError as error:
        raise ConfigurationError(key, path, f"{one_line(error)}; {_ALLOWED}") from None
    except Exception as error:  # a damaged pickle can raise anything
        raise ConfigurationError(key, path, f"is not a pickle that can be read: {one_line(error)}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, (_Array, _Type)):
        return value.plain()
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(each) for each in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise _RefusedError(f"holds a {type(value).__name__}")
