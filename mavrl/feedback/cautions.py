"""What cannot be learned from labels: those of one class only, of one annotator only, and those that disagree."""

from collections.abc import Callable, Mapping, Sequence

from mavrl.folder.agreement import annotators_of
from mavrl.folder.labels import Label


def cautions(labels: Mapping[str, Sequence[Label]]) -> list[str]:
    """Warnings to be given before anything is learned, one line each.

    Args:
        labels: that can be learned from, by kind.
    """
    annotators = annotators_of([label for of_kind in labels.values() for label in of_kind])
    found = one_sided(labels)
    if len(annotators) == 1 and annotators[0].name:
        name = annotators[0].name
        found.append(f"all labels are by {name}: how reliable one alone is cannot be told from the scale of the reward")
    # What two annotators compare is counted for both.
    twice = sum(each.compared for each in annotators) // 2 + sum(each.repeated for each in annotators)
    alike = sum(each.agreed for each in annotators) // 2 + sum(each.consistent for each in annotators)
    if alike < twice:
        found.append(
            f"of {twice} pairs of answers to one question {twice - alike} disagree: what differs is read as noise"
        )
    return found


def one_sided(labels: Mapping[str, Sequence[Label]]) -> list[str]:
    """A warning for each kind whose labels all say the same; demonstrations say nothing beside what is shown.

    Args:
        labels: that can be learned from, by kind.
    """
    return [
        line
        for kind, of_kind in labels.items()
        if kind in _SAID and len(of_kind) > 1 and (line := _SAID[kind](of_kind))
    ]


def _preferences(labels: Sequence[Label]) -> str:
    answers = {label.answer for label in labels}
    if len(answers) > 1:
        return ""
    if answers <= {0, 1}:
        side = "second" if 1 in answers else "first"
        why = "nothing that is learned can predict them better than who always says so; mix the order in pairs"
        return f"all {len(labels)} preferences choose the {side} segment: {why}"
    return f"all {len(labels)} preferences are ties: which segment is better cannot be learned from them"


def _ratings(labels: Sequence[Label]) -> str:
    if len({(label.answer, label.scale) for label in labels}) > 1:
        return ""
    return f"all {len(labels)} ratings are {labels[0].answer}: what is better than what cannot be learned from them"


def _stops(labels: Sequence[Label]) -> str:
    stopped = {label.answer is not None for label in labels}
    if len(stopped) > 1:
        return ""
    count, steps = len(labels), {label.answer for label in labels}
    if not stopped.pop():
        return f"none of {count} segments was stopped: what is bad enough for a stop cannot be learned from them"
    where = f" at step {steps.pop()}" if len(steps) == 1 else ""
    return f"all {count} segments were stopped{where}: what is good enough to go on cannot be learned from them"


_SAID: dict[str, Callable[[Sequence[Label]], str]] = {
    "preference": _preferences,
    "rating": _ratings,
    "stop": _stops,
}
