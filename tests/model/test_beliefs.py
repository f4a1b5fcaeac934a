"""What would be answered under reward functions drawn from a posterior."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from mavrl.envs import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.demonstration import DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceLikelihood
from mavrl.feedback.rating import RatingBatch, RatingLikelihood
from mavrl.feedback.rationality import RationalLikelihood
from mavrl.feedback.stop import StopLikelihood
from mavrl.model.action_heads import NumberedHead
from mavrl.model.beliefs import Belief, StepBelief, TabularBelief, outcomes_under
from mavrl.model.correlation import TriangularCorrelation
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.posterior import StatePosterior, StepPosterior
from mavrl.model.step_reward import StepRewardModel
from mavrl.planning import optimal_action_values
from mavrl.types import Transitions

R, M, K, C, T = 2, 3, 7, 5, 4
O, A = 4, 3  # noqa: E741 -- the axes' names
GAMMA = 0.8
_FACTOR = torch.tensor([0.1, 1.0, 3.0, 0.5, 2.0, 0.0])  # of each model
SEEDS = [11, 12]


@pytest.fixture(scope="module")
def problem() -> TabularProblem:
    return TabularProblem.of_grid(GridEnv("cliff", 3, max_steps=30), GAMMA)


@pytest.fixture
def tabular(problem: TabularProblem) -> TabularBelief:
    n_states = problem.transitions.n_states
    mean, std = torch.randn(R, M, n_states), torch.rand(R, M, n_states) + 0.1
    return TabularBelief(mean, std, problem.transitions, GAMMA)


@pytest.fixture
def model() -> StepRewardModel:
    streams = [torch.Generator().manual_seed(k) for k in range(R * M)]
    scale = Standardization(torch.randn(R * M, O), torch.rand(R * M, O) + 0.5)
    posterior = StepPosterior(O, NumberedHead(A), "sas", [6, 5], streams, scale, -1.0)
    description = {
        "kind": "steps",
        "reward_domain": "sas",
        "n_features": O,
        "n_actions": A,
        "hidden_sizes": [6, 5],
        "reward_at_termination": -1.0,
        "demonstration_rationality": 1.5,
        "replicates": R,
        "members": M,
    }
    return StepRewardModel(posterior, BatchedMLP(O, [6, 5], A, streams), (torch.zeros(6), torch.ones(6)), description)


def on_grid(n_states: int, n_actions: int, *shape: int) -> Transitions:
    """Steps with random states and actions, the last of each segment padding in every second one."""
    state, action = torch.randint(n_states, shape), torch.randint(n_actions, shape)
    valid = torch.ones(shape, dtype=torch.bool)
    valid[:, ::2, ..., -1] = False
    return Transitions(state, action, state.flip(1), action, torch.zeros_like(valid), valid)


def in_control(*shape: int) -> Transitions:
    state, following = torch.randn(*shape, O), torch.randn(*shape, O)
    action, terminal = torch.randint(A, shape), torch.rand(shape) < 0.2
    return Transitions(state, action, following, action, terminal, torch.ones(shape, dtype=torch.bool))


def rating_likelihood() -> RatingLikelihood:
    """Other cutpoints for each model."""
    return RatingLikelihood(torch.linspace(-1, 0, R * M), torch.linspace(0.3, 1, R * M)[:, None].repeat(1, 2))


class TestTabularBelief:
    def test_rewards_are_drawn_from_the_members_in_turn(self, problem: TabularProblem) -> None:
        n_states = problem.transitions.n_states
        mean, std = 3 * torch.randn(1, M, n_states), torch.rand(1, M, n_states) + 0.1
        reward = TabularBelief(mean, std, problem.transitions, GAMMA).rewards(6000, [3])[0]
        for member in range(M):
            z = (reward[member::M] - mean[0, member]) / std[0, member]
            n = z.numel()
            assert z.mean().abs() < 5 / math.sqrt(n)
            assert (z.square().mean() - 1).abs() < 5 * math.sqrt(2 / n)
            correlation = torch.corrcoef(z.T) - torch.eye(n_states)
            assert correlation.abs().max() < 5 / math.sqrt(len(z))

    @torch.no_grad()
    def test_rewards_have_the_correlation_of_their_member(self, problem: TabularProblem) -> None:
        n_states = problem.transitions.n_states
        streams = [torch.Generator().manual_seed(k) for k in range(M)]
        correlation = TriangularCorrelation(torch.randn(M, n_states, n_states) / 3)
        posterior = StatePosterior(n_states, [5], streams, correlation)
        reward = TabularBelief.from_posterior(posterior, M, problem.transitions, GAMMA).rewards(6000, [3])[0]
        expected = correlation().matrix()
        for member in range(M):
            found = torch.corrcoef(reward[member::M].T)
            assert (found - expected[member]).abs().max() < 5 / math.sqrt(2000)

    def test_a_seed_is_a_set_of_functions_of_one_replicate(self, tabular: TabularBelief) -> None:
        first, again = tabular.rewards(K, SEEDS), tabular.rewards(K, SEEDS)
        other = tabular.rewards(K, [SEEDS[0], 99])
        assert first.equal(again)
        assert first[0].equal(other[0])
        assert not first[1].equal(other[1])

    def test_action_values_are_optimal_for_each_reward(self, tabular: TabularBelief, problem: TabularProblem) -> None:
        q, reward = tabular.action_values(K, SEEDS), tabular.rewards(K, SEEDS)
        expected = optimal_action_values(problem.transitions, reward.flatten(0, 1)[..., None], GAMMA)
        torch.testing.assert_close(q.flatten(0, 1).double(), expected, rtol=1e-3, atol=1e-3)
        assert not tabular.action_values(K, [1, 2]).equal(q)

    def test_what_each_likelihood_reads(self, tabular: TabularBelief, problem: TabularProblem) -> None:
        steps = on_grid(problem.transitions.n_states, problem.transitions.n_actions, R, C, T)
        reward, q = tabular.rewards(K, SEEDS), tabular.action_values(K, SEEDS)
        found = {
            likelihood: tabular.values(likelihood, steps, K, SEEDS)
            for likelihood in (rating_likelihood(), StopLikelihood(torch.ones(R), 0.5), DemonstrationLikelihood(2.0))
        }
        rewards, regrets, actions = found.values()
        assert actions.shape == (R, K, C, T, problem.transitions.n_actions)
        for r in range(R):
            for k in range(K):
                at = q[r, k][steps.state[r]]  # (C, T, A)
                taken = at.gather(-1, steps.action[r][..., None]).squeeze(-1)
                assert rewards[r, k].equal(reward[r, k][steps.state[r]])
                torch.testing.assert_close(regrets[r, k], at.amax(-1) - taken)
                torch.testing.assert_close(actions[r, k], (2.0 * at).log_softmax(-1))

    def test_a_function_is_read_with_its_member_s_rationality(
        self, tabular: TabularBelief, problem: TabularProblem
    ) -> None:
        steps, factor = on_grid(problem.transitions.n_states, problem.transitions.n_actions, R, C, T), _FACTOR
        q = tabular.action_values(K, SEEDS)
        actions = tabular.values(RationalLikelihood(DemonstrationLikelihood(2.0), factor), steps, K, SEEDS)
        rewards = tabular.values(RationalLikelihood(PreferenceLikelihood(2.0), factor), steps, K, SEEDS)
        plain = tabular.values(PreferenceLikelihood(2.0), steps, K, SEEDS)
        for r in range(R):
            for k in range(K):
                beta = factor[r * M + k % M]
                torch.testing.assert_close(actions[r, k], (2.0 * beta * q[r, k][steps.state[r]]).log_softmax(-1))
                torch.testing.assert_close(rewards[r, k], beta * plain[r, k])

    def test_of_trained_posteriors(self, problem: TabularProblem) -> None:
        streams = [torch.Generator().manual_seed(k) for k in range(R * M)]
        posterior = StatePosterior(problem.transitions.n_states, [5], streams)
        belief = TabularBelief.from_posterior(posterior, M, problem.transitions, GAMMA)
        assert belief.n_members == M
        mean, logvar = (moment.detach().view(R, M, -1) for moment in posterior())
        same = TabularBelief(mean, (0.5 * logvar).exp(), problem.transitions, GAMMA)
        assert belief.rewards(K, SEEDS).equal(same.rewards(K, SEEDS))


class TestStepBelief:
    @pytest.mark.parametrize("kind", ["preference", "demonstration", "stop"])
    def test_a_function_is_read_with_its_member_s_rationality(self, kind: str, model: StepRewardModel) -> None:
        steps = in_control(R, C, T)
        likelihood: FeedbackLikelihood = {
            "preference": PreferenceLikelihood(2.0),
            "demonstration": DemonstrationLikelihood(2.0),
            "stop": StopLikelihood(torch.ones(R * M), 0.5),
        }[kind]
        found = StepBelief(model).values(RationalLikelihood(likelihood, _FACTOR), steps, K, SEEDS)
        plain = StepBelief(model).values(likelihood, steps, K, SEEDS)
        for r in range(R):
            for k in range(K):
                beta = _FACTOR[r * M + k % M]
                log_odds = plain[r, k] - plain[r, k][..., :1] if kind == "demonstration" else plain[r, k]
                scaled = found[r, k] - found[r, k][..., :1] if kind == "demonstration" else found[r, k]
                torch.testing.assert_close(scaled, beta * log_odds, rtol=1e-4, atol=1e-5)

    def test_rewards_are_equally_many_deviations_off_their_mean(self, model: StepRewardModel) -> None:
        steps = in_control(R, C, 2, T)
        found = StepBelief(model).values(PreferenceLikelihood(1.0), steps, K, SEEDS)
        assert found.shape == (R, K, C, 2, T)
        for r in range(R):
            state, action, following = (t[r].flatten(0, 2) for t in (steps.state, steps.action, steps.next_state))
            mean, std = model.member_moments(state, action, following, steps.terminal[r].flatten())
            for k in range(K):
                off = (found[r, k].flatten() - mean[r, k % M]) / std[r, k % M]
                torch.testing.assert_close(off, off[:1].expand_as(off), rtol=1e-3, atol=1e-3)

    def test_deviations_are_normal(self, model: StepRewardModel) -> None:
        steps = in_control(1, 1, 1)
        found = StepBelief(model[0]).values(rating_likelihood(), steps, 6000, [5]).view(2000, M)
        state, action, following = (t.flatten(0, 2) for t in (steps.state, steps.action, steps.next_state))
        moments = model[0].member_moments(state, action, following, steps.terminal.flatten())
        mean, std = (moment[0, :, 0] for moment in moments)
        z = (found - mean) / std
        assert z.mean().abs() < 5 / math.sqrt(6000)
        assert (z.square().mean() - 1).abs() < 5 * math.sqrt(2 / 6000)

    def test_members_take_turns_with_their_values(self, model: StepRewardModel) -> None:
        steps, belief = in_control(R, C, T), StepBelief(model)
        actions = belief.values(DemonstrationLikelihood(2.0), steps, K, SEEDS)
        regrets = belief.values(StopLikelihood(torch.ones(R * M), 0.5), steps, K, SEEDS)
        for r in range(R):
            q = model.action_values(steps.state[r].flatten(0, 1))[r].view(M, C, T, A)
            for k in range(K):
                taken = q[k % M].gather(-1, steps.action[r][..., None]).squeeze(-1)
                torch.testing.assert_close(regrets[r, k], q[k % M].amax(-1) - taken)
                torch.testing.assert_close(actions[r, k], (2.0 * q[k % M]).log_softmax(-1))

    def test_networks_are_asked_in_parts(self, model: StepRewardModel, monkeypatch: pytest.MonkeyPatch) -> None:
        steps, belief = in_control(R, C, T), StepBelief(model)
        likelihoods = (rating_likelihood(), DemonstrationLikelihood(1.0))
        whole = [belief.values(likelihood, steps, K, SEEDS) for likelihood in likelihoods]
        monkeypatch.setattr("mavrl.model.beliefs._POINTS", 3)
        for likelihood, expected in zip(likelihoods, whole, strict=True):
            torch.testing.assert_close(belief.values(likelihood, steps, K, SEEDS), expected)


class TestOutcomesUnder:
    @pytest.fixture(params=["tabular", "steps"])
    def belief(self, request: Any, tabular: TabularBelief, model: StepRewardModel) -> Belief:
        return tabular if request.param == "tabular" else StepBelief(model)

    def steps(self, belief: Belief, problem: TabularProblem, *shape: int) -> Transitions:
        if isinstance(belief, StepBelief):
            return in_control(*shape)
        return on_grid(problem.transitions.n_states, problem.transitions.n_actions, *shape)

    @pytest.mark.parametrize("count", [M, K, 3 * M])
    def test_each_function_has_the_likelihood_of_its_member(
        self, belief: Belief, problem: TabularProblem, count: int
    ) -> None:
        likelihood, steps = rating_likelihood(), self.steps(belief, problem, R, C, T)
        found = outcomes_under(belief, likelihood, steps, count, SEEDS)
        assert found.shape == (R, count, C, 4)
        values = belief.values(likelihood, steps, count, SEEDS)
        rating = torch.randint(4, (R, C))
        for r in range(R):
            for k in range(count):
                row = r * M + k % M
                own = RatingLikelihood(likelihood.first_cutpoint[row : row + 1], likelihood.increments()[row : row + 1])
                batch = RatingBatch(steps, rating).map(lambda tensor, r=r: tensor[r : r + 1])
                expected = own.log_prob(values[r : r + 1, k], batch)[0]
                torch.testing.assert_close(found[r, k].gather(-1, rating[r][:, None]).squeeze(-1), expected)

    @pytest.mark.parametrize(
        ("likelihood", "shape", "answers"),
        [
            (PreferenceLikelihood(2.0), (R, C, 2, T), (2,)),
            (StopLikelihood(torch.ones(R * M), 0.5), (R, C, T), (T + 1,)),
            (DemonstrationLikelihood(2.0), (R, C, T), (T, -1)),
        ],
    )
    def test_answers_of_every_kind(
        self, belief: Belief, problem: TabularProblem, likelihood: FeedbackLikelihood, shape: Any, answers: Any
    ) -> None:
        found: Tensor = outcomes_under(belief, likelihood, self.steps(belief, problem, *shape), K, SEEDS)
        n_actions = A if isinstance(belief, StepBelief) else problem.transitions.n_actions
        assert found.shape == (R, K, C, *(n_actions if n < 0 else n for n in answers))
        assert not found.requires_grad
        total = found.exp().sum(-1)
        torch.testing.assert_close(total, torch.ones_like(total))

    def test_a_function_of_each_member_at_least(self, belief: Belief, problem: TabularProblem) -> None:
        with pytest.raises(ValueError, match="2 reward functions of 3 members"):
            outcomes_under(belief, rating_likelihood(), self.steps(belief, problem, R, C, T), M - 1, SEEDS)
