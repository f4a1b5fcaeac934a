"""Counts, seeds and numbers as they are written."""

import pytest

from mavrl.reports.words import (
    counted,
    counts_in_words,
    numbers_in_words,
    rounded,
    seeds_in_words,
    settings_in_words,
    ties_in_words,
    with_error,
)


def test_numbers_of_things() -> None:
    assert [counted(n, "run") for n in (0, 1, 2)] == ["0 runs", "1 run", "2 runs"]
    assert [counted(n, "search", "searches") for n in (1, 2)] == ["1 search", "2 searches"]


def test_ties() -> None:
    assert ties_in_words(0, 0) == ties_in_words(1, 9) == ""
    assert ties_in_words(2, 9) == ", the first of 2 that tie"
    assert ties_in_words(98, 100) == ", the first of 98 that tie: this metric hardly tells trials apart"


def test_counts_of_what_there_is() -> None:
    assert counts_in_words({"preference": 7, "stop": 0, "rating": 1}) == "7 preference, 1 rating"
    assert counts_in_words({}) == ""


def test_settings_and_numbers() -> None:
    assert settings_in_words({"objective": "elbo", "warm_start": True}) == "objective elbo, warm_start True"
    assert numbers_in_words({"expert": 100.0, "uniform": 0.04}) == "expert 100.0, uniform 0.0"


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([3], "seed 3"), ([2, 0, 1], "3 seeds, 0 to 2"), ([0, 1, 20, 21], "4 seeds from 0 to 21")],
)
def test_seeds(seeds: list[int], words: str) -> None:
    assert seeds_in_words(seeds) == words


def test_a_zero_has_no_sign() -> None:
    assert rounded(-0.04, 1) == "0.0"
    assert with_error(-0.04, 0.26, 1) == "0.0 ± 0.3"
    assert with_error(1.25, None, 2) == "1.25"
