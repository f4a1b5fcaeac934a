"""What is learned about annotators: its posterior, and whole crowds of them."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl.feedback.annotators import SPREAD, UPRIGHT, LogNormal, Reliability, count_annotators, of_annotators
from mavrl.feedback.preference import (
    AnnotatedPreferenceLikelihood,
    LearnedPreferenceLikelihood,
    PreferenceBatch,
    PreferenceLikelihood,
    davidson,
)
from mavrl.feedback.rating import AnnotatedRatingLikelihood, LearnedRatingLikelihood, RatingBatch, RatingLikelihood
from mavrl.feedback.stop import AnnotatedStopLikelihood, LearnedStopLikelihood, StopBatch, StopLikelihood

N = 20_000  # labels that frequencies are counted over


def _stream(seed: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed)]


def _chi_square(counts: Tensor, probability: Tensor) -> float:
    """Pearson's statistic; its mean is the number of answers less one, its variance twice that."""
    there = probability > 0
    assert counts[~there].sum() == 0
    expected = probability[there] * counts.sum()
    return float(((counts[there] - expected).square() / expected).sum())


class TestLogNormal:
    def test_the_median_and_a_draw_by_hand(self) -> None:
        posterior = LogNormal(2.0, 1, 2)
        with torch.no_grad():
            posterior.mean.copy_(torch.tensor([[0.5, -1.0]]))
            posterior.log_std.copy_(torch.tensor([[0.2, 0.4]]).log())
        assert posterior.drawn().flatten().tolist() == pytest.approx([2 * math.exp(0.5), 2 * math.exp(-1)])
        noise = torch.tensor([[1.0, -2.0]])
        assert posterior.drawn(noise).flatten().tolist() == pytest.approx([2 * math.exp(0.7), 2 * math.exp(-1.8)])

    def test_kl_by_hand(self) -> None:
        posterior = LogNormal(2.0, 1, 2)
        with torch.no_grad():
            posterior.mean.copy_(torch.tensor([[0.5, 0.0]]))
            posterior.log_std.copy_(torch.tensor([[0.2, SPREAD]]).log())
        expected = math.log(SPREAD / 0.2) + (0.2**2 + 0.5**2) / (2 * SPREAD**2) - 0.5
        assert posterior.kl().item() == pytest.approx(expected, rel=1e-5)


class TestReliability:
    def test_one_alone_is_as_reliable_as_the_reward_is_large(self) -> None:
        alone = Reliability(3, 1)
        assert alone.n_latents == 0
        assert alone.drawn(torch.zeros(3, 0)).equal(torch.ones(3, 1))
        assert alone.upright().equal(torch.ones(3, 1))
        assert alone.kl().equal(torch.zeros(3))
        assert alone.learned() == {}

    def test_a_priori_people_answer_the_right_way_round(self) -> None:
        crowd = Reliability(2, 4)
        assert torch.allclose(crowd.upright(), torch.full((2, 4), UPRIGHT))

    def test_kl_of_the_sign_by_hand(self) -> None:
        crowd, p = Reliability(1, 2), 0.3
        without = LogNormal(1.0, 1, 2).kl()
        with torch.no_grad():
            crowd.raw_sign *= 0
            crowd.raw_sign += math.log(p / (1 - p)) / (
                math.log(UPRIGHT / (1 - UPRIGHT)) / float(Reliability(1, 2).raw_sign[0, 0])
            )
        expected = 2 * (p * math.log(p / UPRIGHT) + (1 - p) * math.log((1 - p) / (1 - UPRIGHT)))
        assert (crowd.kl() - without).item() == pytest.approx(expected, rel=1e-4)


def test_values_of_annotators_are_looked_up_for_each_replicate() -> None:
    values, annotator = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1, 0, 1], [0, 0, 1]])
    assert of_annotators(values, annotator).tolist() == [[2, 1, 2], [3, 3, 4]]
    assert of_annotators(values[:1], annotator).tolist() == [[2, 1, 2], [1, 1, 2]]


def test_annotators_who_are_pooled_are_one() -> None:
    assert count_annotators({"annotators": torch.tensor([5, 5])}, "learned") == 5
    assert count_annotators({"annotators": torch.tensor([5, 5])}, "pooled") == 1
    assert count_annotators({}, "learned") == 1


class TestPreference:
    def _rewards(self, transitions_of: Any, n: int) -> tuple[Tensor, Any]:
        values = torch.randn(1, n, 2, 3, generator=torch.Generator().manual_seed(1))
        return values, transitions_of(torch.ones(1, n, 2, 3, dtype=torch.bool))

    def test_davidson_by_hand(self) -> None:
        # logit 1, nu 0.5: weights exp(-0.5), exp(0.5), 0.5
        weights = [math.exp(-0.5), math.exp(0.5), 0.5]
        found = davidson(torch.tensor([[1.0]]), torch.tensor([[0.5]])).exp().flatten()
        assert found.tolist() == pytest.approx([w / sum(weights) for w in weights], rel=1e-5)

    def test_without_ties_and_with_one_annotator_it_is_bradley_terry(self, transitions_of: Any) -> None:
        values, steps = self._rewards(transitions_of, 50)
        batch = PreferenceBatch(steps, torch.arange(50)[None] % 3 == 0)
        plain, annotated = PreferenceLikelihood(2.0), AnnotatedPreferenceLikelihood(torch.full((1, 1), 2.0))
        assert torch.allclose(annotated.log_prob(values, batch), plain.log_prob(values, batch), atol=1e-6)
        assert torch.allclose(annotated.outcomes(values, steps), plain.outcomes(values, steps), atol=1e-6)
        learned = LearnedPreferenceLikelihood(2.0, 1, 1, ties=False)
        assert torch.allclose(learned.log_prob(values, batch), plain.log_prob(values, batch), atol=1e-6)

    def test_it_scores_what_it_samples(self, transitions_of: Any) -> None:
        values = torch.tensor([0.4, -0.3]).view(1, 1, 2, 1).expand(1, N, 2, 3)
        steps = transitions_of(torch.ones(1, N, 2, 3, dtype=torch.bool))
        crowd = AnnotatedPreferenceLikelihood(torch.tensor([[2.0, 0.0, -2.0]]), torch.tensor([[0.5, 0.1, 1.0]]))
        batch = crowd.sample(values, steps, _stream(2))
        assert not (batch.equal & batch.first_preferred).any()
        for annotator in range(3):
            mine = batch.annotator == annotator
            assert 0.3 < float(mine.float().mean()) < 0.37
            choice = torch.where(batch.equal, 2, batch.first_preferred.long())[mine]
            counts = torch.bincount(choice, minlength=3).double()
            every = [PreferenceBatch(steps, first, tie, batch.annotator) for first, tie in _choices(mine)]
            probability = torch.stack([crowd.log_prob(values, one)[mine][0] for one in every]).double().exp()
            assert float(probability.sum()) == pytest.approx(1.0, abs=1e-5)
            assert _chi_square(counts, probability) < 2 + 4 * 2

    def test_the_first_labels_do_not_depend_on_how_many_follow(self, transitions_of: Any) -> None:
        values, steps = self._rewards(transitions_of, 30)
        crowd = AnnotatedPreferenceLikelihood(torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 0.5]]))
        many, few = crowd.sample(values, steps, _stream(3)), crowd.sample(values[:, :7], steps.first(7), _stream(3))
        assert all(x.equal(many.labels[name][:, :7]) for name, x in few.labels.items())

    def test_a_sign_that_is_not_known_is_averaged_over(self, transitions_of: Any) -> None:
        values, steps = self._rewards(transitions_of, 5)
        batch = PreferenceBatch(steps, torch.tensor([[True, False, True, True, False]]))
        rationality, tie = torch.tensor([[1.5]]), torch.tensor([[0.2]])
        both = [AnnotatedPreferenceLikelihood(sign * rationality, tie).log_prob(values, batch) for sign in (1, -1)]
        mixed = AnnotatedPreferenceLikelihood(rationality, tie, torch.tensor([[0.7]])).log_prob(values, batch)
        assert torch.allclose(mixed, 0.7 * both[0] + 0.3 * both[1], atol=1e-6)


def _choices(like: Tensor) -> list[tuple[Tensor, Tensor]]:
    no, yes = torch.zeros_like(like), torch.ones_like(like)
    return [(no, no), (yes, no), (no, yes)]


class TestRating:
    def test_of_one_annotator_and_scale_it_is_the_plain_one(self, transitions_of: Any) -> None:
        values = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(4))
        steps = transitions_of(torch.ones(2, 40, 3, dtype=torch.bool))
        batch = RatingBatch(steps, torch.arange(40).repeat(2, 1) % 5)
        plain = RatingLikelihood.from_quantiles(values.mean(-1), 5)
        annotated = AnnotatedRatingLikelihood.from_quantiles(values.mean(-1), torch.ones(2, 1), [5])
        assert torch.allclose(annotated.log_prob(values, batch), plain.log_prob(values, batch), atol=1e-5)
        counts = torch.tensor([[3.0, 9, 4, 1, 0], [2, 2, 2, 2, 2]])
        learned = LearnedRatingLikelihood(counts[:, None], [5], 1)
        expected = RatingLikelihood.from_counts(counts).log_prob(values, batch)
        assert torch.allclose(learned.log_prob(values, batch), expected, atol=1e-5)

    def test_it_scores_what_it_samples(self, transitions_of: Any) -> None:
        """Three annotators on scales of 3, 7 and 3 steps; the last one rates the wrong way round."""
        known = torch.linspace(-2, 2, 200)[None]
        crowd = AnnotatedRatingLikelihood.from_quantiles(known, torch.tensor([[1.0, 0.5, -1.0]]), [3, 7])
        values, steps = torch.full((1, N, 2), 0.8), transitions_of(torch.ones(1, N, 2, dtype=torch.bool))
        batch = crowd.sample(values, steps, _stream(5))
        for annotator, categories in ((0, 3), (1, 7), (2, 3)):
            mine = batch.annotator == annotator
            assert batch.scale[mine].unique().tolist() == [annotator % 2]
            counts = torch.bincount(batch.rating[mine], minlength=7).double()
            assert counts[categories:].sum() == 0
            labels = [RatingBatch(steps, torch.full((1, N), k), batch.scale, batch.annotator) for k in range(7)]
            probability = torch.stack([crowd.log_prob(values, label)[mine][0] for label in labels]).double().exp()
            assert float(probability.sum()) == pytest.approx(1.0, abs=1e-5)
            assert float(probability[categories:].sum()) < 1e-12
            assert _chi_square(counts[:categories], probability[:categories]) < 6 + 4 * 3.5

    def test_a_learned_scale_has_its_own_categories_only(self, transitions_of: Any) -> None:
        learned = LearnedRatingLikelihood(torch.ones(1, 2, 6), [2, 6], 2)
        values, steps = torch.zeros(1, 6, 1), transitions_of(torch.ones(1, 6, 1, dtype=torch.bool))
        for scale, categories in ((0, 2), (1, 6)):
            batch = RatingBatch(steps, torch.arange(6)[None], torch.full((1, 6), scale))
            probability = learned.log_prob(values, batch).detach().exp().flatten()
            assert probability[:categories].tolist() == pytest.approx([1 / categories] * categories, abs=1e-5)
            assert float(probability[categories:].sum()) < 1e-12


class TestStop:
    def _steps(self, transitions_of: Any, n: int) -> tuple[Tensor, Any]:
        """Segments of 4 steps, padded to 6, each with the same regrets."""
        valid = (torch.arange(6) < 4).expand(1, n, 6).contiguous()
        return torch.tensor([0.1, 0.9, 0.0, 0.4, 7.0, 7.0]).expand(1, n, 6).contiguous(), transitions_of(valid)

    def test_almost_without_a_lag_it_is_the_plain_one(self, transitions_of: Any) -> None:
        regret, steps = self._steps(transitions_of, 5)
        batch = StopBatch(steps, torch.tensor([[0, 1, 2, 3, 6]]))
        plain = StopLikelihood(torch.tensor([0.7]), 0.5, 1e-3)
        one = torch.ones(1, 1)
        soon = AnnotatedStopLikelihood(0.7 * one, 0.5, 1e-3 * one, 1e-7 * one)
        assert torch.allclose(soon.log_prob(regret, batch), plain.log_prob(regret, batch), atol=1e-4)

    def test_a_lag_by_enumeration(self, transitions_of: Any) -> None:
        regret, steps = self._steps(transitions_of, 1)
        one, mean = torch.ones(1, 1), 1.3
        plain = StopLikelihood(torch.tensor([0.7]), 0.5, 1e-3).outcomes(regret, steps).exp().flatten().double()
        late = AnnotatedStopLikelihood(0.7 * one, 0.5, 1e-3 * one, mean * one)
        waits = [math.exp(-mean) * mean**k / math.factorial(k) for k in range(40)]
        expected = [0.0] * 7
        for seen in range(4):
            for wait, probability in enumerate(waits):
                expected[seen + wait if seen + wait < 4 else 6] += float(plain[seen]) * probability
        expected[6] += float(plain[6])
        found = late.outcomes(regret, steps).exp().flatten().tolist()
        assert found == pytest.approx(expected, abs=1e-6)
        for step in (0, 1, 2, 3, 6):
            batch = StopBatch(steps, torch.tensor([[step]]))
            assert float(late.log_prob(regret, batch).exp()) == pytest.approx(expected[step], rel=1e-5)

    def test_it_scores_what_it_samples(self, transitions_of: Any) -> None:
        regret, steps = self._steps(transitions_of, N)
        values = (torch.tensor([[1.0, 0.3]]), torch.tensor([[1e-3, 0.2]]), torch.tensor([[0.8, 2.0]]))
        crowd = AnnotatedStopLikelihood(values[0], 0.5, values[1], values[2])
        batch = crowd.sample(regret, steps, _stream(6))
        for annotator in range(2):
            mine = batch.annotator == annotator
            counts = torch.bincount(batch.stop_step[mine], minlength=7).double()
            labels = [StopBatch(steps, torch.full((1, N), step), batch.annotator) for step in (0, 1, 2, 3, 6)]
            probability = torch.stack([crowd.log_prob(regret, label)[mine][0] for label in labels]).double().exp()
            assert float(probability.sum()) == pytest.approx(1.0, abs=1e-5)
            assert _chi_square(counts[[0, 1, 2, 3, 6]], probability) < 4 + 4 * 2.9
            assert counts[[4, 5]].sum() == 0

    def test_the_gradient_is_that_of_differences(self, transitions_of: Any) -> None:
        regret, steps = self._steps(transitions_of, 5)
        batch = StopBatch(steps, torch.tensor([[0, 1, 2, 3, 6]]))

        def log_prob(rate: Tensor, lapse: Tensor, lag: Tensor, seen: Tensor) -> Tensor:
            return AnnotatedStopLikelihood(rate, 0.5, lapse, lag).log_prob(seen, batch)

        given = [torch.full((1, 1), x, dtype=torch.float64, requires_grad=True) for x in (0.7, 0.01, 1.3)]
        assert torch.autograd.gradcheck(log_prob, (*given, regret.double().requires_grad_()))

    def test_what_many_stops_tell_is_found(self, transitions_of: Any) -> None:
        """Rate, lapse and lag of two annotators, within a few standard deviations of their posterior."""
        stream = torch.Generator().manual_seed(7)
        regret = torch.rand(1, 4000, 12, generator=stream) * (torch.rand(1, 4000, 12, generator=stream) < 0.3)
        steps = transitions_of(torch.ones(1, 4000, 12, dtype=torch.bool))
        truth = {"rate": [0.8, 0.2], "lapse": [0.005, 0.03], "lag": [0.5, 2.5]}
        rate, lapse, lag = (torch.tensor([each]) for each in truth.values())
        batch = AnnotatedStopLikelihood(rate, 0.5, lapse, lag).sample(regret, steps, _stream(8))
        learned = LearnedStopLikelihood(1, 2, 0.5)
        _maximize(learned, regret, batch)
        for name, values in truth.items():
            found, spread = learned.learned()[name], learned.learned()[f"{name}_log_std"]
            error = (found.log() - torch.tensor([values]).log()).abs() / spread
            assert float(error.max()) < 5, (name, found, spread)
            assert float(spread.max()) < 0.5, name


def _maximize(likelihood: Any, values: Tensor, batch: Any, steps: int = 250) -> None:
    """The bound of what the likelihood learns itself, with the values known."""
    optimizer, noise = torch.optim.Adam(likelihood.parameters(), lr=0.03), torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        drawn = likelihood.drawn(torch.randn(1, likelihood.n_latents, generator=noise))
        (likelihood.kl() - drawn.log_prob(values, batch).sum(-1)).sum().backward()
        optimizer.step()


def test_who_answers_the_wrong_way_round_and_who_does_not_look_is_found(transitions_of: Any) -> None:
    values = torch.randn(1, 600, 2, 1, generator=torch.Generator().manual_seed(9))
    steps = transitions_of(torch.ones(1, 600, 2, 1, dtype=torch.bool))
    batch = AnnotatedPreferenceLikelihood(torch.tensor([[3.0, 3.0, 0.0, -3.0]])).sample(values, steps, _stream(10))
    learned = LearnedPreferenceLikelihood(3.0, 1, 4, ties=False)
    _maximize(learned, values, batch)
    found = {name: x.flatten().tolist() for name, x in learned.learned().items()}
    assert found["reliability_upright"][0] > 0.99
    assert found["reliability_upright"][1] > 0.99
    assert found["reliability_upright"][3] < 0.01
    assert found["reliability"][2] < 0.3
    for annotator in (0, 1, 3):
        assert abs(math.log(found["reliability"][annotator])) < 4 * found["reliability_log_std"][annotator]


def test_the_width_of_ties_is_found(transitions_of: Any) -> None:
    values = torch.randn(1, 3000, 2, 1, generator=torch.Generator().manual_seed(11))
    steps = transitions_of(torch.ones(1, 3000, 2, 1, dtype=torch.bool))
    batch = AnnotatedPreferenceLikelihood(torch.tensor([[2.0]]), torch.tensor([[0.6]])).sample(
        values, steps, _stream(12)
    )
    learned = LearnedPreferenceLikelihood(2.0, 1, 1, ties=True)
    _maximize(learned, values, batch)
    assert float(learned.learned()["tie"]) == pytest.approx(0.6, abs=0.1)


def test_cutpoints_of_few_ratings_are_those_of_others(transitions_of: Any) -> None:
    """An annotator with a thousand ratings keeps his own scale, one with five nearly that of all."""
    stream = torch.Generator().manual_seed(13)
    values = torch.randn(1, 2005, 1, generator=stream)
    annotator = torch.tensor([[0] * 1000 + [1] * 1000 + [2] * 5])
    steps = transitions_of(torch.ones(1, 2005, 1, dtype=torch.bool))
    first = torch.tensor([-1.0, 1.0, 3.0])
    cumulative = torch.sigmoid(torch.stack([first, first + 1.0], -1)[annotator] - values)
    rating = (torch.rand(1, 2005, 1, generator=stream) >= cumulative).sum(-1)
    batch = RatingBatch(steps, rating, annotator=annotator)
    counts = torch.bincount(rating.flatten(), minlength=3).float().view(1, 1, 3)
    learned = LearnedRatingLikelihood(counts, [3], 3)
    _maximize(learned, values, batch)
    low = learned.drawn().first.detach().flatten().tolist()
    assert low[0] == pytest.approx(-1.0, abs=0.3)
    assert low[1] == pytest.approx(1.0, abs=0.3)
    assert abs(low[2]) < 2.0
