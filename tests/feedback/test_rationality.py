"""Rationality that is learned: one factor on what a likelihood reads, whatever the kind."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.demonstration import DemonstrationBatch, DemonstrationLikelihood
from mavrl.feedback.preference import LearnedPreferenceLikelihood, PreferenceBatch, PreferenceLikelihood
from mavrl.feedback.rating import RatingBatch, RatingLikelihood
from mavrl.feedback.rationality import SPREAD, RationalLikelihood, UnknownRationality
from mavrl.feedback.stop import LapsingStopLikelihood, StopBatch, StopLikelihood
from mavrl.quadratic import QuadraticValues

FACTOR = torch.tensor([0.5, 3.0])
N = 2000


def _stream(seed: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed)]


def _read(likelihood: FeedbackLikelihood, reward: Tensor) -> Tensor:
    return likelihood.of_actions(reward[..., None]).squeeze(-1)


class TestAFactor:
    """It is the rationality, the rate, or one over the noise, in each model's own row."""

    def test_of_preferences(self, transitions_of: Any) -> None:
        reward = torch.randn(2, 6, 2, 3)
        batch = PreferenceBatch(transitions_of(torch.ones(2, 6, 2, 3, dtype=torch.bool)), torch.rand(2, 6) < 0.5)
        scaled = RationalLikelihood(PreferenceLikelihood(2.0), FACTOR)
        found = scaled.log_prob(_read(scaled, reward), batch)
        for row, beta in enumerate((1.0, 6.0)):
            expected = PreferenceLikelihood(beta).log_prob(reward, batch)[row]
            torch.testing.assert_close(found[row], expected)

    def test_of_ratings_is_one_over_the_noise(self, transitions_of: Any) -> None:
        reward, steps = torch.randn(2, 6, 3), transitions_of(torch.ones(2, 6, 3, dtype=torch.bool))
        first, gaps = torch.tensor([-1.0, 0.5]), torch.tensor([[1.0, 2.0], [0.3, 0.7]])
        scaled = RationalLikelihood(RatingLikelihood(first, gaps), FACTOR)
        found = scaled.outcomes(_read(scaled, reward), steps)
        for row, noise in enumerate((2.0, 1 / 3)):
            expected = RatingLikelihood(first, gaps, noise).outcomes(reward, steps)[row]
            torch.testing.assert_close(found[row], expected)

    def test_of_stops_is_on_their_rate(self, transitions_of: Any) -> None:
        q, steps = torch.randn(2, 6, 3, 4), transitions_of(torch.ones(2, 6, 3, dtype=torch.bool))
        scaled = RationalLikelihood(StopLikelihood(torch.tensor([0.4, 0.4]), 0.5), FACTOR)
        plain = StopLikelihood(0.4 * FACTOR, 0.5)
        found = scaled.outcomes(scaled.of_actions(q)[..., 0], steps)
        torch.testing.assert_close(found, plain.outcomes(plain.of_actions(q)[..., 0], steps))

    def test_of_demonstrations(self) -> None:
        q = torch.randn(2, 6, 4)
        found = RationalLikelihood(DemonstrationLikelihood(2.0), FACTOR).of_actions(q)
        for row, beta in enumerate((1.0, 6.0)):
            torch.testing.assert_close(found[row], torch.log_softmax(beta * q[row], dim=-1))

    def test_of_demonstrated_vectors(self) -> None:
        q, action = QuadraticValues.from_outputs(torch.randn(2, 6, 7)), torch.rand(2, 6, 3) * 2 - 1
        found = RationalLikelihood(DemonstrationLikelihood(2.0), FACTOR).of_vectors(q, action)
        for row, beta in enumerate((1.0, 6.0)):
            torch.testing.assert_close(found[row], q[row].log_policy(action[row], beta))


@pytest.mark.parametrize(
    "likelihood",
    [PreferenceLikelihood(5.0), DemonstrationLikelihood(5.0), StopLikelihood(torch.ones(1), 0.5, 0.1)],
)
def test_with_a_factor_of_0_labels_say_nothing(likelihood: FeedbackLikelihood, transitions_of: Any) -> None:
    table = torch.randn(1, 8, 2, 3, 4, requires_grad=True)
    nothing = RationalLikelihood(likelihood, torch.zeros(1))
    steps = transitions_of(torch.ones(1, 8, 2, 3, dtype=torch.bool))
    if likelihood.reads == "q" and not likelihood.answers_are_actions:
        table, steps = table[:, :, 0], transitions_of(torch.ones(1, 8, 3, dtype=torch.bool))
    read = nothing.of_actions(table)
    found = nothing.outcomes(read if likelihood.answers_are_actions else read[..., 0], steps)
    (gradient,) = torch.autograd.grad(found.sum(), table)
    assert gradient.abs().max() == 0
    assert found.detach().flatten(0, 1).std(0).max() < 1e-6  # the same of all


class TestUnknownRationality:
    def test_a_draw_and_its_kl_by_hand(self) -> None:
        unknown = UnknownRationality(PreferenceLikelihood(2.0), 3)
        mean, std = torch.tensor([0.5, -1.0, 2.0]), torch.tensor([0.2, 0.4, SPREAD])
        with torch.no_grad():
            unknown.factor.mean.copy_(mean[:, None] / unknown.factor.pace)
            unknown.factor.log_std.copy_(std.log()[:, None])
        noise = torch.tensor([[1.0], [-2.0], [0.0]])
        torch.testing.assert_close(unknown.drawn(noise).factor, (mean + std * noise[:, 0]).exp())
        torch.testing.assert_close(unknown.drawn().factor, mean.exp())
        expected = (SPREAD / std).log() + (std.square() + mean.square()) / (2 * SPREAD**2) - 0.5
        torch.testing.assert_close(unknown.kl(), expected)

    def test_what_the_kind_learns_itself_is_learned_beside_it(self) -> None:
        crowd = LearnedPreferenceLikelihood(2.0, 1, 3, ties=True)
        unknown = UnknownRationality(crowd, 1)
        assert unknown.n_latents == 4
        noise = torch.randn(1, 4)
        drawn = unknown.drawn(noise)
        torch.testing.assert_close(drawn.factor, unknown.factor.drawn(noise[:, :1])[:, 0])
        torch.testing.assert_close(drawn.likelihood.rationality, crowd.drawn(noise[:, 1:]).rationality)  # type: ignore
        torch.testing.assert_close(unknown.kl(), crowd.kl() + unknown.factor.kl())
        assert unknown.learned().keys() == crowd.learned().keys()

    def test_the_middle_is_the_given_one_before_anything_is_learned(self, transitions_of: Any) -> None:
        reward = torch.randn(2, 6, 2, 3)
        batch = PreferenceBatch(transitions_of(torch.ones(2, 6, 2, 3, dtype=torch.bool)), torch.rand(2, 6) < 0.5)
        given, unknown = PreferenceLikelihood(2.0), UnknownRationality(PreferenceLikelihood(2.0), 2)
        assert unknown.log_prob(_read(unknown, reward), batch).equal(given.log_prob(reward, batch))


def _preferences(transitions_of: Any, beta: float) -> tuple[FeedbackLikelihood, Tensor, PreferenceBatch]:
    reward, steps = torch.randn(1, N, 2, 1, generator=_stream(1)[0]), transitions_of(torch.ones(1, N, 2, 1) > 0)
    return PreferenceLikelihood(1.0), reward[..., None], PreferenceLikelihood(beta).sample(reward, steps, _stream(2))


def _demonstrations(transitions_of: Any, beta: float) -> tuple[FeedbackLikelihood, Tensor, DemonstrationBatch]:
    q, steps = torch.randn(1, N, 4, generator=_stream(1)[0]), transitions_of(torch.ones(1, N) > 0)
    return DemonstrationLikelihood(1.0), q, DemonstrationLikelihood(beta).sample(q, steps, _stream(2))


def _ratings(transitions_of: Any, beta: float) -> tuple[FeedbackLikelihood, Tensor, RatingBatch]:
    reward, steps = torch.randn(1, N, 1, generator=_stream(1)[0]), transitions_of(torch.ones(1, N, 1) > 0)
    teacher = RatingLikelihood.from_quantiles(reward[..., 0], 5, 1 / beta)
    batch = teacher.sample(reward, steps, _stream(2))
    counts = torch.bincount(batch.rating.flatten(), minlength=5)[None].float()
    return RatingLikelihood.from_counts(counts), reward[..., None], batch


def _stops(transitions_of: Any, beta: float) -> tuple[FeedbackLikelihood, Tensor, StopBatch]:
    regret = torch.rand(1, N, 3, generator=_stream(1)[0])
    steps = transitions_of(torch.ones(1, N, 3) > 0)
    batch = StopLikelihood(torch.tensor([beta]), 0.5, 0.02).sample(regret, steps, _stream(2))
    q = torch.stack([-regret, torch.zeros_like(regret)], dim=-1)  # the first action has been taken
    return LapsingStopLikelihood(torch.ones(1), 0.5), q, batch


def _learned(unknown: UnknownRationality, table: Tensor, batch: Any, steps: int = 200) -> tuple[float, float]:
    """Median and standard deviation of the logarithm of the factor, with the reward, or Q, known."""
    optimizer, noise = torch.optim.Adam(unknown.parameters(), lr=0.02), torch.Generator().manual_seed(0)
    taken = batch.transitions.action if batch.kind == "demonstration" else torch.zeros_like(batch.transitions.action)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, steps)  # the last steps are noise otherwise
    for _ in range(steps):
        optimizer.zero_grad()
        drawn = unknown.drawn(torch.randn(1, unknown.n_latents, generator=noise))
        read = drawn.of_actions(table).gather(-1, taken[..., None]).squeeze(-1)
        (unknown.kl() - drawn.log_prob(read, batch).sum(-1)).sum().backward()
        optimizer.step()
        slower.step()
    values = unknown.factor.learned()
    return float(values[""]), float(values["_log_std"])


KINDS: list[Callable[..., Any]] = [_preferences, _demonstrations, _ratings, _stops]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_what_many_labels_tell_is_found(kind: Callable[..., Any], beta: float, transitions_of: Any) -> None:
    likelihood, table, batch = kind(transitions_of, beta)
    median, spread = _learned(UnknownRationality(likelihood, 1), table, batch)
    assert spread < 0.3
    assert abs(math.log(median / beta)) < 4 * spread


@pytest.mark.parametrize("kind", KINDS[:3])
def test_who_answers_by_chance_has_next_to_none(kind: Callable[..., Any], transitions_of: Any) -> None:
    likelihood, table, batch = kind(transitions_of, 1e-6)
    median, _ = _learned(UnknownRationality(likelihood, 1), table, batch)
    assert median < 0.1


def test_the_posterior_is_that_of_integration(transitions_of: Any) -> None:
    """Of few labels and a reward that is known: mean and deviation of the logarithm, by quadrature."""
    reward = 2 * torch.randn(1, 60, 2, 1, generator=_stream(3)[0])
    steps = transitions_of(torch.ones(1, 60, 2, 1, dtype=torch.bool))
    batch = PreferenceLikelihood(1.5).sample(reward, steps, _stream(4))
    grid = torch.linspace(-6, 6, 2001, dtype=torch.float64)
    log_prob = torch.stack([PreferenceLikelihood(float(z.exp())).log_prob(reward.double(), batch).sum() for z in grid])
    weight = torch.softmax(log_prob - 0.5 * (grid / SPREAD).square(), dim=0)
    mean = (weight * grid).sum()
    std = (weight * (grid - mean).square()).sum().sqrt()
    median, spread = _learned(UnknownRationality(PreferenceLikelihood(1.0), 1), reward[..., None], batch, 400)
    assert math.log(median) == pytest.approx(float(mean), abs=0.25 * float(std))
    assert spread == pytest.approx(float(std), rel=0.2)
