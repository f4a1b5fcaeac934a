"""Counts, seeds and numbers with errors, as tables, captions and summaries write them."""

from collections.abc import Mapping, Sequence

from mavrl.metrics import METRICS


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things, such as "1 run" or "3 runs".

    Args:
        number: how many there are.
        noun: one of them.
        plural: several of them, where that is not the noun with an s.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def counts_in_words(n_samples: Mapping[str, int]) -> str:
    """Samples of each kind of feedback that there is, such as "7 preference, 1 rating"."""
    return ", ".join(f"{n} {kind}" for kind, n in n_samples.items() if n)


def settings_in_words(settings: Mapping[str, object]) -> str:
    """Names and values, such as "objective elbo, q planned"."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def numbers_in_words(values: Mapping[str, float]) -> str:
    """Names and numbers with one digit after the point, such as "data 1.5, train 20.1"."""
    return ", ".join(f"{name} {value:.1f}" for name, value in values.items())


def score_in_words(values: Mapping[str, float], otherwise: str) -> str:
    """The normalized return with its name, or another metric of a run that has none, such as "mean return -5.0"."""
    metric = METRICS["normalized_return" if "normalized_return" in values else otherwise]
    return f"{metric.words} {values[metric.name]:.{metric.digits}f}"


def seeds_in_words(seeds: Sequence[int]) -> str:
    """The number of seeds and the first and last of them; "from" where some between these are missing."""
    ordered = sorted(seeds)
    if len(ordered) == 1:
        return f"seed {ordered[0]}"
    if ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{len(ordered)} seeds, {ordered[0]} to {ordered[-1]}"
    return f"{len(ordered)} seeds from {ordered[0]} to {ordered[-1]}"


def ties_in_words(tied: int, completed: int) -> str:
    """That other trials are as good as the best one, to be said after its number; empty where none is.

    Args:
        tied: trials with the best value.
        completed: trials with any value.
    """
    if tied < 2:
        return ""
    hint = ": this metric hardly tells trials apart" if 2 * tied > completed else ""
    return f", the first of {tied} that tie{hint}"


def rounded(value: float, digits: int) -> str:
    """A number with so many digits after the point, a zero without its sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def with_error(mean: float, stderr: float | None, digits: int) -> str:
    """A mean with its standard error, where there is one."""
    return rounded(mean, digits) + ("" if stderr is None else f" ± {stderr:.{digits}f}")
