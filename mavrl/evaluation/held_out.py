"""What labels that a model has not seen say about it: how probable they were, beside what constants say of them.

All are functions of numbers, one for each label: N labels of all folds, or those of each fold R, padded to B.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor

from mavrl.evaluation.distance import spearman
from mavrl.statistics import clustered_mean, mean_and_stderr

ERRORS = 2.0  # standard errors above 0, from which on a gain counts
BINS = 10  # of predicted probabilities, equally wide

Columns = Mapping[str, np.ndarray]  # numbers by name, each of shape (N,)


def log_mean_exp(log_probs: Float[Tensor, "R K B"]) -> Float[Tensor, "R B"]:
    """Log of the mean probability over K reward functions: the predictive probability of each label, in nats."""
    return torch.logsumexp(log_probs.double(), dim=1) - math.log(log_probs.shape[1])


# Constants: what is said of labels by who never looks at what was shown -----------------------------------------------


def log_frequencies(answer: Int[Tensor, "R N"], valid: Bool[Tensor, "R N"], n_answers: int) -> Float[Tensor, "R Y"]:
    """Log of how often each answer was given in training, and half a time more (Jeffreys' prior), in nats."""
    given = torch.nn.functional.one_hot(answer, n_answers) * valid[..., None]
    counts = given.sum(1).double() + 0.5
    return (counts / counts.sum(-1, keepdim=True)).log()


def log_frequencies_by(
    answer: Int[Tensor, "R N"], valid: Bool[Tensor, "R N"], n_answers: int, annotator: Int[Tensor, "R N"], count: int
) -> Float[Tensor, "R A Y"]:
    """The same for each annotator, to whose labels as many are added as there are answers, by everybody's frequencies.

    Args:
        annotator: who gave each answer.
        count: A.
    """
    everybody = log_frequencies(answer, valid, n_answers)[:, None]
    if count == 1:
        return everybody
    given = torch.nn.functional.one_hot(annotator * n_answers + answer, count * n_answers) * valid[..., None]
    counts = given.sum(1).double().unflatten(1, (count, n_answers)) + n_answers * everybody.exp()
    return (counts / counts.sum(-1, keepdim=True)).log()


def constant_hazard(
    stop_step: Int[Tensor, "R N"], length: Int[Tensor, "R N"], valid: Bool[Tensor, "R N"]
) -> Float[Tensor, "R"]:
    """Probability of a stop at each step that fits the training labels: stops by steps that were watched.

    Half a stop in one more step is added, as in `log_frequencies`.

    Args:
        stop_step: step of the stop; at least the length where there was none.
        length: steps of each segment.
    """
    stops = (valid & (stop_step < length)).sum(-1)
    watched = torch.where(valid, torch.minimum(stop_step + 1, length), 0).sum(-1)
    return (stops + 0.5) / (watched.double() + 1)


def constant_hazard_by(
    stop_step: Int[Tensor, "R N"],
    length: Int[Tensor, "R N"],
    valid: Bool[Tensor, "R N"],
    annotator: Int[Tensor, "R N"],
    count: int,
) -> Float[Tensor, "R A"]:
    """The same for each annotator, to whose labels one stop is added after as many steps as everybody watches for it.

    Args:
        annotator: who watched.
        count: A.
    """
    everybody = constant_hazard(stop_step, length, valid)[:, None]
    if count == 1:
        return everybody
    mine = [valid & (annotator == number) for number in range(count)]
    stops = torch.stack([(each & (stop_step < length)).sum(-1) for each in mine], dim=1)
    steps = torch.minimum(stop_step + 1, length)
    watched = torch.stack([torch.where(each, steps, 0).sum(-1) for each in mine], dim=1)
    return (stops + 1) / (watched + 1 / everybody)


def log_prob_of_stop(
    hazard: Float[Tensor, "R #B"], stop_step: Int[Tensor, "R B"], length: Int[Tensor, "R B"]
) -> Float[Tensor, "R B"]:
    """Log-probability of each stop, or of none, where every step of a segment has the same hazard; in nats."""
    survived = torch.minimum(stop_step, length) * torch.log1p(-hazard)
    return survived + torch.where(stop_step < length, hazard.log(), 0.0)


# Summaries ------------------------------------------------------------------------------------------------------------


def summarize_kind(columns: Columns, episode: np.ndarray, fold: np.ndarray) -> dict[str, Any]:
    """What the held-out labels of one kind say, as metrics.json has it.

    Standard errors are over labels, where those of one episode may depend on one another; that of the rank
    correlation, which is computed in every fold by itself, is over folds. Models of folds share most of their training
    labels, which no error here knows of.

    The constant is the better of two, over all labels. Where answers depend on the episode, what was frequent in the
    others can be worse than to know nothing, and no feat to beat.

    Args:
        columns: as `mavrl.evaluation.predictions` gives them.
        episode: number of the episode that a label counts to, shape (N,).
        fold: in which it was held out, shape (N,).
    """
    means: dict[str, tuple[float, float | None]] = {}
    constant = max(columns["frequency"], columns["uniform"], key=np.mean)
    gain = columns["log_likelihood"] - constant
    for name, values in (("log_likelihood", columns["log_likelihood"]), ("constant", constant)):
        means[name] = clustered_mean(values, episode)
    means["gain"] = clustered_mean(gain, episode)
    more: dict[str, Any] = {}
    if "first" in columns and (decided := columns["decided"] > 0).any():
        first, chosen = columns["first"][decided], columns["chosen"][decided]
        means["accuracy"] = clustered_mean(_hits(first, chosen), episode[decided])
        bins = reliability(first, chosen)
        means["calibration_error"] = expected_calibration_error(bins), None
        more["reliability"] = bins
    if "rating" in columns:
        ranks = ranks_within(columns["rating"], columns["scale"])
        means["rank_correlation"] = rank_correlation(columns["mean_reward"], ranks, fold)
    for name in ("stop_probability", "stop_frequency", "expected_stop_step", "stop_step"):
        if name in columns:
            means[name] = clustered_mean(columns[name], episode)
    found = {name: pair for name, pair in means.items() if not math.isnan(pair[0])}
    return {
        "labels": len(gain),
        "episodes": len(np.unique(episode)),
        "better": is_better(*means["gain"]),
        "mean": {name: mean for name, (mean, _) in found.items()},
        "stderr": {name: error for name, (_, error) in found.items() if error is not None},
        **more,
    }


def is_better(gain: float, stderr: float | None) -> bool:
    """Whether a mean gain over the constant is above 0 by more than two standard errors."""
    return stderr is not None and gain > ERRORS * stderr


def reliability(predicted: np.ndarray, observed: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Predicted probabilities in bins: `low`, `high`, `count`, and the means `predicted` and `observed`.

    Args:
        predicted: probabilities, shape (N,).
        observed: 1 where it came so, else 0.
    """
    place = np.minimum((predicted * bins).astype(int), bins - 1)
    rows = []
    for k in range(bins):
        there = place == k
        if there.any():
            means = {"predicted": float(predicted[there].mean()), "observed": float(observed[there].mean())}
            rows.append({"low": k / bins, "high": (k + 1) / bins, "count": int(there.sum()), **means})
    return rows


def expected_calibration_error(rows: list[dict[str, float]]) -> float:
    """Mean over labels of how far the observed share of their bin is from the predicted one; Naeini et al. (2015)."""
    total = sum(row["count"] for row in rows)
    return sum(row["count"] * abs(row["predicted"] - row["observed"]) for row in rows) / total


def rank_correlation(x: np.ndarray, y: np.ndarray, fold: np.ndarray) -> tuple[float, float | None]:
    """Spearman's correlation in each fold, whose rewards have a unit of their own: mean and standard error over folds.

    Folds in which either is constant are left out. NaN where none is left.
    """
    found = []
    for k in np.unique(fold):
        rows = x[fold == k], y[fold == k]
        if all(len(np.unique(row)) > 1 for row in rows):
            found.append(float(spearman(*(torch.from_numpy(row)[None].double() for row in rows))))
    return mean_and_stderr(found)


def ranks_within(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Ranks of values among those of their group, from 0 to 1: what compares ratings on different scales."""
    ranks = np.empty(len(values))
    for each in np.unique(group):
        there = group == each
        ranks[there] = (rankdata(values[there]) - 0.5) / there.sum()
    return ranks


def _hits(first: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """1 where the more probable segment was chosen, half where both were equally probable."""
    return np.where(first == 0.5, 0.5, ((first > 0.5) == (chosen > 0.5)).astype(float))
