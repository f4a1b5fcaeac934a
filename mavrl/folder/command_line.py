"""The command line of a feedback folder: data=FOLDER says which environment and which kinds of feedback there are.

What the folder says stands in words that the user might have written, so a job, a sweep and a run's record show it.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mavrl.configuration.composition import configuration_directory
from mavrl.configuration.plain import flatten, quoted
from mavrl.configuration.registry import KINDS
from mavrl.errors import ConfigurationError
from mavrl.folder.digest import digest
from mavrl.folder.usable import is_used, rating_scales

_OF_IMPORTERS = {
    "from", "path", "episodes", "env_id", "demonstrations", "length", "rows", "low", "high", "larger_is_better",
}  # fmt: skip
_LEARNING = {"train", "data"}  # tasks that learn from a folder


def with_folder(words: Sequence[str]) -> list[str]:
    """The words of a command line, and with data=FOLDER those that the folder adds.

    Args:
        words: of the command line.

    Raises:
        FolderFault: there is no such folder, or something in it is wrong.
        ConfigurationError: a kind of feedback is asked for that the folder does not have, or the environment is none
            that is known here.
    """
    importing = "task=import" in words
    said = [_own_key(word, importing) for word in words]
    given = {word.partition("=")[0].lstrip("+~"): word.partition("=")[2] for word in said if "=" in word}
    place = given.get("data.folder", "").strip("'\"")
    if place in ("", "null") or given.get("task", "train") not in _LEARNING:
        return said
    from mavrl.folder.folder import FeedbackFolder  # NumPy, which other commands do not wait for

    folder = FeedbackFolder.open(Path(place).resolve())
    labels = [label for label in folder.labels() if is_used(label)]
    counts = {kind: sum(label.type == kind for label in labels) for kind in KINDS}
    there = "".join(each.letter for each in KINDS.values() if counts[each.name])
    if not there:
        raise ConfigurationError("data", place, "has no label that can be learned from")
    added = [f"data.folder={quoted(str(folder.path))}"]
    if "data.digest" not in given:
        added.append(f"data.digest={quoted(digest(folder.path))}")
    if "env" not in given:
        added += _environment(folder.description.environment, place)
    if "modality" not in given:
        added.append(f"modality={there}")
    _check_modality(given.get("modality", there), there, place)
    for kind, count in counts.items():
        if f"feedback.{kind}.n_samples" not in given:
            added.append(f"feedback.{kind}.n_samples={count}")
    scales = rating_scales(labels)
    if scales and "feedback.rating.n_categories" not in given:
        added.append(f"feedback.rating.n_categories={max(len(scale.starts) for scale in scales)}")
    return [word for word in said if not word.startswith("data.folder=")] + added


def _own_key(word: str, importing: bool) -> str:
    """A word with the key that the configuration has for it: data=FOLDER, and what an importer is told."""
    key = word.partition("=")[0]
    if key == "data":
        return f"data.folder={word.partition('=')[2]}"
    return f"task.{word}" if importing and key in _OF_IMPORTERS and "=" in word else word


def _check_modality(modality: str, there: str, place: str) -> None:
    for subset in modality.split(","):
        missing = [kind for kind in KINDS.values() if kind.letter in subset and kind.letter not in there]
        if missing:
            allowed = f"{place} has no {missing[0].name} that can be learned from; it has {there}"
            raise ConfigurationError("modality", subset, allowed)


def _environment(environment: Mapping[str, Any], place: str) -> list[str]:
    """The words that choose the environment of a folder."""
    option = environment.get("option") or _option_of(environment.get("id"))
    if option is None:
        named = environment.get("id")
        what = "names no environment" if named is None else f"has episodes of {named}, which no option of env is about"
        raise ConfigurationError("data", place, f"{what}; add env=<option>")
    settings = dict(environment.get("settings", {}))
    if environment.get("kwargs"):
        settings["kwargs"] = environment["kwargs"]
    return [f"env={option}", *(f"++env.{key}={quoted(value)}" for key, value in flatten(settings).items())]


def _option_of(name: str | None) -> str | None:
    """The option of the group env that is about the Gymnasium environment with this id."""
    if name is None:
        return None
    found = [path.stem for path in _options() if _id_of(path) == name]
    return min(found, key=len, default=None)


def _options() -> Collection[Path]:
    return sorted((configuration_directory() / "env").glob("*.yaml"))


def _id_of(path: Path) -> str | None:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content.get("id") if isinstance(content, dict) else None
