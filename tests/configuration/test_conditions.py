"""Conditions of the rules of `skip` and `only`."""

from typing import Any

import pytest
from omegaconf import OmegaConf

from mavrl.configuration.conditions import conditions_hold, idle_words, key_of, satisfies
from mavrl.errors import ConfigurationError

CONFIG = {"model": {"q": "planned", "backup": "soft"}, "members": 3, "flag": True, "nothing": None}


@pytest.mark.parametrize(
    ("value", "wanted", "holds"),
    [
        (3, 3, True), (3, [1, 3], True), (3, ">=3", True), (3, ">3", False), (3, "< 4", True), (3.5, "<=3.5", True),
        (3, "!=3", False), (3, "!=4", True), ("soft", "!=soft", False), ("soft", "!=optimal", True),
        ("soft", ">2", False), (True, ">0", False), (None, "!=3", False), (None, None, False), (3, [">5", "<0"], False),
        (5, [2, ">4"], True), ("planned", "planned", True), (3, ">x", False),
    ],
)  # fmt: skip
def test_equal_one_of_several_or_in_order(value: Any, wanted: Any, holds: bool) -> None:
    assert satisfies(value, wanted) == holds


def test_all_conditions_must_hold() -> None:
    config = OmegaConf.create(CONFIG)
    assert conditions_hold(config, {"model.q": "planned", "members": ">=2"})
    assert not conditions_hold(config, {"model.q": "planned", "members": ">=4"})
    assert not conditions_hold(config, {"no.such": "!=1"})


def test_a_key_that_may_not_vary_here_gives_up_its_values() -> None:
    config = OmegaConf.create({**CONFIG, "only": {"model.backup": {"model.q": "learned"}, "members": {"flag": True}}})
    words = ["model.q=planned", "++model.backup=soft", "members=3"]
    assert idle_words(config, words, ["model.backup", "members"]) == ["++model.backup=soft"]
    assert idle_words(config, words, ["members"]) == []
    assert key_of("++model.backup=soft") == "model.backup"


def test_a_rule_that_is_none() -> None:
    config = OmegaConf.create({**CONFIG, "only": {"members": 3}})
    with pytest.raises(ConfigurationError, match=r"only\.members=3: must map keys to values"):
        idle_words(config, [], [])
