"""RLHF-Blender's logs in the forms that its versions wrote, beside episodes as its recorder keeps them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mavrl.errors import ConfigurationError
from mavrl.importers import Imported, read
from mavrl.importers import rlhf_blender as reasons
from mavrl.importers import rlhf_blender_episodes as episode_reasons
from mavrl.importers.base import LAST_STEP, NO_PLACE

SESSION = "2026-01-02_03-04-05_walk_feedback"
TIME = 1767323045000  # 2026-01-02T03:04:05 UTC


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """RLHF-Blender's folder data/ with three recorded episodes of 8 rows and one demonstration of 4 steps."""
    run = tmp_path / "data" / "episodes" / "Walk-v0" / "Walk-v0_1_100"
    run.mkdir(parents=True)
    for number in range(3):
        _record(run / f"benchmark_{number}.npz", 8, 100 * number)
    demonstrations = tmp_path / "data" / "generated_demos"
    demonstrations.mkdir()
    _record(demonstrations / f"{SESSION}_0.npz", 4, 500)
    return tmp_path / "data"


def _record(path: Path, rows: int, first: float, **changes: Any) -> None:
    arrays = {
        "obs": np.stack([first + np.arange(rows), np.zeros(rows)], axis=1),
        "actions": np.arange(rows) % 2,
        "rewards": np.zeros(rows),
        "dones": np.arange(rows) == rows - 1,
        "infos": np.array(rows * [{}], dtype=object),
        **changes,
    }
    np.savez(path, **arrays)


def _target(number: int, **steps: int) -> dict[str, Any]:
    reference = {
        "env_name": "Walk-v0",
        "benchmark_type": "trained",
        "benchmark_id": 1,
        "checkpoint_step": 100,
        "episode_num": number,
    }
    name = f"Walk-v0_trained_1_100_{number}"
    return {"target_id": name, "reference": reference, "origin": "offline", "timestamp": TIME, **steps}


def _raw(kind: str, *targets: dict[str, Any], granularity: str = "episode", **content: Any) -> dict[str, Any]:
    return {
        "session_id": SESSION,
        "feedback_type": kind,
        "targets": list(targets),
        "granularity": granularity,
        "timestamp": TIME,
        "score": 0.0,
        "preferences": [],
        "user_id": -1,
        **content,
    }


def _import(data: Path, *answers: dict[str, Any], older: bool = False, name: str = "", **options: Any) -> Imported:
    """A log is an empty list, and then one answer a line; in older versions each is a string of JSON."""
    path = data.parent / (name or f"{SESSION}_raw.json")
    lines = [json.dumps(json.dumps(answer) if older else answer) + "\n" for answer in answers]
    path.write_text("[]" + "".join(lines))
    return read("rlhf_blender", path, episodes=data, **options)


def _plain(imported: Imported) -> list[dict[str, Any]]:
    """Labels without session and tool, which are the same for all, and time."""
    return [
        {key: value for key, value in label.items() if key not in ("session", "tool", "time")}
        for label in imported.labels
    ]


def _segment(episode: int, start: int = 0, stop: int = 6) -> dict[str, int]:
    return {"episode": episode, "start": start, "stop": stop}


@pytest.mark.parametrize("older", [False, True])
def test_a_rating_in_the_raw_log(older: bool, data: Path) -> None:
    imported = _import(data, _raw("evaluative", _target(2), score=7.0, user_id=3), older=older)
    assert imported.labels == [
        {
            "type": "rating",
            "segment": _segment(0),
            "value": 7.0,
            "scale": [0, 10],
            "session": SESSION,
            "tool": "RLHF-Blender",
            "annotator": "3",
            "time": "2026-01-02T03:04:05+00:00",
        }
    ]
    (episode,) = imported.episodes
    assert episode.observations[:, 0].tolist() == [200, 201, 202, 203, 204, 205, 206]
    assert episode.actions.tolist() == [0, 1, 0, 1, 0, 1]
    assert episode.rewards is None
    assert (episode.terminated, episode.truncated) == (False, True)
    assert imported.environment == {"id": "Walk-v0", "kwargs": {}}
    assert imported.left_out == {
        episode_reasons.LAST_ROWS: 2,
        episode_reasons.REWARDS: 1,
        f"{NO_PLACE}: infos": 1,
    }


def test_segments_and_states(data: Path) -> None:
    imported = _import(
        data,
        _raw("evaluative", _target(0, start=1, end=3), granularity="segment", score=1),
        _raw("evaluative", _target(0, step=5), granularity="state", score=2),
        _raw("evaluative", _target(0, start=1, end=6), granularity="segment", score=3),
        _raw("evaluative", _target(0), granularity="segment", score=4),
        _raw("evaluative", granularity="entire", score=5),
    )
    assert [(label["segment"], label["value"]) for label in imported.labels] == [
        (_segment(0, 1, 4), 1),
        (_segment(0, 5, 6), 2),
    ]
    assert imported.left_out[f"ratings: {reasons.GIVEN_UP}"] == 1
    assert imported.left_out[f"ratings: {reasons.NO_STEPS}"] == 1
    assert imported.left_out[f"ratings: {reasons.ENTIRE}"] == 1


def test_one_chosen_of_several_says_nothing_about_the_others(data: Path) -> None:
    imported = _import(data, _raw("comparative", _target(0), _target(1), _target(2), preferences=[0, 1, 0]))
    assert _plain(imported) == [
        {"type": "preference", "segments": [_segment(0), _segment(1)], "choice": 1},
        {"type": "preference", "segments": [_segment(1), _segment(2)], "choice": 0},
    ]


def test_a_ranking_is_of_ranks_and_the_first_is_the_best(data: Path) -> None:
    ranking = _raw("comparative", _target(0), _target(1), _target(2), preferences=[1, 2, 2])
    assert [label["choice"] for label in _import(data, ranking).labels] == [0, 0, "equal"]
    assert [label["choice"] for label in _import(data, ranking, larger_is_better=True).labels] == [1, 1, "equal"]


def test_comparisons_that_cannot_be_read(data: Path) -> None:
    imported = _import(
        data,
        _raw("comparative", _target(0), _target(1), preferences=[0, 0]),
        _raw("comparative", _target(0), _target(2), preferences=[1]),
        _raw("comparative", _target(0), _target(7), preferences=[1, 2]),
    )
    assert imported.labels == []
    assert imported.left_out[reasons.NO_CHOICE] == 1
    assert imported.left_out[reasons.NO_MATCH] == 1
    assert imported.left_out[f"preferences: {episode_reasons.NO_FILE}"] == 1


def test_a_later_answer_to_the_same_question_replaces_the_earlier(data: Path) -> None:
    """The page sends each move of a slider or an episode."""
    imported = _import(
        data,
        _raw("evaluative", _target(0), score=3),
        _raw("comparative", _target(0), _target(1), preferences=[1, 2]),
        _raw("evaluative", _target(0), score=8),
        _raw("comparative", _target(1), _target(0), preferences=[1, 2]),
        {**_raw("evaluative", _target(0), score=1), "session_id": "another"},
    )
    assert [label.get("value") for label in imported.labels] == [8, None, 1]
    assert imported.labels[1]["segments"][0] == _segment(1)
    assert imported.left_out[reasons.REPLACED] == 2


def test_a_demonstration(data: Path) -> None:
    target = {"target_id": "x", "reference": {**_target(0)["reference"], "benchmark_type": "generated"}}
    imported = _import(data, _raw("demonstrative", target))
    assert _plain(imported) == [{"type": "demonstration", "episode": 0}]
    (episode,) = imported.episodes
    assert episode.observations[:, 0].tolist() == [500, 501, 502, 503]
    assert imported.left_out[LAST_STEP] == 1


def test_a_demonstration_that_kept_its_last_observation_or_lost_all(data: Path) -> None:
    path = data / "generated_demos"
    rows = np.stack([np.arange(4.0), np.ones(4)], axis=1)
    _record(path / "told.npz", 3, 0, obs=rows)
    _record(path / f"{SESSION}_2.npz", 4, 0, obs=np.ones((4, 2)))
    _record(path / f"{SESSION}_3.npz", 4, 0, obs=np.array(4 * [{}], dtype=object))
    references = [{**_target(n)["reference"], "benchmark_type": "generated"} for n in (1, 2, 3)]
    answers = [_raw("demonstrative", {"target_id": f"demo {at}", "reference": r}) for at, r in enumerate(references)]
    answers[0]["demonstration_path"] = "data/generated_demos/told.npz"
    imported = _import(data, *answers)
    (episode,) = imported.episodes
    assert episode.observations.tolist() == rows.tolist()
    assert len(imported.labels) == 1
    assert imported.left_out[f"demonstrations: {episode_reasons.ONE_OBSERVATION}"] == 1
    assert imported.left_out[f"demonstrations: {episode_reasons.NOT_ARRAYS}"] == 1


def test_the_rest_is_counted_by_its_type(data: Path) -> None:
    imported = _import(
        data,
        _raw("corrective", _target(0, step=2), granularity="state", action_preferences=[1]),
        _raw("featureSelection", _target(0)),
        _raw("text", _target(0), text_feedback="good"),
        _raw("meta", meta_action="submit"),
        _raw("meta", meta_action="skip"),
        _raw("evaluative", _target(0), score=11),
    )
    assert imported.labels == []
    assert imported.left_out == {
        "answers of the type corrective": 1,
        "answers of the type featureSelection": 1,
        "answers of the type text": 1,
        "answers of the type meta": 2,
        reasons.NO_SCORE: 1,
    }


def test_the_older_processed_log(data: Path) -> None:
    """Types are described by numbered properties, and a target keeps only its name."""

    def answer(intention: int, relation: int, target: Any, **content: Any) -> dict[str, Any]:
        kind = {"intention": intention, "actuality": 1, "relation": relation, "content": 1, "granularity": 3}
        return {
            "feedback_id": 0,
            "feedback_timestamp": TIME,
            "feedback_type": kind,
            "target": target,
            "content": content,
        }

    names = [{"target_id": f"Walk-v0_trained_1_100_{number}", "origin": 1, "timestamp": TIME} for number in range(3)]
    imported = _import(
        data,
        answer(1, 1, names[2], score=6.0),
        answer(1, 2, names[:2], preferences=[2.0, 1.0]),
        answer(2, 2, names[:2], action_preferences=[1]),
        answer(3, 1, names[0], feature_selection="x.png"),
        older=True,
        name=f"{SESSION}.json",
    )
    assert _plain(imported) == [
        {"type": "rating", "segment": _segment(0), "value": 6.0, "scale": [0, 10]},
        {"type": "preference", "segments": [_segment(1), _segment(2)], "choice": 1},
    ]
    assert {label["session"] for label in imported.labels} == {SESSION}
    assert imported.left_out["answers of the type instruct relative"] == 1
    assert imported.left_out["answers of the type describe absolute"] == 1


def test_the_newer_processed_log(data: Path) -> None:
    """A target says its episode itself."""

    def answer(kind: str, numbers: list[int], **content: Any) -> dict[str, Any]:
        targets = [{"target_id": f"t{number}", "origin": 1, **_target(number)["reference"]} for number in numbers]
        return {
            "feedback_id": 0,
            "timestamp": TIME,
            "session_id": SESSION,
            "feedback_type": kind,
            "targets": targets,
            "content": content,
            "granularity": "episode",
        }

    imported = _import(
        data,
        answer("rating", [1], score=2.0),
        answer("rating", [1], score=3.0),
        answer("comparison", [0, 1], preferences=[1, 0]),
        answer("demonstration", [2], actions=[]),
        answer("cluster_rating", [0, 1], score=2.0),
        name=f"{SESSION}.json",
        low=1,
        high=5,
    )
    assert _plain(imported) == [
        {"type": "rating", "segment": _segment(0), "value": 2.0, "scale": [1, 5]},
        {"type": "rating", "segment": _segment(0), "value": 3.0, "scale": [1, 5]},
        {"type": "preference", "segments": [_segment(1), _segment(0)], "choice": 0},
        {"type": "demonstration", "episode": 2},
    ]
    assert imported.left_out["answers of the type cluster_rating"] == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dones": np.arange(8) == 3}, episode_reasons.SEVERAL),
        ({"obs": np.full((8, 2), np.nan)}, episode_reasons.NOT_FINITE),
        ({"obs": np.zeros((5, 2))}, episode_reasons.NOT_ARRAYS),
        ({"obs": np.zeros((2, 2)), "actions": np.zeros(2), "dones": np.zeros(2)}, episode_reasons.SHORT),
    ],
)
def test_an_episode_that_cannot_be_read_is_counted(changes: dict, reason: str, data: Path) -> None:
    _record(data / "episodes" / "Walk-v0" / "Walk-v0_1_100" / "benchmark_0.npz", 8, 0, **changes)
    imported = _import(data, _raw("evaluative", _target(0), score=1), _raw("evaluative", _target(9), score=1))
    assert imported.labels == []
    assert imported.left_out == {f"ratings: {reason}": 1, f"ratings: {episode_reasons.NO_FILE}": 1}


def test_a_log_is_of_one_environment(data: Path) -> None:
    run = data / "episodes" / "ALE-Pong" / "ALE-Pong_1_100"
    run.mkdir(parents=True)
    _record(run / "benchmark_0.npz", 8, 0)
    other = {"target_id": "x", "reference": {**_target(0)["reference"], "env_name": "ALE/Pong"}}
    with pytest.raises(ConfigurationError, match="is about several environments, ALE/Pong, Walk-v0"):
        _import(data, _raw("evaluative", _target(0), score=1), _raw("evaluative", other, score=1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[]{"feedback_type": 1}\n{"feedback', "line 2 is not of RLHF-Blender's JSON log"),
        ('[]\n\n"nothing"', "line 3 is not of RLHF-Blender's JSON log"),
        ('{"score": 1}', "line 1 is not of RLHF-Blender's JSON log: an answer has a feedback_type"),
    ],
)
def test_a_damaged_log_is_one_line(text: str, message: str, data: Path) -> None:
    (data.parent / "log.json").write_text(text)
    with pytest.raises(ConfigurationError, match=message) as raised:
        read("rlhf_blender", data.parent / "log.json", episodes=data)
    assert "\n" not in str(raised.value)


def test_paths_are_checked(data: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"^path={data / 'x.json'}: cannot be read"):
        read("rlhf_blender", data / "x.json", episodes=data)
    with pytest.raises(ConfigurationError, match=f"^episodes={data / 'episodes'}: must be RLHF-Blender's folder data/"):
        read("rlhf_blender", data / "x.json", episodes=data / "episodes")
