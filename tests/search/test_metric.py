"""What a search can look for, and which way."""

import pytest

from mavrl.errors import ConfigurationError
from mavrl.search.metric import direction_of


@pytest.mark.parametrize(
    ("metric", "family", "direction"),
    [
        ("regret", "grid", "minimize"), ("discounted_value", "grid", "maximize"), ("bound", "grid", "maximize"),
        ("epic_distance", "grid", "minimize"), ("mean_return", "control", "maximize"),
        ("normalized_return", "control", "maximize"), ("regret", "control", "minimize"),
    ],
)  # fmt: skip
def test_every_metric_has_its_direction(metric: str, family: str, direction: str) -> None:
    assert direction_of(metric, family, "elbo") == direction


@pytest.mark.parametrize(
    ("metric", "family", "objective"),
    [
        ("mean_return", "grid", "elbo"), ("discounted_value", "control", "elbo"), ("epic_distance", "control", "elbo"),
        ("bound", "grid", "weighted"), ("loss", "grid", "elbo"),
    ],
)  # fmt: skip
def test_what_there_is_not_cannot_be_searched_for(metric: str, family: str, objective: str) -> None:
    with pytest.raises(ConfigurationError, match=f"search.metric={metric}"):
        direction_of(metric, family, objective)
