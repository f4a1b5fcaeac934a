"""Action values of numbers and of vectors, read by likelihoods, and the same reward in NumPy and in torch."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.actions import NumberedActions, VectorActions
from mavrl.feedback.demonstration import DemonstrationBatch, DemonstrationLikelihood
from mavrl.feedback.preference import PreferenceLikelihood
from mavrl.feedback.stop import StopLikelihood
from mavrl.model.action_heads import NumberedHead, VectorHead, action_head
from mavrl.model.frozen import FrozenRewardModel
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.posterior import InverseStepPosterior, StepPosterior
from mavrl.model.step_reward import StepRewardModel
from mavrl.quadratic import QuadraticValues
from mavrl.types import Transitions

R, M, O, D, N = 2, 3, 4, 2, 9  # noqa: E741 -- the axes' names
BOUNDS = VectorActions((-2.0, 0.0), (2.0, 10.0))


def test_numbers_have_an_output_each_and_vectors_a_quadratic_form() -> None:
    numbers, vectors = action_head(NumberedActions(3)), action_head(BOUNDS)
    assert (numbers.n_inputs, numbers.n_outputs) == (3, 3)
    assert (vectors.n_inputs, vectors.n_outputs) == (2, 5)


def test_numbered_actions_by_hand() -> None:
    head, q = NumberedHead(3), torch.tensor([[1.0, 4.0, 2.0], [0.0, -1.0, -2.0]])
    action = torch.tensor([2, 1])
    assert head.taken(q, action).tolist() == [2.0, -1.0]
    assert head.best(q).tolist() == [4.0, 0.0]
    assert head.encoded(action).tolist() == [[0, 0, 1], [0, 1, 0]]
    assert head.read(StopLikelihood(torch.ones(1), 0.5), q, action).tolist() == [2.0, 1.0]
    expected = torch.log_softmax(3 * q, -1)[torch.arange(2), action]
    torch.testing.assert_close(head.read(DemonstrationLikelihood(3.0), q, action), expected)


def test_vectors_are_read_as_their_quadratic_form() -> None:
    head, outputs, action = VectorHead(D), torch.randn(R, N, 1 + 2 * D), 2 * torch.rand(R, N, D) - 1
    q = QuadraticValues.from_outputs(outputs)
    assert head.taken(outputs, action).equal(q.at(action))
    assert head.best(outputs).equal(q.value)
    assert head.soft(outputs, 0.5).equal(q.soft_value(0.5))
    assert head.state_value(outputs, "optimal", 1.0).equal(q.value)
    assert head.encoded(action).equal(action)
    assert head.read(StopLikelihood(torch.ones(R), 0.5), outputs, action).equal(q.regret(action))
    assert head.read(DemonstrationLikelihood(3.0), outputs, action).equal(q.log_policy(action, 3.0))
    with pytest.raises(ValueError, match="behaviour"):
        head.state_value(outputs, "behaviour", 1.0)
    with pytest.raises(NotImplementedError, match="PreferenceLikelihood has no `of_vectors`"):
        head.read(PreferenceLikelihood(1.0), outputs, action)


def test_demonstrated_vectors_are_drawn_as_they_are_scored() -> None:
    n, beta = 3000, 4.0
    outputs = torch.tensor([0.0, 0.4, -2.0, 1.0, 0.5]).expand(1, n, 5)
    q, valid = QuadraticValues.from_outputs(outputs), torch.ones(1, n, dtype=torch.bool)
    state, nothing = torch.zeros(1, n, O), torch.zeros(1, n, D)
    steps = Transitions(state, nothing, state, nothing, ~valid, valid)
    likelihood = DemonstrationLikelihood(beta)
    batch = likelihood.sample(q, steps, [torch.Generator().manual_seed(0)])
    grid = torch.linspace(-1, 1, 4001, dtype=torch.float64)
    for j in range(D):
        mean, precision = (each[0, 0, j : j + 1].double() for each in (q.mean, q.precision))
        alone = QuadraticValues(torch.zeros(()).double(), mean, precision)
        below = torch.cumulative_trapezoid(alone.log_policy(grid[:, None], beta).exp(), grid).numpy()
        drawn = batch.transitions.action[0, :, j].numpy()
        assert stats.kstest(drawn, lambda x, below=below: np.interp(x, grid[1:].numpy(), below)).pvalue > 1e-3
    scored = likelihood.log_prob(VectorHead(D).read(likelihood, outputs, batch.transitions.action), batch)
    assert isinstance(batch, DemonstrationBatch)
    assert float(scored.mean()) == pytest.approx(float(q.expected_log_policy(beta)[0, 0]), abs=0.05)


def _model(domain: Any, inverse: Any = None) -> StepRewardModel:
    streams = [torch.Generator().manual_seed(k) for k in range(R * M)]
    scale = Standardization(torch.randn(R * M, O), torch.rand(R * M, O) + 0.2)
    head = action_head(BOUNDS)
    q = BatchedMLP(O, [6], head.n_outputs, [torch.Generator().manual_seed(100 + k) for k in range(R * M)])
    backup = {"gamma": 0.9, "backup": inverse, "soft_temperature": 0.1}
    of_features = (O, head, domain, [6], streams, scale, 0.0)
    posterior = StepPosterior(*of_features) if inverse is None else InverseStepPosterior(*of_features, q=q, **backup)
    description = {
        "kind": "steps",
        "reward_domain": domain,
        "n_features": O,
        **BOUNDS.described,
        "hidden_sizes": [6],
        "reward_at_termination": 0.0,
        "demonstration_rationality": 2.0,
        "replicates": R,
        "members": M,
        **({} if inverse is None else {"inverse": backup}),
    }
    return StepRewardModel(posterior, q, (torch.zeros(R * M), torch.ones(R * M)), description)


def _transitions() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    state, following = (stream.standard_normal((N, O)).astype(np.float32) for _ in range(2))
    return state, stream.uniform(-1, 1, (N, D)).astype(np.float32), following, stream.random(N) < 0.5


@pytest.mark.parametrize("inverse", [None, "optimal", "soft"])
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_in_numpy_it_is_the_same_reward(domain: str, inverse: str | None) -> None:
    model, arrays = _model(domain, inverse), _transitions()
    state, action, following, ends = arrays
    expected = model.member_moments(*(torch.from_numpy(x) for x in arrays))
    for k in range(R):
        frozen = FrozenRewardModel(model[k])
        found = frozen.moments(frozen.standardized(state), action, following, ends)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs[k].numpy(), rtol=1e-4, atol=1e-5)


def test_the_reward_that_a_quadratic_q_implies() -> None:
    model, (state, action, following, ends) = _model("sa", "optimal"), map(torch.from_numpy, _transitions())
    q, then = (QuadraticValues.from_outputs(model.action_values(x)) for x in (state, following))
    expected = q.at(action.expand(R, M, N, D)) - 0.9 * then.value * ~ends
    torch.testing.assert_close(model.member_moments(state, action, following, ends)[0], expected)


def test_users_give_actions_in_the_environment_s_units() -> None:
    model, (state, action, following, _) = _model("sa"), map(torch.from_numpy, _transitions())
    raw = BOUNDS.from_unit(action)
    expected = model.member_moments(state, action, following)[0].mean(1)
    torch.testing.assert_close(model.mean(state, raw, following), expected)
    torch.testing.assert_close(model.mean(state, model.in_units(action), following), expected)
    in_rows = model.mean(state.view(3, 3, O), raw.view(3, 3, D), following.view(3, 3, O))
    torch.testing.assert_close(in_rows, expected.view(R, 3, 3))
    with pytest.raises(ValueError, match="need states"):
        model.mean(state, raw[:, :1], following)


def test_a_demonstrator_s_advantage_is_how_much_likelier_an_action_is_than_his_own_on_average() -> None:
    model, (state, action, *_) = _model("sa"), _transitions()
    frozen = FrozenRewardModel(model[1])
    found = frozen.advantage(frozen.standardized(state), action)
    q = model[1].demonstrated_values(torch.from_numpy(state))[0]
    draws = torch.rand(20_000, M, N, D, generator=torch.Generator().manual_seed(0))
    many = QuadraticValues(*(each.expand(20_000, *each.shape) for each in (q.value, q.mean, q.precision)))
    average = many.log_policy(many.sample(1.0, draws), 1.0).mean(0)
    expected = (q.log_policy(torch.from_numpy(action).expand(M, N, D), 1.0) - average).mean(0)
    np.testing.assert_allclose(found, expected.numpy(), atol=0.02)


def test_saved_and_loaded_it_is_the_same(tmp_path: Any) -> None:
    model, (state, action, following, _) = _model("sas", "optimal"), map(torch.from_numpy, _transitions())
    model.save(tmp_path)
    found = StepRewardModel.load(tmp_path)
    assert found.actions == BOUNDS
    raw = BOUNDS.from_unit(action)
    assert found.mean(state, raw, following).equal(model.mean(state, raw, following))
