"""Combinations of a command line, the rules that leave some out, and what is finished."""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from mavrl.errors import ConfigurationError
from mavrl.storage.files import write_json
from mavrl.sweep import combinations as combinations_module
from mavrl.sweep.cells import chosen_option, split_cells, with_cells
from mavrl.sweep.combinations import ComposedJob, combinations, compose_all, skipping_rule
from mavrl.sweep.composer import Composed, Composer
from tests.fixtures.runs import metrics_of


def test_the_last_argument_varies_fastest() -> None:
    assert combinations(["env=a,b", "seed=range(0,2)", "optim.lr=0.001", "~x"]) == [
        ["env=a", "seed=0", "optim.lr=0.001", "~x"],
        ["env=a", "seed=1", "optim.lr=0.001", "~x"],
        ["env=b", "seed=0", "optim.lr=0.001", "~x"],
        ["env=b", "seed=1", "optim.lr=0.001", "~x"],
    ]


def test_nothing_asked_is_one_combination() -> None:
    assert combinations([]) == [[]]


def test_of_a_key_that_is_given_twice_the_last_values_count() -> None:
    assert combinations(["seed=1,2", "env=a", "seed=3"]) == [["seed=3", "env=a"]]


@pytest.mark.parametrize("text", ["range(0)", "range(3,1)", "range(0,inf)", "range(0,1,0)", "range(0,100000000)"])
def test_a_range_holds_something_and_ends(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^seed=range"):
        combinations([f"seed={text}"])


def test_an_interval_has_no_single_values() -> None:
    with pytest.raises(ConfigurationError, match=r"^optim.lr=interval\(0,1\): has no single values"):
        combinations(["optim.lr=interval(0,1)"])


def config(**skip: Any) -> Any:
    return {"model": {"q": "planned", "backup": "soft"}, "seed": 3, "skip": skip}


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ({"model.q": "planned"}, True),
        ({"model.q": "learned"}, False),
        ({"model.q": "planned", "model.backup": ["optimal", "soft"]}, True),
        ({"model.q": "planned", "model.backup": ["optimal"]}, False),
        ({"seed": [1, 3]}, True),
        ({"no.such": 1}, False),
        (None, False),
    ],
)
def test_a_rule_holds_when_all_its_conditions_do(rule: Any, holds: bool) -> None:
    assert skipping_rule(config(mine=rule)) == ("mine" if holds else None)


def test_the_first_rule_that_holds_is_named() -> None:
    assert skipping_rule(config(a={"seed": 4}, b={"seed": 3}, c={"seed": 3})) == "b"


def test_a_key_that_may_not_vary_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a planned Q there is no backup: all its values are one run."""
    monkeypatch.setattr(combinations_module, "_checked", lambda job, composed: contextlib.nullcontext())

    class Compose(Composer):
        def __init__(self) -> None: ...

        def compose(self, overrides: Sequence[str]) -> Composed:
            values = {"model.q": "planned", "model.backup": "optimal", **dict(word.split("=") for word in overrides)}
            rules = {"skip": {}, "only": {"model.backup": {"model.q": "learned"}}}
            content = OmegaConf.create({**rules, "task": {"name": "x"}})
            for key, value in values.items():
                OmegaConf.update(content, key, value)
            return Composed(content, content, OmegaConf.to_container(content))

    compose = Compose()
    lines = combinations(["model.q=planned,learned", "model.backup=optimal,soft"])
    jobs, left_out = compose_all(compose, lines)
    assert [job.overrides for job in jobs] == [
        ["model.q=planned"],
        ["model.q=learned", "model.backup=optimal"],
        ["model.q=learned", "model.backup=soft"],
    ]
    assert left_out == {}
    alone, _ = compose_all(compose, [["model.q=planned", "model.backup=soft"]])
    assert [job.overrides for job in alone] == [["model.q=planned", "model.backup=soft"]]  # it does not vary


@pytest.mark.parametrize(
    ("task", "status", "metrics", "finished"),
    [
        ("train", {"state": "completed"}, metrics_of({"regret": [1.0]}), True),
        ("train", {"state": "completed"}, {}, False),
        ("train", {"state": "running"}, metrics_of({"regret": [1.0]}), False),
        ("train", {"state": "failed"}, None, False),
        ("train", {"state": "completed"}, None, False),
        ("train", None, None, False),
        ("data", {"state": "completed"}, metrics_of({"regret": [1.0]}), False),
    ],
)
def test_what_is_finished(tmp_path: Path, task: str, status: Any, metrics: Any, finished: bool) -> None:
    for name, content in (("status.json", status), ("metrics.json", metrics)):
        if content is not None:
            write_json(tmp_path / "x" / name, content)
    sweep = {"hydra": {"sweep": {"dir": str(tmp_path), "subdir": "x"}}, "task": {"name": task}}
    assert ComposedJob([], OmegaConf.create(sweep)).finished == finished


CELLS = OmegaConf.create({"cells": {"env": ["a", "b"], "modality": ["p", "d"]}})


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ([], ["env=a,b", "modality=p,d"]),
        (["seed=1", "env=b"], ["modality=p,d", "seed=1", "env=b"]),
        (["env=b", "modality=r,s"], ["env=b", "modality=r,s"]),
        (["env.size=3"], ["env=a,b", "modality=p,d", "env.size=3"]),
    ],
)
def test_the_command_line_wins_over_the_cells_of_a_study(arguments: list[str], result: list[str]) -> None:
    assert with_cells(CELLS, arguments) == result


def test_without_a_study_there_are_no_cells() -> None:
    assert with_cells(OmegaConf.create({"cells": {"env": None, "modality": None}}), ["seed=1"]) == ["seed=1"]


def test_what_chooses_cells_is_told_from_the_rest() -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    axes, others = split_cells(OverridesParser.create().parse_overrides(["seed=1", "env=a,b", "env.size=3"]))
    assert [axis.input_line for axis in axes] == ["env=a,b"]
    assert [other.input_line for other in others] == ["seed=1", "env.size=3"]
    assert chosen_option(["seed=1", "env=a"], "env") == "a"
    assert chosen_option(["seed=1", "env.size=3"], "env") is None
