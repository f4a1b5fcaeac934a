"""Simulated feedback that went through a folder is the same feedback."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.families.base import Family, family_of
from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.recording import add_labels, record
from mavrl.folder.digest import digest
from mavrl.folder.folder import FeedbackFolder
from mavrl.simulation.collecting import collect
from mavrl.simulation.recorded import RecordedEpisodes, cut
from mavrl.training.building import build_data
from mavrl.types import segment_mean
from mavrl.workers import Workers

COUNTS = {"preference": 6, "demonstration": 2, "rating": 7, "stop": 8}
WORDS = ["paths.cache=null", *(f"feedback.{kind}.n_samples={count}" for kind, count in COUNTS.items())]
GRID = ["env=grid_trap", "env.size=4", *WORDS]


def _simulated(config: DictConfig) -> tuple[RunSettings, Family, CombinedDataModule]:
    settings = replace(RunSettings.from_config(config), replicates=1)
    family = family_of(settings, Workers(1))
    data = build_data(settings, family)
    data.prepare_data()
    data.setup()
    return settings, family, data


def _recorded(settings: RunSettings, family: Family, data: CombinedDataModule, path: Path) -> CombinedDataModule:
    folder = record(data.modules, lambda told: FeedbackFolder.create(path, *family.spaces, told=told))
    execution = replace(settings.execution, folder=str(folder.path))
    changed = replace(settings, data=digest(folder.path), execution=execution)
    return build_data(changed, family_of(changed, Workers(1)))


@pytest.mark.parametrize(
    "words",
    [GRID, ["env=cartpole_v1", "env.max_steps=60", "env.feedback.n_episodes=9", *WORDS]],
    ids=["grid", "control"],
)
def test_what_is_learned_from_is_the_same(words: list[str], composed: Any, tmp_path: Path) -> None:
    settings, family, direct = _simulated(composed(*words))
    through = _recorded(settings, family, direct, tmp_path / "folder")
    through.prepare_data()
    through.setup()
    for kind, expected in direct.train_sets.items():
        found = through.train_sets[kind]
        valid = expected.transitions.valid
        size = found.transitions.action.shape
        assert size[:2] == expected.transitions.action.shape[:2]
        valid = valid[..., : size[-1]]
        assert found.transitions.valid.equal(valid)
        assert int(valid.sum()) == int(expected.transitions.valid.sum())
        for name in ("state", "action", "next_state", "terminal"):
            ours, theirs = getattr(found.transitions, name), getattr(expected.transitions, name)
            assert ours[valid].equal(theirs[expected.transitions.valid]), (kind, name)
        for name, label in expected.labels.items():
            if name != "stop_step":
                assert getattr(found, name).equal(label)
            else:
                assert getattr(found, name).equal(label.clamp(max=size[-1]))
    told = [data.likelihoods()["stop"].rate for data in (direct, through)]
    assert told[0].equal(told[1])


CROWD = ["teacher=crowd", "teacher.good=2", "teacher.random=1", "teacher.reversed=1", "teacher.tie=1.0",
         "teacher.categories=[3,5]", "teacher.lag=1.0"]  # fmt: skip


def test_a_crowd_is_the_same_crowd(composed: Any, tmp_path: Path) -> None:
    """Who labelled, ties, scales and what models are told of them."""
    counts = [f"feedback.{kind}.n_samples=40" for kind in ("preference", "rating", "stop")]
    settings, family, direct = _simulated(composed(*GRID, "modality=prs", *counts, *CROWD))
    settings = replace(
        settings, feedback={**settings.feedback, "rating": {**settings.feedback["rating"], "n_categories": 5}}
    )
    through = _recorded(settings, family, direct, tmp_path / "folder")
    through.prepare_data()
    through.setup()
    assert list(through.modules["rating"].asking.teacher.annotators) == ["good 1", "good 2", "random 1", "reversed 1"]
    for kind, expected in direct.train_sets.items():
        found = through.train_sets[kind]
        assert expected.annotator.unique().tolist() == [0, 1, 2, 3]  # type: ignore[attr-defined]
        for name in set(expected.labels) - {"stop_step"}:
            assert found.labels[name].equal(expected.labels[name]), (kind, name)
        known = [data.modules[kind]._known_to_model for data in (direct, through)]
        assert all(known[1][name].equal(value) for name, value in known[0].items())
    assert bool(direct.train_sets["preference"].equal.any())  # type: ignore[union-attr]
    assert direct.train_sets["rating"].scale.unique().tolist() == [0, 1]  # type: ignore[attr-defined]
    for data in (direct, through):
        likelihoods = data.likelihoods()
        assert {kind: likelihood.n_latents for kind, likelihood in likelihoods.items()} == {
            "preference": 4, "rating": 4, "stop": 12,
        }  # fmt: skip


@pytest.mark.parametrize("there", [False, True], ids=["new folder", "folder with episodes"])
def test_what_got_no_answer_is_a_skipped_pair(there: bool, composed: Any, tmp_path: Path) -> None:
    words = [*GRID, "modality=p", "teacher=skip", "teacher.skip=0.5", "teacher.equal=0.2"]
    settings, family, direct = _simulated(composed(*words, "feedback.preference.n_samples=40"))
    if there:
        folder = FeedbackFolder.create(tmp_path, *family.spaces)
        folder.add_episodes(collect(family.scene("random"), 0, range(9)))
        episodes = RecordedEpisodes(folder.episodes(), family.simulator)
        direct = build_data(settings, family, episodes)
        direct.prepare_data()
        direct.setup()
        assert add_labels(direct.modules, folder) == {"preference": 40}
    else:
        folder = record(direct.modules, lambda told: FeedbackFolder.create(tmp_path, *family.spaces, told=told))
    labels, batch = folder.labels(), direct.train_sets["preference"]
    names = direct.modules["preference"].segments()
    skipped = [label.answer == "skip" for label in labels]
    assert sum(skipped) == int(direct.modules["preference"].skipped)
    assert 5 < sum(skipped) < 35
    said = ["equal" if e else int(not f) for e, f in zip(batch.equal[0], batch.first_preferred[0], strict=True)]  # type: ignore[attr-defined]
    assert [label.answer for label in labels if label.answer != "skip"] == said
    assert {"equal", 0, 1} <= set(said)
    lengths = folder.episodes().lengths
    for k, label in enumerate(labels):
        for place, segment in enumerate(label.segments):
            assert segment.stop is not None
            assert segment.stop - segment.start == int(names.stop[0, k, place] - names.start[0, k, place])
            assert there or lengths[segment.episode] == segment.stop


def test_more_labels_than_there_are_is_refused(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    settings, family, direct = _simulated(composed(*GRID))
    feedback: Any = {**settings.feedback, "rating": {**settings.feedback["rating"], "n_samples": 8}}
    with pytest.raises(ConfigurationError, match=r"feedback\.rating\.n_samples=8: the folder has 7 labels"):
        _recorded(replace(settings, feedback=feedback), family, direct, tmp_path / "folder")


def test_a_folder_of_another_environment_is_refused(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    settings, family, direct = _simulated(composed(*GRID))
    for changed, said in (({"size": 3}, "has state"), ({"layout": "cliff"}, None)):
        other = replace(settings, env={**settings.env, **changed})
        place = tmp_path / str(changed)
        if said is None:
            assert _recorded(other, family, direct, place).modules
        else:
            with pytest.raises(ConfigurationError, match=said):
                _recorded(other, family, direct, place)


def test_a_folder_that_has_changed_is_refused(composed: Callable[..., DictConfig], tmp_path: Path) -> None:
    settings, family, direct = _simulated(composed(*GRID))
    folder = record(direct.modules, lambda told: FeedbackFolder.create(tmp_path / "f", *family.spaces, told=told))
    execution = replace(settings.execution, folder=str(folder.path))
    changed = replace(settings, data=digest(folder.path), execution=execution)
    folder.add("demonstration", episode=0)
    with pytest.raises(ConfigurationError, match=r"data\.digest=.* has changed since"):
        build_data(changed, family)


class TestLabelsOfRecordedEpisodes:
    """A teacher who is rational beyond doubt answers about a folder's own episodes as its likelihood says."""

    CERTAIN = ("feedback.preference.teacher_rationality=1e9", "feedback.stop.scale=1e9", "modality=prs")

    def labelled(self, composed: Any, path: Path, *words: str) -> tuple[Family, FeedbackFolder, dict[str, int]]:
        config = composed(*words, *self.CERTAIN, "replicates=1", "env.feedback.segment_len=6")
        settings = RunSettings.from_config(config)
        family = family_of(settings, Workers(1))
        folder = FeedbackFolder.create(path, *family.spaces)
        folder.add_episodes(collect(family.scene("random"), 0, range(12)))
        folder.add("rating", segment={"episode": 3, "start": 0, "stop": 2}, value=1, scale=[0, 4], annotator="bo")
        about = RecordedEpisodes(family.fitted(folder.episodes(), folder.description.action_space.n), family.simulator)
        return family, folder, add_labels(build_data(settings, family, about).modules, folder)

    @pytest.mark.parametrize("words", [GRID, ["env=cartpole_v1", *WORDS]], ids=["grid", "control"])
    def test_they_are_what_the_likelihood_says(self, words: list[str], composed: Any, tmp_path: Path) -> None:
        family, folder, counts = self.labelled(composed, tmp_path / "folder", *words)
        assert counts == {kind: COUNTS[kind] for kind in ("preference", "rating", "stop")}
        assert folder.validate().labels == {**counts, "rating": COUNTS["rating"] + 1}
        labels, episodes = folder.labels()[1:], folder.episodes()
        assert len({each.segments[0] for each in labels}) > COUNTS["preference"]
        assert {each.tool for each in labels} == {"mavrl simulate"}
        choices, stopped = set(), set()
        for label in labels:
            simulated = family.simulator.judged(cut(episodes, label.segments, 1))
            valid, reward, regret = simulated.transitions.valid[0], simulated.reward[0], simulated.regret[0]
            assert valid.sum(-1).max() <= 6
            means = [float(values[there].mean()) for values, there in zip(reward, valid, strict=True)]
            if label.type == "preference" and means[0] != means[1]:
                assert label.answer == int(means[0] < means[1])
                choices.add(label.answer)
            if label.type == "stop":  # at the first regret, which is more than certain
                regretted = (regret[0] > 1e-6).nonzero().flatten().tolist()
                assert label.answer == (regretted[0] if regretted else None)
                stopped.add(label.answer)
        assert len(stopped) > 1
        assert choices or words is not GRID

    def test_ratings_are_in_the_order_of_rewards(self, composed: Any, tmp_path: Path) -> None:
        family, folder, _ = self.labelled(composed, tmp_path / "f", *GRID[:3], "feedback.rating.n_samples=400")
        ratings = [each for each in folder.labels()[1:] if each.type == "rating"]
        shown = family.simulator.judged(cut(folder.episodes(), [each.segments[0] for each in ratings], 1))
        means = segment_mean(shown.reward, shown.transitions.valid)[0]
        of_each = [means[[k for k, each in enumerate(ratings) if each.answer == value]].mean() for value in range(5)]
        assert of_each == sorted(of_each)

    def test_another_seed_asks_about_others(self, composed: Any, tmp_path: Path) -> None:
        _, first, _ = self.labelled(composed, tmp_path / "a", *GRID)
        _, again, _ = self.labelled(composed, tmp_path / "b", *GRID)
        _, other, _ = self.labelled(composed, tmp_path / "c", *GRID, "seed=1")
        asked = [[each.segments for each in folder.labels()] for folder in (first, again, other)]
        assert asked[0] == asked[1] != asked[2]
