"""Pickles are read as data: whatever else they ask for does not happen."""

import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mavrl.errors import ConfigurationError
from mavrl.importers.unpickling import read_pickle

ARRAYS = [
    np.arange(6, dtype=np.int32),
    np.arange(6.0).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(3, dtype=">i8"),
    np.array([True, False]),
    np.zeros((0, 2)),
    np.arange(12)[::3],
]


class _Attack:
    """A pickle of it calls a function as it is loaded."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def _stored(value: object, folder: Path, protocol: int = 4) -> Path:
    path = folder / "data.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_of_every_protocol(array: np.ndarray, protocol: int, tmp_path: Path) -> None:
    value = read_pickle(_stored(array, tmp_path, protocol))
    assert value.dtype == array.dtype
    assert np.array_equal(value, array)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_of_numpy_before_version_2(protocol: int, tmp_path: Path) -> None:
    path = _stored(np.arange(5), tmp_path, protocol)
    path.write_bytes(_as_before_numpy_2(path.read_bytes()))
    assert b"numpy.core." in path.read_bytes()
    assert b"numpy._core" not in path.read_bytes()
    assert read_pickle(path).tolist() == [0, 1, 2, 3, 4]


def _as_before_numpy_2(content: bytes) -> bytes:
    """A pickle with the names of NumPy 1: shorter, so lengths of texts and of the frame are set right."""
    for module in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        old = module.replace(b"_core", b"core")
        changed = content.replace(b"c" + module, b"c" + old)  # protocols without lengths
        changed = changed.replace(bytes([0x8C, len(module)]) + module, bytes([0x8C, len(old)]) + old)
        if changed != content and content[2:3] == b"\x95":
            size = struct.unpack("<Q", content[3:11])[0] + len(changed) - len(content)
            changed = changed[:3] + struct.pack("<Q", size) + changed[11:]
        content = changed
    return content


@pytest.mark.parametrize("protocol", range(6))
def test_lists_and_numbers_in_one_another(protocol: int, tmp_path: Path) -> None:
    value = [1, -1, 0.5, "equal", None, True, (2, [3.0]), np.int64(7), np.float32(0.25)]
    assert read_pickle(_stored(value, tmp_path, protocol)) == value


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_would_run_code_does_not(protocol: int, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    path = _stored([np.arange(3), _Attack(os.system, f"touch {witness}")], tmp_path, protocol)
    with pytest.raises(ConfigurationError, match=r"wants to load (posix|os)\.system; only NumPy arrays") as raised:
        read_pickle(path)
    assert str(raised.value).startswith(f"path={path}: ")
    assert not witness.exists()
    pickle.loads(path.read_bytes())
    assert witness.exists()  # it would have


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (_Attack(eval, "1 + 1"), r"wants to load builtins\.eval"),
        (_Attack(np.load, "x"), r"wants to load numpy\.load"),
        (_Attack(getattr, 1, "real"), r"wants to load builtins\.getattr"),
        (Path("x"), r"wants to load pathlib\.PosixPath"),
        (np.array([{}], dtype=object), "holds an array of (type O8|Python objects)"),
        (np.array(["a"]), "holds an array of type U1"),
        ({"a": 1}, "holds a dict"),
        ({1}, "holds a set"),
    ],
)
def test_what_is_not_data_is_named(value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_pickle(_stored(value, tmp_path))


def test_a_strange_name_stays_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "data.pkl").write_bytes(b"\x80\x04\x8c\x03o\x1bs\x8c\x04sy\ns\x93.")
    with pytest.raises(ConfigurationError, match=r"wants to load o\?s\.sy") as raised:
        read_pickle(tmp_path / "data.pkl")
    assert str(raised.value).isprintable()


def test_a_stand_in_cannot_be_changed(tmp_path: Path) -> None:
    """BUILD with a state of two dicts sets attributes: of a function, that would last."""
    program = b"\x80\x02cnumpy._core.multiarray\n_reconstruct\n(N}X\x08\x00\x00\x00__code__K\x01stb."
    (tmp_path / "data.pkl").write_bytes(program)
    with pytest.raises(ConfigurationError, match="wants to change a function"):
        read_pickle(tmp_path / "data.pkl")


def test_bytes_that_do_not_fill_the_shape_are_refused(tmp_path: Path) -> None:
    content = pickle.dumps(np.arange(4, dtype=np.int8), 2).replace(b"K\x04\x85", b"K\x09\x85")
    (tmp_path / "data.pkl").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"shape \(9,\) in 4 bytes"):
        read_pickle(tmp_path / "data.pkl")


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x80\x04.", b"\x80\x04]\x94h\x00a."])
def test_a_damaged_pickle_is_one_line(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "data.pkl").write_bytes(content)
    with pytest.raises(ConfigurationError, match="is not a pickle that can be read") as raised:
        read_pickle(tmp_path / "data.pkl")
    assert "\n" not in str(raised.value)
