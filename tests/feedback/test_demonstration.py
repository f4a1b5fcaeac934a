"""The Boltzmann model of demonstrated actions against loops over its formula."""

import math

import pytest
import torch
from scipy import stats

from mavrl.feedback.demonstration import DemonstrationLikelihood
from mavrl.feedback.demonstration import DemonstrationBatch


def probabilities(q: list[float], rationality: float) -> list[float]:
    """softmax(beta * Q), in plain Python."""
    weights = [math.exp(rationality * value) for value in q]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize("rationality", [0.0, 1.0, 10.0])
def test_formula(transitions_of, rationality):
    q = torch.randn(2, 7, 4, dtype=torch.float64)
    actions = torch.randint(4, (2, 7))
    likelihood = DemonstrationLikelihood(rationality)
    values = likelihood.of_actions(q).gather(-1, actions[..., None]).squeeze(-1)
    log_prob = likelihood.log_prob(values, DemonstrationBatch(transitions_of(torch.ones(2, 7, dtype=torch.bool))))
    for r in range(2):
        for b in range(7):
            expected = math.log(probabilities(q[r, b].tolist(), rationality)[actions[r, b]])
            assert log_prob[r, b].item() == pytest.approx(expected, rel=1e-10)


def test_by_hand():
    # softmax(2 * (0, 0.5, 1)) = (1, e, e^2) / 11.1073379 = (0.09003057, 0.24472847, 0.66524096)
    policy = DemonstrationLikelihood(2.0).policy(torch.tensor([0.0, 0.5, 1.0]))
    torch.testing.assert_close(policy, torch.tensor([0.09003057, 0.24472847, 0.66524096], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
def test_probabilities_sum_to_one(dtype, scale):
    q = scale * torch.randn(3, 20, 5, dtype=dtype)
    total = DemonstrationLikelihood(1.0).of_actions(q).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_without_rationality_every_action_is_as_likely():
    log_probs = DemonstrationLikelihood(0.0).of_actions(torch.randn(2, 3, 5))
    torch.testing.assert_close(log_probs, torch.full((2, 3, 5), -math.log(5)))


@pytest.mark.parametrize("action", [0, 1, 2])
def test_saturation(transitions_of, action):
    q = torch.tensor([[[0.0, 1e4, -1e4]]], requires_grad=True)
    likelihood = DemonstrationLikelihood(1.0)
    batch = DemonstrationBatch(transitions_of(torch.ones(1, 1, dtype=torch.bool)))
    log_prob = likelihood.log_prob(likelihood.of_actions(q)[..., action], batch)
    log_prob.sum().backward()
    assert log_prob.item() == [-1e4, 0.0, -2e4][action]
    expected = torch.eye(3)[action] - torch.eye(3)[1]  # onehot(action) - softmax(Q)
    torch.testing.assert_close(q.grad.flatten(), expected)


def test_padding_has_probability_one_and_no_gradient(transitions_of):
    values = torch.tensor([[-1.0, float("nan"), -float("inf")]], requires_grad=True)
    batch = DemonstrationBatch(transitions_of(torch.tensor([[True, False, False]])))
    log_prob = DemonstrationLikelihood(1.0).log_prob(values, batch)
    log_prob.sum().backward()
    assert log_prob.tolist() == [[-1.0, 0.0, 0.0]]
    assert values.grad.tolist() == [[1.0, 0.0, 0.0]]


def test_adding_a_constant_to_q_changes_nothing():
    q = torch.randn(2, 3, 4, dtype=torch.float64)
    likelihood = DemonstrationLikelihood(3.0)
    torch.testing.assert_close(likelihood.of_actions(q + 100), likelihood.of_actions(q))


def test_gradient():
    q = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(DemonstrationLikelihood(2.0).of_actions, (q,))


class TestSample:
    @pytest.mark.parametrize("rationality", [0.0, 1.0, 3.0])
    def test_follows_the_density(self, generators, rationality):
        n, q = 100_000, [0.1, -0.4, 1.0, 0.0, 0.3]
        actions = DemonstrationLikelihood(rationality).sample(torch.tensor(q).expand(1, n, 5), generators(12))
        counts = torch.bincount(actions.flatten(), minlength=5).tolist()
        expected = [n * p for p in probabilities(q, rationality)]
        assert len(counts) == 5
        assert stats.chisquare(counts, expected).pvalue > 1e-3

    def test_never_takes_an_impossible_action(self, generators):
        q = torch.tensor([-1e4, 0.0, -1e4, 0.0, -1e4]).expand(1, 10_000, 5)
        assert set(DemonstrationLikelihood(1.0).sample(q, generators(0)).unique().tolist()) == {1, 3}

    def test_the_first_labels_do_not_depend_on_how_many_are_drawn(self, generators):
        q = torch.randn(2, 40, 5)
        likelihood = DemonstrationLikelihood(0.5)
        many = likelihood.sample(q, generators(0, 1))
        for n in (1, 15, 16, 39):
            assert torch.equal(likelihood.sample(q[:, :n], generators(0, 1)), many[:, :n])

    def test_a_replicate_depends_on_its_own_generator_alone(self, generators):
        q = torch.zeros(3, 60, 5)
        likelihood = DemonstrationLikelihood(0.5)
        actions, others = likelihood.sample(q, generators(5, 6, 7)), likelihood.sample(q, generators(8, 6, 9))
        assert torch.equal(actions[1], others[1])
        assert not torch.equal(actions[0], others[0])
        assert not torch.equal(actions[0], actions[1])
