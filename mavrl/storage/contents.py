"""What the JSON files of a run hold: read with the types that whoever reads them relies on.

A file that is missing, damaged, or holds something else is an empty mapping, so that one odd file breaks no listing.
Damaged ones are warned of.
"""

import logging
from pathlib import Path
from typing import Any

from mavrl.storage.files import read_json

log = logging.getLogger(__name__)

# A type, a list of one, or a mapping: of any names where its only name is `str`, else of these, "?" if may be missing.
_STATUS = {
    "state": str, "config_hash?": str, "started?": str, "ended?": str, "seconds?": float, "error?": str, "host?": str,
    "pid?": int, "round?": int, "rounds?": int,
}  # fmt: skip
_CONFIG = {
    "choices?": {str: object}, "overrides?": [str], "env?": {str: object}, "feedback?": {str: {"n_samples?": int}},
    "seed?": int, "replicates?": int,
}  # fmt: skip
_HELD_OUT = {
    "labels": int, "episodes": int, "better": bool, "mean": {str: float}, "stderr": {str: float},
    "reliability?": [{str: float}],
}  # fmt: skip
_METRICS = {
    "env": str, "modality": str, "seed": int, "replicates": int, "members?": int, "n_samples": {str: int},
    "protocol": {str: object}, "final": {str: [float]}, "mean": {str: float}, "stderr": {str: float},
    "objective?": float, "seconds": {str: float}, "failed_replicates?": [int], "comparison?": {str: float},
    "skipped?": {str: [int]}, "rationality?": {str: {"median": float, "low": float, "high": float, "each": [float]}},
    "rounds?": [{str: float}], "annotators?": [{"name": str, "labels": {str: int}, "learned": {str: {str: object}}}],
    "held_out?": {"left_out?": str, "folds?": int, "kinds?": {str: _HELD_OUT}},
    "config_hash?": str, "version?": str,
}  # fmt: skip


def read_status(directory: Path) -> dict[str, Any]:
    """The content of status.json in a run's directory. Who finds it empty says so: a run without is a failed one."""
    content: Any = read_json(directory / "status.json")
    return content if fits(content, _STATUS) else {}


def read_config(directory: Path) -> dict[str, Any]:
    """The content of config.json in a run's directory."""
    return _read(directory / "config.json", _CONFIG)


def read_metrics(directory: Path) -> dict[str, Any]:
    """The content of metrics.json in a run's directory."""
    return _read(directory / "metrics.json", _METRICS)


def fits(value: Any, form: Any) -> bool:
    """Whether a value of JSON has a form. Whole numbers are numbers, truth values are not.

    Args:
        value: as `json.loads` makes it.
        form: a type, such as float; a list of one form; or a mapping of names to forms, with `str` for all names, and
            a question mark behind names that may be missing. Other names may be there, too.
    """
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(child, form[0]) for child in value)
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return False
        if str in form:
            return all(fits(child, form[str]) for child in value.values())
        names = {name.removesuffix("?"): name.endswith("?") for name in form}
        return all(
            fits(value[name], form[f"{name}?" if optional else name]) if name in value else optional
            for name, optional in names.items()
        )
    if isinstance(value, bool):
        return form in (bool, object)
    return isinstance(value, (int, float) if form is float else form)


def _read(path: Path, form: dict) -> dict[str, Any]:
    content: Any = read_json(path)
    if fits(content, form):
        return content
    if path.exists():
        log.warning("%s is damaged, and counts as missing", path)
    return {}
