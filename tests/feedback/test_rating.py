"""The cumulative logit model against loops over its formula."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.feedback.base import log1mexp
from mavrl.feedback.rating import RatingBatch, RatingLikelihood, category_log_probs
from mavrl.simulation.tabular import TabularSimulator
from mavrl.types import Transitions, at_steps, segment_mean


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def category_probabilities(theta: list[float], mean_reward: float) -> list[float]:
    """Differences of p(y <= k) = sigmoid(theta_k - mean reward), in plain Python."""
    cumulative = [0.0, *(sigmoid(cutpoint - mean_reward) for cutpoint in theta), 1.0]
    return [high - low for low, high in pairwise(cumulative)]


def of_cutpoints(*theta: list[float]) -> RatingLikelihood:
    """A float64 likelihood with these cutpoints, one list per replicate."""
    cutpoints = torch.tensor(theta, dtype=torch.float64)
    likelihood = RatingLikelihood(cutpoints[:, 0], cutpoints.diff(dim=-1)).double()
    with torch.no_grad():  # the constructor rounds to float32
        likelihood.first_cutpoint.copy_(cutpoints[:, 0])
        likelihood.raw_increments.copy_(cutpoints.diff(dim=-1).expm1().log())
    return likelihood


def cutpoints_of(likelihood: RatingLikelihood) -> torch.Tensor:
    steps = likelihood.increments().cumsum(-1)
    return torch.cat([likelihood.first_cutpoint[:, None], likelihood.first_cutpoint[:, None] + steps], dim=-1)


def one_step(transitions_of, shape: tuple[int, int]) -> Transitions:
    return transitions_of(torch.ones(*shape, 1, dtype=torch.bool))


def test_formula(transitions_of):
    theta = [[-2.0, -0.5, 0.1, 1.5], [0.0, 0.2, 3.0, 3.1], [-9.0, -8.0, 2.0, 6.0]]
    rewards = 2 * torch.randn(3, 10, 6, dtype=torch.float64)
    valid = torch.rand(3, 10, 6) < 0.6
    valid[..., 2] = True
    rating = torch.randint(5, (3, 10))
    log_prob = of_cutpoints(*theta).log_prob(rewards, RatingBatch(transitions_of(valid), rating))
    for r in range(3):
        for b in range(10):
            kept = rewards[r, b][valid[r, b]].tolist()
            p = category_probabilities(theta[r], sum(kept) / len(kept))[rating[r, b]]
            assert log_prob[r, b].item() == pytest.approx(math.log(p), rel=1e-9)


def test_by_hand():
    # theta = (-1, 1), mean reward 0: sigmoid(-1) = 0.26894142, sigmoid(1) = 0.73105858.
    log_probs = category_log_probs(torch.zeros(1, 1), torch.tensor([[-1.0]]), torch.tensor([[[2.0]]]))
    torch.testing.assert_close(log_probs.exp().flatten(), torch.tensor([0.26894142, 0.46211716, 0.26894142]))


def test_a_higher_reward_is_rated_higher():
    log_probs = category_log_probs(torch.linspace(-5, 5, 9)[None], torch.tensor([[-1.0]]), torch.ones(1, 1, 3))
    expected_rating = (log_probs.exp() * torch.arange(5)).sum(-1).flatten()
    assert (expected_rating.diff() > 0).all()


def test_two_categories_are_a_logistic_regression():
    log_probs = category_log_probs(torch.tensor([[0.7]]), torch.tensor([[0.2]]), torch.zeros(1, 1, 0))
    expected = torch.tensor([sigmoid(-0.5), sigmoid(0.5)])
    torch.testing.assert_close(log_probs.exp().flatten(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("n_categories", [2, 3, 5, 7])
def test_probabilities_sum_to_one(dtype, scale, n_categories):
    mean_reward = scale * torch.randn(3, 40, dtype=dtype)
    increments = torch.rand(3, n_categories - 2, dtype=dtype) * torch.tensor([1e-3, 1, 30])[:, None].to(dtype)
    total = category_log_probs(mean_reward, torch.randn(3, 1, dtype=dtype), increments[:, None]).exp().sum(-1)
    # theta_b - theta_a equals the increment up to the rounding of theta
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-5 if dtype == torch.float32 else 1e-12)


class TestSaturation:
    @pytest.mark.parametrize("mean_reward", [-1e4, 0.0, 1e4])
    @pytest.mark.parametrize("rating", range(5))
    def test_far_from_the_cutpoints(self, transitions_of, mean_reward, rating):
        likelihood = RatingLikelihood(torch.tensor([-2.0]), torch.ones(1, 3))
        values = torch.full((1, 1, 1), mean_reward, requires_grad=True)
        log_prob = likelihood.log_prob(values, RatingBatch(one_step(transitions_of, (1, 1)), torch.tensor([[rating]])))
        log_prob.sum().backward()
        assert log_prob.isfinite().all()
        assert values.grad.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in likelihood.parameters())
        if mean_reward:
            # Beyond the cutpoints the best category is certain; each other one costs the distance to its nearest edge.
            nearest = [-2.0, -1.0, 0.0, 1.0]
            distances = {
                1e4: [1e4 - theta for theta in nearest] + [0.0],
                -1e4: [0.0] + [1e4 + theta for theta in nearest],
            }
            assert log_prob.item() == pytest.approx(-distances[mean_reward][rating], abs=1.0)

    @pytest.mark.parametrize("rating", range(5))
    def test_increments_of_zero(self, transitions_of, rating):
        """As a teacher has them whose segments' mean rewards are often equal."""
        likelihood = RatingLikelihood(torch.tensor([0.0]), torch.zeros(1, 3))
        values = torch.zeros(1, 1, 1, requires_grad=True)
        log_prob = likelihood.log_prob(values, RatingBatch(one_step(transitions_of, (1, 1)), torch.tensor([[rating]])))
        log_prob.sum().backward()
        assert log_prob.isfinite().all()
        assert values.grad.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in likelihood.parameters())
        if rating in (0, 4):
            assert log_prob.item() == pytest.approx(math.log(0.5))
        else:
            assert log_prob.item() < -60  # a category of width 0

    def test_segments_without_a_valid_step_have_mean_reward_zero(self, transitions_of):
        likelihood = RatingLikelihood.from_counts(torch.ones(1, 5))
        values = torch.full((1, 1, 3), float("nan"), requires_grad=True)
        steps = transitions_of(torch.zeros(1, 1, 3, dtype=torch.bool))
        log_prob = likelihood.log_prob(values, RatingBatch(steps, torch.tensor([[3]])))
        log_prob.sum().backward()
        assert log_prob.item() == pytest.approx(math.log(0.2), abs=1e-5)
        assert values.grad.abs().max() == 0

    def test_neighbouring_cutpoints_do_not_cancel(self):
        # The category has width 1e-6 around the mean reward: p = 1e-6 * sigmoid'(0) = 2.5e-7. The difference of two
        # float32 sigmoids has no correct digit.
        log_probs = category_log_probs(torch.zeros(1, 1), torch.zeros(1, 1), torch.full((1, 1, 1), 1e-6))
        assert log_probs[0, 0, 1].exp().item() == pytest.approx(2.5e-7, rel=1e-4)


class TestCutpoints:
    def test_constructor_keeps_them(self):
        likelihood = RatingLikelihood(torch.tensor([-1.0, 5.0]), torch.tensor([[0.5, 2.0], [1e-4, 40.0]]))
        torch.testing.assert_close(likelihood.increments().detach(), torch.tensor([[0.5, 2.0], [1e-4, 40.0]]))
        assert likelihood.first_cutpoint.tolist() == [-1.0, 5.0]

    @pytest.mark.parametrize("n_categories", [2, 3, 5, 10])
    def test_equal_counts_give_every_rating_equal_probability(self, transitions_of, n_categories):
        likelihood = RatingLikelihood.from_counts(torch.full((3, n_categories), 7.0))
        log_probs = likelihood.outcomes(torch.zeros(3, 2, 1), one_step(transitions_of, (3, 2)))
        torch.testing.assert_close(log_probs.exp(), torch.full((3, 2, n_categories), 1 / n_categories))

    def test_a_mean_reward_of_0_gets_each_rating_as_often_as_it_was_given(self, transitions_of):
        counts = torch.tensor([[117.0, 3, 0, 49, 87], [0, 2, 0, 0, 0]])
        likelihood = RatingLikelihood.from_counts(counts)
        log_probs = likelihood.outcomes(torch.zeros(2, 1, 1), one_step(transitions_of, (2, 1)))
        expected = torch.tensor([[117.5, 3.5, 0.5, 49.5, 87.5], [0.5, 2.5, 0.5, 0.5, 0.5]])
        torch.testing.assert_close(log_probs.exp()[:, 0], expected / expected.sum(-1, keepdim=True))

    def test_quantiles(self):
        # 0 ... 100: the 20, 40, 60 and 80 % quantiles are 20, 40, 60, 80. The second replicate is 10 times as wide.
        mean_reward = torch.stack([torch.arange(101.0), 10 * torch.arange(101.0)])
        theta = cutpoints_of(RatingLikelihood.from_quantiles(mean_reward, 5))
        torch.testing.assert_close(theta, torch.tensor([[20.0, 40, 60, 80], [200, 400, 600, 800]]))

    def test_quantiles_do_not_depend_on_the_order(self):
        mean_reward = torch.randn(1, 200)
        theta = cutpoints_of(RatingLikelihood.from_quantiles(mean_reward, 5))
        shuffled = mean_reward[:, torch.randperm(200)]
        torch.testing.assert_close(cutpoints_of(RatingLikelihood.from_quantiles(shuffled, 5)), theta)

    def test_equal_mean_rewards_leave_two_categories(self, transitions_of):
        likelihood = RatingLikelihood.from_quantiles(torch.full((1, 50), -0.1), 5)
        log_probs = likelihood.outcomes(torch.full((1, 1, 1), -0.1), one_step(transitions_of, (1, 1)))
        torch.testing.assert_close(log_probs.exp().flatten(), torch.tensor([0.5, 0, 0, 0, 0.5]))

    def test_stay_ordered_under_gradient_steps(self, transitions_of):
        """Ratings in the wrong order pull the cutpoints together, but never across."""
        likelihood = RatingLikelihood(torch.tensor([-1.0]), torch.full((1, 3), 0.5))
        optimizer = torch.optim.SGD(likelihood.parameters(), lr=1.0)
        values = torch.linspace(-3, 3, 20).view(1, 20, 1)
        batch = RatingBatch(one_step(transitions_of, (1, 20)), torch.linspace(4, 0, 20).round().long()[None])
        before = likelihood.log_prob(values, batch).sum().item()
        for _ in range(100):
            optimizer.zero_grad()
            (-likelihood.log_prob(values, batch).mean()).backward()
            optimizer.step()
            theta = cutpoints_of(likelihood).detach()
            assert theta.isfinite().all()
            assert (likelihood.increments() > 0).all()
            assert (theta.diff(dim=-1) >= 0).all()
        assert likelihood.log_prob(values, batch).sum().item() > before

    def test_are_learned_from_ratings(self, transitions_of, generators):
        teacher = of_cutpoints([-1.5, 0.0, 0.5, 2.0])
        n = 20_000
        values = torch.randn(1, n, 1, dtype=torch.float64)
        batch = teacher.sample(values, one_step(transitions_of, (1, n)), generators(1003))  # not the seed of the values
        student = RatingLikelihood.from_counts(torch.ones(1, 5)).double()
        optimizer = torch.optim.LBFGS(student.parameters(), max_iter=100, line_search_fn="strong_wolfe")

        def loss():
            optimizer.zero_grad()
            total = -student.log_prob(values, batch).mean()
            total.backward()
            return total

        optimizer.step(loss)
        # standard errors are about 0.02
        torch.testing.assert_close(
            cutpoints_of(student), torch.tensor([[-1.5, 0, 0.5, 2]], dtype=torch.float64), rtol=0, atol=0.1
        )

    def test_gradient(self, transitions_of):
        first = torch.randn(2, 1, dtype=torch.float64, requires_grad=True)
        increments = torch.rand(2, 1, 3, dtype=torch.float64, requires_grad=True)
        mean_reward = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(category_log_probs, (mean_reward, first, increments))


class TestSample:
    @pytest.mark.parametrize(
        ("theta", "mean_reward"),
        [([-1.0, -0.3, 0.3, 1.0], 0.0), ([-1.0, -0.3, 0.3, 1.0], 1.2), ([0.0, 0.05, 2.0, 2.5], -0.7), ([0.4], 0.1)],
    )
    def test_follows_the_density(self, transitions_of, generators, theta, mean_reward):
        n = 100_000
        values = torch.full((1, n, 1), mean_reward, dtype=torch.float64)
        rating = of_cutpoints(theta).sample(values, one_step(transitions_of, (1, n)), generators(13)).rating
        expected = [n * p for p in category_probabilities(theta, mean_reward)]
        counts = torch.bincount(rating.flatten(), minlength=len(expected)).tolist()
        assert len(counts) == len(expected)
        assert stats.chisquare(counts, expected).pvalue > 1e-3

    def test_the_teacher_finds_categories_about_equally_often(self, transitions_of, generators):
        """Rewards are spread widely against the unit logistic noise, which otherwise favours the outer categories."""
        n = 50_000
        values = 100 * torch.randn(2, n, 1, dtype=torch.float64) * torch.tensor([1.0, 3.0])[:, None, None]
        teacher = RatingLikelihood.from_quantiles(values.squeeze(-1), 5)
        rating = teacher.sample(values, one_step(transitions_of, (2, n)), generators(1000, 1001)).rating
        for r in range(2):
            share = torch.bincount(rating[r], minlength=5) / n
            torch.testing.assert_close(share, torch.full((5,), 0.2), rtol=0, atol=0.01)

    def test_never_a_category_of_width_zero(self, transitions_of, generators):
        teacher = RatingLikelihood.from_quantiles(torch.ones(1, 50), 5)
        rating = teacher.sample(torch.ones(1, 10_000, 1), one_step(transitions_of, (1, 10_000)), generators(0)).rating
        assert set(rating.unique().tolist()) == {0, 4}

    def test_the_first_labels_do_not_depend_on_how_many_are_drawn(self, transitions_of, generators):
        values = torch.randn(2, 40, 1)
        likelihood = RatingLikelihood.from_counts(torch.ones(2, 5))
        many = likelihood.sample(values, one_step(transitions_of, (2, 40)), generators(0, 1)).rating
        for n in (1, 15, 16, 39):
            few = likelihood.sample(values[:, :n], one_step(transitions_of, (2, n)), generators(0, 1)).rating
            assert torch.equal(few, many[:, :n])

    def test_a_replicate_depends_on_its_own_generator_alone(self, transitions_of, generators):
        values, steps = torch.zeros(3, 60, 1), one_step(transitions_of, (3, 60))
        likelihood = RatingLikelihood.from_counts(torch.ones(3, 5))
        rating = likelihood.sample(values, steps, generators(5, 6, 7)).rating
        others = likelihood.sample(values, steps, generators(8, 6, 9)).rating
        assert torch.equal(rating[1], others[1])
        assert not torch.equal(rating[0], others[0])
        assert not torch.equal(rating[0], rating[1])


def test_padding_changes_nothing(transitions_of):
    likelihood = of_cutpoints([-1.0, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0])
    values, valid = torch.randn(2, 8, 5, dtype=torch.float64), torch.ones(2, 8, 5, dtype=torch.bool)
    rating = torch.randint(5, (2, 8))
    alone = likelihood.log_prob(values, RatingBatch(transitions_of(valid), rating))
    padded = torch.cat([values, torch.full((2, 8, 3), float("nan"), dtype=torch.float64)], dim=-1)
    longer = torch.cat([valid, torch.zeros(2, 8, 3, dtype=torch.bool)], dim=-1)
    torch.testing.assert_close(likelihood.log_prob(padded, RatingBatch(transitions_of(longer), rating)), alone)


def test_replicates_and_samples_one_by_one(transitions_of):
    theta = [[-1.0, 0.0, 1.0, 2.0], [0.0, 1.0, 2.0, 3.0]]
    values, valid = torch.randn(2, 6, 4, dtype=torch.float64), torch.rand(2, 6, 4) < 0.7
    rating = torch.randint(5, (2, 6))
    together = of_cutpoints(*theta).log_prob(values, RatingBatch(transitions_of(valid), rating))
    for r in range(2):
        for b in range(6):
            at = (slice(r, r + 1), slice(b, b + 1))
            alone = of_cutpoints(theta[r]).log_prob(values[at], RatingBatch(transitions_of(valid[at]), rating[at]))
            torch.testing.assert_close(alone, together[at])


class TestLog1mexp:
    @pytest.mark.parametrize("x", [1e-12, 1e-6, 0.1, 0.693, 0.694, 1.0, 20.0, 30.0])
    def test_value_and_slope(self, x):
        at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = log1mexp(at)
        value.backward()
        assert value.item() == pytest.approx(
            math.log(-math.expm1(-x)) if x < 1 else math.log1p(-math.exp(-x)), rel=1e-12
        )
        assert at.grad.item() == pytest.approx(1 / math.expm1(x), rel=1e-9)

    @pytest.mark.parametrize("x", [1e-30, 1e4, 1e30])
    def test_ends_in_float32(self, x):
        at = torch.tensor(x, requires_grad=True)
        value = log1mexp(at)
        value.backward()
        assert value.item() == pytest.approx(math.log(x) if x < 1 else 0.0)
        assert at.grad.isfinite()

    def test_nothing_is_certain_at_zero(self):
        assert log1mexp(torch.zeros(())).item() == -float("inf")


# Asking ---------------------------------------------------------------------------------------------------------------


def _teacher(source: Any, simulator: Any, reward_of: Any, seed: int) -> np.ndarray:
    """The teacher's cutpoints: quantiles of the mean rewards of the segments that it is calibrated on."""
    pool = source.known(simulator, (seed, "rating", "train")).transitions
    mean = segment_mean(reward_of(pool), pool.valid)[0].numpy()
    k = source.settings["n_categories"]
    return np.quantile(mean, np.arange(1, k) / k)


def _assert_cumulative_logit(rating: np.ndarray, mean: np.ndarray, cutpoints: np.ndarray) -> None:
    for k, theta in enumerate(cutpoints):
        below = 1 / (1 + np.exp(mean - theta))
        z = ((rating <= k) - below).sum() / np.sqrt((below * (1 - below)).sum())
        assert abs(z) < 4


@pytest.mark.parametrize("n_categories", [2, 5])
def test_labels_follow_the_cumulative_logit(
    n_categories: int, make_source: Any, make_problem: Any, simulate: Any
) -> None:
    problem = make_problem()
    source = make_source("rating", 4000, n_categories=n_categories, n_episodes=400)
    batch = simulate(source, [3], problem)
    mean = segment_mean(at_steps(problem.reward[..., None], batch.transitions), batch.transitions.valid)[0].numpy()
    rating = batch.rating[0].numpy()
    assert set(rating) == set(range(n_categories))
    table = problem.reward[..., None]
    cutpoints = _teacher(source, TabularSimulator(problem), lambda steps: at_steps(table, steps), 3)
    _assert_cumulative_logit(rating, mean, cutpoints)


@pytest.mark.parametrize("n_categories", [2, 5])
def test_labels_follow_the_cumulative_logit_in_a_control_environment(
    n_categories: int, make_source: Any, make_control: Any, simulate: Any
) -> None:
    def reward_of(steps: Transitions) -> torch.Tensor:  # -1 for the step that ends an episode
        return -steps.terminal.double()

    world = make_control()
    source = make_source("rating", 3000, n_categories=n_categories, segment_len=12, n_episodes=200)
    batch = simulate(source, [3], world)
    steps = batch.transitions
    assert steps.state.shape == (1, 3000, 12, 4)
    mean = segment_mean(reward_of(steps), steps.valid)[0].numpy()
    assert len(np.unique(mean)) > 5
    _assert_cumulative_logit(batch.rating[0].numpy(), mean, _teacher(source, world, reward_of, 3))


def test_better_segments_get_better_ratings(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    batch = simulate(make_source("rating", 2000, n_episodes=400), [0], problem)
    mean = segment_mean(at_steps(problem.reward[..., None], batch.transitions), batch.transitions.valid)
    assert np.corrcoef(mean[0].numpy(), batch.rating[0].numpy())[0, 1] > 0.2


def test_the_model_starts_without_an_opinion(make_source: Any, nobody: Any, simulate: Any) -> None:
    batch = simulate(make_source("rating", 6), [0, 1])
    likelihood = make_source("rating", 6).module(nobody, [0, 1]).likelihood_of_models({}, 2)
    with torch.no_grad():
        log_prob = likelihood.log_prob(torch.zeros(batch.transitions.state.shape), batch)
    assert torch.allclose(log_prob.exp(), torch.full((2, 6), 0.2), atol=1e-6)


def test_the_model_starts_where_its_replicate_s_labels_are(make_source: Any, nobody: Any, simulate: Any) -> None:
    batch = simulate(make_source("rating", 40), [0, 1])
    valid = batch.transitions.valid.clone()
    valid[1, 30:] = False  # were not asked
    module = make_source("rating", 40).module(nobody, [0, 1])
    module.sets["train"] = replace(batch, transitions=replace(batch.transitions, valid=valid))
    likelihood = module.likelihood_of_models({}, 4)  # two members
    with torch.no_grad():
        log_probs = likelihood.outcomes(torch.zeros(4, *valid.shape[1:]), batch.transitions.repeat_replicates(2))
    for k, asked in enumerate((40, 40, 30, 30)):
        given = torch.bincount(batch.rating[k // 2, :asked], minlength=5)
        assert given.max() > given.min()
        torch.testing.assert_close(log_probs[k, 0].exp(), (given + 0.5) / (asked + 2.5))


def test_the_teacher_does_not_depend_on_how_many_segments_are_rated(
    make_source: Any, make_problem: Any, simulate: Any
) -> None:
    problem = make_problem("dense")  # many different mean rewards, so that every other calibration shows
    few, many = (
        simulate(make_source("rating", n, n_episodes=400), [0, 1, 2, 3, 4], problem).rating for n in (1000, 6000)
    )
    assert few.equal(many[:, :1000])
