"""Trials that are asked for, run by hand, and told: in order, at once, cut off, and by several searches."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, TPESampler

from mavrl.errors import ConfigurationError
from mavrl.search import space
from mavrl.search.record import read_studies
from mavrl.search.space import SearchSpace
from mavrl.search.storage import open_storage
from mavrl.search.study import Assignment, Search, SearchPlan
from mavrl.storage.files import write_json
from tests.fixtures.runs import metrics_of

SPACE = SearchSpace({"optim.lr": FloatDistribution(0.0, 1.0)}, ("preference", "rating"), 10)
PLAN = SearchPlan(
    "mine", "grid_trap", "pr", "regret", "minimize", SPACE, {"seed": 0, "replicates": 2}, [], 12, seed=0, kept=2
)  # fmt: skip


def tpe(seed: int) -> BaseSampler:
    return TPESampler(seed=seed, n_startup_trials=4, constant_liar=True)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Search]]:
    """Searches in one folder, each as another process would see it."""
    opened = []

    def search(folder: str = "study", **changes: Any) -> Search:
        place = tmp_path / folder
        opened.append(
            Search(replace(PLAN, **changes), open_storage(str(place / "journal.log"), create=True), place, tpe)
        )
        return opened[-1]

    yield search
    for one in opened:
        one.close()


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Search, Assignment], bool]:
    """A run whose regret is its learning rate, give or take a little for each of two seeds."""

    def run(search: Search, taken: Assignment) -> bool:
        directory = tmp_path / "runs" / str(taken.trial)
        lr = float(taken.overrides[0].partition("=")[2])
        write_json(directory / "status.json", {"state": "completed"})
        final = {"regret": [lr - 0.1, lr + 0.1], "normalized_return": [10 * lr, 10 * lr + 2]}
        write_json(directory / "reward_model" / "description.json", {})
        counts = {**taken.n_samples, "stop": 0}
        write_json(directory / "metrics.json", metrics_of(final, n_samples=counts, seconds={"total": 3.0}))
        return search.tell(taken, directory, None)

    return run


def params(search: Search) -> list[dict[str, Any]]:
    return [trial.params for trial in search.record.trials]


def finish(search: Search, run: Any) -> None:
    while taken := search.take(1):
        run(search, taken[0])


def test_a_study_has_the_trials_that_were_asked_for(make: Any, run: Any) -> None:
    search = make()
    finish(search, run)
    assert [trial.state for trial in search.record.trials] == ["completed"] * 12
    assert make().take(3) == []
    more = make(n_trials=14)
    assert [taken.trial for taken in more.take(5)] == [12, 13]


def test_what_a_trial_leaves(make: Any, run: Any, tmp_path: Path) -> None:
    search = make()
    (taken,) = search.take(1)
    assert sum(taken.n_samples.values()) == 10
    run(search, taken)
    (study,) = read_studies(open_storage(str(tmp_path / "study" / "journal.log")), "mine/")
    (trial,) = study.trials
    assert (study.name, study.env, study.modality) == ("mine/grid_trap/pr", "grid_trap", "pr")
    assert (study.metric, study.direction, study.budget) == ("regret", "minimize", 10)
    assert trial.value == pytest.approx(trial.params["optim.lr"])
    assert trial.final["regret"] == pytest.approx([trial.params["optim.lr"] - 0.1, trial.params["optim.lr"] + 0.1])
    assert trial.n_samples == {**taken.n_samples, "stop": 0}
    assert trial.overrides == taken.overrides
    assert trial.run_directory == str(tmp_path / "runs" / "0")
    assert trial.seconds == 3.0
    assert study.best == trial


def test_an_interrupted_search_draws_what_an_undisturbed_one_draws(make: Any, run: Any) -> None:
    whole = make("whole")
    finish(whole, run)
    for _ in range(6):  # two trials each, the second of which is taken and lost
        search = make("parts")
        run(search, search.take(1)[0])
        search.take(1)
        search.close()
    finish(make("parts"), run)
    assert params(make("parts")) == params(whole)


def test_a_search_that_learns_nothing_would_differ(make: Any, run: Any) -> None:
    """Later trials depend on earlier values, so the test above compares more than the same seeds."""
    whole, blind = make("whole"), make("blind", direction="maximize", metric="normalized_return")
    finish(whole, run)
    finish(blind, run)
    assert params(blind)[:4] == params(whole)[:4]
    assert params(blind) != params(whole)


def test_a_trial_of_a_living_search_is_left_alone(make: Any, run: Any) -> None:
    one, other = make(), make()
    first, second = one.take(1)[0], other.take(1)[0]
    assert (first.trial, second.trial) == (0, 1)
    assert [taken.trial for taken in other.take(1)] == [2]
    run(one, first)
    assert [taken.trial for taken in one.take(1)] == [3]


def test_a_trial_whose_owner_is_gone_is_taken_over_as_it_was(make: Any, run: Any) -> None:
    one, other = make(), make()
    lost = one.take(2)
    one.close()
    assert other.take(3)[:2] == lost
    for taken in lost:
        run(other, taken)
    assert [trial.state for trial in other.record.trials] == ["completed", "completed", "running"]


@pytest.mark.parametrize("drawn", [0, 1, 2])
@pytest.mark.parametrize("before", [1, 5])
def test_a_trial_that_was_cut_off_while_being_drawn_is_drawn_to_its_end(
    make: Any, run: Any, monkeypatch: Any, drawn: int, before: int
) -> None:
    """As an undisturbed search draws it, whatever of it was there: by chance, or as earlier trials tell."""
    whole, search = make("whole"), make()
    for one in (whole, search):
        for _ in range(before):
            run(one, one.take(1)[0])
    original, left = space._suggest, iter(range(drawn))

    def cut(*arguments: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(space, "_suggest", cut)
    with pytest.raises(KeyboardInterrupt):
        search.take(1)
    search.close()
    monkeypatch.setattr(space, "_suggest", original)
    assert make().take(1) == whole.take(1)
    assert params(make()) == params(whole)


def test_a_run_that_ends_without_a_result_is_tried_again_but_not_for_ever(make: Any, tmp_path: Path) -> None:
    search = make(n_trials=1)
    for _ in range(10):
        (taken,) = search.take(1)
        assert taken.trial == 0
        assert not search.tell(taken, tmp_path / "nowhere", RuntimeError("killed"))
    assert search.take(1) == []
    (trial,) = search.record.trials
    assert trial.state == "failed"
    assert trial.error is not None
    assert "without a result 10 times" in trial.error


def test_a_failed_run_is_a_failed_trial(make: Any, run: Any, tmp_path: Path) -> None:
    search = make(n_trials=2)
    first, second = search.take(2)
    write_json(tmp_path / "runs" / "0" / "status.json", {"state": "failed", "error": "TrainingError: no"})
    assert search.tell(first, tmp_path / "runs" / "0", RuntimeError("x"))
    run(search, second)
    assert [(trial.state, trial.error) for trial in search.record.trials] == [
        ("failed", "TrainingError: no"), ("completed", None)
    ]  # fmt: skip
    assert search.take(1) == []


def test_a_run_without_the_metric_is_a_failed_trial(make: Any, run: Any) -> None:
    search = make(metric="spearman", direction="maximize")
    run(search, search.take(1)[0])
    assert search.record.trials[0].error == "metrics.json has no spearman; it needs true rewards that differ"


@pytest.mark.parametrize(("metric", "direction"), [("regret", "minimize"), ("normalized_return", "maximize")])
def test_only_the_best_keep_their_weights(make: Any, run: Any, tmp_path: Path, metric: str, direction: str) -> None:
    search = make(metric=metric, direction=direction)
    finish(search, run)
    best = {trial.number for trial in search.record.ranked()[:2]}
    kept = {int(path.parent.name) for path in (tmp_path / "runs").glob("*/reward_model")}
    assert kept == best
    assert len(list((tmp_path / "runs").glob("*/metrics.json"))) == 12
    values = [trial.value for trial in search.record.ranked()]
    assert values == sorted(values, reverse=direction == "maximize")
    assert len(set(values)) == 12
    assert values == pytest.approx([sum(trial.final[metric]) / 2 for trial in search.record.ranked()], abs=1e-8)


def test_trials_that_share_a_run_keep_its_weights_while_one_is_among_the_best(make: Any, tmp_path: Path) -> None:
    search = make(n_trials=4, kept=1)
    shared, other = tmp_path / "runs" / "shared", tmp_path / "runs" / "other"
    for k, taken in enumerate(search.take(4)):
        directory = other if k == 2 else shared
        value = 2.0 if k == 2 else 1.0
        write_json(directory / "status.json", {"state": "completed"})
        write_json(directory / "reward_model" / "description.json", {})
        write_json(directory / "metrics.json", metrics_of({"regret": [value]}))
        search.tell(taken, directory, None)
    assert (shared / "reward_model").exists()
    assert not (other / "reward_model").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"direction": "maximize"}, "direction was minimize, now maximize"),
        ({"metric": "epic_distance"}, "metric was regret, now epic_distance"),
        ({"fixed": {"seed": 1, "replicates": 2}}, "fixed seed was 0, now 1"),
        ({"space": replace(SPACE, budget=11)}, "space budget was 10, now 11"),
        (
            {"space": replace(SPACE, settings={"optim.lr": FloatDistribution(0.0, 2.0)})},
            "optim.lr was 0.0 to 1.0, now 0.0 to 2.0",
        ),
    ],
)
def test_another_search_under_the_same_name_is_refused(make: Any, changes: dict[str, Any], said: str) -> None:
    make()
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        make(**changes)


def test_where_nothing_is_varied_there_is_one_trial(make: Any, run: Any) -> None:
    search = make(space=SearchSpace({}, ("preference",), 10))
    assert search.plan.total == 1
    (taken,) = search.take(5)
    assert taken.overrides == ["feedback.preference.n_samples=10"]


def test_two_trials_at_once_are_not_the_same(make: Any) -> None:
    lines = [tuple(taken.overrides) for taken in make().take(12)]
    assert len(set(lines)) == 12


def test_failed_replicates_are_noted(make: Any, tmp_path: Path) -> None:
    """So that they are known when the run's directory is gone."""
    search, directory = make(n_trials=2), tmp_path / "run"
    write_json(directory / "status.json", {"state": "completed"})
    for failed, taken in zip(([1], None), search.take(2), strict=True):
        more = {} if failed is None else {"failed_replicates": failed}
        write_json(directory / "metrics.json", metrics_of({"regret": [1.0, 9.0]}, mean={"regret": 1.0}, **more))
        assert search.tell(taken, directory, None)
    assert [trial.failed_replicates for trial in search.record.trials] == [[1], []]


def test_a_run_whose_metrics_are_damaged_has_not_ended(make: Any, tmp_path: Path) -> None:
    search, directory = make(n_trials=1), tmp_path / "run"
    (taken,) = search.take(1)
    write_json(directory / "status.json", {"state": "completed"})
    write_json(directory / "metrics.json", {"mean": {"regret": "1"}})
    assert not search.tell(taken, directory, None)
    assert len(search.take(1)) == 1
