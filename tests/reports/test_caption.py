"""What captions say, from records made by hand."""

from typing import Any

from mavrl.reports.caption import cells_in_words, division_in_words, legend, runs_caption, study_caption
from mavrl.reports.table import CellResult, result_table
from mavrl.search.record import StudyRecord, TrialRecord

FIXED = {"seed": 0, "replicates": 20, "env.family": "grid"}
SPACE = {
    "parameters": {"optim.lr": "0 to 1", "share.rating": "0 to 1"},
    "budget": 64,
    "kinds": ["preference", "rating"],
}


def trial(number: int, state: str = "completed") -> TrialRecord:
    value = 1.0 if state == "completed" else None
    return TrialRecord(number, state, value, {}, {}, [], {}, None, None, None, None, None)


def record(
    env: str = "grid_trap", modality: str = "pr", n: int = 3, asked: int | None = 3, **changes: Any
) -> StudyRecord:
    about = {"metric": "regret", "direction": "minimize", "space": SPACE, "fixed": FIXED, **changes}
    return StudyRecord(
        f"x/{env}/{modality}", env, modality, command=[], trials=tuple(trial(k) for k in range(n)), asked=asked, **about
    )


def text(records: list[StudyRecord], *more: Any) -> str:
    return " ".join(study_caption("x", records, *(more or ({},))))


def test_equal_values_are_said_once_and_exceptions_are_named() -> None:
    assert cells_in_words({("a", "p"): "64", ("a", "d"): "64", ("b", "p"): "64"}) == "64"
    assert cells_in_words({("a", "p"): "64", ("b", "p"): "64", ("c", "p"): "256"}) == "64 (256 in c)"
    assert cells_in_words({("a", "p"): "20", ("b", "p"): "5"}) == "20 in a; 5 in b"
    assert cells_in_words({("a", "p"): "20", ("a", "d"): "5", ("b", "p"): "5"}) == "5 (20 in a p)"
    assert cells_in_words({}) == ""


def test_a_search_says_metric_budget_caps_settings_and_seeds() -> None:
    space = {**SPACE, "caps": {"demonstration": 16}}
    control = {**FIXED, "replicates": 5, "env.family": "control", "policy.checkpoint": "true_reward"}
    lander = record("lunar_lander_v3", space={**SPACE, "budget": 256}, fixed=control)
    said = text([record(), record("grid_cliff", space=space), lander])
    assert "search for regret (lower is better)" in said
    assert "kinds of feedback: 64 (256 in lunar_lander_v3), at most 16 demonstrations" in said
    assert "Settings searched: optim.lr." in said
    assert "Searched on 20 seeds, 0 to 19 (5 seeds, 0 to 4 in lunar_lander_v3)" in said
    assert "policy.checkpoint=true_reward; true_reward: chosen on the true reward" in said
    assert "published figures are not shown" in said
    assert "at most 1 demonstration." in text([record(space={**SPACE, "caps": {"demonstration": 1}})])
    assert division_in_words(space) == "budget 64 (at most 16 demonstration)"


def test_a_cell_that_spends_less_than_its_budget_is_named() -> None:
    few = {**SPACE, "kinds": ["demonstration"], "caps": {"demonstration": 16}}
    said = text([record(), StudyRecord(**{**record("grid_cliff", space=few).__dict__, "modality": "d"})])
    assert "Less than that is spent where the caps allow no more: 16 of 64 in grid_cliff d." in said
    assert "Less than that" not in text([record()])
    assert division_in_words(few) == "budget 64 (at most 16 demonstration, 16 are spent)"
    alone = {**SPACE, "kinds": ["demonstration"]}
    both = {**SPACE, "kinds": ["preference", "demonstration"], "caps": {"demonstration": 16}}
    said = text([record(space=both), record("grid_cliff", space=alone)])
    assert "64, at most 16 demonstrations beside other kinds." in said


def test_given_counts_are_said() -> None:
    fixed = {**FIXED, "feedback.preference.n_samples": 64, "feedback.rating.n_samples": 32}
    said = text([record(space={"parameters": {}}, fixed=fixed)])
    assert "counts of feedback are given: 64 preference, 32 rating" in said
    assert "not shown" not in said
    assert "policy.checkpoint" not in said
    assert "Settings searched: none." in said


def test_trials_are_counted_while_a_search_goes_on() -> None:
    assert "All trials are finished: 3 in its cell." in text([record()])
    running = record("grid_cliff", n=1)
    broken = record("grid_sparse", n=0)
    broken = StudyRecord(**{**broken.__dict__, "trials": (trial(0), trial(1, "failed"), trial(2, "running"))})
    said = text([record(), running, broken])
    assert "Finished trials so far: 1 to 3 of 3 in each of 3 cells; complete cells: 1; 1 trial failed" in said
    assert "Finished trials: 3 in its cell." in text([record(asked=None)])


def test_searched_and_confirmed_cells_are_told_apart() -> None:
    both = [record(), record("grid_cliff")]
    assert "All cells are searched (†)" in text(both)
    some = text(both, {"x/grid_trap/pr": (100, 101)}, ["x/grid_cliff/pr"])
    assert "Confirmed: 1 of 2 cells, whose best trial was run again on 2 seeds, 100 to 101" in some
    assert "The others are searched (†)" in some
    assert "to be confirmed again: x/grid_cliff/pr" in some
    all_of_them = text(both, {"x/grid_trap/pr": (100, 101), "x/grid_cliff/pr": (100, 101)})
    assert "†" not in all_of_them


def test_plain_runs() -> None:
    protocol = {"objective": "elbo", "q": "planned", "checkpoint": "last"}
    trained = {**protocol, "policy": "ppo", "q": "learned"}
    cells = {("grid_trap", "p"): protocol, ("cartpole_v1", "p"): trained}
    said = " ".join(runs_caption("runs", cells, {("grid_trap", "p"): "seed 0", ("cartpole_v1", "p"): "seed 0"}))
    assert "objective elbo, q planned in grid_trap; objective elbo, q learned in cartpole_v1" in said
    assert "Over seed 0." in said
    assert "policy.checkpoint=last." in said
    assert "checkpoint" not in " ".join(runs_caption("runs", {("grid_trap", "p"): protocol}, {}))


def test_only_what_stands_in_a_table_is_explained() -> None:
    cell = CellResult("own", "grid", "p", {"normalized_return": [1.0, 2.0]}, False, {"preference": 64}, True)
    said = " ".join(legend(result_table([cell], True)))
    assert "Normalized return: 100 is optimal. A normalized return of 0 is that of the uniform policy." in said
    assert not any(word in said for word in ("EPIC", "IQM", "Published"))
    assert "Subsets without a result are left out: d, r, s, pd, pr, ps, dr, ds, rs, pdrs." in said
    both = [CellResult(env, "grid", "p", {"epic_distance": [0.1]}, False, {}, True) for env in ("a", "b")]
    assert "EPIC distance: 0 is best." in legend(result_table(both, True))
