"""Simulated feedback written into a feedback folder, so that it takes the way that people's feedback takes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from mavrl.errors import ConfigurationError
from mavrl.feedback.datamodule import FeedbackDataModule
from mavrl.folder.episodes import Episode
from mavrl.folder.folder import FeedbackFolder
from mavrl.types import Transitions

Line = dict[str, Any]
_IN_LABELS = ("annotators", "ties", "categories")  # what models are told that the labels themselves tell


def record(
    modules: Mapping[str, FeedbackDataModule], create: Callable[[dict[str, Any]], FeedbackFolder]
) -> FeedbackFolder:
    """A new folder with the answered questions of the first replicate; every segment that was shown is an episode.

    Args:
        modules: of all kinds.
        create: makes the folder, given what models are told of the teacher, by kind.

    Raises:
        ConfigurationError: there is a kind whose labels the format does not know.
    """
    _check_kinds(modules)
    episodes: list[Episode] = []
    lines: list[Line] = []
    told = {}
    for kind, module in modules.items():
        segments, answered, known = module.named_questions()
        if not_in_labels := {name: float(value[0]) for name, value in known.items() if name not in _IN_LABELS}:
            told[kind] = not_in_labels
        steps, labels = answered.transitions, _labels(answered)
        valid = steps.valid.sum(-1)
        lengths = torch.where(valid > 0, valid, segments.stop - segments.start)  # what got no answer was shown, too
        n_parts = steps.valid.shape[2] if steps.valid.ndim == 4 else 0
        for number, label in enumerate(labels):
            places = [(number, k) for k in range(n_parts)] or [(number,)]
            parts = [_episode(_columns(steps, *place), int(lengths[(0, *place)])) for place in places]
            names = [{"episode": len(episodes) + k, "start": 0, "stop": len(each)} for k, each in enumerate(parts)]
            episodes += parts
            lines += _lines(kind, names, label, module, known)
    folder = create(told)
    folder.add_episodes(episodes)
    folder.add_all(lines)
    return folder


def add_labels(modules: Mapping[str, FeedbackDataModule], folder: FeedbackFolder) -> dict[str, int]:
    """Append the answers about a folder's own episodes, those of the first replicate; returns how many, by kind.

    What models are told of a simulated teacher is not written: the folder may have labels of others, too.

    Args:
        modules: of all kinds, which ask about the episodes of this folder.

    Raises:
        ConfigurationError: there is a kind whose labels the format does not know.
    """
    _check_kinds(modules)
    lines: list[Line] = []
    for kind, module in modules.items():
        segments, answered, known = module.named_questions()
        places = torch.stack([segments.episode[0], segments.start[0], segments.stop[0]], dim=-1)
        places = places.view(len(places), -1, 3).tolist()  # one segment, or those of a pair
        for place, label in zip(places, _labels(answered), strict=True):
            names: list[Line] = [dict(zip(("episode", "start", "stop"), part, strict=True)) for part in place]
            lines += _lines(kind, names, label, module, known)
    folder.add_all(lines)
    return {kind: sum(line["type"] == kind for line in lines) for kind in modules}


def _check_kinds(modules: Mapping[str, FeedbackDataModule]) -> None:
    for kind in modules:
        if kind not in _LINES:
            raise ConfigurationError("modality", kind, f"a folder has labels of {', '.join(_LINES)} only")


def _labels(answered: Any) -> list[dict[str, Any]]:
    """Labels of the first replicate by their names, of each question; `skipped` where it got no answer."""
    columns = {name: values[0].tolist() for name, values in answered.labels.items()}
    columns["skipped"] = (~answered.valid_samples[0]).tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _lines(
    kind: str, names: list[Line], label: Mapping[str, Any], module: FeedbackDataModule, known: Mapping[str, Tensor]
) -> list[Line]:
    """The line of a label; none of a question that got no answer, where the format has no word for that."""
    if label["skipped"] and kind != "preference":
        return []
    line = {"type": kind, "tool": "mavrl simulate", **_LINES[kind](names, label, _scales(module, known))}
    annotator = module.asking.teacher.annotators[label["annotator"]] if "annotator" in label else ""
    return [{**line, "annotator": annotator} if annotator else line]


def _scales(module: Any, known: Mapping[str, Tensor]) -> list[int]:
    """Categories of each scale that ratings may be on; none of other kinds."""
    return known["categories"][0].tolist() if "categories" in known else [getattr(module, "n_categories", 0)]


def _columns(steps: Transitions, *index: int) -> dict[str, Tensor]:
    """The columns of one segment, shape (T, ...): of the first replicate, and of a sample's part."""
    return {each.name: getattr(steps, each.name)[(0, *index)] for each in fields(steps)}


def _episode(steps: dict[str, Tensor], n: int) -> Episode:
    """A segment of n steps as an episode of its own."""
    observations = torch.cat([steps["state"][:n], steps["next_state"][n - 1 : n]])
    return Episode(observations.numpy(), steps["action"][:n].numpy(), None, bool(steps["terminal"][n - 1]))


def _preference(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    choice = "equal" if label["equal"] else 0 if label["first_preferred"] else 1
    return {"segments": names, "choice": "skip" if label["skipped"] else choice}


def _demonstration(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    return {"episode": names[0]["episode"]}


def _rating(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    return {"segment": names[0], "value": label["rating"], "scale": [0, scales[label["scale"]] - 1]}


def _stop(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    step, segment = label["stop_step"], names[0]
    return {"segment": segment, "step": step if step < segment["stop"] - segment["start"] else None}


_LINES = {"preference": _preference, "demonstration": _demonstration, "rating": _rating, "stop": _stop}
