"""A folded journal is read as Optuna reads the plain one, whatever happened in it."""

import json
import os
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from mavrl.search.folding import folded, read_entries
from mavrl.search.storage import open_storage


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two studies with trials that ended, failed, were pruned, are under way, were added whole, and were told twice."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # some hundred lines, each written by itself
    path = tmp_path / "journal.log"
    storage = open_storage(str(path), create=True)
    for name in ("one", "two"):
        study = optuna.create_study(study_name=name, storage=storage)
        for k in range(8):
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            trial.suggest_categorical("c", ["[8]", "[16]"])
            trial.suggest_int("n", 1, 9, log=True)
            trial.set_user_attr("final", {"regret": [1.0, k]})
            trial.set_user_attr("final", {"regret": [2.0, k]})
            if k == 1:
                trial.report(0.5, 3)
            if k in (2, 3):
                study.tell(trial, state=TrialState.FAIL if k == 2 else TrialState.PRUNED)
            elif k != 5:
                study.tell(trial, k / 8)
        study.add_trial(create_trial(value=3.0, user_attrs={"whole": True}))
        study.enqueue_trial({"x": 0.5})
    return path


def _trials(storage: optuna.storages.BaseStorage) -> dict[str, list[FrozenTrial]]:
    names = optuna.get_all_study_names(storage)
    return {name: optuna.load_study(study_name=name, storage=storage).get_trials() for name in names}


def test_the_trials_are_those_of_the_plain_journal(journal: Path) -> None:
    plain = _trials(JournalStorage(JournalFileBackend(str(journal))))
    assert _trials(open_storage(str(journal))) == plain
    assert [trial.state.name for trial in plain["one"]].count("COMPLETE") == 6


def test_there_are_as_many_entries_and_a_finished_trial_is_one_of_them(journal: Path) -> None:
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    entries = folded(lines)
    assert len(entries) == len(lines)
    assert sum(entry.get("worker_id") == "" for entry in entries) > len(lines) / 2


def test_a_reader_of_a_folded_journal_goes_on_with_it(journal: Path) -> None:
    reader, writer = (optuna.load_study(study_name="one", storage=open_storage(str(journal))) for _ in range(2))
    trial = writer.ask()
    trial.suggest_float("x", 0, 1)
    writer.tell(trial, 0.125)
    seen = reader.get_trials()[trial.number]
    assert (seen.value, seen.params) == (0.125, trial.params)
    mine = reader.ask()
    reader.tell(mine, 0.25)
    assert writer.get_trials()[mine.number].value == 0.25


def test_a_space_that_optuna_refuses_is_refused(journal: Path) -> None:
    storage = open_storage(str(journal))
    study = optuna.load_study(study_name="one", storage=storage)
    lines = journal.read_text().splitlines()
    number = len(study.get_trials())
    odd = next(json.loads(line) for line in lines if '"param_name":"x"' in line)
    whole = {"log": False, "step": 1, "low": 0, "high": 3}
    odd["distribution"] = json.dumps({"name": "IntDistribution", "attributes": whole})
    created = next(json.loads(line) for line in lines if json.loads(line)["op_code"] == 4)
    total = sum(json.loads(line)["op_code"] == 4 for line in lines)
    with journal.open("a") as file:
        for entry in (created, {**odd, "trial_id": total}):
            file.write(json.dumps(entry) + "\n")
    again = optuna.load_study(study_name="one", storage=open_storage(str(journal)))
    assert "x" not in again.get_trials()[number].params


def test_a_damaged_line_is_left_to_who_can_say_which_it_is(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    assert read_entries(journal) == [json.loads(line) for line in lines]
    for torn in (b'{"op_code":4', b""):
        journal.write_bytes(b"".join(lines) + torn)
        assert read_entries(journal) == [json.loads(line) for line in lines]
    for damage in (b"garbage\n", b"\n", b"3\n", b"[]\n", b"{},{}\n", b'{"op_code":"4"}\n'):
        journal.write_bytes(b"".join([*lines[:3], damage, *lines[3:]]))
        assert read_entries(journal) is None


def test_studies_that_were_deleted_are_read_as_they_are(journal: Path) -> None:
    optuna.delete_study(study_name="one", storage=open_storage(str(journal)))
    plain = _trials(JournalStorage(JournalFileBackend(str(journal))))
    assert list(plain) == ["two"]
    assert _trials(open_storage(str(journal))) == plain
