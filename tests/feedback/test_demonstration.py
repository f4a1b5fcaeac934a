"""The Boltzmann model of demonstrated actions against loops over its formula."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.errors import ConfigurationError
from mavrl.feedback.demonstration import DemonstrationBatch, DemonstrationLikelihood
from mavrl.simulation.base import Behaviour
from mavrl.types import Transitions


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


def _drawn(likelihood: DemonstrationLikelihood, q: torch.Tensor, streams: list[torch.Generator]) -> torch.Tensor:
    """The actions that a demonstrator takes in states with this Q."""
    nothing, flags = torch.zeros(q.shape[:2], dtype=torch.int64), torch.zeros(q.shape[:2], dtype=torch.bool)
    steps = Transitions(nothing, nothing, nothing, nothing, flags, ~flags)
    return likelihood.sample(q, steps, streams).transitions.action


class TestSample:
    @pytest.mark.parametrize("rationality", [0.0, 1.0, 3.0])
    def test_follows_the_density(self, generators, rationality):
        n, q = 100_000, [0.1, -0.4, 1.0, 0.0, 0.3]
        actions = _drawn(DemonstrationLikelihood(rationality), torch.tensor(q).expand(1, n, 5), generators(12))
        counts = torch.bincount(actions.flatten(), minlength=5).tolist()
        expected = [n * p for p in probabilities(q, rationality)]
        assert len(counts) == 5
        assert stats.chisquare(counts, expected).pvalue > 1e-3

    def test_never_takes_an_impossible_action(self, generators):
        q = torch.tensor([-1e4, 0.0, -1e4, 0.0, -1e4]).expand(1, 10_000, 5)
        assert set(_drawn(DemonstrationLikelihood(1.0), q, generators(0)).unique().tolist()) == {1, 3}

    def test_the_first_labels_do_not_depend_on_how_many_are_drawn(self, generators):
        q = torch.randn(2, 40, 5)
        likelihood = DemonstrationLikelihood(0.5)
        many = _drawn(likelihood, q, generators(0, 1))
        for n in (1, 15, 16, 39):
            assert torch.equal(_drawn(likelihood, q[:, :n], generators(0, 1)), many[:, :n])

    def test_a_replicate_depends_on_its_own_generator_alone(self, generators):
        q = torch.zeros(3, 60, 5)
        likelihood = DemonstrationLikelihood(0.5)
        actions, others = _drawn(likelihood, q, generators(5, 6, 7)), _drawn(likelihood, q, generators(8, 6, 9))
        assert torch.equal(actions[1], others[1])
        assert not torch.equal(actions[0], others[0])
        assert not torch.equal(actions[0], actions[1])


# Asking ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_samples", [1, 3, 16, 17])
def test_one_sample_is_one_whole_episode(n_samples: int, make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(max_steps=None)
    steps = simulate(make_source("demonstration", n_samples), [0, 1], problem).transitions
    goal = len(problem.terminal_states) - 1
    for k in range(2):
        valid = steps.valid[k]
        state, terminal = steps.state[k][valid], steps.terminal[k][valid]
        assert int(terminal.sum()) == n_samples
        assert terminal.equal(state == goal)
        ends = terminal.nonzero().flatten()
        assert int(ends[-1]) == len(state) - 1
        starts = [0, *(int(end) + 1 for end in ends[:-1])]
        assert (state[starts] == 0).all()


def test_padding_is_at_the_end_and_no_longer_than_needed(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(p_rand=0.3)
    valid = simulate(make_source("demonstration", 5), [0, 1, 2], problem).transitions.valid
    counts = valid.sum(1)
    assert len(set(counts.tolist())) > 1
    assert valid.shape[1] == int(counts.max())
    for k in range(3):
        assert valid[k, : counts[k]].all()


def test_actions_follow_the_boltzmann_policy(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(size=3)
    steps = simulate(make_source("demonstration", 800, teacher_rationality=0.2), [0], problem).transitions
    policy = DemonstrationLikelihood(0.2).policy(problem.q)[0].numpy()
    state, action = steps.state[steps.valid].numpy(), steps.action[steps.valid].numpy()
    tested = 0
    for here in range(9):
        taken = np.bincount(action[state == here], minlength=5)
        expected = policy[here] * taken.sum()
        if expected.min() > 5:
            assert stats.chisquare(taken, expected).pvalue > 1e-4
            tested += 1
    assert tested >= 3


def test_a_cut_off_demonstration_has_no_terminal_step(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(size=6, max_steps=4)
    steps = simulate(make_source("demonstration", 3), [0], problem).transitions
    assert steps.valid.sum() == 12
    assert not steps.terminal.any()


@pytest.mark.parametrize("n_samples", [1, 3, 17])
def test_one_sample_is_one_whole_control_episode(
    n_samples: int, make_source: Any, make_control: Any, simulate: Any
) -> None:
    world = make_control(max_steps=500)  # more than so random a demonstrator ever reaches
    steps = simulate(make_source("demonstration", n_samples, teacher_rationality=0.2), [0, 1], world).transitions
    for k in range(2):
        valid = steps.valid[k]
        state, following, terminal = steps.state[k][valid], steps.next_state[k][valid], steps.terminal[k][valid]
        assert not steps.valid[k, int(valid.sum()) :].any()  # padding is at the end
        assert (abs(state[0]) <= 0.05).all()  # where CartPole starts
        ends = terminal.nonzero().flatten().tolist()
        assert len(ends) == n_samples
        assert ends[-1] == len(state) - 1
        assert ((abs(following[ends, 0]) > 2.4) | (abs(following[ends, 2]) > 0.2095)).all()  # off the track or fallen
        going_on = [t for t in range(len(state)) if t not in ends]
        assert following[going_on].equal(state[[t + 1 for t in going_on]])
        assert steps.next_action[k][valid][going_on].equal(steps.action[k][valid][[t + 1 for t in going_on]])
        assert (steps.next_action[k][valid][ends] == 0).all()


@pytest.mark.parametrize("rationality", [0.0, 0.7])
def test_actions_follow_the_boltzmann_policy_of_the_demonstrator(
    rationality: float, make_source: Any, make_control: Any, simulate: Any
) -> None:
    source = make_source("demonstration", 100, teacher_rationality=rationality)
    steps = simulate(source, [0], make_control()).transitions
    state = steps.state[steps.valid].double()
    lean = state[:, 2] + 0.5 * state[:, 3]
    right = (6 * rationality * lean).sigmoid()  # Q is +-3 lean
    excess = (steps.action[steps.valid] == 1).double() - right
    for weight in (torch.ones_like(lean), lean):
        spread = (weight.square() * right * (1 - right)).sum().sqrt()
        assert ((weight * excess).sum() / spread).abs() < 4


def test_a_cut_off_control_demonstration_has_no_terminal_step(
    make_source: Any, make_control: Any, simulate: Any
) -> None:
    steps = simulate(make_source("demonstration", 3), [0], make_control(max_steps=7)).transitions
    assert steps.valid.shape == (1, 21)
    assert steps.valid.all()
    assert not steps.terminal.any()
    assert not steps.next_state[0, 6].equal(steps.state[0, 7])  # the last state of one, the first of the next


def test_only_episodes_of_the_minimum_return_are_shown(make_source: Any, make_control: Any, simulate: Any) -> None:
    world = make_control(max_steps=25)  # -1 for an episode that ends before, 0 for one that is cut off
    every = world.episodes([(4, "demonstration", "train")], Behaviour(0.5), 40)
    survivors = (every.reward.sum(-1) == 0)[0].nonzero().flatten().tolist()
    assert 6 < len(survivors) < 40
    assert survivors[:6] != list(range(6))
    shown = simulate(
        make_source("demonstration", 6, teacher_rationality=0.5, minimum_return=0.0), [4], world
    ).transitions
    assert shown.valid.sum() == 6 * 25
    assert not shown.terminal.any()
    assert shown.state[0].equal(every.transitions.state[0, survivors[:6]].flatten(0, 1))
    assert shown.action[0].equal(every.transitions.action[0, survivors[:6]].flatten(0, 1))


def test_a_minimum_return_that_is_never_reached_is_refused(make_source: Any, make_control: Any, simulate: Any) -> None:
    source = make_source("demonstration", 2, teacher_rationality=0.0, minimum_return=0.5)
    with pytest.raises(ConfigurationError, match=r"only 0 of 150 .* 2 are needed") as caught:
        simulate(source, [0], make_control(max_steps=20))
    assert caught.value.key == "feedback.demonstration.minimum_return"
    assert caught.value.value == 0.5


def test_a_minimum_return_is_refused_on_the_grid(make_source: Any, simulate: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"feedback\.demonstration\.minimum_return=1\.0: must be null"):
        simulate(make_source("demonstration", 2, minimum_return=1.0), [0])


def test_the_model_may_assume_another_rationality(make_source: Any, nobody: Any) -> None:
    source = make_source("demonstration", 1, teacher_rationality=5.0, model_rationality=0.5)
    assert source.module(nobody, [0]).likelihood_of_models({}, 3).rationality == 0.5
