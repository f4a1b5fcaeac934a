"""Labels: one line of feedback.jsonl each, read strictly."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any

COMMON = ("id", "type", "annotator", "session", "time", "tool", "replaces", "extra")
CHOICES = (0, 1, "equal", "skip")


class BadLabel(ValueError):
    """A label that is not as the format has it; the message says what is wrong, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps `start` to `stop` - 1 of an episode.

    Args:
        episode: number among those of the folder, from 0.
        start: first step.
        stop: step after the last one; None for the end of the episode.
    """

    episode: int
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody said about recorded behaviour.

    Args:
        id: its name, which no other label has.
        type: the kind of feedback.
        segments: what it is about: two of a preference, else one.
        answer: the choice of a preference (0, 1, "equal" or "skip"), the value of a rating, the step of a stop within
            its segment (None: watched to the end without stopping); None for a demonstration.
        scale: lowest and highest value of a rating.
        annotator, session, tool: who said it, at which sitting and with what; empty where that is not known.
        time: seconds since 1970; None where that is not known.
        replaces: id of the earlier label that this one corrects; None where it corrects none.
        line: of feedback.jsonl, from 1; 0 where it is in none yet.
    """

    id: str
    type: str
    segments: tuple[Segment, ...]
    answer: int | float | str | None = None
    scale: tuple[float, float] | None = None
    annotator: str = ""
    session: str = ""
    tool: str = ""
    time: float | None = None
    replaces: str | None = None
    line: int = 0


def label_of(values: Any, line: int = 0) -> Label:
    """The label that a line of feedback.jsonl has.

    Args:
        values: the parsed line.
        line: its number, from 1.

    Raises:
        BadLabel: it is not as the format has it.
    """
    if not isinstance(values, Mapping):
        raise BadLabel(f'is a {_word(values)}; a label is an object such as {{"type": "preference", ...}}')
    kind = values.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise BadLabel(f"type is {_shown(values, 'type')}; must be {_listed(_TYPES)}")
    own, read = _TYPES[kind]
    for key in values:
        if key not in COMMON and key not in own:
            close = get_close_matches(str(key), [*own, *COMMON], n=1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise BadLabel(f"{key} is no field of a {kind}{meant}; it has {', '.join(own)}; extra is for anything else")
    name = values.get("id")
    if not isinstance(name, str) or not name:
        raise BadLabel(f"id is {_shown(values, 'id')}; must be a text that no other label has")
    words = {key: _text(values, key) for key in ("annotator", "session", "tool")}
    replaces = None if values.get("replaces") is None else _text(values, "replaces")
    if not isinstance(values.get("extra", {}), Mapping):
        raise BadLabel(f"extra is {_shown(values, 'extra')}; must be an object")
    segments, answer, scale = read(values)
    return Label(name, kind, segments, answer, scale, time=_time(values), replaces=replaces, line=line, **words)


def line_of(label: Label) -> dict[str, Any]:
    """The line of feedback.jsonl that has a label."""
    segments = [_written(each) for each in label.segments]
    line: dict[str, Any] = {"id": label.id, "type": label.type}
    if label.type == "preference":
        line |= {"segments": segments, "choice": label.answer}
    elif label.type == "rating":
        line |= {"segment": segments[0], "value": label.answer, "scale": list(label.scale or ())}
    elif label.type == "stop":
        line |= {"segment": segments[0], "step": label.answer}
    elif label.segments[0].stop is None:
        line |= {"episode": label.segments[0].episode}
    else:
        line |= {"segment": segments[0]}
    more = {key: getattr(label, key) for key in ("annotator", "session", "tool", "time", "replaces")}
    return line | {key: value for key, value in more.items() if value not in (None, "")}


def check_place(label: Label, lengths: Any) -> None:
    """Refuse a label about steps that are not there.

    Args:
        lengths: steps of every episode of the folder.

    Raises:
        BadLabel: an episode or a step of it does not exist.
    """
    for segment in label.segments:
        if segment.episode >= len(lengths):
            raise BadLabel(f"is about episode {segment.episode}; the folder has {len(lengths)}, from 0")
        length = int(lengths[segment.episode])
        if segment.stop is not None and segment.stop > length:
            raise BadLabel(f"stop is {segment.stop}; episode {segment.episode} has {length} steps")
        steps = (length if segment.stop is None else segment.stop) - segment.start
        if label.type == "stop" and label.answer is not None and int(label.answer) >= steps:
            raise BadLabel(f"step is {label.answer}; the segment has {steps} steps, the first is 0")


# The types -----------------------------------------------------------------------------------------------------------

_Read = tuple[tuple[Segment, ...], Any, tuple[float, float] | None]


def _preference(values: Mapping[str, Any]) -> _Read:
    pair = values.get("segments")
    if not isinstance(pair, list) or len(pair) != 2:
        raise BadLabel(f"segments is {_shown(values, 'segments')}; must be two segments")
    choice = values.get("choice")
    if isinstance(choice, bool) or not isinstance(choice, (int, str)) or choice not in CHOICES:
        raise BadLabel(f'choice is {_shown(values, "choice")}; must be 0, 1, "equal" or "skip"')
    return (_segment(pair[0], "segments[0]"), _segment(pair[1], "segments[1]")), choice, None


def _rating(values: Mapping[str, Any]) -> _Read:
    scale = values.get("scale")
    if not isinstance(scale, list) or len(scale) != 2 or not all(map(_is_number, scale)) or scale[0] >= scale[1]:
        raise BadLabel(f"scale is {_shown(values, 'scale')}; must be [lowest, highest], two numbers in order")
    value = values.get("value")
    if not _is_number(value) or not scale[0] <= value <= scale[1]:
        raise BadLabel(f"value is {_shown(values, 'value')}; must be a number from {scale[0]} to {scale[1]}")
    return (_segment(values.get("segment"), "segment"),), value, (scale[0], scale[1])


def _stop(values: Mapping[str, Any]) -> _Read:
    if "step" not in values:
        raise BadLabel("step is not there; must be a step of the segment, or null where nobody stopped it")
    segment, step = _segment(values.get("segment"), "segment"), values["step"]
    if step is not None and (not _is_count(step) or step >= segment.stop - segment.start):  # type: ignore[operator]
        allowed = f"0 to {segment.stop - segment.start - 1}, or null where nobody stopped it"  # type: ignore[operator]
        raise BadLabel(f"step is {_shown(values, 'step')}; must be a step of the segment, {allowed}")
    return (segment,), step, None


def _demonstration(values: Mapping[str, Any]) -> _Read:
    if ("episode" in values) == ("segment" in values):
        raise BadLabel("a demonstration has either an episode or a segment")
    if "segment" in values:
        return (_segment(values["segment"], "segment"),), None, None
    if not _is_count(values["episode"]):
        raise BadLabel(f"episode is {_shown(values, 'episode')}; must be the number of an episode, from 0")
    return (Segment(values["episode"]),), None, None


_TYPES: dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], _Read]]] = {
    "preference": (("segments", "choice"), _preference),
    "rating": (("segment", "value", "scale"), _rating),
    "stop": (("segment", "step"), _stop),
    "demonstration": (("episode", "segment"), _demonstration),
}


def _segment(value: Any, name: str) -> Segment:
    if not isinstance(value, Mapping) or set(value) != {"episode", "start", "stop"}:
        raise BadLabel(f'{name} is {_short(value)}; must be {{"episode": n, "start": first, "stop": after the last}}')
    numbers = value["episode"], value["start"], value["stop"]
    if not all(map(_is_count, numbers)) or not value["start"] < value["stop"]:
        raise BadLabel(f"{name} is {_short(value)}; must have whole numbers of at least 0, and start below stop")
    return Segment(*numbers)


def _written(segment: Segment) -> dict[str, Any]:
    return {"episode": segment.episode, "start": segment.start, "stop": segment.stop}


# Values --------------------------------------------------------------------------------------------------------------


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key, "")
    if not isinstance(value, str):
        raise BadLabel(f"{key} is {_shown(values, key)}; must be a text")
    return value


def _time(values: Mapping[str, Any]) -> float | None:
    value = values.get("time")
    if value is None or (_is_number(value) and value >= 0):
        return value
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError):
        allowed = "seconds since 1970, or a text such as 2026-03-01T12:00:00Z"
        raise BadLabel(f"time is {_shown(values, 'time')}; must be {allowed}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _shown(values: Mapping[str, Any], key: str) -> str:
    return _short(values[key]) if key in values else "not there"


def _short(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _word(value: Any) -> str:
    return {list: "list", str: "text", bool: "truth value", type(None): "null"}.get(type(value), "number")


def _listed(names: Mapping[str, Any]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
