"""What a search can look for."""

from mavrl.configuration.registry import FAMILIES
from mavrl.errors import ConfigurationError
from mavrl.metrics import Direction, directions


def direction_of(metric: str, family: str, objective: str) -> Direction:
    """Which way the metric of a search is better.

    Args:
        metric: that `search.metric` names.
        family: of the environment.
        objective: of the model; only elbo has a bound.

    Raises:
        ConfigurationError: the environment has no such metric, or the objective does not tell it.
    """
    known = directions(FAMILIES[family].judged)
    if metric not in known:
        raise ConfigurationError(
            "search.metric", metric, f"must be one of {', '.join(known)} in a {family} environment"
        )
    if metric == "bound" and objective != "elbo":
        raise ConfigurationError("search.metric", metric, f"model.objective={objective} has no bound; only elbo has")
    return known[metric]
