"""The JSON log of RLHF-Blender, the raw one or the processed one, with the episodes that it is about.

A line holds one answer, in older versions as a string of JSON; the first begins with an empty list. Evaluative feedback
becomes a rating, comparative feedback preferences, demonstrative feedback a demonstration; the rest is counted by its
type. A segment's end is its last step.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from mavrl.errors import ConfigurationError
from mavrl.importers.base import Imported, Importer, segment
from mavrl.importers.rlhf_blender_episodes import RecordedEpisodes, Reference

REPLACED = "answers that were replaced by a later one to the same question in the same session"
NO_CHOICE = "comparisons without a choice"
NO_MATCH = "comparisons whose preferences do not match their targets"
NO_SCORE = "ratings without a score on the scale"
NO_TARGET = "the target does not say which episode it is"
NO_STEPS = "the target does not say which steps of the episode it is"
ENTIRE = "about the agent as a whole"
GIVEN_UP = "the segment reaches steps that were given up"

_KINDS = {
    "evaluative": "rating",
    "rating": "rating",
    "comparative": "preference",
    "comparison": "preference",
    "ranking": "preference",
    "demonstrative": "demonstration",
    "demonstration": "demonstration",
}
_INTENTIONS: dict[Any, str] = {
    1: "evaluate",
    2: "instruct",
    3: "describe",
    4: "none",
}  # numbers of the older processed log
_RELATIONS: dict[Any, str] = {1: "absolute", 2: "relative"}
_OLDER_KINDS = {
    ("evaluate", "absolute"): "rating",
    ("evaluate", "relative"): "preference",
    ("instruct", "absolute"): "demonstration",
}
_LAST_TIME = 1e14  # milliseconds, the year 5138
_GRANULARITIES: dict[Any, str] = {1: "state", 2: "segment", 3: "episode", 4: "entire"}


class _Answer(NamedTuple):
    """One answer, whichever version wrote it.

    Args:
        kind: of label that it becomes, or what the log calls it where it becomes none.
        targets: what it is about.
        granularity: state, segment, episode or entire.
        content: score or preferences.
        session: that it was given in.
        user: who gave it, None where the log does not say.
        time: when, in milliseconds of Unix time; -1 where the log does not say.
        raw: whether it is of the raw log, which keeps answers that were replaced.
    """

    kind: str
    targets: list[dict[str, Any]]
    granularity: str
    content: dict[str, Any]
    session: str
    user: str | None
    time: float
    raw: bool

    @property
    def question(self) -> str:
        """What was asked, alike for two answers to the same."""
        about = sorted(json.dumps([_name(one), _steps_told(one)], sort_keys=True) for one in self.targets)
        return json.dumps([self.session, self.user, self.kind, about])


@dataclass(frozen=True)
class RlhfBlenderLog(Importer):
    """Reader of logs/*_feedback.json or logs/*_raw.json. Only episodes that a label is about are read.

    In a ranking, rank 1 is the best, as its page shows it; where one of several was chosen, it has 1 and the others 0.

    Args:
        episodes: RLHF-Blender's folder data/, with episodes/ and generated_demos/ in it.
        low: lower end of the scale of ratings.
        high: upper end of it.
        larger_is_better: whether larger preferences are of better targets; None goes by the above.
    """

    name: ClassVar[str] = "RLHF-Blender"

    episodes: Path | str
    low: float = 0
    high: float = 10
    larger_is_better: bool | None = None

    def read(self, path: Path) -> Imported:
        folder = Path(self.episodes)
        if not (folder / "episodes").is_dir():
            raise ConfigurationError("episodes", folder, "must be RLHF-Blender's folder data/, with episodes/ in it")
        answers = [_answer(entry, path.stem.removesuffix("_raw")) for entry in _entries(path)]
        conversion = _Conversion(RecordedEpisodes(folder), self)
        latest = {answer.question: number for number, answer in enumerate(answers)}
        for number, answer in enumerate(answers):
            if answer.raw and answer.kind in _KINDS.values() and latest[answer.question] != number:
                conversion.left_out[REPLACED] += 1
            else:
                conversion.add(answer)
        if len(conversion.environments) > 1:
            names = ", ".join(sorted(conversion.environments))
            raise ConfigurationError("path", path, f"is about several environments, {names}; a feedback folder has one")
        return Imported(
            environment={"id": name, "kwargs": {}} if (name := next(iter(conversion.environments), None)) else {},
            observation_space=None,
            action_space=None,
            max_steps=None,
            source=f"RLHF-Blender's log {path.name}",
            episodes=conversion.recorded.episodes,
            labels=conversion.labels,
            left_out=dict(conversion.left_out + conversion.recorded.left_out),
        )


class _Conversion:
    """Labels of answers, and what becomes none, in words -> how many.

    Args:
        recorded: episodes that the answers are about.
        options: of the importer.
    """

    def __init__(self, recorded: RecordedEpisodes, options: RlhfBlenderLog) -> None:
        self.recorded = recorded
        self.options = options
        self.labels: list[dict[str, Any]] = []
        self.left_out: Counter[str] = Counter()
        self.environments: set[str] = set()

    def add(self, answer: _Answer) -> None:
        """Convert an answer, or count why not."""
        if answer.kind not in _KINDS.values():
            self.left_out[f"answers of the type {answer.kind}"] += 1
        elif answer.kind == "preference":
            self._compare(answer)
        elif answer.kind == "rating":
            self._rate(answer)
        elif isinstance(about := self._about(answer, 0), dict):
            whole = about["start"] == 0 and about["stop"] == len(self.recorded.episodes[about["episode"]])
            self._label(answer, {"episode": about["episode"]} if whole else {"segment": about})
        else:
            self._refuse(answer, about)

    def _rate(self, answer: _Answer) -> None:
        score = answer.content.get("score")
        low, high = self.options.low, self.options.high
        if not isinstance(score, (int, float)) or not low <= score <= high:
            self.left_out[NO_SCORE] += 1
        elif isinstance(about := self._about(answer, 0), dict):
            self._label(answer, {"segment": about, "value": score, "scale": [low, high]})
        else:
            self._refuse(answer, about)

    def _compare(self, answer: _Answer) -> None:
        values = answer.content.get("preferences") or []
        numbers = all(isinstance(value, (int, float)) for value in values)
        if len(values) < 2 or len(values) != len(answer.targets) or not numbers:
            self.left_out[NO_MATCH] += 1
            return
        one_chosen = 0 in values and set(values) <= {0, 1}
        if one_chosen and not any(values):
            self.left_out[NO_CHOICE] += 1
            return
        larger = self.options.larger_is_better
        sign = 1 if (0 in values if larger is None else larger) else -1
        about = [self._about(answer, at) for at in range(len(values))]
        for first, second in combinations(range(len(values)), 2):
            if one_chosen and values[first] == values[second]:
                continue  # nothing was said about those that were not chosen
            pair = about[first], about[second]
            refused = next((one for one in pair if isinstance(one, str)), None)
            if refused is not None:
                self._refuse(answer, refused)
                continue
            better = sign * (values[first] - values[second])
            choice = "equal" if not better else 0 if better > 0 else 1
            self._label(answer, {"segments": list(pair), "choice": choice})

    def _label(self, answer: _Answer, what: dict[str, Any]) -> None:
        label = {"type": answer.kind, **what, "session": answer.session, "tool": "RLHF-Blender"}
        if answer.user is not None:
            label["annotator"] = answer.user
        if 0 < answer.time < _LAST_TIME:
            label["time"] = datetime.fromtimestamp(answer.time / 1000, UTC).isoformat()
        self.labels.append(label)

    def _refuse(self, answer: _Answer, reason: object) -> None:
        self.left_out[f"{answer.kind}s: {reason}"] += 1

    def _about(self, answer: _Answer, at: int) -> dict[str, int] | str:
        """The segment that a target is, or else why it is none."""
        target = answer.targets[at] if at < len(answer.targets) else {}
        reference = _reference(target)
        if reference is None:
            return ENTIRE if answer.granularity == "entire" else NO_TARGET
        if reference.kind == "generated":
            told = answer.content.get("path") or answer.content.get("demonstration_path")
            number = self.recorded.demonstration(answer.session, reference.number, told)
        else:
            number = self.recorded.recorded(reference)
        if isinstance(number, str):
            return number
        self.environments.add(reference.env_name)
        steps = len(self.recorded.episodes[number])
        told_steps = _steps_told(target)
        if told_steps is None:
            if answer.granularity in ("state", "segment") and answer.kind != "demonstration":
                return NO_STEPS
            return segment(number, 0, steps)
        start, stop = told_steps
        return segment(number, start, stop) if start < stop <= steps else GIVEN_UP


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    """All answers of a log, as they stand."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("path", path, f"cannot be read: {error}") from None
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        line = text.count("\n", 0, at) + 1
        try:
            value, at = decoder.raw_decode(text, at)
            for one in value if isinstance(value, list) else [value]:
                entry = json.loads(one) if isinstance(one, str) else one
                if not isinstance(entry, dict) or "feedback_type" not in entry:
                    raise ValueError("an answer has a feedback_type")
                yield entry
        except ValueError as error:
            raise ConfigurationError("path", path, f"line {line} is not of RLHF-Blender's JSON log: {error}") from None


def _answer(entry: dict[str, Any], log: str) -> _Answer:
    """An answer, whichever version wrote it.

    Args:
        entry: as it stands in the log.
        log: its name, which is that of the session.
    """
    told = entry["feedback_type"]
    granularity = entry.get("granularity", "episode")
    if isinstance(told, dict):  # the older processed log describes a type by its properties
        intention, relation = told.get("intention"), told.get("relation")
        pair = str(_INTENTIONS.get(intention, intention)), str(_RELATIONS.get(relation, relation))
        kind = _OLDER_KINDS.get(pair, " ".join(pair))
        granularity = _GRANULARITIES.get(told.get("granularity"), told.get("granularity", "episode"))
    else:
        kind = _KINDS.get(str(told), str(told))
    targets = entry.get("targets", entry.get("target")) or []
    content = entry.get("content")
    user = entry.get("user_id", -1)
    time = entry.get("timestamp", entry.get("feedback_timestamp"))
    return _Answer(
        kind=kind,
        targets=[one for one in (targets if isinstance(targets, list) else [targets]) if isinstance(one, dict)],
        granularity=str(granularity),
        content=content if isinstance(content, dict) else entry,
        session=str(entry.get("session_id") or log),
        user=None if user in (-1, None) else str(user),
        time=time if isinstance(time, (int, float)) else -1,
        raw="content" not in entry,
    )


def _reference(target: dict[str, Any]) -> Reference | None:
    """The episode that a target is of: told in `reference`, in the target itself, or only in its name."""
    for told in (target.get("reference"), target):
        if isinstance(told, dict) and told.get("env_name"):
            numbers = [told.get(name) for name in ("benchmark_id", "checkpoint_step", "episode_num")]
            whole = [number for number in numbers if isinstance(number, int)]
            if len(whole) == len(numbers):
                return Reference(str(told["env_name"]), str(told.get("benchmark_type", "")), *whole)
    parts = str(target.get("target_id", "")).rsplit("_", 4)
    if len(parts) == 5 and all(part.lstrip("-").isdigit() for part in parts[2:]):
        return Reference(parts[0], parts[1], *map(int, parts[2:]))
    return None


def _name(target: dict[str, Any]) -> list[Any] | str:
    reference = _reference(target)
    return str(target.get("target_id", "")) if reference is None else list(reference)


def _steps_told(target: dict[str, Any]) -> tuple[int, int] | None:
    """First step of a target and the one after its last; None where it does not say."""
    start, end, step = (target.get(name) for name in ("start", "end", "step"))
    if isinstance(start, int) and isinstance(end, int) and 0 <= start <= end:
        return start, end + 1
    return (step, step + 1) if isinstance(step, int) and step >= 0 else None
