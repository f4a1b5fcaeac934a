"""dataset.json, written and read strictly."""

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from mavrl.folder.description import DESCRIPTION, Description, Space, read_description
from mavrl.folder.faults import FolderFault

SPACES = [
    gymnasium.spaces.Discrete(7, start=2),
    gymnasium.spaces.Box(-np.inf, np.inf, (3,), np.float32),
    gymnasium.spaces.Box(np.array([-1.5, -np.inf]), np.array([1.5, 2.0]), dtype=np.float64),
    gymnasium.spaces.Box(0, 255, (4, 2), np.uint8),
]
WHOLE = {
    "format": 1,
    "environment": {"id": "CartPole-v1", "kwargs": {}},
    "observation_space": {"type": "Box", "shape": [4], "dtype": "float32", "low": None, "high": [1, 2, None, 4]},
    "action_space": {"type": "Discrete", "n": 2},
    "max_steps": 500,
    "source": "a test",
    "told": {"stop": {"rate": 0.5}},
}


@pytest.mark.parametrize("space", SPACES)
def test_a_space_is_the_same_after_a_file(space: gymnasium.Space, tmp_path: Path) -> None:
    described = Space.from_gymnasium(space)
    Description(described, Space(n=2)).write(tmp_path)
    read = read_description(tmp_path)
    assert read == Description(described, Space(n=2))
    assert read.observation_space.to_gymnasium() == space


def test_other_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match="not MultiBinary"):
        Space.from_gymnasium(gymnasium.spaces.MultiBinary(3))


def test_everything_comes_back(tmp_path: Path) -> None:
    (tmp_path / DESCRIPTION).write_text(json.dumps(WHOLE), encoding="utf-8")
    found = read_description(tmp_path)
    assert found.observation_space == Space(None, (4,), "float32", 0, None, [1, 2, None, 4])
    assert (found.max_steps, found.source, found.told) == (500, "a test", {"stop": {"rate": 0.5}})
    found.write(tmp_path)
    assert read_description(tmp_path) == found


def _with(key: str, value: Any) -> str:
    content = json.loads(json.dumps(WHOLE))
    *parents, last = key.split(".")
    node = content
    for parent in parents:
        node = node[parent]
    node[last] = value
    return json.dumps(content)


BAD = {
    "torn": ('{"format": 1', "is no JSON"),
    "no object": ("[1]", "must be an object"),
    "no format": ("{}", "format is not there"),
    "another format": (_with("format", "1"), 'format is "1"'),
    "a later format": (_with("format", 2), "a later version"),
    "an unknown key": (_with("name", "x"), "name is no key; allowed are"),
    "environment": (_with("environment", "CartPole-v1"), "environment is"),
    "id": (_with("environment.id", 3), "environment.id is 3"),
    "an unknown key of environment": (_with("environment.version", 1), "environment.version"),
    "max_steps": (_with("max_steps", 0), "max_steps is 0"),
    "source": (_with("source", 1), "source is 1"),
    "told": (_with("told.stop", "fast"), "told is"),
    "no space": (_with("action_space", None), "action_space must be"),
    "another space": (_with("action_space.type", "MultiDiscrete"), "action_space must be"),
    "no actions": (_with("action_space.n", 0), "action_space is"),
    "shape": (_with("observation_space.shape", [4.5]), "observation_space has the shape"),
    "dtype": (_with("observation_space.dtype", "object"), "observation_space has the dtype object"),
    "bounds": (_with("observation_space.high", [1, 2]), "observation_space has high"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_description_is_refused(name: str, tmp_path: Path) -> None:
    content, said = BAD[name]
    (tmp_path / DESCRIPTION).write_text(content, encoding="utf-8")
    with pytest.raises(FolderFault, match=said) as raised:
        read_description(tmp_path)
    assert str(raised.value).startswith(f"data={tmp_path}: dataset.json: ")
    assert "\n" not in str(raised.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderFault, match="there is no such folder"):
        read_description(tmp_path / "nowhere")
    with pytest.raises(FolderFault, match="is missing, so this is no feedback folder"):
        read_description(tmp_path)
