"""A journal read quickly: its lines together, and each finished trial as one entry instead of some fifteen.

Optuna applies the entries of a journal one by one, and copies a trial for each. An entry that makes a trial may also
say all about it, as that of an added trial does; and an entry about a study that is not there changes nothing.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeGuard

# What the numbers in a journal mean; tests compare what is read with what Optuna reads.
_DELETE_STUDY, _CREATE, _PARAMETER, _STATE, _USER_ATTRIBUTE, _SYSTEM_ATTRIBUTE = 1, 4, 5, 6, 8, 9
_NOTHING = {"op_code": 2, "study_id": -1, "user_attr": {"": None}, "worker_id": ""}  # about a study that is not there
_FINISHED = (1, 2, 3)  # states: completed, pruned, failed
_CHUNK = 2**23  # bytes of lines that are read at a time


def read_entries(path: Path) -> list[dict[str, Any]] | None:
    """All entries of a journal file, many lines at a time; None where a line is damaged, which this does not tell.

    A last line without its end is no entry: it is being written, or its writer was killed.
    """
    entries: list[dict[str, Any]] = []
    with open(path, "rb") as file:
        while lines := file.readlines(_CHUNK):
            if not lines[-1].endswith(b"\n"):
                lines.pop()
            try:
                found = json.loads(b"[" + b",".join(lines) + b"]")
            except (ValueError, RecursionError):
                return None
            if len(found) != len(lines) or not all(map(is_entry, found)):
                return None
            entries += found
    return entries


def is_entry(found: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value has the form that every entry of a journal has."""
    return isinstance(found, dict) and type(found.get("op_code")) is int and isinstance(found.get("worker_id"), str)


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
        number = entry.get("trial_id", -1)
        trial = open_trials.get(number)
        if trial is None:
            continue
        if not trial.add(entry, position, known):
            del open_trials[number]
        elif entry["op_code"] == _STATE:
            del open_trials[number]
            for place in trial.positions:
                entries[place] = _NOTHING
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
