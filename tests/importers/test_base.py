"""What all importers share: the words of from=, their options, and the form of an episode."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from mavrl.errors import ConfigurationError
from mavrl.importers import IMPORTERS, Importer, read
from mavrl.importers.base import bad_row, choices, features

FILES = Path(__file__).parent / "files"


@pytest.mark.parametrize("word", IMPORTERS)
def test_every_word_names_an_importer(word: str) -> None:
    module, _, name = IMPORTERS[word].rpartition(".")
    importer = getattr(importlib.import_module(module), name)
    assert issubclass(importer, Importer)
    assert importer.name


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"^from=d4rl: must be one of minari, arrays, imitation"):
        read("d4rl", "x")


def test_an_unknown_option_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"^length=3: from=arrays takes env_id, demonstrations$"):
        read("arrays", "x", length=3)


def test_a_lacking_option_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^episodes=null: from=table needs it$"):
        read("table", "x", episodes=None)


@pytest.mark.parametrize(
    ("word", "path", "package", "message"),
    [
        ("minari", FILES / "minari" / "cartpole" / "test-v0", "minari", "needs minari, which is not installed"),
        ("arrays", "flat.hdf5", "h5py", "needs h5py, which is not installed"),
    ],
)
def test_a_lacking_package_is_named_with_its_extra(
    word: str, path: Path | str, package: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flat.hdf5").touch()
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ConfigurationError, match=message) as raised:
        read(word, tmp_path / path)
    assert str(raised.value).endswith('; pip install "mavrl[data]"')


def test_features_have_one_axis() -> None:
    assert features(np.zeros((5, 2, 3))).shape == (5, 6)
    assert features(np.zeros(5)).shape == (5, 1)
    assert features(np.zeros(5, dtype=int)).shape == (5,)


def test_actions_that_are_choices_are_numbers() -> None:
    assert choices(np.zeros((5, 1), dtype=int)).shape == (5,)
    assert choices(np.zeros((5, 1))).shape == (5, 1)
    assert choices(np.zeros(5)).shape == (5, 1)


def test_the_first_row_that_is_not_finite() -> None:
    assert bad_row(np.array([[0.0, 1.0], [2.0, np.inf], [np.nan, 0.0]])) == 1
    assert bad_row(np.zeros((3, 2))) is None
    assert bad_row(np.arange(3)) is None
