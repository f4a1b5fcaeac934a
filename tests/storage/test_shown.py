"""What figures need of a run's feedback."""

from pathlib import Path

import numpy as np
import pytest

from mavrl.storage.shown import SHOWN, keep_shown, read_shown


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    arrays = {"preference": np.arange(4), "state": np.arange(6.0).reshape(3, 2).T}
    keep_shown(tmp_path, arrays)
    found = read_shown(tmp_path)
    assert found.keys() == arrays.keys()
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("content", [None, b"", b"damaged" * 9])
def test_what_is_missing_or_damaged_is_nothing(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / SHOWN).write_bytes(content)
    assert read_shown(tmp_path) == {}
