"""What a search can look for."""

from mavrl.configuration.registry import FAMILIES
from mavrl.errors import ConfigurationError
from mavrl.metrics import Direction, directions


def direction_of(metric: str, asked: str | None, family: str, objective: str) -> Direction:
    """Which way the metric of a search is better.

    Args:
        metric: that `search.metric` names.
        asked: the direction that the user names; None for the metric's own.
        family: of the environment.
        objective: of the model; only elbo has a bound.

    Raises:
        ConfigurationError: the environment has no such metric, or the direction is the wrong one.
    """
    known = directions(FAMILIES[family].judged)
    if metric not in known:
        raise ConfigurationError(
            "search.metric", metric, f"must be one of {', '.join(known)} in a {family} environment"
        )
    if metric == "bound" and objective != "elbo":
        raise ConfigurationError("search.metric", metric, f"model.objective={objective} has no bound; only elbo has")
    if asked is not None and asked != known[metric]:
        raise ConfigurationError("hydra.sweeper.direction", asked, f"search.metric={metric} is to {known[metric]}")
    return known[metric]
