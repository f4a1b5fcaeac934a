"""The command line of a feedback folder: data=FOLDER says which environment and which kinds of feedback there are.

What the folder says stands in words that the user might have written, so a job, a sweep and a run's record show it.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from mavrl.configuration.plain import quoted
from mavrl.configuration.registry import KINDS, OWN_KINDS
from mavrl.errors import ConfigurationError
from mavrl.folder.creation import is_folder
from mavrl.folder.description import Description, read_description
from mavrl.folder.digest import digest
from mavrl.folder.environment import RECORDED, Choice, chosen, recorded
from mavrl.folder.learnable import ABOUT_ACTIONS, has_numbered_actions
from mavrl.folder.usable import is_used, rating_scales

_OWN = {  # keys of a task itself, by its name
    "import": {
        "from", "path", "episodes", "env_id", "demonstrations", "length", "rows", "low", "high", "larger_is_better",
    },
    "collect": {"policy", "episodes", "epsilon", "demonstrations", "video"},
}  # fmt: skip
_LEARNING = {"train", "data"}  # tasks that learn from a folder
_ADDING = {"collect", "simulate"}  # tasks that add to a folder which is there already


def with_folder(words: Sequence[str]) -> list[str]:
    """The words of a command line, and with data=FOLDER those that the folder adds.

    Args:
        words: of the command line.

    Raises:
        FolderFault: there is no such folder, or something in it is wrong.
        ConfigurationError: a kind of feedback is asked for that the folder does not have, or that cannot be learned
            from without its environment; or the folder names code that the command does not trust.
    """
    own = next((keys for task, keys in _OWN.items() if f"task={task}" in words), set())
    said = [_own_key(word, own) for word in words]
    given = {word.partition("=")[0].lstrip("+~"): word.partition("=")[2] for word in said if "=" in word}
    place, task = given.get("data.folder", "").strip("'\""), given.get("task", "train")
    if place in ("", "null") or task not in _LEARNING | _ADDING:
        return said
    elsewhere = any(word.startswith(("--config-dir", "-cd")) for word in said)
    if task in _ADDING:
        return said + (_of_addition(Path(place), task, given, elsewhere) if is_folder(Path(place)) else [])
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
    choice = _environment(folder.description, place, given, elsewhere)
    added += [word for word in choice.words if word.partition("=")[0].lstrip("+") not in given]
    learnable = _learnable(there, choice, folder.description)
    if "modality" not in given:
        if not learnable:
            allowed = f"{_kinds_in_words(there)} need numbered actions, and its actions are vectors"
            raise ConfigurationError("data", place, allowed)
        added.append(f"modality={learnable}")
    _check_modality(given.get("modality", learnable), there, learnable, place)
    _say(choice, place, "".join(x for x in there if x not in learnable) if "modality" not in given else "")
    for kind, count in counts.items():
        if f"feedback.{kind}.n_samples" not in given:
            added.append(f"feedback.{kind}.n_samples={count}")
    scales = rating_scales(labels)
    if scales and "feedback.rating.n_categories" not in given:
        added.append(f"feedback.rating.n_categories={max(len(scale.starts) for scale in scales)}")
    return [word for word in said if not word.startswith("data.folder=")] + added


def _own_key(word: str, own: Collection[str]) -> str:
    """A word with the key that the configuration has for it: data=FOLDER, and what a task itself is told."""
    key = word.partition("=")[0]
    if key == "data":
        return f"data.folder={word.partition('=')[2]}"
    return f"task.{word}" if key in own and "=" in word else word


def _environment(description: Description, place: str, given: Mapping[str, str], elsewhere: bool) -> Choice:
    """The environment of a folder, where the command line says none or says that nobody can run it."""
    if "env" not in given:
        return chosen(description, place, given.get("trust") == "true", elsewhere)
    return recorded(description, place) if given["env"] == RECORDED else Choice([])


def _learnable(there: str, choice: Choice, description: Description) -> str:
    """The letters of the kinds that can be learned from, of those that are there."""
    if not choice.recorded or has_numbered_actions(description):
        return there
    return "".join(kind.letter for kind in KINDS.values() if kind.letter in there and kind.name not in ABOUT_ACTIONS)


def _check_modality(modality: str, there: str, learnable: str, place: str) -> None:
    for subset in modality.split(","):
        kinds = [kind for kind in KINDS.values() if kind.letter in subset and kind.letter not in learnable]
        if kinds and kinds[0].letter in there:
            allowed = f"{kinds[0].name}s need numbered actions, and those of {place} are vectors"
            raise ConfigurationError("modality", subset, allowed)
        if kinds:
            allowed = f"{place} has no {kinds[0].name} that can be learned from; it has {there}"
            raise ConfigurationError("modality", subset, allowed)


def _say(choice: Choice, place: str, left_out: str) -> None:
    """Say what is left out, and why."""
    if choice.remark:
        rest = "it is left out, so no policy is trained and none is judged"
        print(f"data={place}: {choice.remark}; {rest}", file=sys.stderr)
    if left_out:
        kinds = _kinds_in_words(left_out)
        print(f"data={place}: its {kinds} are left out; they need numbered actions", file=sys.stderr)


def _of_addition(place: Path, task: str, given: Mapping[str, str], elsewhere: bool) -> list[str]:
    """What a folder that is there says to a task which adds to it: the environment, and that one teacher labels."""
    added = []
    if "env" not in given and "run_dir" not in given:
        words = chosen(read_description(place), str(place), given.get("trust") == "true", elsewhere).words
        added += [word for word in words if word.partition("=")[0].lstrip("+") not in given]
    if task == "simulate":
        segments = "".join(KINDS[kind].letter for kind in OWN_KINDS if KINDS[kind].segments)
        added += [f"{key}={value}" for key, value in (("modality", segments), ("replicates", 1)) if key not in given]
    return added


def _kinds_in_words(letters: str) -> str:
    return " and ".join(f"{kind.name}s" for kind in KINDS.values() if kind.letter in letters)
