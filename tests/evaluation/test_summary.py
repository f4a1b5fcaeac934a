"""Metrics of replicates as numbers, with what is left out."""

import math

import pytest
import torch

from mavrl.evaluation.summary import summarize


def test_by_hand() -> None:
    values = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([0.5, 0.5], dtype=torch.float64)}
    assert summarize(values) == {
        "final": {"a": [1, 3], "b": [0.5, 0.5]},
        "mean": {"a": 2, "b": 0.5},
        "stderr": {"a": pytest.approx(1), "b": 0},
    }


def test_failed_replicates_are_left_out_of_means() -> None:
    values = torch.tensor([1.0, float("nan"), 3.0, 100.0])
    found = summarize({"a": values}, failed=[1, 3])
    assert (found["mean"], found["stderr"]) == ({"a": 2}, {"a": pytest.approx(1)})
    assert found["final"]["a"][3] == 100
    assert len(found["final"]["a"]) == 4


def test_one_replicate_has_no_error() -> None:
    assert summarize({"a": torch.tensor([5.0, 7.0])}, failed=[0])["mean"] == {"a": 7}
    assert summarize({"a": torch.tensor([5.0, 7.0])}, failed=[0])["stderr"] == {}


def test_none_is_left() -> None:
    found = summarize({"a": torch.tensor([5.0])}, failed=[0])
    assert math.isnan(found["mean"]["a"])
    assert found["stderr"] == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_numbers_are_plain(dtype: torch.dtype) -> None:
    numbers = summarize({"a": torch.tensor([0.5, -2.0], dtype=dtype)})["final"]["a"]
    assert numbers == [0.5, -2.0]
    assert all(type(number) is float for number in numbers)
