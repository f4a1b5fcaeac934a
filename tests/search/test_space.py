"""What a search varies: parameters, command lines, and when two spaces are the same."""

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from mavrl.search.space import SearchSpace, distribution_text

SETTINGS = {
    "optim.lr": FloatDistribution(1e-3, 1e-1, log=True),
    "model.hidden_sizes": CategoricalDistribution(("[16,16]", "[32,32]")),
    "trainer.max_epochs": IntDistribution(3, 9, step=3),
    "model.importance_weights": CategoricalDistribution((True, False)),
}
KINDS = ("preference", "demonstration", "rating")


def trial() -> optuna.Trial:
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()


def test_every_parameter_is_drawn_within_its_range() -> None:
    space = SearchSpace(SETTINGS, KINDS, 64)
    params = space.suggest(trial())
    assert params.keys() == space.distributions.keys() == {*SETTINGS, *(f"share.{kind}" for kind in KINDS)}
    assert 1e-3 <= params["optim.lr"] <= 1e-1
    assert params["trainer.max_epochs"] in (3, 6, 9)
    assert all(0 < params[f"share.{kind}"] <= 1 for kind in KINDS)


def test_what_a_trial_has_already_stays() -> None:
    space, asked = SearchSpace(SETTINGS, KINDS, 64), trial()
    lr = asked.suggest_float("optim.lr", 1e-3, 1e-1, log=True)
    assert space.suggest(asked)["optim.lr"] == lr


def test_the_command_line_of_a_trial() -> None:
    params: dict[str, Any] = {
        "optim.lr": 0.5, "model.hidden_sizes": "[16,16]", "trainer.max_epochs": 6, "model.importance_weights": True,
        "share.preference": 0.5, "share.demonstration": 0.5, "share.rating": 0.25,
    }  # fmt: skip
    assert SearchSpace(SETTINGS, KINDS, 64, {"demonstration": 4}).overrides(params) == [
        "optim.lr=0.5", "model.hidden_sizes=[16,16]", "trainer.max_epochs=6", "model.importance_weights=true",
        "feedback.preference.n_samples=20", "feedback.demonstration.n_samples=4", "feedback.rating.n_samples=40",
    ]  # fmt: skip


def test_a_single_kind_takes_the_budget_up_to_its_cap() -> None:
    space = SearchSpace({}, ("demonstration",), 64, {"demonstration": 16})
    assert space.distributions == {}
    assert space.overrides({}) == ["feedback.demonstration.n_samples=16"]


def test_given_counts_are_left_alone() -> None:
    space = SearchSpace(SETTINGS)
    assert space.distributions == SETTINGS
    assert space.counts({}) == {}


@pytest.mark.parametrize(
    "other",
    [
        SearchSpace(SETTINGS, KINDS, 65),
        SearchSpace(SETTINGS, KINDS[:2], 64),
        SearchSpace(SETTINGS, KINDS, 64, {"rating": 3}),
        SearchSpace({**SETTINGS, "optim.lr": FloatDistribution(1e-3, 1e-1)}, KINDS, 64),
        SearchSpace({**SETTINGS, "optim.lr": FloatDistribution(1e-3, 2e-1, log=True)}, KINDS, 64),
        SearchSpace({k: v for k, v in SETTINGS.items() if k != "optim.lr"}, KINDS, 64),
        SearchSpace(SETTINGS),
    ],
)
def test_different_spaces_have_different_descriptions(other: SearchSpace) -> None:
    assert other.description() != SearchSpace(SETTINGS, KINDS, 64).description()


def test_a_setting_varies_only_where_its_conditions_hold() -> None:
    options = CategoricalDistribution(("planned", "learned"))
    settings = {"b": FloatDistribution(0, 1), "q": options, "n": IntDistribution(1, 5)}
    space = SearchSpace(settings, only={"b": {"q": "learned"}, "n": {"b": ">0"}})
    study, seen = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)), set()
    for _ in range(20):
        params = space.suggest(study.ask())
        assert ({"b", "n"} <= params.keys()) == (params["q"] == "learned")
        assert len(space.overrides(params)) == len(params)
        seen.add(params["q"])
    assert seen == {"planned", "learned"}
    assert space.description() != SearchSpace(settings).description()


def test_a_limit_that_concerns_no_kind_makes_no_difference() -> None:
    plain, limited = SearchSpace(SETTINGS, KINDS, 64), SearchSpace(SETTINGS, KINDS, 64, {"stop": 3, "rating": None})
    assert plain.description() == limited.description()


def test_distributions_in_words() -> None:
    assert [distribution_text(d) for d in SETTINGS.values()] == [
        "0.001 to 0.1, log", "one of [16,16], [32,32]", "3 to 9 in steps of 3, whole", "one of true, false"
    ]  # fmt: skip
    assert distribution_text(IntDistribution(1, 5)) == "1 to 5, whole"
    assert distribution_text(FloatDistribution(0.0, 1.0, step=0.25)) == "0.0 to 1.0 in steps of 0.25"
