"""Recorded sweeps: read back, recorded once, and safe against damage."""

from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from mavrl.storage.files import read_json, write_json
from mavrl.storage.sweeps import PlannedRun, forget_runs, record_sweep, recorded_sweeps, sweep_of

RUNS = [
    PlannedRun("grid_trap/p/aaa", ["env=grid_trap", "modality=p"]),
    PlannedRun("grid_cliff/p/bbb", ["env=grid_cliff", "modality=p"]),
]


def test_a_recorded_sweep_is_read_back(tmp_path: Path) -> None:
    path = record_sweep(tmp_path, "python run.py -m env=grid_trap,grid_cliff", RUNS)
    (sweep,) = recorded_sweeps(tmp_path)
    assert path == tmp_path / ".sweeps" / f"{sweep.id}.json"
    assert sweep.command == "python run.py -m env=grid_trap,grid_cliff"
    assert sweep.runs == tuple(RUNS)
    assert [path.name] == [p.name for p in (tmp_path / ".sweeps").iterdir()]


def test_the_same_runs_are_the_same_sweep(tmp_path: Path) -> None:
    first = record_sweep(tmp_path, "one", RUNS)
    content = first.read_bytes()
    assert record_sweep(tmp_path, "two", RUNS[::-1]) == first
    assert first.read_bytes() == content
    other = record_sweep(tmp_path, "one", [RUNS[0], PlannedRun(RUNS[1].directory, ["env=grid_dense"])])
    assert other != first
    assert len(recorded_sweeps(tmp_path)) == 2


def test_an_id_is_a_word_on_a_command_line(tmp_path: Path) -> None:
    for k in range(100):
        record_sweep(tmp_path, "x", [PlannedRun(str(k), [])])
    ids = [sweep.id for sweep in recorded_sweeps(tmp_path)]
    assert len(set(ids)) == 100
    values = OverridesParser.create().parse_overrides([f"task.sweep={name}" for name in ids])
    assert [override.value() for override in values] == ids


def test_damaged_records_are_left_out_and_written_again(tmp_path: Path) -> None:
    path = record_sweep(tmp_path, "one", RUNS)
    for damage in (
        "",
        "[]",
        '{"runs": [{"directory": 1',
        '{"runs": [{"directory": "a"}], "command": "", "recorded": ""}',
    ):
        path.write_text(damage)
        assert recorded_sweeps(tmp_path) == []
    record_sweep(tmp_path, "again", RUNS)
    assert [sweep.command for sweep in recorded_sweeps(tmp_path)] == ["again"]


def test_what_was_deleted_on_purpose_is_not_waited_for_until_it_is_wanted_again(tmp_path: Path) -> None:
    path = record_sweep(tmp_path, "one", RUNS)
    forget_runs(tmp_path, ["grid_trap/p/aaa", "of/no/sweep"])
    (sweep,) = recorded_sweeps(tmp_path)
    assert sweep.runs == (RUNS[1],)
    forget_runs(tmp_path, [])
    assert recorded_sweeps(tmp_path) == [sweep]
    assert record_sweep(tmp_path, "again", RUNS) == path
    (sweep,) = recorded_sweeps(tmp_path)
    assert sweep.runs == tuple(RUNS)


def test_no_folder_has_no_sweeps(tmp_path: Path) -> None:
    assert recorded_sweeps(tmp_path / "missing") == []
    assert not (tmp_path / "missing").exists()


def test_a_run_belongs_to_the_newest_sweep_that_wants_it(tmp_path: Path) -> None:
    first = record_sweep(tmp_path, "one", [PlannedRun("a/p/1", []), PlannedRun("a/p/2", [])])
    second = record_sweep(tmp_path, "two", [PlannedRun("a/p/2", []), PlannedRun("a/p/3", [])])
    for path, time in ((first, "2020-01-01T00:00:00+00:00"), (second, "2021-01-01T00:00:00+00:00")):
        write_json(path, {**(read_json(path) or {}), "recorded": time})
    found = {name: sweep_of(tmp_path / "a/p" / name) for name in "1234"}
    assert {name: sweep and sweep.command for name, sweep in found.items()} == {
        "1": "one", "2": "two", "3": "two", "4": None
    }  # fmt: skip
    assert sweep_of(tmp_path.parent / "elsewhere") is None
