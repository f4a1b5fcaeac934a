"""Searches as processes: budgets, continuing, several at once, failures, notices, confirmation, and kills."""

import itertools
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from mavrl.search.record import StudyRecord, read_studies
from mavrl.search.storage import open_storage

pytestmark = pytest.mark.integration

SMALL = ("env.size=4", "env.max_steps=30", "replicates=2", "trainer.max_epochs=2", "trainer.passes_per_epoch=5")
SEARCH = ("-m", "hydra/sweeper=optuna", "study=mine", "search.budget=40")


def study(app: Any, place: str = "studies/mine/grid_trap/pdrs/journal.log") -> StudyRecord:
    path = place if "://" in place else str(app.directory / place)
    (found,) = read_studies(open_storage(path))
    return found


@pytest.fixture(scope="module")
def searched(app: Any) -> Any:
    app.settings = SMALL
    return app(*SEARCH, "search.n_trials=6")


def test_the_budget_is_divided_and_the_settings_are_searched(searched: Any, app: Any) -> None:
    assert searched.status == 0, searched.err
    found = study(app)
    assert [trial.state for trial in found.trials] == ["completed"] * 6
    for trial in found.trials:
        assert sum(trial.n_samples.values()) == 40
        assert trial.n_samples["demonstration"] <= 16
        metrics = json.loads((app.directory / str(trial.run_directory) / "metrics.json").read_text())
        assert metrics["n_samples"] == trial.n_samples
        assert trial.value == pytest.approx(metrics["mean"]["regret"], abs=1e-8)
        assert trial.final == metrics["final"]
        config = json.loads((app.directory / str(trial.run_directory) / "config.json").read_text())
        assert config["optim"]["lr"] == pytest.approx(trial.params["optim.lr"])
    assert len({trial.params["optim.lr"] for trial in found.trials}) == 6
    assert len(list(app.directory.glob("studies/mine/*/*/*/reward_model"))) == 3
    assert searched.out.splitlines()[-1].startswith("study mine/grid_trap/pdrs: 6 trials; best regret")


def test_the_same_name_goes_on(searched: Any, app: Any) -> None:
    before = study(app)
    again = app(*SEARCH, "search.n_trials=6")
    assert again.status == 0
    assert study(app) == before
    more = app(*SEARCH, "search.n_trials=8")
    assert "6 of them there" in more.out
    assert study(app).trials[:6] == before.trials
    assert len(study(app).trials) == 8


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search.metric=normalized_return",), "error: study=mine/grid_trap/pdrs: exists and searches for something"),
        (
            ("search.budget=41",),
            "error: study=mine/grid_trap/pdrs: exists and searches for something else (space budget",
        ),
        (
            ("seed=5",),
            "error: study=mine/grid_trap/pdrs: exists and searches for something else (fixed seed was 0, now 5",
        ),
        (
            ("optim.lr=0.1",),
            "error: study=mine/grid_trap/pdrs: exists and searches for something else (space parameters",
        ),
        (
            ("hydra.sweeper.n_trials=3",),
            "error: hydra.sweeper.n_trials=3: no such key",
        ),
        (
            ("search.batch=0",),
            "error: search.batch=0: must be a whole number from 1 to 10000, or null",
        ),
        (
            ("env.size=interval(2,1)",),
            "error: env.size=interval(2,1): is no range to search in",
        ),
        (("search.metric=mean_return",), "error: search.metric=mean_return: must be one of"),
        (("search.metric=bound", "model.objective=weighted"), "error: search.metric=bound: model.objective=weighted"),
        (("search.n_trials=0",), "error: search.n_trials=0: must be a whole number"),
        (("search.budget=0",), "error: search.budget=0: must be a whole number"),
        (("+search.space.optim.nothing=interval(0,1)",), "error: "),
        (("env.size=2",), "error: env.size=2: must be a whole number"),
        (("task=evaluate",), "error: task=evaluate: a search runs trials of task=train"),
        (("hydra.sweep.subdir=x",), "error: hydra.sweep.subdir=x: would be the directory of every trial"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(
    searched: Any, app: Any, arguments: tuple[str, ...], said: str
) -> None:
    before = study(app)
    refused = app(*(word for word in SEARCH if word.partition("=")[0] not in {a.partition("=")[0] for a in arguments}),
                  *arguments)  # fmt: skip
    assert refused.status == 2, refused.err
    assert refused.err.startswith(said), refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert study(app) == before


@pytest.mark.parametrize("arguments", [("hydra/sweeper=optuna",), ("experiment=equal_budget",)])
def test_a_search_needs_a_multirun(app: Any, searched: Any, arguments: tuple[str, ...]) -> None:
    refused = app(*arguments, "paths.runs=none")
    assert refused.status == 2
    assert refused.err == "error: hydra/sweeper=optuna: searches with -m only: python run.py -m ...\n"
    assert not (app.directory / "none").exists()


def test_only_settings_or_only_the_budget(app: Any, searched: Any) -> None:
    fixed = app("-m", "hydra/sweeper=optuna", "search=fixed", "search.n_trials=2", "search.metric=bound", "study=f")
    assert fixed.status == 0, fixed.err
    record = study(app, "studies/f/grid_trap/pdrs/journal.log")
    assert (record.metric, record.direction, record.budget) == ("bound", "maximize", None)
    assert {tuple(trial.n_samples.values()) for trial in record.trials} == {(64, 1, 64, 256)}
    assert set(record.trials[0].params) == {"optim.lr", "model.hidden_sizes", "model.prior.hyperprior_rate"}
    budget = app("-m", "hydra/sweeper=optuna", "search=budget", "search.n_trials=2", "study=b", "modality=pr")
    assert budget.status == 0, budget.err
    record = study(app, "studies/b/grid_trap/pr/journal.log")
    assert set(record.trials[0].params) == {"share.preference", "share.rating"}
    assert {sum(trial.n_samples.values()) for trial in record.trials} == {64}


def test_a_search_over_what_the_command_line_says_in_a_database(app: Any, searched: Any) -> None:
    place = f"sqlite:///{app.directory / 'x.db'}"
    done = app("-m", "hydra/sweeper=optuna", "search=budget", "modality=d", "optim.lr=interval(0.01,0.02)",
               f"search.storage={place}", "study=named", "search.n_trials=3", "search.batch=2")  # fmt: skip
    assert done.status == 0, done.err
    record = study(app, place)
    assert record.name == "named/grid_trap/d"
    assert set(record.trials[0].params) == {"optim.lr"}
    assert all(0.01 <= trial.params["optim.lr"] <= 0.02 for trial in record.trials)
    assert {trial.n_samples["demonstration"] for trial in record.trials} == {64}  # alone it gets the whole budget


def test_cells_are_searched_each_in_its_own_study(app: Any, searched: Any) -> None:
    done = app("-m", "experiment=equal_budget", "env=grid_trap,grid_sparse", "modality=p,pr", "search.n_trials=2")
    assert done.status == 0, done.err
    journals = sorted(app.directory.glob("studies/equal_budget/*/*/journal.log"))
    assert [path.parts[-3:-1] for path in journals] == [
        ("grid_sparse", "p"), ("grid_sparse", "pr"), ("grid_trap", "p"), ("grid_trap", "pr")
    ]  # fmt: skip
    assert all(read_studies(open_storage(str(path)))[0].count("completed") == 2 for path in journals)


def test_searches_share_their_studies(app: Any, searched: Any) -> None:
    done = app("-m", "hydra/sweeper=optuna", "study=shared", "search.n_trials=7", "search.workers=2")
    assert done.status == 0, done.err
    record = study(app, "studies/shared/grid_trap/pdrs/journal.log")
    assert [trial.state for trial in record.trials] == ["completed"] * 7
    spans = sorted((trial.started, trial.ended) for trial in record.trials)
    assert any(later[0] < earlier[1] for earlier, later in itertools.pairwise(spans))  # at the same time


def test_failed_trials_are_recorded_and_not_fatal_unless_all_fail(app: Any, searched: Any) -> None:
    some = app("-m", "hydra/sweeper=optuna", "study=some", "search.n_trials=6", "env.layout=trap,nope")
    assert some.status == 0, some.err
    record = study(app, "studies/some/grid_trap/pdrs/journal.log")
    assert record.count("failed") >= 1
    assert record.count("completed") >= 1
    assert record.count("failed") + record.count("completed") == 6
    assert all("env.layout=nope" in str(trial.error) for trial in record.trials if trial.state == "failed")
    every = app("-m", "hydra/sweeper=optuna", "study=every", "search.n_trials=30", "env.layout=nope")
    assert every.status == 1
    assert "every trial of every/grid_trap/pdrs failed" in every.err
    assert len(study(app, "studies/every/grid_trap/pdrs/journal.log").trials) == 10
    few = app("-m", "hydra/sweeper=optuna", "study=few", "search.n_trials=1", "env.layout=nope")
    assert few.status == 1
    assert few.err.startswith("error: every trial of few/grid_trap/pdrs failed; the last one: ")


def test_the_best_trial_is_confirmed_on_fresh_seeds(searched: Any, app: Any, snapshot: Any) -> None:
    confirmed = app("task=confirm", "study=mine", "task.replicates=3", "logger=tensorboard", tiny=False)
    assert confirmed.status == 0, confirmed.err
    content = json.loads((app.directory / "studies/mine/grid_trap/pdrs/confirmed.json").read_text())
    best = study(app).best
    assert best is not None
    assert (content["trial"], content["searched"]) == (best.number, best.value)
    assert content["seeds"] == [2, 3, 4]
    run = app.directory / content["run_directory"]
    trial, fresh = (json.loads((p / "config.json").read_text()) for p in (app.directory / str(best.run_directory), run))
    ignored = ("seed", "replicates", "overrides", "choices")
    assert {k: v for k, v in trial.items() if k not in ignored} == {k: v for k, v in fresh.items() if k not in ignored}
    assert (fresh["seed"], fresh["replicates"]) == (2, 3)
    assert content["final"] == json.loads((run / "metrics.json").read_text())["final"]
    assert list((run / "tensorboard").glob("events*"))  # jobs of task=confirm log where its command says
    before = snapshot(run)
    assert app("task=confirm", "study=mine", "task.replicates=3", tiny=False).status == 0
    assert snapshot(run) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("study=nope",), "error: study=nope: there is no such study in studies; there are: "),
        (("study=mine", "modality=p"), "error: modality=p: study mine has no such cell"),
        (("study=mine", "task.seed=1"), "error: task.seed=1: the search used the seeds 0 to 1"),
    ],
)
def test_what_cannot_be_confirmed(searched: Any, app: Any, arguments: tuple[str, ...], said: str) -> None:
    refused = app("task=confirm", *arguments, tiny=False)
    assert refused.status == 2
    assert refused.err.startswith(said)


# Damage ---------------------------------------------------------------------------------------------------------------


def test_a_damaged_line_is_named_by_every_command_and_what_it_says_leads_on(app: Any, searched: Any) -> None:
    cell = "studies/hurt/grid_trap/pd/journal.log"
    search = ("-m", "hydra/sweeper=optuna", "study=hurt", "modality=pd", "search.budget=8")
    assert app(*search, "search.n_trials=3").status == 0
    journal, runs = app.directory / cell, app.directory.glob("studies/hurt/grid_trap/pd/*/metrics.json")
    whole, times = journal.read_bytes().splitlines(keepends=True), {path: path.stat().st_mtime_ns for path in runs}
    tells = [k for k, line in enumerate(whole) if b'"values"' in line]
    assert len(times) == 3
    for at in (len(whole), tells[1]):
        journal.write_bytes(b"".join([*whole[:at], b"garbage\n", *whole[at:]]))
        for command in ((*search, "search.n_trials=4"), ("task=study", "study=hurt"), ("task=table", "study=hurt"),
                        ("task=confirm", "study=hurt")):  # fmt: skip
            refused = app(*command)
            assert refused.status == 1
            (line,) = refused.err.splitlines()
            assert line.startswith(f"error: {cell}: line {at + 1} is damaged; `sed -i '{at + 1},$d' {cell}` keeps")
        subprocess.run(line.split("`")[1], shell=True, check=True, cwd=app.directory)
        again = app(*search, "search.n_trials=3")
        assert again.status == 0, again.err
        assert study(app, cell).count("completed") == 3
        assert {path: path.stat().st_mtime_ns for path in times} == times


# Notices --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[str]]]:
    """A server that keeps what is posted to it."""
    texts: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            texts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *arguments: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", texts
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_told_of_a_better_trial_the_end_and_failures(app: Any, searched: Any, webhook: Any) -> None:
    url, texts = webhook
    arguments = ("-m", "hydra/sweeper=optuna", "study=told", "search.n_trials=6", "env.layout=trap,nope")
    assert app(*arguments, f"notify.url={url}").status == 0
    record = study(app, "studies/told/grid_trap/pdrs/journal.log")
    values = [trial.value for trial in record.trials if trial.value is not None]
    better = sum(value < min(values[:k], default=float("inf")) for k, value in enumerate(values))
    assert sum("is the best so far: regret" in text for text in texts) == better
    assert sum("failed: ConfigurationError: env.layout=nope" in text for text in texts) == record.count("failed")
    assert texts[-1].startswith("study told/grid_trap/pdrs: ")
    del texts[:]
    assert app("-m", "env.layout=trap,nope", "paths.runs=told", MAVRL_NOTIFY_URL=url).status == 1
    (text,) = texts
    assert text.startswith("1 of 2 runs failed\ntold/grid_trap/pdrs/")


def test_a_webhook_that_does_not_answer_ends_nothing(app: Any, searched: Any) -> None:
    done = app("-m", "hydra/sweeper=optuna", "study=deaf", "search.n_trials=1", "notify.url=http://127.0.0.1:9/x")
    assert done.status == 0
    assert study(app, "studies/deaf/grid_trap/pdrs/journal.log").count("completed") == 1
