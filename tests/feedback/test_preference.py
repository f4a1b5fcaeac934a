"""The Bradley-Terry model against loops over its formula."""

import math
from typing import Any

import pytest
import torch
from scipy import stats

from mavrl.feedback.preference import PreferenceBatch, PreferenceLikelihood, preference_logit
from mavrl.types import at_steps, segment_mean


def probability_first(first: list[float], second: list[float], rationality: float) -> float:
    """sigmoid(beta * (mean reward of the first segment - mean reward of the second)), in plain Python."""
    means = [sum(segment) / len(segment) if segment else 0.0 for segment in (first, second)]
    return 1 / (1 + math.exp(-rationality * (means[0] - means[1])))


def random_pairs(n_replicates: int, n_pairs: int, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rewards, validity of at least one step in each segment, and labels."""
    rewards = torch.randn(n_replicates, n_pairs, 2, length, dtype=torch.float64)
    valid = torch.rand(rewards.shape) < 0.6
    valid[..., 0] = True
    return rewards, valid, torch.rand(n_replicates, n_pairs) < 0.5


@pytest.mark.parametrize("rationality", [0.0, 0.5, 5.0])
def test_formula(transitions_of, rationality):
    rewards, valid, preferred = random_pairs(3, 20, 6)
    likelihood = PreferenceLikelihood(rationality)
    log_prob = likelihood.log_prob(rewards, PreferenceBatch(transitions_of(valid), preferred))
    for r in range(3):
        for b in range(20):
            first, second = (rewards[r, b, p][valid[r, b, p]].tolist() for p in range(2))
            p = probability_first(first, second, rationality)
            expected = math.log(p if preferred[r, b] else 1 - p)
            assert log_prob[r, b].item() == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_by_hand(transitions_of):
    # Means (1 + 2) / 2 = 1.5 and 1.0 (two steps are padding): logit 2 * 0.5 = 1, log sigmoid(1) = -0.31326169.
    rewards = torch.tensor([[[[1.0, 2.0, 99.0], [1.0, 99.0, 99.0]]]])
    valid = torch.tensor([[[[True, True, False], [True, False, False]]]])
    likelihood = PreferenceLikelihood(2.0)
    for preferred, expected in ((True, -0.31326169), (False, -1.31326169)):
        batch = PreferenceBatch(transitions_of(valid), torch.tensor([[preferred]]))
        assert likelihood.log_prob(rewards, batch).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_probabilities_sum_to_one(transitions_of, dtype, scale):
    rewards, valid, _ = random_pairs(2, 50, 4)
    steps = transitions_of(valid)
    likelihood = PreferenceLikelihood(1.0)
    total = sum(
        likelihood.log_prob((scale * rewards).to(dtype), PreferenceBatch(steps, label)).exp()
        for label in (torch.ones(2, 50, dtype=torch.bool), torch.zeros(2, 50, dtype=torch.bool))
    )
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("logit", [1e4, -1e4, 0.0])
@pytest.mark.parametrize("preferred", [True, False])
def test_saturation(transitions_of, logit, preferred):
    rewards = torch.tensor([[[[logit], [0.0]]]], requires_grad=True)
    batch = PreferenceBatch(transitions_of(torch.ones(1, 1, 2, 1, dtype=torch.bool)), torch.tensor([[preferred]]))
    log_prob = PreferenceLikelihood(1.0).log_prob(rewards, batch)
    log_prob.sum().backward()
    expected = min(0.0, logit if preferred else -logit) if logit else math.log(0.5)
    assert log_prob.item() == pytest.approx(expected)
    # d log sigmoid(x) / dx = 1 - sigmoid(x): 1 where the label is impossible, 0 where it is certain.
    slope = 0.5 if logit == 0 else float((logit > 0) != preferred)
    sign = 1 if preferred else -1
    assert rewards.grad.flatten().tolist() == [sign * slope, -sign * slope]


def test_segments_without_a_valid_step_are_a_coin_flip(transitions_of):
    rewards = torch.full((1, 1, 2, 3), float("nan"), requires_grad=True)
    batch = PreferenceBatch(transitions_of(torch.zeros(1, 1, 2, 3, dtype=torch.bool)), torch.tensor([[True]]))
    log_prob = PreferenceLikelihood(5.0).log_prob(rewards, batch)
    log_prob.sum().backward()
    assert log_prob.item() == pytest.approx(math.log(0.5))
    assert rewards.grad.abs().max() == 0


def test_padding_changes_nothing(transitions_of):
    rewards, valid, preferred = random_pairs(2, 8, 5)
    likelihood = PreferenceLikelihood(3.0)
    alone = likelihood.log_prob(rewards, PreferenceBatch(transitions_of(valid), preferred))
    padded = torch.cat([rewards, torch.full((2, 8, 2, 4), 1e6, dtype=torch.float64)], dim=-1)
    longer = torch.cat([valid, torch.zeros(2, 8, 2, 4, dtype=torch.bool)], dim=-1)
    beside_padding = likelihood.log_prob(padded, PreferenceBatch(transitions_of(longer), preferred))
    torch.testing.assert_close(beside_padding, alone)


def test_replicates_and_samples_one_by_one(transitions_of):
    rewards, valid, preferred = random_pairs(3, 5, 4)
    likelihood = PreferenceLikelihood(2.0)
    together = likelihood.log_prob(rewards, PreferenceBatch(transitions_of(valid), preferred))
    for r in range(3):
        for b in range(5):
            at = (slice(r, r + 1), slice(b, b + 1))
            alone = likelihood.log_prob(rewards[at], PreferenceBatch(transitions_of(valid[at]), preferred[at]))
            torch.testing.assert_close(alone, together[at])


def test_logit_of_any_batch_shape():
    rewards = torch.arange(12.0).view(3, 2, 2)
    logit = preference_logit(rewards, torch.ones(3, 2, 2, dtype=torch.bool), 2.0)
    torch.testing.assert_close(logit, torch.full((3,), -4.0))  # means differ by 2 in each pair


class TestSample:
    @pytest.mark.parametrize(("difference", "rationality"), [(0.3, 5.0), (-1.0, 1.0), (2.0, 0.0), (0.05, 20.0)])
    def test_follows_the_density(self, transitions_of, generators, difference, rationality):
        n = 100_000
        rewards = torch.tensor([difference, 0.0]).view(1, 1, 2, 1).expand(1, n, 2, 1)
        steps = transitions_of(torch.ones(1, n, 2, 1, dtype=torch.bool))
        batch = PreferenceLikelihood(rationality).sample(rewards, steps, generators(11))
        p = probability_first([difference], [0.0], rationality)
        first = int(batch.first_preferred.sum())
        assert stats.chisquare([first, n - first], [n * p, n * (1 - p)]).pvalue > 1e-3

    def test_certain_labels(self, transitions_of, generators):
        rewards = torch.tensor([[1e4, 0.0], [0.0, 1e4]]).view(1, 2, 2, 1)
        steps = transitions_of(torch.ones(1, 2, 2, 1, dtype=torch.bool))
        for seed in range(50):
            labels = PreferenceLikelihood(1.0).sample(rewards, steps, generators(seed)).first_preferred
            assert labels.tolist() == [[True, False]]

    def test_the_first_labels_do_not_depend_on_how_many_are_drawn(self, transitions_of, generators):
        rewards, valid, _ = random_pairs(2, 40, 3)
        likelihood = PreferenceLikelihood(0.5)
        many = likelihood.sample(rewards, transitions_of(valid), generators(0, 1)).first_preferred
        for n in (1, 15, 16, 39):
            few = likelihood.sample(rewards[:, :n], transitions_of(valid[:, :n]), generators(0, 1)).first_preferred
            assert torch.equal(few, many[:, :n])

    def test_a_replicate_depends_on_its_own_generator_alone(self, transitions_of, generators):
        rewards, valid, _ = random_pairs(1, 60, 3)
        rewards, valid = rewards.expand(3, -1, -1, -1), valid.expand(3, -1, -1, -1)
        likelihood = PreferenceLikelihood(0.5)
        labels = likelihood.sample(rewards, transitions_of(valid), generators(5, 6, 7)).first_preferred
        others = likelihood.sample(rewards, transitions_of(valid), generators(8, 6, 9)).first_preferred
        assert torch.equal(labels[1], others[1])
        assert not torch.equal(labels[0], others[0])
        assert not torch.equal(labels[0], labels[1])

    def test_keeps_the_transitions(self, transitions_of, generators):
        rewards, valid, _ = random_pairs(1, 3, 2)
        steps = transitions_of(valid)
        assert PreferenceLikelihood(1.0).sample(rewards, steps, generators(0)).transitions is steps


# Asking ---------------------------------------------------------------------------------------------------------------


def _difference(batch: Any, problem: Any) -> torch.Tensor:
    mean = segment_mean(at_steps(problem.reward[..., None], batch.transitions), batch.transitions.valid)
    return mean[..., 0] - mean[..., 1]


@pytest.mark.parametrize("rationality", [0.0, 1.0, 5.0])
def test_labels_follow_the_teacher(rationality: float, make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    batch = simulate(make_source("preference", 3000, teacher_rationality=rationality, n_episodes=600), [0], problem)
    probability = (rationality * _difference(batch, problem)).sigmoid()
    spread = (probability * (1 - probability)).sum().sqrt()
    assert ((batch.first_preferred.double() - probability).sum() / spread).abs() < 4
    weight = _difference(batch, problem)  # the same, where it matters which of the two is better
    spread = (weight.square() * probability * (1 - probability)).sum().sqrt()
    assert ((weight * (batch.first_preferred.double() - probability)).sum() / spread).abs() < 4


def _difference_in_control(batch: Any) -> torch.Tensor:
    """The reward is -1 for the step that ends an episode, and 0 for all others."""
    steps = batch.transitions
    mean = segment_mean(-steps.terminal.double(), steps.valid)
    return mean[..., 0] - mean[..., 1]


@pytest.mark.parametrize("rationality", [0.0, 5.0])
def test_labels_follow_the_teacher_in_a_control_environment(
    rationality: float, make_source: Any, make_control: Any, simulate: Any
) -> None:
    batch = simulate(
        make_source("preference", 2000, teacher_rationality=rationality, n_episodes=200), [0], make_control()
    )
    difference = _difference_in_control(batch)
    assert (difference != 0).sum() > 500
    probability = (rationality * difference).sigmoid()
    excess = batch.first_preferred.double() - probability
    for weight in (torch.ones_like(difference), difference):
        spread = (weight.square() * probability * (1 - probability)).sum().sqrt()
        assert ((weight * excess).sum() / spread).abs() < 4


def test_pairs_of_a_control_environment(make_source: Any, make_control: Any, simulate: Any) -> None:
    batch = simulate(make_source("preference", 60, segment_len=4, teacher_rationality=1e6), [0, 1], make_control())
    assert batch.transitions.state.shape == batch.transitions.next_state.shape == (2, 60, 2, 4, 4)
    assert batch.transitions.state.dtype == torch.float32
    assert not batch.transitions.state[:, :, 0].equal(batch.transitions.state[:, :, 1])
    difference = _difference_in_control(batch)
    clear = difference != 0
    assert clear.any()
    assert batch.first_preferred[clear].equal(difference[clear] > 0)


def test_a_perfect_teacher_prefers_the_better_segment(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    batch = simulate(make_source("preference", 200, teacher_rationality=1e6), [0], problem)
    difference = _difference(batch, problem)
    clear = difference.abs() > 1e-3
    assert clear.any()
    assert batch.first_preferred[clear].equal(difference[clear] > 0)


def test_the_pair_has_two_segments_of_the_wanted_length(make_source: Any, simulate: Any) -> None:
    batch = simulate(make_source("preference", 7, segment_len=4), [0, 1])
    assert batch.transitions.state.shape == (2, 7, 2, 4)
    assert not batch.transitions.state[:, :, 0].equal(batch.transitions.state[:, :, 1])


def test_the_model_may_assume_another_rationality(make_source: Any, nobody: Any, simulate: Any) -> None:
    source = make_source("preference", 4, teacher_rationality=5.0, model_rationality=2.0)
    _, teacher = simulate(source, [0], with_teacher=True)
    assert source.module(nobody, [0]).likelihood_of_models(teacher, 1).rationality == 2.0
