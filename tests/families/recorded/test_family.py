"""Recorded behaviour of environments that nobody can run: learned from, stored, judged by what there is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from mavrl import load_reward_model
from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.families.base import family_of
from mavrl.families.recorded.family import Recorded
from mavrl.folder.command_line import with_folder
from mavrl.folder.folder import FeedbackFolder
from mavrl.training.run import run
from mavrl.workers import Workers

SMALL = ["replicates=2", "members=2", "model.hidden_sizes=[4]", "trainer.max_epochs=2", "trainer.least_steps=2"]
VECTORS = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
NUMBERS = gymnasium.spaces.Discrete(5)


@pytest.fixture
def settings(composed: Any) -> Callable[..., RunSettings]:
    """The settings of a run on a folder."""
    return lambda folder, *words: RunSettings.from_config(
        composed(*SMALL, *with_folder([*words, f"data={folder.path}"]))
    )


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever makes an environment fails."""
    monkeypatch.setattr(gymnasium, "make", None)
    monkeypatch.setattr(gymnasium, "make_vec", None)


@pytest.mark.parametrize("kinds", ["p", "r", "pr", "d", "s", "pdrs"])
def test_a_run_of_numbered_actions(kinds: str, make_folder: Any, settings: Any, tmp_path: Path) -> None:
    result = run(settings(make_folder(kinds)), tmp_path / "run")
    assert (result["env"], result["modality"]) == ("recorded", kinds)
    assert result["final"].keys() == {"posterior_std", "bound"}
    assert all(np.isfinite(values).all() and len(values) == 2 for values in result["final"].values())
    assert not {"objective", "comparison"} & result.keys()
    assert result["protocol"]["q"] == "inverse"
    assert "policy" not in result["seconds"]
    assert (tmp_path / "run" / "figures" / "rewards.png").stat().st_size > 1000
    assert not (tmp_path / "run" / "policies").exists()
    model = load_reward_model(tmp_path / "run")
    assert model.mean(np.zeros((4, 3), np.float32), np.zeros(4, int), np.ones((4, 3), np.float32)).shape == (2, 4)


def test_recorded_rewards_are_compared_with(make_folder: Any, settings: Any, tmp_path: Path) -> None:
    result = run(settings(make_folder("p", rewards=True)), tmp_path / "run")
    assert result["final"].keys() == {"spearman", "posterior_std", "bound"}


def test_vectors_as_actions_change_nothing(make_folder: Any, settings: Any, tmp_path: Path) -> None:
    found = [
        run(settings(make_folder("pr", name, actions=actions), *words), tmp_path / f"run {name}")
        for name, actions, words in (
            ("vectors", VECTORS, []),
            ("numbers", gymnasium.spaces.Discrete(1), ["model.q=learned", "model.reward_domain=s"]),
        )
    ]
    assert found[0]["protocol"]["q"] == "learned"
    model, other = (load_reward_model(tmp_path / f"run {name}") for name in ("vectors", "numbers"))
    states, actions = torch.randn(7, 3), torch.randn(7, 2)
    first = model.mean(states, actions, states)
    assert torch.equal(first, model.mean(states, -actions, states))
    assert first.isfinite().all()
    assert other.mean(states, torch.zeros(7, dtype=torch.int64), states).shape == first.shape
    assert first.std() > 0


def test_numbered_states(make_folder: Any, settings: Any, tmp_path: Path) -> None:
    result = run(settings(make_folder(observations=NUMBERS, rewards=True)), tmp_path / "run")
    assert "spearman" in result["final"]
    model = load_reward_model(tmp_path / "run")[0]
    states, actions = np.array([0, 1, 4]), np.array([1, 0, 1])
    one_hot = np.eye(5, dtype=np.float32)[states]
    assert model.mean(states, actions, states).tolist() == model.mean(one_hot, actions, one_hot).tolist()


def test_states_and_actions_as_they_are_learned_from(make_folder: Any, settings: Any) -> None:
    folder = make_folder("p", observations=NUMBERS, actions=VECTORS)
    family = family_of(settings(folder), Workers(1))
    assert isinstance(family, Recorded)
    recorded = folder.episodes()
    found = family.episodes
    assert found.observations.argmax(-1).tolist() == recorded.observations.tolist()
    assert found.observations.sum(-1).tolist() == [1] * 21
    assert found.actions.tolist() == [0] * 18


class TestRefusals:
    def test_reward_of_vectors_as_actions(self, make_folder: Any, settings: Any):
        folder = make_folder("p", actions=VECTORS)
        for word, needed in (("model.q=inverse", "learned"), ("model.reward_domain=sa", "s")):
            with pytest.raises(ConfigurationError, match=f"{word}: needs numbered actions; .* must be {needed}"):
                family_of(settings(folder, word), Workers(1))

    def test_kinds_about_vectors_as_actions(self, make_folder: Any, settings: Any):
        folder = make_folder("pd", actions=VECTORS)
        from dataclasses import replace

        wanted = settings(folder)
        wanted = replace(wanted, feedback={**wanted.feedback, "demonstration": {}})
        with pytest.raises(ConfigurationError, match="modality=demonstration: needs numbered actions"):
            family_of(wanted, Workers(1))

    @pytest.mark.parametrize("what", ["simulator", "simulation"])
    def test_nothing_is_simulated(self, what: str, make_folder: Any, settings: Any):
        family = family_of(settings(make_folder("p")), Workers(1))
        with pytest.raises(ConfigurationError, match="env=recorded: is recorded behaviour of an environment that nob"):
            getattr(family, what)

    def test_a_folder_that_is_gone(self, make_folder: Any, settings: Any):
        folder = make_folder("p")
        wanted = settings(folder)
        folder.path.rename(folder.path.with_name("elsewhere"))
        with pytest.raises(ConfigurationError, match="there is no such folder"):
            family_of(wanted, Workers(1))

    def test_no_folder(self, make_folder: Any, settings: Any):
        from dataclasses import replace

        wanted = settings(make_folder("p"))
        nowhere = replace(wanted, execution=replace(wanted.execution, folder=None))
        with pytest.raises(ConfigurationError, match=r"data\.folder=null"):
            family_of(nowhere, Workers(1))


def test_a_folder_that_has_changed_is_said(make_folder: Any, settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    folder: FeedbackFolder = make_folder("p")
    family = family_of(settings(folder), Workers(1))
    assert isinstance(family, Recorded)
    folder.add("demonstration", episode=0)
    assert len(family.episodes) == 3
    assert "has changed since the run" in caplog.text
