"""What destinations are told at the end of a run, by the names that they show. docs/logging.md lists them."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mavrl.metrics import METRICS, words_of

Row = list[float | int | str | None]
_SECTIONS = {"occupancy": "data", "losses": "train", "training": "policy", "value": "policy", "rounds": "rounds"}
_MODEL = "reward_model"


@dataclass(frozen=True)
class Table:
    """A table of numbers and words.

    Args:
        columns: names.
        rows: an entry for each column.
    """

    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True)
class Conclusion:
    """What is known at the end of a run.

    Args:
        numbers: one number by name: final metrics with their standard errors, held-out labels, counts, seconds.
        tables: by name.
        pictures: PNG files by name.
        policy_curves: rows of each replicate's true return over environment steps.
        rounds: a row for each round of questions.
        model: directory of the reward model; None where none was learned.
        metadata: what the reward model is known by.
    """

    numbers: dict[str, float]
    tables: dict[str, Table] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)
    policy_curves: list[list[dict[str, float]]] = field(default_factory=list)
    rounds: list[Mapping[str, float]] = field(default_factory=list)
    model: Path | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def card(self) -> str:
        """The card of the reward model, without what only hubs read; empty where there is none."""
        path = self.model / "README.md" if self.model is not None else None
        text = path.read_text(encoding="utf-8") if path is not None and path.is_file() else ""
        return text.split("---\n", 2)[-1].strip()


def conclusion_of(directory: Path, metrics: Mapping[str, Any]) -> Conclusion:
    """The conclusion of a run.

    Args:
        directory: of the run, with its figures, policies and reward model.
        metrics: content of metrics.json.
    """
    known = ("env", "modality", "protocol", "n_samples", "seed", "replicates", "config_hash", "version")
    return Conclusion(
        numbers={
            **final_numbers(metrics),
            **_held_out_numbers(metrics),
            **{f"data/{kind}": number for kind, number in metrics["n_samples"].items() if number},
            **{f"seconds/{part}": number for part, number in metrics["seconds"].items()},
        },
        tables=_tables(metrics),
        pictures={_section(path.stem): path for path in sorted((directory / "figures").glob("*.png"))},
        policy_curves=policy_curves(directory),
        rounds=metrics.get("rounds", []),
        model=directory / _MODEL if (directory / _MODEL).is_dir() else None,
        metadata={name: metrics[name] for name in known if name in metrics}
        | {"metrics": {"mean": metrics["mean"], "stderr": metrics["stderr"]}},
    )


def final_numbers(metrics: Mapping[str, Any], section: str = "final") -> dict[str, float]:
    """Means and standard errors of a result, by section and name."""
    errors = {f"{section}/{name}_stderr": error for name, error in metrics["stderr"].items()}
    return {**{f"{section}/{name}": mean for name, mean in metrics["mean"].items()}, **errors}


def policy_curves(directory: Path) -> list[list[dict[str, float]]]:
    """The rows of curve.csv of each replicate's policy, in the order of the replicates; none where none is trained."""
    paths = sorted(directory.glob("policies/*/curve.csv"), key=lambda path: int(path.parent.name))
    curves = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as table:
            curves.append([{name: float(value) for name, value in row.items()} for row in csv.DictReader(table)])
    return curves


def _section(figure: str) -> str:
    """The name of a figure behind that of its section."""
    return f"{_SECTIONS.get(figure, 'evaluation')}/{figure}"


def _held_out_numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    numbers = {}
    for kind, found in metrics.get("held_out", {}).get("kinds", {}).items():
        numbers |= {f"held_out/{kind}/{name}": mean for name, mean in found["mean"].items()}
        numbers |= {f"held_out/{kind}/{name}_stderr": error for name, error in found["stderr"].items()}
    return numbers


def _tables(metrics: Mapping[str, Any]) -> dict[str, Table]:
    names = list(metrics["mean"])
    summary: list[Row] = [
        [words_of(name), metrics["mean"][name], metrics["stderr"].get(name), _unit(name)] for name in names
    ]
    replicates: list[Row] = [
        [metrics["seed"] + k, *(metrics["final"][name][k] for name in names)] for k in range(metrics["replicates"])
    ]
    tables = {
        "evaluation/metrics": Table(["metric", "mean", "stderr", "unit"], summary),
        "evaluation/replicates": Table(["seed", *names], replicates),
    }
    if annotators := metrics.get("annotators", []):
        rows: list[Row] = [
            [each["name"], *(each["labels"].get(kind, 0) for kind in metrics["n_samples"])] for each in annotators
        ]
        tables["data/annotators"] = Table(["annotator", *metrics["n_samples"]], rows)
    if rounds := metrics.get("rounds", []):
        columns = list(dict.fromkeys(name for row in rounds for name in row))
        tables["rounds/rounds"] = Table(columns, [[row.get(name) for name in columns] for row in rounds])
    return tables


def _unit(name: str) -> str:
    return METRICS[name].unit if name in METRICS else ""


def rounds_by_name(rounds: Sequence[Mapping[str, float]]) -> list[tuple[int, dict[str, float]]]:
    """The number of each round, and its other figures by the names that destinations show."""
    return [
        (int(row["round"]), {f"rounds/{name}": value for name, value in row.items() if name != "round"})
        for row in rounds
    ]
