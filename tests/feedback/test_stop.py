"""The discrete-time hazard model of stops against loops over its formula."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.feedback.stop import StopBatch, StopLikelihood, discounted_regret
from mavrl.simulation.tabular import TabularSimulator
from mavrl.types import Transitions


def stop_probabilities(
    regret: list[float], valid: list[bool], rate: float, discount: float, lapse: float = 0.0
) -> list[float]:
    """Probability of a stop at each step, and last of none, in plain Python."""
    total, survived, probabilities = 0.0, 1.0, []
    for step_regret, real in zip(regret, valid, strict=True):
        total = discount * total + (step_regret if real else 0.0)
        hazard = 1 - math.exp(-(rate * total + lapse)) if real else 0.0
        probabilities.append(survived * hazard)
        survived *= 1 - hazard
    return [*probabilities, survived]


def all_labels(likelihood, regret, transitions) -> torch.Tensor:
    """Log-probability of every label 0 ... T, stacked last."""
    shape, length = regret.shape[:2], regret.shape[-1]
    labels = [torch.full(shape, step) for step in range(length + 1)]
    return torch.stack([likelihood.log_prob(regret, StopBatch(transitions, label)) for label in labels], dim=-1)


def random_segments(n_replicates: int, n_segments: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Regrets with zeros among them, and validity of a first part of each segment."""
    regret = torch.rand(n_replicates, n_segments, length, dtype=torch.float64).sub(0.3).clamp(min=0)
    ends = torch.randint(1, length + 1, (n_replicates, n_segments, 1))
    return regret, torch.arange(length) < ends


class TestDiscountedRegret:
    @pytest.mark.parametrize("discount", [0.0, 0.1, 0.9, 1.0])
    def test_recursion(self, discount):
        regret, valid = random_segments(2, 5, 7)
        total = discounted_regret(regret, valid, discount)
        for r in range(2):
            for b in range(5):
                expected = 0.0
                for t in range(7):
                    expected = discount * expected + regret[r, b, t].item() * valid[r, b, t].item()
                    assert total[r, b, t].item() == pytest.approx(expected, rel=1e-12, abs=1e-15)

    def test_by_hand(self):
        total = discounted_regret(torch.tensor([2.0, 1.0, 4.0]), torch.ones(3, dtype=torch.bool), 0.5)
        assert total.tolist() == [2.0, 2.0, 5.0]  # 2; 0.5 * 2 + 1; 0.5 * 2 + 4

    def test_padding_may_be_anything(self):
        regret = torch.tensor([1.0, float("nan")], requires_grad=True)
        total = discounted_regret(regret, torch.tensor([True, False]), 0.5)
        assert total.tolist() == [1.0, 0.5]
        total[0].backward()
        assert regret.grad.tolist() == [1.0, 0.0]


class TestOfActions:
    def test_regret_of_each_action(self):
        q = torch.tensor([[[1.0, 3.0, 2.0], [-1.0, -1.0, -4.0]]])
        likelihood = StopLikelihood(torch.ones(1), 0.1)
        assert likelihood.of_actions(q).tolist() == [[[2.0, 0.0, 1.0], [0.0, 0.0, 3.0]]]

    def test_never_negative(self):
        regret = StopLikelihood(torch.ones(1), 0.1).of_actions(1e6 * torch.randn(100, 5))
        assert regret.min() == 0


class TestLogProb:
    @pytest.mark.parametrize("discount", [0.0, 0.1, 0.9])
    @pytest.mark.parametrize("lapse", [1e-6, 0.2])
    def test_formula(self, transitions_of, discount, lapse):
        regret, valid = random_segments(3, 6, 5)
        rate = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
        log_probs = all_labels(StopLikelihood(rate, discount, lapse), regret, transitions_of(valid))
        for r in range(3):
            for b in range(6):
                expected = stop_probabilities(
                    regret[r, b].tolist(), valid[r, b].tolist(), rate[r].item(), discount, lapse
                )
                assert log_probs[r, b].exp().tolist() == pytest.approx(expected, rel=1e-8, abs=1e-15)

    def test_by_hand(self, transitions_of):
        # rate 1, discount 0.5, no lapse, regrets (ln 2, 0): G = (ln 2, ln 2 / 2), hazards 1 - 1/2 = 0.5 and
        # 1 - 1/sqrt(2) = 0.29289322. Stop at 0: 0.5; at 1: 0.5 * 0.29289322 = 0.14644661; none: 0.35355339.
        regret = torch.tensor([[[math.log(2), 0.0]]])
        steps = transitions_of(torch.ones(1, 1, 2, dtype=torch.bool))
        log_probs = all_labels(StopLikelihood(torch.ones(1), 0.5, lapse=0.0), regret, steps)
        torch.testing.assert_close(log_probs.exp().flatten(), torch.tensor([0.5, 0.14644661, 0.35355339]))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    @pytest.mark.parametrize("scale", [1e-4, 1.0, 100.0, 1e4])
    def test_probabilities_sum_to_one(self, transitions_of, dtype, scale):
        regret, valid = random_segments(2, 20, 10)
        likelihood = StopLikelihood(torch.tensor([1.0, 3.0]), 0.3)
        log_probs = all_labels(likelihood, (scale * regret).to(dtype), transitions_of(valid))
        total = log_probs.exp().sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total))

    def test_lapses_alone(self, transitions_of):
        # No regret: hazard 1 - exp(-0.3) = 0.25918178 at each step; no stop in 4 steps: exp(-1.2) = 0.30119421.
        steps = transitions_of(torch.ones(1, 1, 4, dtype=torch.bool))
        probabilities = all_labels(StopLikelihood(torch.ones(1), 0.5, 0.3), torch.zeros(1, 1, 4), steps).exp().flatten()
        expected = [0.25918178 * math.exp(-0.3 * t) for t in range(4)] + [0.30119421]
        assert probabilities.tolist() == pytest.approx(expected, rel=1e-5)

    def test_padding_changes_nothing(self, transitions_of):
        regret, valid = random_segments(2, 6, 5)
        likelihood = StopLikelihood(torch.tensor([1.0, 2.0]), 0.4)
        alone = all_labels(likelihood, regret, transitions_of(valid))
        padded = torch.cat([regret, torch.full((2, 6, 3), float("nan"), dtype=torch.float64)], dim=-1)
        longer = torch.cat([valid, torch.zeros(2, 6, 3, dtype=torch.bool)], dim=-1)
        beside_padding = all_labels(likelihood, padded, transitions_of(longer))
        torch.testing.assert_close(beside_padding[..., :5], alone[..., :5])
        torch.testing.assert_close(beside_padding[..., -1], alone[..., -1])  # no stop: T moves with the length
        assert (beside_padding[..., 5:8] == -float("inf")).all()

    def test_no_stop_on_padding(self, transitions_of):
        valid = torch.tensor([[[True, False, True, False]]])
        log_probs = all_labels(StopLikelihood(torch.ones(1), 0.5), torch.ones(1, 1, 4), transitions_of(valid))
        assert log_probs.isinf().flatten().tolist() == [False, True, False, True, False]

    def test_replicates_and_samples_one_by_one(self, transitions_of):
        regret, valid = random_segments(3, 4, 5)
        rate, label = torch.tensor([0.1, 1.0, 10.0]), torch.randint(6, (3, 4))
        together = StopLikelihood(rate, 0.3).log_prob(regret, StopBatch(transitions_of(valid), label))
        for r in range(3):
            for b in range(4):
                at = (slice(r, r + 1), slice(b, b + 1))
                batch = StopBatch(transitions_of(valid[at]), label[at])
                torch.testing.assert_close(
                    StopLikelihood(rate[r : r + 1], 0.3).log_prob(regret[at], batch), together[at]
                )

    def test_gradient(self, transitions_of):
        regret = torch.rand(2, 3, 4, dtype=torch.float64, requires_grad=True)
        valid = torch.rand(2, 3, 4) < 0.8
        valid[..., :2] = True
        batch = StopBatch(transitions_of(valid), torch.tensor([[0, 1, 4], [1, 4, 0]]))
        likelihood = StopLikelihood(torch.tensor([0.5, 2.0], dtype=torch.float64), 0.3)
        assert torch.autograd.gradcheck(lambda values: likelihood.log_prob(values, batch), (regret,))


class TestSaturation:
    @pytest.mark.parametrize("regret", [0.0, 1e-30, 1e4, 1e8])
    @pytest.mark.parametrize("label", range(4))
    def test_hazards_of_zero_and_one(self, transitions_of, regret, label):
        values = torch.full((1, 1, 3), regret, requires_grad=True)
        batch = StopBatch(transitions_of(torch.ones(1, 1, 3, dtype=torch.bool)), torch.tensor([[label]]))
        log_prob = StopLikelihood(torch.ones(1), 0.1).log_prob(values, batch)
        log_prob.sum().backward()
        assert log_prob.isfinite().all()
        assert values.grad.isfinite().all()
        if regret < 1:  # only lapses: 1e-6 a step
            assert log_prob.item() == pytest.approx(math.log(1e-6) if label < 3 else -3e-6, rel=1e-3)
        else:  # G = regret * (1, 1.1, 1.11): a stop at the first step is certain, each step survived costs G
            cost = regret * [0, 1, 2.1, 3.21][label]
            assert log_prob.item() == pytest.approx(-cost, rel=1e-5)

    def test_segments_without_a_valid_step(self, transitions_of):
        values = torch.full((1, 1, 3), float("nan"), requires_grad=True)
        batch = StopBatch(transitions_of(torch.zeros(1, 1, 3, dtype=torch.bool)), torch.tensor([[3]]))
        log_prob = StopLikelihood(torch.ones(1), 0.1).log_prob(values, batch)
        log_prob.sum().backward()
        assert log_prob.item() == 0
        assert values.grad.abs().max() == 0

    def test_a_rate_of_zero(self, transitions_of):
        values = torch.rand(1, 1, 3, requires_grad=True)
        batch = StopBatch(transitions_of(torch.ones(1, 1, 3, dtype=torch.bool)), torch.tensor([[1]]))
        log_prob = StopLikelihood(torch.zeros(1), 0.1).log_prob(values, batch)
        log_prob.sum().backward()
        assert log_prob.item() == pytest.approx(math.log(1e-6), rel=1e-4)
        assert values.grad.isfinite().all()

    def test_samples_that_fill_up_do_not_poison_the_others(self, transitions_of):
        """A sum over valid samples alone has a finite gradient, whatever the label of the others."""
        values = torch.rand(1, 2, 3, requires_grad=True)
        valid = torch.tensor([[[True, True, True], [False, False, False]]])
        batch = StopBatch(transitions_of(valid), torch.tensor([[1, 0]]))
        log_prob = StopLikelihood(torch.ones(1), 0.1).log_prob(values, batch)
        torch.where(batch.valid_samples, log_prob, torch.zeros_like(log_prob)).sum().backward()
        assert values.grad.isfinite().all()
        assert values.grad[0, 0].abs().max() > 0
        assert values.grad[0, 1].abs().max() == 0


class TestCalibrated:
    def test_rate_is_scale_over_the_percentile(self, transitions_of):
        # Largest G of single steps: 0, 1, ..., 100 (and twice that); the 50th percentile is 50 (100), the 90th 90.
        regret = torch.stack([torch.arange(101.0), 2 * torch.arange(101.0)])[..., None]
        steps = transitions_of(torch.ones(2, 101, 1, dtype=torch.bool))
        assert StopLikelihood.calibrated(regret, steps, 0.1, 50, 2.0).rate.tolist() == pytest.approx([0.04, 0.02])
        assert StopLikelihood.calibrated(regret, steps, 0.1, 90, 1.0).rate.tolist() == pytest.approx([1 / 90, 1 / 180])

    def test_the_largest_sum_of_each_segment_counts(self, transitions_of):
        # discount 0.5: G = (4, 3, 1.5), largest 4, and (0, 2, 5), largest 5 -> but its last step is padding: 2.
        regret = torch.tensor([[[4.0, 1.0, 0.0], [0.0, 2.0, 4.0]]])
        valid = torch.tensor([[[True, True, True], [True, True, False]]])
        likelihood = StopLikelihood.calibrated(regret, transitions_of(valid), 0.5, 50, 6.0)
        assert likelihood.rate.item() == pytest.approx(6 / 3)  # the median of 4 and 2

    @pytest.mark.parametrize("typical", [0.0, 1e-12])
    def test_scale_when_there_is_no_regret(self, transitions_of, typical):
        regret = torch.full((2, 10, 3), typical, dtype=torch.float64)
        regret[1] = 1.0
        steps = transitions_of(torch.ones(2, 10, 3, dtype=torch.bool))
        assert StopLikelihood.calibrated(regret, steps, 0.0, 50, 2.0).rate.tolist() == pytest.approx([2.0, 2.0])
        regret[1] = 4.0
        assert StopLikelihood.calibrated(regret, steps, 0.0, 50, 2.0).rate.tolist() == pytest.approx([2.0, 0.5])

    def test_the_unit_of_the_reward_does_not_matter(self, transitions_of):
        regret = torch.arange(30.0, dtype=torch.float64).view(1, 10, 3)
        steps = transitions_of(torch.ones(1, 10, 3, dtype=torch.bool))
        rate = StopLikelihood.calibrated(regret, steps, 0.5, 50, 2.0, largest_reward=7.0).rate
        tiny = StopLikelihood.calibrated(1e-10 * regret, steps, 0.5, 50, 2.0, largest_reward=7e-10).rate
        assert (tiny * 1e-10).tolist() == pytest.approx(rate.tolist())

    def test_keeps_discount_and_lapse(self, transitions_of):
        steps = transitions_of(torch.ones(1, 4, 2, dtype=torch.bool))
        likelihood = StopLikelihood.calibrated(torch.ones(1, 4, 2), steps, 0.3, 50, 2.0, lapse=0.25)
        assert (likelihood.discount, likelihood.lapse) == (0.3, 0.25)


class TestSample:
    @pytest.mark.parametrize(
        ("rate", "discount", "lapse"), [(1.0, 0.1, 1e-6), (0.3, 0.9, 1e-6), (3.0, 0.5, 0.1), (0.0, 0.5, 0.4)]
    )
    def test_follows_the_density(self, transitions_of, generators, rate, discount, lapse):
        n, regret, valid = 100_000, [0.2, 0.0, 0.7, 0.4, 5.0], [True, True, True, True, False]
        steps = transitions_of(torch.tensor(valid).expand(1, n, 5))
        likelihood = StopLikelihood(torch.tensor([rate]), discount, lapse)
        labels = likelihood.sample(torch.tensor(regret).expand(1, n, 5), steps, generators(14)).stop_step
        counts = torch.bincount(labels.flatten(), minlength=6)
        expected = n * torch.tensor(stop_probabilities(regret, valid, rate, discount, lapse), dtype=torch.float64)
        assert len(counts) == 6
        assert counts[4] == 0  # padding
        kept = expected > 1
        assert counts[~kept].sum() <= 5
        observed = counts[kept].double()
        share = expected[kept] / expected[kept].sum()
        assert stats.chisquare(observed.numpy(), (share * observed.sum()).numpy()).pvalue > 1e-3

    def test_certain_labels(self, transitions_of, generators):
        regret = torch.tensor([[[0.0, 1e6, 0.0], [0.0, 0.0, 0.0], [1e6, 1e6, 1e6]]])
        valid = torch.tensor([[[True, True, True], [True, True, True], [False, False, False]]])
        likelihood = StopLikelihood(torch.ones(1), 0.1)
        for seed in range(50):
            labels = likelihood.sample(regret, transitions_of(valid), generators(seed)).stop_step
            assert labels.tolist() == [[1, 3, 3]]

    def test_the_first_labels_do_not_depend_on_how_many_are_drawn(self, transitions_of, generators):
        regret, valid = random_segments(2, 40, 5)
        likelihood = StopLikelihood(torch.ones(2), 0.5)
        many = likelihood.sample(regret, transitions_of(valid), generators(0, 1)).stop_step
        for n in (1, 15, 16, 39):
            few = likelihood.sample(regret[:, :n], transitions_of(valid[:, :n]), generators(0, 1)).stop_step
            assert torch.equal(few, many[:, :n])

    def test_a_replicate_depends_on_its_own_generator_alone(self, transitions_of, generators):
        regret, valid = torch.full((3, 60, 4), 0.3), torch.ones(3, 60, 4, dtype=torch.bool)
        likelihood = StopLikelihood(torch.ones(3), 0.5)
        labels = likelihood.sample(regret, transitions_of(valid), generators(5, 6, 7)).stop_step
        others = likelihood.sample(regret, transitions_of(valid), generators(8, 6, 9)).stop_step
        assert torch.equal(labels[1], others[1])
        assert not torch.equal(labels[0], others[0])
        assert not torch.equal(labels[0], labels[1])


# Asking ---------------------------------------------------------------------------------------------------------------


def _regret(problem: Any, steps: Transitions) -> np.ndarray:
    """Regret of each step of the first replicate on the grid, shape (N, T)."""
    regret = (problem.q.amax(-1, keepdim=True) - problem.q)[0].numpy()
    return regret[steps.state[0].numpy(), steps.action[0].numpy()]


def _control_regret(steps: Transitions) -> np.ndarray:
    """The same where Q is +-3 (angle + 0.5 angular velocity) for the two pushes: the wrong one costs twice as much."""
    state = steps.state[0].double().numpy()
    lean = state[..., 2] + 0.5 * state[..., 3]
    return np.where((lean > 0) == (steps.action[0].numpy() == 1), 0.0, 6 * abs(lean))


def _largest_regret(regret: np.ndarray, steps: Transitions, discount: float) -> np.ndarray:
    found = []
    for values, valid in zip(regret, steps.valid[0].numpy(), strict=True):
        total, largest = 0.0, 0.0
        for value in values[valid]:
            total = discount * total + value
            largest = max(largest, total)
        found.append(largest)
    return np.array(found)


def _assert_hazard(batch: Any, regret: np.ndarray, rate: float, discount: float) -> None:
    """Stops at each step, against the hazards of all segments, within 4 standard errors."""
    steps = batch.transitions
    n_segments, length = regret.shape
    expected, variance, stopped = np.zeros(length), np.zeros(length), np.zeros(length)
    for n in range(n_segments):
        end, total, survival = int(batch.stop_step[0, n]), 0.0, 1.0
        valid = steps.valid[0, n]
        assert end == length or valid[end]
        for t in range(int(valid.sum())):
            total = discount * total + regret[n, t]
            hazard = 1 - np.exp(-rate * total)
            expected[t] += survival * hazard
            variance[t] += survival * hazard * (1 - survival * hazard)
            survival *= 1 - hazard
        if end < length:
            stopped[end] += 1
    assert stopped.sum() > 500
    assert (abs(stopped - expected) / np.sqrt(variance) < 4).all()


def test_the_rate_is_scale_over_the_percentile(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    for percentile, scale in ((50.0, 2.0), (90.0, 1.0)):
        source = make_source("stop", 4, discount=0.3, percentile=percentile, scale=scale)
        _, teacher = simulate(source, [7], problem, with_teacher=True)
        simulator = TabularSimulator(problem)
        pool = source.known(simulator, (7, "stop", "train")).transitions
        expected = scale / np.percentile(_largest_regret(_regret(problem, pool), pool, 0.3), percentile)
        assert np.isclose(teacher["rate"].item(), expected, rtol=1e-5)


@pytest.mark.parametrize(("percentile", "scale"), [(50.0, 2.0), (90.0, 1.0)])
def test_the_rate_is_scale_over_the_percentile_in_a_control_environment(
    percentile: float, scale: float, make_source: Any, make_control: Any, simulate: Any
) -> None:
    world = make_control()
    source = make_source("stop", 4, discount=0.3, percentile=percentile, scale=scale)
    _, teacher = simulate(source, [7], world, with_teacher=True)
    pool = source.known(world, (7, "stop", "train")).transitions
    expected = scale / np.percentile(_largest_regret(_control_regret(pool), pool, 0.3), percentile)
    assert np.isclose(teacher["rate"].item(), expected, rtol=1e-6)


def test_without_regret_the_rate_is_the_scale(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    source = make_source("stop", 4, behaviour_rationality=1e6, scale=3.0)
    _, teacher = simulate(source, [7], problem, with_teacher=True)
    assert teacher["rate"].item() == 3.0


def test_stops_follow_the_hazard(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    source = make_source("stop", 3000, n_episodes=400)
    batch, teacher = simulate(source, [1], problem, with_teacher=True)
    _assert_hazard(batch, _regret(problem, batch.transitions), teacher["rate"].item(), source.settings["discount"])


def test_stops_follow_the_hazard_in_a_control_environment(make_source: Any, make_control: Any, simulate: Any) -> None:
    source = make_source("stop", 2000, n_episodes=200)
    batch, teacher = simulate(source, [1], make_control(), with_teacher=True)
    assert batch.transitions.state.shape == (1, 2000, 5, 4)
    _assert_hazard(batch, _control_regret(batch.transitions), teacher["rate"].item(), source.settings["discount"])


def test_a_flawless_control_policy_has_no_regret(make_source: Any, make_control: Any, simulate: Any) -> None:
    source = make_source("stop", 4, behaviour_rationality=1e15, scale=3.0)
    batch, teacher = simulate(source, [7], make_control(), with_teacher=True)
    assert teacher["rate"].item() == 3.0
    assert (batch.stop_step == 5).all()


def test_the_model_is_told_the_rate_for_each_of_its_members(make_source: Any, nobody: Any, simulate: Any) -> None:
    source = make_source("stop", 4, lapse=1e-3)
    _, teacher = simulate(source, [0, 1], with_teacher=True)
    likelihood = source.module(nobody, [0]).likelihood_of_models(teacher, 4)
    assert likelihood.rate.equal(teacher["rate"].float()[torch.tensor([0, 0, 1, 1])])
    assert likelihood.lapse == 1e-3
    assert likelihood.discount == source.settings["discount"]
