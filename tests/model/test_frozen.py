"""The reward model in NumPy against the one in torch."""

from typing import Any

import numpy as np
import pytest
import torch

from mavrl.model.action_heads import NumberedHead
from mavrl.model.frozen import FrozenRewardModel
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.posterior import InverseStepPosterior, StepPosterior
from mavrl.model.step_reward import StepRewardModel

R, M, O, A = 2, 3, 4, 3  # noqa: E741 -- the axes' names


def _model(
    domain: Any = "sas", scaled: bool = True, values: bool = True, bias: float = 0.0, inverse: Any = None
) -> StepRewardModel:
    streams = [torch.Generator().manual_seed(k) for k in range(R * M)]
    scale = Standardization.identity(R * M, O)
    if scaled:
        scale = Standardization(torch.randn(R * M, O), torch.rand(R * M, O) + 0.2)
    of_features, q = (O, NumberedHead(A), domain, [6, 5], streams, scale, -1.0), None
    if values:
        q = BatchedMLP(O, [6, 5], A, [torch.Generator().manual_seed(100 + k) for k in range(R * M)])
    backup = {"gamma": 0.9, "backup": inverse, "soft_temperature": 0.1}
    posterior = StepPosterior(*of_features) if inverse is None else InverseStepPosterior(*of_features, q=q, **backup)
    with torch.no_grad():
        posterior.encoder.layers[-1].bias[..., -1] += bias  # type: ignore[index]
    description = {
        "reward_domain": domain,
        "n_features": O,
        "n_actions": A,
        "hidden_sizes": [6, 5],
        "reward_at_termination": -1.0,
        "demonstration_rationality": 20.0 if values else None,
        "replicates": R,
        "members": M,
        **({} if inverse is None else {"inverse": backup}),
    }
    return StepRewardModel(posterior, q, (torch.zeros(R * M), torch.ones(R * M)), description)


def _transitions(n: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    state, following = (2 * stream.standard_normal((n, O)).astype(np.float32) for _ in range(2))
    return state, stream.integers(A, size=n), following, stream.random(n) < 0.5


@pytest.mark.parametrize("inverse", [None, "optimal", "soft"])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_moments_are_the_same(domain: str, scaled: bool, inverse: str | None) -> None:
    model, (state, action, following, ends) = _model(domain, scaled, inverse=inverse), _transitions()
    for k in range(R):
        frozen = FrozenRewardModel(model[k])
        found = frozen.moments(frozen.standardized(state), action, following, ends)
        expected = model.member_moments(*(torch.from_numpy(x) for x in (state, action, following, ends)))
        prior_mean = 0.0 if inverse else -1.0 * torch.from_numpy(ends)  # paid by itself, not by the frozen model
        expected = (expected[0] - prior_mean, expected[1])
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == (M, 7)
            np.testing.assert_allclose(ours, theirs[k].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("bias", "std"), [(1e4, np.exp(1)), (-1e4, np.exp(-10))])
def test_the_log_variance_is_clamped(bias: float, std: float) -> None:
    frozen, (state, *rest) = FrozenRewardModel(_model(bias=bias)[0]), _transitions()
    np.testing.assert_allclose(frozen.moments(frozen.standardized(state), *rest)[1], std, rtol=1e-5)


def test_each_member_has_the_rationality_that_it_has_learned() -> None:
    given = _model()
    tensors = {**given.tensors(), "demonstration.rationality": torch.tensor([1.0, 5.0, 20.0, 2.0, 2.0, 0.0])}
    learned, (state, action, _, _) = StepRewardModel.from_tensors(tensors, given.description), _transitions()
    q = given.action_values(torch.from_numpy(state))
    beta = tensors["demonstration.rationality"].view(R, M, 1, 1)
    expected = (beta * q).softmax(-1).mean(1).log()
    torch.testing.assert_close(learned.demonstrator(torch.from_numpy(state)), expected)
    for k in range(R):
        frozen = FrozenRewardModel(learned[k])
        found = frozen.demonstrator(frozen.standardized(state))
        np.testing.assert_allclose(found, expected[k].numpy(), rtol=1e-4, atol=1e-4)
        advantage = expected[k] - (expected[k].exp() * expected[k]).sum(-1, keepdim=True)
        of_taken = advantage.gather(-1, torch.from_numpy(action)[:, None]).squeeze(-1)
        np.testing.assert_allclose(frozen.advantage(frozen.standardized(state), action), of_taken, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scaled", [True, False])
def test_observations_are_standardized_alike(scaled: bool) -> None:
    model, (state, *_) = _model(scaled=scaled), _transitions()
    state[0] = 1e6
    expected = model.posterior.standardization(torch.from_numpy(state)[None]).view(R, M, 7, O).numpy()
    for k in range(R):
        for given in (state, state.astype(np.float64)):
            found = FrozenRewardModel(model[k]).standardized(given)
            np.testing.assert_allclose(found, expected[k], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scaled", [True, False])
def test_demonstrators_are_the_same(scaled: bool) -> None:
    model, (state, *_) = _model(scaled=scaled), _transitions()
    for k in range(R):
        frozen = FrozenRewardModel(model[k])
        found, expected = frozen.demonstrator(frozen.standardized(state)), model.demonstrator(torch.from_numpy(state))
        np.testing.assert_allclose(found, expected[k].numpy(), rtol=1e-3, atol=1e-4)


def test_impossible_actions_have_finite_log_probabilities() -> None:
    model = _model()
    model.description["demonstration_rationality"] = 1e5
    frozen, (state, *_) = FrozenRewardModel(model[0]), _transitions()
    assert np.isfinite(frozen.demonstrator(frozen.standardized(state))).all()


def test_what_is_given_and_the_model_stay_as_they_are() -> None:
    model, arrays = _model(scaled=False)[0], _transitions()
    frozen, before, weights = FrozenRewardModel(model), [x.copy() for x in arrays], model.tensors()
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    state, *rest = arrays
    first = frozen.moments(frozen.standardized(state), *rest)
    frozen.demonstrator(frozen.standardized(state))
    for ours, theirs in zip(first, frozen.moments(frozen.standardized(state), *rest), strict=True):
        assert np.array_equal(ours, theirs)
    assert all(np.array_equal(x, y) for x, y in zip(arrays, before, strict=True))
    assert all(model.tensors()[name].equal(tensor) for name, tensor in weights.items())


def test_one_replicate_without_demonstrations() -> None:
    model = _model(values=False)
    with pytest.raises(ValueError, match="2 replicates"):
        FrozenRewardModel(model)
    state, *rest = _transitions(1)
    frozen = FrozenRewardModel(model[1])
    assert frozen.moments(frozen.standardized(state), *rest)[0].shape == (M, 1)
