"""Flat arrays of known content, as an npz or an HDF5 file."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

Arrays = dict[str, np.ndarray]


@pytest.fixture
def flat() -> Arrays:
    """Three episodes of 3, 4 and 2 steps: terminated, cut off by a time limit, and still going on.

    The observation of row i is (i, -i), and what follows the rows 2, 6 and 8 is 102, 106 and 108.
    """
    rows = np.arange(9, dtype=np.float32)
    following = rows + 1
    following[[2, 6, 8]] = [102, 106, 108]
    return {
        "observations": np.stack([rows, -rows], axis=1),
        "next_observations": np.stack([following, -following], axis=1),
        "actions": np.arange(9)[:, None] % 2,
        "rewards": 10 * rows,
        "terminals": np.isin(rows, [2]),
        "timeouts": np.isin(rows, [6]),
    }


@pytest.fixture(params=["npz", "hdf5"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Arrays], Path]:
    """Writes flat arrays to a file: once as an npz, once as HDF5."""
    path = tmp_path / f"flat.{request.param}"

    def write(arrays: Arrays) -> Path:
        if path.suffix == ".npz":
            np.savez(path, **arrays)  # type: ignore[arg-type]
        else:
            with h5py.File(path, "w") as file:
                for name, array in arrays.items():
                    file[name] = array
        return path

    return write


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Arrays], Path]:
    """Writes flat arrays to an npz."""

    def write(arrays: Arrays) -> Path:
        np.savez(tmp_path / "flat.npz", **arrays)  # type: ignore[arg-type]
        return tmp_path / "flat.npz"

    return write
