"""The table of metrics, its page in the documentation, and the door for metrics of others."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl import metrics
from mavrl.configuration.rules import rules_of
from mavrl.envs.grid import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError
from mavrl.evaluation.tabular import TabularJudgement
from mavrl.metrics import (
    METRICS,
    Metric,
    directions,
    measure,
    metric_text,
    register_metric,
    words_of,
)
from mavrl.model.tabular_reward import TabularRewardModel
from mavrl.reports.listing import print_runs, sort_runs
from mavrl.reports.run_report import print_metrics
from mavrl.search.metric import direction_of
from mavrl.storage.index import find_runs

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Metric]:
    """The table as it is, without what the test adds to it."""
    copy = dict(METRICS)
    monkeypatch.setattr(metrics, "METRICS", copy)
    return copy


@pytest.fixture
def judgement() -> TabularJudgement:
    problem = TabularProblem.of_grid(GridEnv("trap", 4), 0.9)
    mean = torch.randn(2, 1, 16)
    description = {"replicates": 2, "members": 1, "bound": [-3.0, -4.0]}
    return TabularJudgement(problem, TabularRewardModel(mean, mean.exp(), description))


def largest_mean(judgement: TabularJudgement) -> Tensor:
    """What somebody else thinks worth knowing."""
    return judgement.mean.max(-1).values


def nothing(judgement: object) -> None:
    """A number that no run has."""


@pytest.fixture
def largest() -> Iterator[Metric]:
    """A metric from outside, which is in the table while a test runs."""
    computed_by = {"tabular": f"{__name__}:largest_mean"}
    metric = Metric("largest_mean", "largest mean", "reward", "minimize", 2, computed_by, listed=True)
    register_metric(metric)
    yield metric
    del METRICS[metric.name]


class TestDoor:
    def test_measured_with_the_others(self, largest: Metric, judgement: TabularJudgement):
        found = measure("tabular", judgement)
        assert torch.equal(found[largest.name], judgement.mean.max(-1).values)
        assert list(found) == [name for name in METRICS if name in found]
        assert largest.name not in directions("episodic")

    def test_allowed_where_metrics_are_named(self, largest: Metric, default: Any, composed: Any):
        for rule in (
            rules_of(default)["search.metric"],
            rules_of(composed("task=list"))["task.sort"],
            rules_of(composed("task=select_best"))["task.metric"],
        ):
            assert rule.holds(largest.name)
            assert largest.name in rule.allowed

    def test_searched_for_in_its_family(self, largest: Metric):
        assert direction_of(largest.name, "grid", "elbo") == "minimize"
        with pytest.raises(ConfigurationError, match="in a control environment"):
            direction_of(largest.name, "control", "elbo")

    def test_printed(self, largest: Metric, make_run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        for name, value in (("a", 2.0), ("b", 1.0)):
            make_run(f"grid_trap/pd/{name}", values={"normalized_return": [5.0], largest.name: [value]})
        runs = find_runs(tmp_path / "runs")
        assert [run.path.name for run in sort_runs(runs, largest.name)] == ["b", "a"]
        print_runs(runs, tmp_path / "runs")
        header, first, _ = capsys.readouterr().out.splitlines()
        assert "largest mean" in header
        assert " 2.00 " in first
        about = {"env": "x", "modality": "p", "replicates": 1, "n_samples": {}, "protocol": {}, "seconds": {}}
        print_metrics({**about, "mean": {largest.name: 2.0}, "stderr": {}}, tmp_path)
        assert "largest mean" in capsys.readouterr().out

    def test_gone_afterwards(self, default: Any):
        assert "largest_mean" not in METRICS
        assert not rules_of(default)["search.metric"].holds("largest_mean")
        assert words_of("largest_mean") == "largest mean"

    def test_two_of_one_name(self, table: dict[str, Metric]):
        register_metric(METRICS["regret"])  # the same again, as when a module is imported twice
        with pytest.raises(ValueError, match="the metric regret is registered already"):
            register_metric(Metric("regret", "regret", "return", "minimize", 1, {}))
        assert table == METRICS

    def test_what_a_run_does_not_have_is_left_out(self, table: dict[str, Metric], judgement: TabularJudgement):
        register_metric(Metric("nothing", "nothing", "none", None, 1, {"tabular": f"{__name__}:nothing"}))
        assert "nothing" not in measure("tabular", judgement)
        assert "nothing" not in directions()


def test_values_as_text() -> None:
    assert [metric_text(x) for x in (8.9e-16, -1e-17, 12.34567, None)] == ["0", "0", "12.35", "-"]


class TestTable:
    def test_every_function_exists(self, judgement: TabularJudgement):
        assert measure("tabular", judgement).keys() == {
            name for name, metric in METRICS.items() if "tabular" in metric.computed_by
        } - {"member_spread", "segment_coverage_90", "r_hat"}

    def test_words_that_a_run_prints(self):
        assert METRICS["normalized_return"].label == "normalized return (100 is optimal)"
        assert METRICS["regret"].label == "regret"
        assert METRICS["bound"].label == "evidence lower bound (nats)"

    def test_names_units_and_directions_are_those_of_the_page(self):
        rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (up|down|—) \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
        signs = {"maximize": "up", "minimize": "down", None: "—"}
        places = {
            ("tabular",): "grids", ("episodic",): "control", ("tabular", "episodic"): "run",
            ("tabular", "episodic", "recorded"): "all",
        }  # fmt: skip
        assert rows == [
            (name, metric.unit, signs[metric.direction], places[tuple(metric.computed_by)])
            for name, metric in METRICS.items()
        ]
