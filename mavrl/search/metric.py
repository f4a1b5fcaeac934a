"""What a search can look for."""

from mavrl.errors import ConfigurationError
from mavrl.metrics import METRIC_DIRECTIONS, Direction

_OF_FAMILY = {"grid": {"discounted_value", "epic_distance"}, "control": {"mean_return"}}


def direction_of(metric: str, asked: str | None, family: str, objective: str) -> Direction:
    """Which way the metric is better.

    Args:
        asked: the direction that the user names; None for the metric's own.
        family: of the environment.
        objective: of the model; only elbo has a bound.

    Raises:
        ConfigurationError: the environment has no such metric, or the direction is the wrong one.
    """
    others = {name for of, names in _OF_FAMILY.items() if of != family for name in names}
    known = [name for name in METRIC_DIRECTIONS if name not in others]
    if metric not in known:
        raise ConfigurationError(
            "search.metric", metric, f"must be one of {', '.join(known)} in a {family} environment"
        )
    if metric == "bound" and objective != "elbo":
        raise ConfigurationError("search.metric", metric, f"model.objective={objective} has no bound; only elbo has")
    direction = METRIC_DIRECTIONS[metric]
    if asked is not None and asked != direction:
        raise ConfigurationError("hydra.sweeper.direction", asked, f"search.metric={metric} is to {direction}")
    return direction
