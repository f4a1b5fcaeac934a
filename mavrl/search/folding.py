"""A journal read quickly: each finished trial as one entry instead of one for each of its parameters and attributes.

Optuna applies the entries of a journal one by one, and copies a trial for each. An entry that makes a trial may also
say all about it, as that of an enqueued or added trial does; entries about a finished trial change nothing.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

# What the numbers in a journal mean; tests compare what is read with what Optuna reads.
_DELETE_STUDY, _CREATE, _PARAMETER, _STATE, _USER_ATTRIBUTE, _SYSTEM_ATTRIBUTE = 1, 4, 5, 6, 8, 9
_FINISHED = (1, 2, 3)  # states: completed, pruned, failed


@contextmanager
def uncollected() -> Iterator[None]:
    """Make many objects that stay without looking through all of them for garbage again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what is there now is looked through no more
        if enabled:
            gc.enable()


def folded(logs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many entries, which make the same trials.

    Args:
        logs: all entries of a journal, of other processes than the one that reads.
    """
    entries = list(logs)
    if any(entry["op_code"] == _DELETE_STUDY for entry in entries):  # whose trials have other numbers
        return entries
    open_trials: dict[int, _Trial] = {}
    count = 0
    known: dict[str, str] = {}  # the first distribution of each parameter; Optuna refuses others of another kind
    for position, entry in enumerate(entries):
        if entry["op_code"] == _CREATE:
            if "state" not in entry:
                open_trials[count] = _Trial(entry, position)
            for name, distribution in entry.get("distributions", {}).items():
                known.setdefault(name, distribution)
            count += 1
            continue
        number = entry.get("trial_id")
        trial = open_trials.get(number) if number is not None else None
        if trial is None:
            continue
        if not trial.add(entry, position, known):
            del open_trials[number]
        elif entry["op_code"] == _STATE:
            del open_trials[number]
            nothing = {"op_code": _USER_ATTRIBUTE, "trial_id": number, "worker_id": ""}
            for place in trial.positions:
                entries[place] = nothing
            entries[trial.positions[0]] = trial.whole
    return entries


class _Trial:
    """A trial as its entries make it, in the form of a single one.

    Args:
        created: the entry that makes it.
        position: of that entry.
    """

    def __init__(self, created: dict[str, Any], position: int) -> None:
        self.positions = [position]
        self.whole: dict[str, Any] = {
            **created, "params": {}, "distributions": {}, "user_attrs": {}, "system_attrs": {}, "value": None
        }  # fmt: skip

    def add(self, entry: dict[str, Any], position: int, known: dict[str, str]) -> bool:
        """Take in one more entry; whether that can be done."""
        self.positions.append(position)
        kind = entry["op_code"]
        if kind == _PARAMETER:
            name, distribution = entry["param_name"], entry["distribution"]
            if known.setdefault(name, distribution) != distribution:
                return False
            self.whole["params"][name] = entry["param_value_internal"]
            self.whole["distributions"][name] = distribution
        elif kind == _USER_ATTRIBUTE:
            self.whole["user_attrs"].update(entry["user_attr"])
        elif kind == _SYSTEM_ATTRIBUTE:
            self.whole["system_attrs"].update(entry["system_attr"])
        elif kind == _STATE and entry["state"] in _FINISHED:
            values = entry["values"]
            if values is not None and len(values) > 1:
                return False
            self.whole["value"] = values[0] if values else None
            self.whole.update(state=entry["state"], datetime_complete=entry["datetime_complete"])
        else:
            return False
        return True
