"""The teachers of B-Pref: each label against the formula, by hand where nothing is drawn."""

from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import chisquare

from mavrl.errors import ConfigurationError
from mavrl.feedback.bpref import BPrefTeacher, preference_probability, recent_mean
from mavrl.feedback.loaders import ShuffledBatches
from mavrl.feedback.preference import LearnedPreferenceLikelihood, PreferenceLikelihood
from mavrl.feedback.teachers import Answers, Questions
from mavrl.simulation.base import Segments, Simulated
from mavrl.types import Transitions, segment_mean

ORACLE: dict[str, Any] = {"rationality": None, "mistake": 0.0, "skip": 0.0, "equal": 0.0, "discount": 1.0}
DIFFER = {
    "oracle": {}, "stochastic": {"rationality": 5}, "mistake": {"mistake": 0.1}, "skip": {"skip": 0.3},
    "equal": {"equal": 0.3}, "myopic": {"discount": 0.9},
    "all": {"rationality": 5.0, "mistake": 0.2, "skip": 0.2, "equal": 0.2, "discount": 0.5},
}  # fmt: skip
PAIRS = [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]], [[-1.0, -1.0], [-3.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]]
MEANS = [[0.5, 0.0], [0.5, 1.0], [-1.0, -1.5], [0.5, 0.5]]


def teacher(**changes: Any) -> BPrefTeacher:
    return BPrefTeacher(**{**ORACLE, **changes})


def _simulated(reward: torch.Tensor, valid: torch.Tensor | None = None) -> Simulated:
    valid = torch.ones_like(reward).bool() if valid is None else valid
    nothing = torch.zeros(reward.shape, dtype=torch.int64)
    steps = Transitions(nothing, nothing, nothing, nothing, nothing.bool(), valid)
    names = torch.zeros(reward.shape[:-1], dtype=torch.int64)
    return Simulated(Segments(names, names, names), steps, reward, torch.full_like(reward, torch.nan))


def _answers(who: BPrefTeacher, pairs: Any, known: Any = ((0.0,), (0.0,)), kind: str = "preference") -> Answers:
    shown, segments = (torch.tensor(each, dtype=torch.float64)[None] for each in (pairs, known))
    stream = (3, kind, "train")
    return who.answer(Questions(kind, _simulated(shown), [stream], known=_simulated(segments)))


def test_an_oracle_prefers_the_larger_mean_and_either_of_equal_ones() -> None:
    answers = _answers(teacher(), PAIRS * 200)
    first = answers.labels["first_preferred"].view(200, 4)
    assert first[:, :3].eq(torch.tensor([True, False, True])).all()
    assert chisquare([int(first[:, 3].sum()), int((~first[:, 3]).sum())]).pvalue > 0.01
    assert not answers.labels["equal"].any()
    assert answers.skipped is not None
    assert not answers.skipped.any()
    assert answers.known_to_model == {}


def test_what_differs_by_rounding_is_equal() -> None:
    reward = torch.tensor([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]], dtype=torch.float64)
    valid = torch.ones_like(reward).bool()
    mean = segment_mean(reward, valid)
    assert mean[0] != mean[1]  # the order of a sum
    assert preference_probability(mean, None) == 0.5
    assert _answers(teacher(equal=0.5), [reward.tolist()]).labels["equal"].all()
    assert not _answers(teacher(skip=1.0), [reward.tolist()], reward.tolist()).skipped.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("rationality", [0.0, 0.7, 50.0])
def test_a_stochastic_one_is_the_model_with_the_truth(rationality: float) -> None:
    """Bradley-Terry: sigmoid(beta * difference), which the project's own likelihood says, too."""
    mean = torch.tensor(MEANS, dtype=torch.float64)
    found = preference_probability(mean, rationality)
    expected = 1 / (1 + torch.exp(-rationality * (mean[:, 0] - mean[:, 1])))
    torch.testing.assert_close(found, expected)
    count = 4000
    first = _answers(teacher(rationality=rationality), PAIRS * count).labels["first_preferred"].view(count, 4).sum(0)
    for k in range(4):
        wanted = torch.stack([expected[k], 1 - expected[k]]) * count
        if wanted.min() > 5:
            assert chisquare([int(first[k]), count - int(first[k])], wanted.tolist()).pvalue > 0.001
        else:
            assert abs(float(first[k] - wanted[0])) < 10


def test_a_tenth_of_the_answers_is_the_wrong_way_round() -> None:
    count = 3000
    first = _answers(teacher(mistake=0.1), PAIRS[:3] * count).labels["first_preferred"].view(count, 3)
    wrong = int((first != torch.tensor([True, False, True])).sum())
    assert chisquare([wrong, 3 * count - wrong], [0.3 * count, 2.7 * count]).pvalue > 0.01
    certain = _answers(teacher(mistake=1.0), PAIRS[:3]).labels["first_preferred"]
    assert certain.tolist() == [[False, True, False]]


# Calibration pairs have larger means 0, 2, 4 and differences 2, 3, 4: their medians are 2 and 3.
KNOWN = [[0.0], [-2.0], [-1.0], [2.0], [4.0], [0.0], [9.0]]


def test_bad_pairs_are_skipped() -> None:
    pairs = [[[1.9, 1.9], [0.0, 0.0]], [[2.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 3.0]], [[-9.0, 0.0], [1.0, 1.0]]]
    answers = _answers(teacher(skip=0.5), pairs, KNOWN)
    assert answers.skipped is not None
    assert answers.skipped.tolist() == [[True, False, False, True]]
    assert answers.labels["first_preferred"].tolist() == [[True, True, False, False]]
    assert answers.known_to_model == {}


def test_pairs_that_differ_little_are_equal() -> None:
    pairs = [[[3.0], [0.0]], [[3.1], [0.0]], [[0.0], [3.1]], [[7.0], [7.0]]]
    answers = _answers(teacher(equal=0.5), pairs, KNOWN)
    assert answers.labels["equal"].tolist() == [[True, False, False, True]]
    assert answers.labels["first_preferred"].tolist() == [[False, True, False, False]]  # no answer is two answers
    assert answers.known_to_model["ties"].tolist() == [1]


def test_neither_unit_nor_zero_of_the_reward_matters() -> None:
    generator = torch.Generator().manual_seed(0)
    pairs, known = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in ((300, 2, 4), (64, 4)))
    who = teacher(skip=0.3, equal=0.2, discount=0.8)
    one, other = (_answers(who, (a + b * pairs).tolist(), (a + b * known).tolist()) for a, b in ((0, 1), (-70, 1e3)))
    assert one.skipped is not None
    assert other.skipped is not None
    assert 0.2 < one.skipped.double().mean() < 0.4
    assert 0.1 < one.labels["equal"].double().mean() < 0.3
    assert one.skipped.equal(other.skipped)
    assert all(one.labels[name].equal(other.labels[name]) for name in one.labels)


def test_a_myopic_one_looks_at_the_end() -> None:
    reward = torch.tensor([[3.0, 0.0, 0.0, 9.0], [0.0, 0.0, 1.0, 9.0]])
    valid = torch.tensor([[True, True, True, False], [True, True, True, False]])  # the step after the end is none
    found = recent_mean(reward, valid, 0.5)  # weights 1/4, 1/2, 1
    torch.testing.assert_close(found, torch.tensor([0.75 / 1.75, 1.0 / 1.75]))
    torch.testing.assert_close(recent_mean(reward, valid, 1.0), segment_mean(reward, valid))
    assert recent_mean(reward, valid, 0.0).tolist() == [0.0, 1.0]  # the last step
    assert recent_mean(reward, torch.zeros_like(valid), 0.5).tolist() == [0.0, 0.0]
    pair = [[[3.0, 0.0, 0.0], [0.0, 0.0, 1.0]]]
    chosen = [bool(_answers(teacher(discount=d), pair).labels["first_preferred"]) for d in (1.0, 0.5)]
    assert chosen == [True, False]


@pytest.mark.parametrize("name", DIFFER)
@pytest.mark.parametrize("world", ["grid", "control"])
def test_the_first_labels_do_not_depend_on_how_many_follow(
    name: str, world: str, make_source: Any, simulate: Any, simulators: Any, equal: Any
) -> None:
    """Nor on what other replicates are asked."""
    who = teacher(**DIFFER[name])
    few, many = (make_source("preference", n).module(simulators[world], [3, 4], teacher=who) for n in (9, 21))
    alone = make_source("preference", 9).module(simulators[world], [4], teacher=who)
    kept = [module.named_questions()[1] for module in (few, many, alone)]
    assert equal(kept[0], kept[1].first(9))
    assert equal(kept[0].map(lambda tensor: tensor[1:]), kept[2])


class TestSkipped:
    """Questions that got no answer: asked and kept, and nothing is learned from them."""

    @pytest.fixture
    def skipping(self, make_source: Any, simulators: Any) -> Any:
        def make(count: int = 24, **asking: Any) -> Any:
            return make_source("preference", count).module(simulators["grid"], [3, 4], **asking)

        return make

    def test_samples_are_those_of_an_oracle_without_them(self, skipping: Any) -> None:
        module, oracle = skipping(teacher=teacher(skip=0.4)), skipping(teacher=teacher())
        module.setup()
        oracle.setup()
        asked = module.named_questions()[1]
        given = asked.valid_samples
        assert module.sizes().tolist() == given.sum(-1).tolist()
        assert 0 < given.sum() < given.numel()
        batch, every = module.sets["train"], oracle.sets["train"]
        assert batch.transitions.action.shape[1] == int(given.sum(-1).max())
        for r in range(2):
            n = int(given[r].sum())
            assert batch.valid_samples[r].tolist() == [True] * n + [False] * (len(batch.valid_samples[r]) - n)
            assert batch.transitions.state[r, :n].equal(every.transitions.state[r, given[r]])
            assert batch.first_preferred[r, :n].equal(every.first_preferred[r, given[r]])

    def test_batches_are_full_of_answers(self, skipping: Any) -> None:
        module = skipping(teacher=teacher(skip=0.4))
        module.setup()
        count = int(module.sizes().sum())
        seen = sum(int(b.valid_samples.sum()) for b in ShuffledBatches(module.sets["train"], [3, 4], 5, "x"))
        assert seen == count

    def test_they_are_asked_once(self, skipping: Any, make_source: Any, nobody: Any, tmp_path: Path) -> None:
        found = []
        for who, simulator in ((teacher(skip=0.4), None), (teacher(skip=0.4), nobody), (teacher(skip=0.1), None)):
            recipe = make_source("preference", 24)
            world = simulator or skipping().asking.simulator
            module = recipe.module(world, [3, 4], {"name": "x"}, tmp_path, teacher=who)
            module.setup()
            found.append(module.sizes())
        assert found[0].equal(found[1])
        assert (found[0] < found[2]).all()  # another teacher's answers are others

    def test_a_teacher_may_skip_all(self, skipping: Any) -> None:
        """Better than all calibration segments is none of the first ones."""
        module = skipping(teacher=teacher(skip=1.0), count=3)
        module.setup()
        assert module.sizes().tolist() == [0, 0]
        assert module.sets["train"].transitions.action.shape[1] == 1


def test_ties_are_learned_where_there_are_any(make_source: Any, simulators: Any) -> None:
    found = []
    for who in (teacher(), teacher(equal=0.1)):
        module = make_source("preference", 12).module(simulators["control"], [3], teacher=who)
        module.setup()
        found.append(module.likelihood())
    assert isinstance(found[0], PreferenceLikelihood)
    assert isinstance(found[1], LearnedPreferenceLikelihood)
    assert found[1].log_tie is not None


@pytest.mark.parametrize("kind", ["rating", "stop"])
def test_other_labels_are_refused(kind: str, make_source: Any, simulate: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"compares only; it gives no {kind}"):
        simulate(make_source(kind, 2), [0], teacher=teacher())


def test_demonstrations_are_what_they_are(make_source: Any, simulate: Any, equal: Any) -> None:
    recipe = make_source("demonstration", 3)
    assert equal(simulate(recipe, [0], teacher=teacher(skip=0.5)), simulate(recipe, [0]))
