"""Learning in rounds: what is asked, what is gone on with, and that a run that was cut off ends as another."""

import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mavrl.configuration.composition import compose
from mavrl.configuration.settings import RoundsSettings, RunSettings
from mavrl.errors import ConfigurationError
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.bpref import BPrefTeacher
from mavrl.feedback.preference import PreferenceLikelihood
from mavrl.feedback.teachers import Answers, Questions
from mavrl.training import online
from mavrl.training.run import run

SMALL = (
    "task=online", "env.size=4", "env.max_steps=50", "replicates=2", "trainer.max_epochs=3",
    "trainer.passes_per_epoch=2", "rounds.count=3", "paths.cache=null", "feedback.preference.n_samples=7",
    "feedback.rating.n_samples=5", "feedback.stop.n_samples=4",
)  # fmt: skip
CARTPOLE = (
    "task=online", "env=cartpole_v1", "replicates=2", "members=2", "processes=1", "paths.cache=null", "modality=pr",
    "rounds.count=2", "rounds.n_episodes=4", "rounds.held_out=3", "feedback.preference.n_samples=5",
    "feedback.rating.n_samples=4", "trainer.max_epochs=2", "policy.total_steps=512", "policy.n_envs=4",
    "policy.n_steps=32", "policy.parts=4", "policy.evaluation_episodes=2", "evaluation.episodes=3",
    "feedback.rating.n_episodes=8",
)  # fmt: skip
RESULTS = ("final", "rounds", "n_samples")

pytestmark = pytest.mark.filterwarnings("ignore")


def result_of(place: Path, *words: str) -> dict[str, Any]:
    return run(RunSettings.from_config(compose(*words)), place)


def labels(rows: list[dict[str, float]], kind: str) -> list[float]:
    return [row.get(f"labels_{kind}", 0.0) for row in rows]


def test_the_rounds_share_the_budget(tmp_path: Path) -> None:
    result = result_of(tmp_path, *SMALL, "modality=prs")
    rows = result["rounds"]
    assert [row["round"] for row in rows] == [1, 2, 3]
    assert labels(rows, "preference") == [2, 2, 3]
    assert labels(rows, "rating") == [1, 2, 2]
    assert labels(rows, "stop") == [1, 1, 2]
    assert all(row["held_out_preference"] < 0 for row in rows)
    assert rows[-1]["normalized_return"] == pytest.approx(result["mean"]["normalized_return"])
    with (tmp_path / "rounds.csv").open() as table:
        assert [{k: float(v) for k, v in row.items()} for row in csv.DictReader(table)] == rows


@pytest.mark.parametrize("words", [(), ("model.objective=weighted", "model.importance_weights=true")])
def test_a_teacher_may_answer_nothing(tmp_path: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """The questions are asked, the prior is what is learned, and no number is none."""
    answer = BPrefTeacher.answer

    def silent(self: BPrefTeacher, questions: Questions) -> Answers:
        return replace(answer(self, questions), skipped=torch.ones(questions.shown.reward.shape[:2]).bool())

    monkeypatch.setattr(BPrefTeacher, "answer", silent)
    who = ("modality=p", "teacher=skip", "teacher.equal=0.1", "query=information_gain", "query.samples=4")
    result = result_of(tmp_path, *SMALL, *who, "feedback.preference.n_samples=3", *words)
    assert labels(result["rounds"], "preference") == [1, 1, 1]
    assert result["skipped"] == {"preference": [3, 3]}
    assert "failed_replicates" not in result
    assert not any("held_out_preference" in row for row in result["rounds"])
    assert all(math.isfinite(value) for row in result["rounds"] for value in row.values())


def test_a_demonstration_comes_when_its_round_comes(tmp_path: Path) -> None:
    rows = result_of(tmp_path, *SMALL, "modality=pd", "feedback.demonstration.n_samples=1")["rounds"]
    assert labels(rows, "demonstration") == [0, 0, 1]
    assert ["held_out_demonstration" in row for row in rows] == [False, False, True]


@pytest.mark.parametrize("query", ["random", "disagreement", "information_gain"])
def test_kinds_compete_for_a_budget(tmp_path: Path, query: str) -> None:
    words = (*SMALL, "modality=pr", f"query={query}", "rounds.budget=6", "feedback.rating.cost=2")
    rows = result_of(tmp_path, *words)["rounds"]
    spent = [p + 2 * r for p, r in zip(labels(rows, "preference"), labels(rows, "rating"), strict=True)]
    assert sum(spent) <= 2 * 6  # of the replicate that asked most of each kind
    assert sum(labels(rows, "preference")) + sum(labels(rows, "rating")) >= 3


@pytest.mark.parametrize(
    "words",
    [
        (*SMALL, "modality=prs", "query=information_gain"),
        pytest.param((*CARTPOLE, "query=disagreement"), marks=pytest.mark.slow),
        pytest.param((*CARTPOLE, "rounds.refit=fresh"), marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_cut_off_ends_as_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    whole = result_of(tmp_path / "whole", *words)
    for function, call in (("fit", 1), ("_log_likelihoods", 1), ("ask_round", 2), ("store", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(online, function, _cut(getattr(online, function), call))
            with pytest.raises(KeyboardInterrupt):
                result_of(tmp_path / "parts", *words)
    parts = result_of(tmp_path / "parts", *words)
    assert {name: parts[name] for name in RESULTS} == {name: whole[name] for name in RESULTS}


def _cut(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """The function, which a kill comes after when it is called for this time."""
    left = iter(range(call - 1))

    def cut(*arguments: Any, **named: Any) -> Any:
        found = function(*arguments, **named)
        if next(left, None) is None:
            raise KeyboardInterrupt
        return found

    return cut


def test_a_replicate_is_the_run_of_its_seed(tmp_path: Path) -> None:
    words = (*SMALL, "modality=prs", "query=disagreement")
    both, alone = result_of(tmp_path / "both", *words), result_of(tmp_path / "alone", *words, "seed=1", "replicates=1")
    for name, values in alone["final"].items():
        assert values == pytest.approx(both["final"][name][1:], rel=1e-4)


def test_policies_go_on_and_are_asked_about(tmp_path: Path) -> None:
    result = result_of(tmp_path, *CARTPOLE)
    assert [row["true_return"] > 0 for row in result["rounds"]] == [True, True]
    for k in range(2):
        rows = list(csv.DictReader((tmp_path / "policies" / str(k) / "curve.csv").open()))
        assert [int(row["step"]) for row in rows] == [128, 256, 384, 512]
        assert (tmp_path / "policies" / str(k) / "after" / "2" / "card.json").exists()


def test_learning_goes_on_from_the_last_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With so small a learning rate that nothing is learned, rewards stay although observations have other moments."""
    found: list[torch.Tensor] = []
    states = 0.1 * torch.rand(1, 6, 4, generator=torch.Generator().manual_seed(0)) - 0.05  # nothing is clipped
    steps = (states, torch.tensor([[0, 1, 0, 1, 0, 1]]), states.flip(1), torch.zeros(1, 6, dtype=torch.bool))
    learn = online.OnlineLearning._learn

    def watched(self: Any, *arguments: Any) -> Any:
        learner, failed = learn(self, *arguments)
        found.append(learner.inference.posterior.transition_moments(*steps)[0].detach())
        found.append(learner.inference.values.action_values(states).detach())
        return learner, failed

    monkeypatch.setattr(online.OnlineLearning, "_learn", watched)
    result_of(tmp_path, *CARTPOLE, "optim.lr=1e-12", "modality=s", "feedback.stop.n_samples=6",
              "feedback.stop.n_episodes=8")  # fmt: skip
    torch.testing.assert_close(found[0], found[2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[1], found[3], atol=1e-4, rtol=1e-4)


def test_a_kind_that_does_not_say_its_answers_is_refused_before_anything_is_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreferenceLikelihood, "outcomes", FeedbackLikelihood.outcomes)
    with pytest.raises(ConfigurationError, match=r"query=DisagreementQuery: .*preference does not say which"):
        result_of(tmp_path, *SMALL, "modality=p", "query=disagreement")
    assert not list(tmp_path.iterdir())
    assert len(result_of(tmp_path, *SMALL, "modality=p")["rounds"]) == 3


def test_when_rounds_are_asked() -> None:
    rounds = RoundsSettings(5, 0.6, "random", 0.5, 0.0, 64, "continue", None, 64)
    assert [rounds.begins_at(number, 10) for number in range(5)] == [0, 2, 3, 4, 6]
    assert RoundsSettings(1, 0.6, "random", 0.5, 0.0, 64, "continue", None, 64).begins_at(0, 10) == 0
