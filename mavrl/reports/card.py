"""The card of a reward model: what it was learned from, how good it is, where it cannot be trusted."""

from collections.abc import Mapping
from typing import Any

import yaml

from mavrl.configuration.registry import KINDS
from mavrl.metrics import METRICS, Metric
from mavrl.reports.run_tables import held_out_rows
from mavrl.reports.templating import rendered
from mavrl.reports.words import counted, rounded, seeds_in_words, with_error

_CARD_DIGITS = 3
_CLOSE = 1.0  # percent of normalized return that are no difference
_BETTER = {"maximize": "higher", "minimize": "lower", None: "-"}
_SOURCES = {
    "simulated": "Simulated teachers gave it, who know the true reward of the environment; no person did.",
    "recorded": "People, or programs, gave it about recorded episodes: a feedback folder.",
    "": "Who gave it is not recorded.",
}
_TERMINATION = {
    "success": "is good (a prior mean of +1 there)",
    "failure": "is bad (a prior mean of -1 there)",
    "neutral": "is worth nothing (a prior mean of 0 there)",
}
_NARROW = ("stop", "preference")  # kinds after which the posterior is too narrow


def model_card(description: Mapping[str, Any], metrics: Mapping[str, Any], version: str) -> str:
    """The card of a reward model as Markdown, with the YAML front matter that model hubs read.

    It names no path and no annotator.

    Args:
        description: content of description.json.
        metrics: content of metrics.json, where there is one.
        version: of this package.
    """
    env, counts = _env(description), _counts(description, metrics)
    seeds, held_out = description.get("seeds", []), metrics.get("held_out", {})
    found = f", configuration {metrics['config_hash']}" if "config_hash" in metrics else ""
    replicates = counted(len(seeds) or description.get("replicates", 1), "time")
    return rendered(
        "card.md",
        front_matter=yaml.safe_dump(_front_matter(env, counts, description, metrics), sort_keys=False, width=1000),
        env=env,
        learned_from=_in_words(list(counts) or ["feedback"]),
        replicates=f"{replicates} ({seeds_in_words(seeds)})" if seeds else replicates,
        version=metrics.get("version", version),
        hash_words=found,
        counts=counts,
        source=_SOURCES.get(description.get("feedback", ""), _SOURCES[""]),
        annotators=len(description.get("annotators", [])),
        protocol=metrics.get("protocol", {}),
        metrics=[_metric_row(metric, metrics) for metric in _told(metrics)],
        failed=", ".join(map(str, metrics.get("failed_replicates", []))),
        calibration=_calibration(metrics),
        held_out=held_out_rows(held_out.get("kinds", {})),
        limits=_limits(counts, description, metrics),
        arguments=_arguments(description),
    )


def _env(description: Mapping[str, Any]) -> str:
    return str(description.get("env", {}).get("name", "an environment"))


def _counts(description: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, int]:
    counts = metrics.get("n_samples") or description.get("n_samples") or {}
    return {kind: number for kind, number in counts.items() if number}


def _told(metrics: Mapping[str, Any]) -> list[Metric]:
    return [metric for name, metric in METRICS.items() if name in metrics.get("mean", {})]


def _front_matter(
    env: str, counts: Mapping[str, int], description: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, Any]:
    name = f"{env}-{description.get('modality', '')}".rstrip("-")
    results = [
        {
            "task": {"type": "reinforcement-learning", "name": "reward learning"},
            "dataset": {"type": env, "name": env},
            "metrics": [
                {"type": metric.name, "name": metric.label, "value": round(metrics["mean"][metric.name], 6)}
                for metric in _told(metrics)
            ],
        }
    ]
    return {
        "library_name": "mavrl",
        "tags": ["reinforcement-learning", "reward-model", "reward-learning", env, *counts],
        **({"model-index": [{"name": name, "results": results}]} if _told(metrics) else {}),
    }


def _metric_row(metric: Metric, metrics: Mapping[str, Any]) -> dict[str, str]:
    error = metrics.get("stderr", {}).get(metric.name)
    return {
        "label": metric.label,
        "mean": rounded(metrics["mean"][metric.name], _CARD_DIGITS),
        "stderr": "" if error is None else rounded(error, _CARD_DIGITS),
        "better": _BETTER[metric.direction],
    }


def _calibration(metrics: Mapping[str, Any]) -> list[str]:
    mean, stderr = metrics.get("mean", {}), metrics.get("stderr", {})
    sentences = [
        f"Of the true rewards, a share of {with_error(mean[name], stderr.get(name), 2)} lies in the central {level} % "
        f"intervals of the posterior; {level / 100:g} is right."
        for name, level in (("coverage_50", 50), ("coverage_90", 90))
        if name in mean
    ]
    for kind, found in metrics.get("held_out", {}).get("kinds", {}).items():
        if "calibration_error" in found["mean"]:
            error = rounded(found["mean"]["calibration_error"], 2)
            sentences.append(f"Predicted and observed shares of held-out {kind} labels differ by {error} on average.")
    return sentences or ["Not measured: the true reward is not known in all states, and no labels were held out."]


def _limits(counts: Mapping[str, int], description: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    """What a user of the reward must know, which no number of the page says."""
    termination = description.get("env", {}).get("termination")
    kinds = metrics.get("held_out", {}).get("kinds", {})
    worse = [kind for kind, found in kinds.items() if not found["better"]]
    limits = [
        "It is known where there was feedback, and a guess elsewhere: a policy that goes where nobody judged anything "
        "can be paid for nothing. Look at the standard deviation, and ask again where the policy goes.",
        "Differences of rewards come from the feedback, and their common level from the prior: adding a constant to "
        "all rewards changes no answer.",
    ]
    if termination in _TERMINATION:
        limits.append(
            f"It was told that the end of an episode {_TERMINATION[termination]}: where episodes terminate, the reward "
            "is as much this prior's as the feedback's."
        )
    if narrow := [f"{kind}s" for kind in _NARROW if kind in counts]:
        limits.append(f"The uncertainty is too narrow after {_in_words(narrow)}: take its intervals for lower bounds.")
    if description.get("feedback") == "simulated":
        limits.append("Simulated teachers answer by a formula. People answer less regularly.")
    reached = metrics.get("mean", {}).get("normalized_return")
    constant = [x for name, x in metrics.get("comparison", {}).items() if name.startswith("constant reward")]
    if reached is not None and max(constant, default=-float("inf")) >= reached - _CLOSE:
        limits.append(
            "In this environment a policy that is paid a constant does as well, so what a policy reaches says little "
            "about the reward."
        )
    if worse:
        limits.append(f"Held-out labels are predicted no better than by a constant: {', '.join(worse)}.")
    if "left_out" in metrics.get("held_out", {}):
        limits.append(f"Not judged by held-out labels: {metrics['held_out']['left_out']}.")
    return limits


def _arguments(description: Mapping[str, Any]) -> str:
    if description.get("kind") == "tabular":
        return (
            f"States are numbers from 0 to {description.get('n_states', 0) - 1}, or one-hot vectors; of any one shape."
        )
    return f"States are observations of {description.get('n_features', '?')} features, and actions are numbers."


def _in_words(names: list[str]) -> str:
    """Names as a list that is read; kinds of feedback in the plural."""
    plural = [f"{name}s" if name in KINDS else name for name in names]
    return " and ".join([", ".join(plural[:-1]), plural[-1]] if len(plural) > 1 else plural)
