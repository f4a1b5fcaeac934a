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
    for kind in modules:
        if kind not in _LINES:
            raise ConfigurationError("modality", kind, f"a folder has labels of {', '.join(_LINES)} only")
    episodes: list[Episode] = []
    lines: list[Line] = []
    told = {}
    for kind, module in modules.items():
        answered, known = module.answered_questions()
        if not_in_labels := {name: float(value[0]) for name, value in known.items() if name not in _IN_LABELS}:
            told[kind] = not_in_labels
        steps = answered.transitions
        labels = {name: values[0].tolist() for name, values in answered.labels.items()}
        n_parts = steps.action.shape[2] if steps.action.ndim == 4 else 0
        for number in range(steps.action.shape[1]):
            places = [(number, k) for k in range(n_parts)] or [(number,)]
            parts = [_episode(_columns(steps, *place)) for place in places]
            names = [{"episode": len(episodes) + k, "start": 0, "stop": len(each)} for k, each in enumerate(parts)]
            episodes += parts
            label = {name: values[number] for name, values in labels.items()}
            line = {"type": kind, "tool": "mavrl simulate", **_LINES[kind](names, label, _scales(module, known))}
            if annotator := module.asking.teacher.annotators[label.get("annotator", 0)]:
                line["annotator"] = annotator
            lines.append(line)
    folder = create(told)
    folder.add_episodes(episodes)
    folder.add_all(lines)
    return folder


def _scales(module: Any, known: Mapping[str, Tensor]) -> list[int]:
    """Categories of each scale that ratings may be on; none of other kinds."""
    return known["categories"][0].tolist() if "categories" in known else [getattr(module, "n_categories", 0)]


def _columns(steps: Transitions, *index: int) -> dict[str, Tensor]:
    """The columns of one segment, shape (T, ...): of the first replicate, and of a sample's part."""
    return {each.name: getattr(steps, each.name)[(0, *index)] for each in fields(steps)}


def _episode(steps: dict[str, Tensor]) -> Episode:
    """A segment as an episode of its own."""
    n = int(steps["valid"].sum())
    observations = torch.cat([steps["state"][:n], steps["next_state"][n - 1 : n]])
    return Episode(observations.numpy(), steps["action"][:n].numpy(), None, bool(steps["terminal"][n - 1]))


def _preference(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    return {"segments": names, "choice": "equal" if label["equal"] else 0 if label["first_preferred"] else 1}


def _demonstration(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    return {"episode": names[0]["episode"]}


def _rating(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    return {"segment": names[0], "value": label["rating"], "scale": [0, scales[label["scale"]] - 1]}


def _stop(names: list[Line], label: Mapping[str, Any], scales: Sequence[int]) -> Line:
    step = label["stop_step"]
    return {"segment": names[0], "step": step if step < names[0]["stop"] else None}


_LINES = {"preference": _preference, "demonstration": _demonstration, "rating": _rating, "stop": _stop}
