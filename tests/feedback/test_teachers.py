"""Who answers: the kind's likelihood under the truth, or somebody else."""

import dataclasses
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mavrl.errors import ConfigurationError
from mavrl.feedback.datamodule import FeedbackDataModule
from mavrl.feedback.teachers import (
    Answers,
    CrowdTeacher,
    Questions,
    ShuffledTeacher,
    SimulatedTeacher,
    Teacher,
    label_streams,
)
from mavrl.types import segment_mean


class Somebody(Teacher):
    """Gives the labels that a function makes of the questions."""

    def __init__(self, name: str, give: Any) -> None:
        self.name = name
        self._give = give
        self._asked: list[Questions] = []

    def answer(self, questions: Questions) -> Answers:
        self._asked.append(questions)
        return self._give(questions)

    @property
    def identity(self) -> dict[str, Any]:
        return {"class": "somebody", "name": self.name}


@pytest.mark.parametrize("world", ["grid", "control"])
@pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
def test_a_simulated_teacher_is_the_kind_s_likelihood_with_the_truth(
    kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
) -> None:
    asked: list[Questions] = []
    teacher = Somebody("spy", lambda questions: asked.append(questions) or SimulatedTeacher().answer(questions))
    batch = simulate(make_source(kind, 8), [3, 4], simulators[world], teacher=teacher)
    (questions,) = asked
    assert questions.likelihood is not None
    likelihood, shown = questions.likelihood(), questions.shown
    truth = shown.reward if likelihood.reads == "reward" else shown.regret
    with torch.no_grad():
        expected = likelihood.sample(truth, shown.transitions, label_streams(questions.streams))
    name = next(iter(batch.labels))
    assert batch.labels[name].equal(expected.labels[name])
    assert questions.streams == [(3, kind, "train"), (4, kind, "train")]


@pytest.mark.parametrize("world", ["grid", "control"])
def test_questions_name_the_segments(world: str, make_source: Any, simulate: Any, simulators: Any) -> None:
    teacher = Somebody("a", lambda questions: SimulatedTeacher().answer(questions))
    simulate(make_source("rating", 8), [0], simulators[world], teacher=teacher)
    shown = teacher._asked[0].shown
    names = shown.segments
    assert names.episode.shape == names.start.shape == (1, 8)
    assert ((names.episode >= 0) & (names.episode < 32)).all()
    assert (names.stop - names.start).equal(shown.transitions.valid.sum(-1))


def test_another_s_labels_are_what_is_learned_from_and_kept(
    make_source: Any, simulate: Any, nobody: Any, tmp_path: Path, equal: Any
) -> None:
    labels = torch.tensor([[0, 4, 2, 1]]).expand(2, -1)
    teacher = Somebody("a", lambda questions: Answers({"rating": labels}))
    batch = simulate(make_source("rating", 4), [0, 1], cache=tmp_path, teacher=teacher)
    assert batch.rating.equal(labels)
    again = simulate(make_source("rating", 4), [0, 1], nobody, cache=tmp_path, teacher=teacher)
    assert equal(batch, again)
    assert len(teacher._asked) == 1
    other = Somebody("b", lambda questions: Answers({"rating": labels.flip(1)}))
    assert simulate(make_source("rating", 4), [0, 1], cache=tmp_path, teacher=other).rating.equal(labels.flip(1))


def test_what_a_teacher_tells_about_itself_reaches_the_model(make_source: Any, simulate: Any) -> None:
    stopped = torch.full((2, 4), 5)
    rate = torch.tensor([0.5, 2.0])
    teacher = Somebody("a", lambda questions: Answers({"stop_step": stopped}, {"rate": rate}))
    _, known = simulate(make_source("stop", 4), [0, 1], with_teacher=True, teacher=teacher)
    assert known["rate"].equal(rate)


def test_where_behaviour_is_the_answer_another_may_have_done_it(make_source: Any, simulate: Any) -> None:
    def stay(questions: Questions) -> Answers:
        assert questions.likelihood is None
        steps = questions.shown.transitions
        return Answers(transitions=dataclasses.replace(steps, action=torch.full_like(steps.action, 4)))

    batch = simulate(make_source("demonstration", 3), [0], teacher=Somebody("a", stay))
    assert (batch.transitions.action[batch.transitions.valid] == 4).all()


class TestShuffled:
    @pytest.mark.parametrize("world", ["grid", "control"])
    @pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
    def test_the_first_labels_do_not_depend_on_how_many_follow(
        self, kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
    ):
        few, many = (
            simulate(make_source(kind, n), [3, 4], simulators[world], teacher=ShuffledTeacher()) for n in (5, 9)
        )
        name = next(iter(few.labels))
        assert few.labels[name].equal(many.labels[name][:, :5])
        assert few.transitions.state.equal(many.transitions.state[:, :5])

    def test_a_label_is_the_answer_to_the_question_before(self, make_source: Any, simulate: Any, simulators: Any):
        """Rationality enough to make answers certain where two mean rewards differ."""
        recipe = make_source("preference", 40, teacher_rationality=1e9)
        true, shuffled = (
            simulate(recipe, [3], simulators["grid"], teacher=t) for t in (SimulatedTeacher(), ShuffledTeacher())
        )
        assert shuffled.transitions.state.equal(true.transitions.state)
        reward = torch.from_numpy(simulators["grid"].problem.reward[0].numpy())
        mean = segment_mean(reward[true.transitions.state], true.transitions.valid)
        differ = mean[..., 0] != mean[..., 1]
        full = true.transitions.valid.flatten(2).all(-1)
        sure = differ[:, :-1] & full[:, :-1] & full[:, 1:]
        assert sure.sum() > 10
        assert shuffled.first_preferred[:, 1:][sure].equal(true.first_preferred[:, :-1][sure])
        assert not shuffled.first_preferred.equal(true.first_preferred)

    def test_labels_are_as_frequent_as_the_simulated_teacher_s(self, make_source: Any, simulate: Any):
        true, shuffled = (
            simulate(make_source("rating", 400), [0, 1], teacher=t).rating
            for t in (SimulatedTeacher(), ShuffledTeacher())
        )
        counts = [torch.bincount(rating.flatten(), minlength=5) / rating.numel() for rating in (true, shuffled)]
        assert (counts[0] - counts[1]).abs().max() < 0.06

    def test_stops_never_fall_on_padding(self, make_source: Any, simulate: Any, simulators: Any):
        batch = simulate(make_source("stop", 200), [0], simulators["control"], teacher=ShuffledTeacher())
        length = batch.transitions.valid.sum(-1)
        stopped = batch.stop_step < batch.transitions.valid.shape[-1]
        assert (batch.stop_step < length)[stopped].all()

    def test_demonstrations_have_no_labels_to_shuffle(self, make_source: Any, simulate: Any):
        with pytest.raises(ConfigurationError, match="teacher=shuffled: has no labels of demonstration"):
            simulate(make_source("demonstration", 2), [0], teacher=ShuffledTeacher())


class TestCrowd:
    def test_names_tell_who_is_who(self) -> None:
        assert CrowdTeacher(2, 1, 1).annotators == ["good 1", "good 2", "random 1", "reversed 1"]
        assert SimulatedTeacher().annotators == ("",)

    @pytest.mark.parametrize("kind", ["preference", "rating", "stop"])
    def test_the_first_labels_do_not_depend_on_how_many_follow(
        self, kind: str, make_source: Any, simulate: Any
    ) -> None:
        teacher = CrowdTeacher(2, 1, 1, tie=0.5, categories=[3, 5], lag=1.0)
        few, many = (simulate(make_source(kind, n), [3, 4], teacher=teacher) for n in (5, 9))
        assert all(label.equal(many.labels[name][:, :5]) for name, label in few.labels.items())
        assert many.annotator.max() > 0

    def test_a_crowd_of_good_ones_answers_as_one_teacher_would(self, make_source: Any, simulate: Any) -> None:
        """As often, that is: the labels are drawn anew."""
        one, many = (
            simulate(make_source("rating", 400), [3, 4], teacher=t) for t in (SimulatedTeacher(), CrowdTeacher(3))
        )
        counts = [torch.bincount(batch.rating.flatten(), minlength=5) for batch in (one, many)]
        assert float((counts[0] - counts[1]).abs().max()) < 4 * 800**0.5 * 0.4 * 2**0.5

    def test_demonstrations_are_what_they_are(self, make_source: Any, simulate: Any, equal: Any) -> None:
        shown = (
            simulate(make_source("demonstration", 3), [0], teacher=t) for t in (SimulatedTeacher(), CrowdTeacher(3))
        )
        assert equal(*shown)

    def test_a_crowd_of_nobody_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"teacher\.good=0: is nobody"):
            CrowdTeacher(0)

    def test_a_kind_without_annotators_says_so(self) -> None:
        nobody: Any = SimpleNamespace(kind="rating")
        nothing: Any = None
        with pytest.raises(ConfigurationError, match=r"teacher=crowd: has no annotators who give a rating"):
            inspect.unwrap(FeedbackDataModule.crowd)(nobody, nothing, nothing)
