"""Ranges of the command line, as distributions of Optuna."""

import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from mavrl.errors import ConfigurationError
from mavrl.sweep.distributions import read_distributions


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("interval(0.1,0.5)", FloatDistribution(0.1, 0.5)),
        ("interval(0,4.0)", FloatDistribution(0.0, 4.0)),
        ("interval(1,9)", FloatDistribution(1.0, 9.0)),
        ("int(interval(1,9))", IntDistribution(1, 9)),
        ("tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("tag(log,int(interval(1,100)))", IntDistribution(1, 100, log=True)),
        ("range(1,5)", IntDistribution(1, 4)),
        ("range(2,9,3)", IntDistribution(2, 8, step=3)),
        ("range(9,2,-3)", IntDistribution(3, 9, step=3)),
        ("range(0.0,1.0,0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("range(0.0,0.35,0.1)", FloatDistribution(0.0, 0.3, step=0.1)),
        ("a,b", CategoricalDistribution(("a", "b"))),
        ("choice(1,2.5,true)", CategoricalDistribution((1, 2.5, True))),
        ("choice([64,64],[128,128])", CategoricalDistribution(("[64,64]", "[128,128]"))),
        ('choice("[64,64]")', CategoricalDistribution(("[64,64]",))),
    ],
)
def test_a_range_is_a_distribution(text: str, distribution: BaseDistribution) -> None:
    assert read_distributions([f"some.key={text}"]) == {"some.key": distribution}


def test_every_key_has_its_own() -> None:
    assert list(read_distributions(["a=interval(0,1)", "b=1,2"])) == ["a", "b"]
    assert read_distributions([]) == {}


@pytest.mark.parametrize("text", ["3", "interval(2,1)", "range(3,3)", "tag(log,interval(0,1))"])
def test_what_is_no_range_names_the_key(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^some\.key=.*: is no range to search in"):
        read_distributions([f"some.key={text}"])
