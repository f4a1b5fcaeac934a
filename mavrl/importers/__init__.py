"""Importers: somebody else's recorded episodes and labels, read into plain arrays and lines of a feedback file."""

import importlib
import inspect
from pathlib import Path
from typing import Any

from mavrl.errors import ConfigurationError
from mavrl.importers.base import Episode, Imported, Importer

__all__ = ["IMPORTERS", "Episode", "Imported", "Importer", "read"]

IMPORTERS = {  # word of from= -> class, imported when it is asked for: some need packages that not everybody has
    "minari": "mavrl.importers.minari.MinariDatasets",
    "arrays": "mavrl.importers.arrays.FlatArrays",
    "imitation": "mavrl.importers.imitation.ImitationTrajectories",
    "rlhf_blender": "mavrl.importers.rlhf_blender.RlhfBlenderLog",
    "index_pairs": "mavrl.importers.index_pairs.IndexPairs",
    "table": "mavrl.importers.table.LabelTable",
}


def read(word: str, path: Path | str, **options: Any) -> Imported:
    """What an importer makes of a file or folder.

    Args:
        word: which importer, a key of IMPORTERS.
        path: of what it is to read.
        options: of this importer, plain values; None is as if not given.

    Raises:
        ConfigurationError: there is no such importer, an option is unknown or lacking, or the source cannot be read.
    """
    if word not in IMPORTERS:
        raise ConfigurationError("from", word, f"must be one of {', '.join(IMPORTERS)}")
    module, _, name = IMPORTERS[word].rpartition(".")
    importer: type[Importer] = getattr(importlib.import_module(module), name)
    given = {key: value for key, value in options.items() if value is not None}
    _check_options(word, given, inspect.signature(importer).parameters)
    return importer(**given).read(Path(path))


def _check_options(word: str, given: dict[str, Any], known: Any) -> None:
    for key, value in given.items():
        if key not in known:
            takes = f"takes {', '.join(known)}" if known else "takes no options"
            raise ConfigurationError(key, value, f"from={word} {takes}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in given:
            raise ConfigurationError(key, None, f"from={word} needs it")
