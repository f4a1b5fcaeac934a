"""The results of a run as rows of text, for whoever prints, draws or writes them."""

from collections.abc import Mapping
from typing import Any

from mavrl.metrics import HELD_OUT, METRICS
from mavrl.reports.words import counts_in_words, numbers_in_words, rounded, settings_in_words, with_error

DIGITS = 3  # of a run's own metrics
_NATS = ("log_likelihood", "constant", "gain")


def metric_rows(metrics: Mapping[str, Any]) -> list[list[str]]:
    """Label, mean and standard error of each metric, empty where there is no error."""
    rows = []
    for name, metric in METRICS.items():
        if name in metrics.get("mean", {}):
            error = metrics["stderr"].get(name)
            rows.append([metric.label, rounded(metrics["mean"][name], DIGITS), "" if error is None else f"{error:.3f}"])
    return rows


def held_out_rows(kinds: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Kind, number of labels, and in nats a label the model's log-likelihood, a constant's, and the difference."""
    return [
        [kind, str(found["labels"]), *(_held_out_number(name, found) for name in _NATS)]
        for kind, found in kinds.items()
    ]


def held_out_sentences(held_out: Mapping[str, Any]) -> list[str]:
    """What else held-out labels say, one line a kind; or why they say nothing."""
    sentences = []
    for kind, found in held_out.get("kinds", {}).items():
        if more := [f"{HELD_OUT[name]} {_held_out_number(name, found)}" for name in HELD_OUT if name in found["mean"]]:
            sentences.append(f"{kind}: {', '.join(more)}")
    if "left_out" in held_out:
        sentences.append(f"not judged by held-out labels: {held_out['left_out']}")
    return sentences


def no_better_than_constant(held_out: Mapping[str, Any]) -> str:
    """Which kinds of held-out labels are predicted no better than by a constant; empty for none."""
    worse = [(kind, found) for kind, found in held_out.get("kinds", {}).items() if not found["better"]]
    # Labels of one episode have no standard error.
    words = [k if "gain" in found["stderr"] else f"{k} (all of one episode, which cannot tell)" for k, found in worse]
    return f"not better than a constant: {', '.join(words)}" if words else ""


def run_facts(metrics: Mapping[str, Any]) -> dict[str, str]:
    """How the results of a run came about, by name: feedback, what they are compared with, protocol, seconds."""
    failed = metrics.get("failed_replicates")
    facts = {
        "feedback": counts_in_words(metrics["n_samples"]),
        "questions without an answer": ", ".join(
            f"{sum(counts) / len(counts):.1f} {kind} a replicate" for kind, counts in metrics.get("skipped", {}).items()
        ),
        "learned rationality": ", ".join(
            f"{kind} {each['median']:.2g} ({each['low']:.2g} to {each['high']:.2g})"
            for kind, each in metrics.get("rationality", {}).items()
        ),
        "normalized return of others": numbers_in_words(metrics.get("comparison", {})),
        "protocol": settings_in_words(metrics["protocol"]),
        "seconds": numbers_in_words(metrics["seconds"]),
        "failed replicates, left out of the means": str(failed) if failed else "",
    }
    return {name: value for name, value in facts.items() if value or name == "feedback"}


def _held_out_number(name: str, found: Mapping[str, Any]) -> str:
    return with_error(found["mean"][name], found["stderr"].get(name), 2)
