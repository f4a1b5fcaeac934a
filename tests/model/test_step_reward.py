"""The learned reward of an environment with observations, as its users see it."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.model.action_heads import NumberedHead
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.loading import load_reward_model
from mavrl.model.posterior import StepPosterior
from mavrl.model.reward_model import save_reward_model
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.values import LearnedStepValues

R, M, O, A = 3, 2, 4, 3  # noqa: E741 -- the axes' names
METHODS = ["mean", "std", "sample"]


def _description(domain: str = "sas", at_termination: float = -1.0, rationality: float | None = 1.5) -> dict[str, Any]:
    return {
        "kind": "steps",
        "reward_domain": domain,
        "n_features": O,
        "n_actions": A,
        "hidden_sizes": [6, 5],
        "reward_at_termination": at_termination,
        "demonstration_rationality": rationality,
        "replicates": R,
        "members": M,
    }


def _model(values: bool = True, scaled: bool = True, **settings: Any) -> StepRewardModel:
    description = _description(**settings)
    streams = [torch.Generator().manual_seed(k) for k in range(R * M)]
    scale = Standardization.identity(R * M, O)
    if scaled:
        scale = Standardization(torch.randn(R * M, O), torch.rand(R * M, O) + 0.5)
    domain, at_termination = description["reward_domain"], description["reward_at_termination"]
    posterior = StepPosterior(O, NumberedHead(A), domain, [6, 5], streams, scale, at_termination)
    q = BatchedMLP(O, [6, 5], A, streams) if values else None
    return StepRewardModel(posterior, q, (torch.randn(R * M), torch.rand(R * M)), description)


@pytest.fixture
def model() -> StepRewardModel:
    return _model()


def _transitions(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    action = torch.randint(A, shape, generator=stream)
    return torch.randn(*shape, O, generator=stream), action, torch.randn(*shape, O, generator=stream)


# Recorded behaviour --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_vectors_as_actions_are_taken_and_not_read(method: str) -> None:
    model = _model(domain="s")
    model.description["action_shape"] = [2]
    state, action, next_state = _transitions(5, 2)
    expected = getattr(model, method)(state, action, next_state)
    assert torch.equal(getattr(model, method)(state, torch.randn(5, 2, 2), next_state), expected)
    with pytest.raises(ValueError, match="need states"):
        model.mean(state, torch.randn(5, 2, 3), next_state)


@pytest.mark.parametrize("method", METHODS)
def test_numbered_states_are_one_hot_vectors(method: str) -> None:
    model = _model()
    model.description["numbered_states"] = True
    numbers, following = torch.tensor([0, 3, 1]), np.array([2, 0, 3])
    action, one_hot = torch.tensor([1, 0, 2]), torch.eye(O)
    expected = getattr(model, method)(one_hot[numbers], action, one_hot[following])
    assert torch.equal(getattr(model, method)(numbers, action, torch.from_numpy(following)), expected)
    alone = getattr(model[1], method)(numbers.numpy(), action.numpy(), following)
    assert alone.shape == (3,)


# Moments -------------------------------------------------------------------------------------------------------------


@torch.no_grad()
@pytest.mark.parametrize("terminal", [None, torch.tensor([True, False, True, False, False])])
def test_the_moments_of_a_member_are_those_of_its_posterior(model: StepRewardModel, terminal: Any) -> None:
    state, action, following = _transitions(5)
    mean, std = model.member_moments(state, action, following, terminal)
    assert mean.shape == std.shape == (R, M, 5)
    ends = torch.zeros(5, dtype=torch.bool) if terminal is None else terminal
    expected, logvar = model.posterior.transition_moments(state[None], action[None], following[None], ends[None])
    for replicate, member in itertools.product(range(R), range(M)):
        row = replicate * M + member
        assert mean[replicate, member].equal(expected[row])
        torch.testing.assert_close(std[replicate, member], torch.exp(logvar[row] / 2))


def test_a_terminal_transition_has_the_prior_mean_on_top() -> None:
    ends = torch.tensor([True, False, False, True, True, False])
    failure, neutral = (_seeded_model(at_termination=mean) for mean in (-1.0, 0.0))
    (mean, std), (plain, plain_std) = (model.member_moments(*_transitions(6), ends) for model in (failure, neutral))
    torch.testing.assert_close(mean - plain, torch.where(ends, -1.0, 0.0).expand(R, M, 6))
    assert std.equal(plain_std)
    assert failure.at_termination == -1.0


def _seeded_model(**settings: Any) -> StepRewardModel:
    torch.manual_seed(0)
    return _model(**settings)


def test_mean_and_std_are_those_of_the_mixture_of_members(model: StepRewardModel) -> None:
    steps = _transitions(7)
    mean, std = model.member_moments(*steps)
    average, spread = model.mean(*steps), model.std(*steps)
    for replicate, n in itertools.product(range(R), range(7)):
        (a, b), (u, v) = mean[replicate, :, n].tolist(), std[replicate, :, n].tolist()
        assert float(average[replicate, n]) == pytest.approx((a + b) / 2, rel=1e-4, abs=1e-6)
        total = (u * u + v * v) / 2 + ((a - b) / 2) ** 2
        assert float(spread[replicate, n]) == pytest.approx(math.sqrt(total), rel=1e-4)


def test_samples_are_drawn_from_the_mixture(model: StepRewardModel) -> None:
    steps = _transitions(3)
    draws = torch.stack([model.sample(*steps, seed=seed) for seed in range(1500)])
    assert draws.shape == (1500, R, 3)
    mean, std = model.mean(*steps), model.std(*steps)
    assert ((draws.mean(0) - mean).abs() < 5 * std / math.sqrt(1500)).all()
    assert torch.allclose(draws.std(0), std, rtol=0.1)


def test_a_seed_is_one_reward_function(model: StepRewardModel) -> None:
    """The same transition has the same reward whatever it is asked together with, and in the replicate alone."""
    state, action, following = _transitions(8)
    first, other = (model.sample(state, action, following, seed=seed) for seed in (1, 2))
    assert first.equal(model.sample(state, action, following, seed=1))
    assert not torch.allclose(first, other)
    backwards = model.sample(state.flip(0), action.flip(0), following.flip(0), seed=1)
    torch.testing.assert_close(backwards.flip(-1), first)
    torch.testing.assert_close(model.sample(state[3:4], action[3:4], following[3:4], seed=1), first[:, 3:4])
    for k in range(R):
        torch.testing.assert_close(model[k].sample(state, action, following, seed=1), first[k])


def test_a_sample_is_as_far_off_its_member_everywhere(model: StepRewardModel) -> None:
    steps = _transitions(8)
    mean, std = model.member_moments(*steps)
    for seed in range(5):
        off = (model.sample(*steps, seed=seed)[:, None] - mean) / std
        assert ((off - off.mean(-1, keepdim=True)).abs().amax(-1).amin(1) < 1e-3).all()  # of one of the members


# Arrays and shapes ---------------------------------------------------------------------------------------------------

SHAPES = [(), (1,), (5,), (2, 3), (2, 1, 3), (0,), (2, 0)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_arrays_and_tensors_of_any_shape(method: str, shape: tuple[int, ...], model: StepRewardModel) -> None:
    state, action, following = _transitions(*shape)
    ask, ask_one = getattr(model, method), getattr(model[1], method)
    values, one = ask(state, action, following), ask_one(state, action, following)
    assert isinstance(values, torch.Tensor)
    assert values.shape == (R, *shape)
    assert one.shape == shape
    torch.testing.assert_close(one, values[1])
    arrays = (state.double().numpy(), action.numpy().astype(np.int32), following.double().numpy())
    from_arrays = ask(*arrays)
    assert isinstance(from_arrays, np.ndarray)
    assert np.array_equal(from_arrays, values.numpy())
    assert isinstance(ask_one(*arrays), np.ndarray)
    flat = ask(state.reshape(-1, O), action.flatten(), following.reshape(-1, O))
    assert flat.reshape(R, *shape).equal(values)


@pytest.mark.parametrize(
    ("state", "action", "following"),
    [((3,), (), (4,)), ((4,), (), ()), ((4, 3), (3,), (4, 3)), ((5, 4), (3,), (5, 4)), ((3, 4), (3,), (1, 4))],
)
@pytest.mark.parametrize("method", METHODS)
def test_shapes_that_do_not_fit_are_refused(
    method: str, state: Any, action: Any, following: Any, model: StepRewardModel
) -> None:
    arrays = np.zeros(state), np.zeros(action, dtype=int), np.zeros(following)
    with pytest.raises(ValueError, match="need states"):
        getattr(model, method)(*arrays)


def test_replicates(model: StepRewardModel) -> None:
    steps = _transitions(4)
    assert len(model) == R
    assert model.n_members == M
    for k in (0, 2, -1):
        alone = model[k]
        assert len(alone) == 1
        torch.testing.assert_close(alone.mean(*steps), model.mean(*steps)[k])
        torch.testing.assert_close(alone.member_moments(*steps)[1][0], model.member_moments(*steps)[1][k])
        for ours, theirs in zip(alone.on_feedback(), model.on_feedback(), strict=True):
            assert ours.equal(theirs[k % R : k % R + 1])
        torch.testing.assert_close(alone.demonstrator(steps[0])[0], model.demonstrator(steps[0])[k])
        torch.testing.assert_close(alone[0].sample(*steps, seed=3), alone.sample(*steps, seed=3))
    with pytest.raises(IndexError, match="3"):
        model[3]


def test_the_members_of_a_replicate_are_in_a_row() -> None:
    model = _model()
    mean, std = model._on_feedback
    found, spread = model.on_feedback()
    for replicate, member in itertools.product(range(R), range(M)):
        assert found[replicate, member] == mean[replicate * M + member]
        assert spread[replicate, member] == std[replicate * M + member]


# Action values and demonstrators -------------------------------------------------------------------------------------


@torch.no_grad()
def test_action_values_are_those_that_were_learned(model: StepRewardModel) -> None:
    assert model.q is not None
    source = LearnedStepValues(
        model.q, NumberedHead(A), 0.9, "optimal", 1.0, standardization=model.posterior.standardization
    )
    state, *_ = _transitions(6)
    assert model.action_values(state).equal(source.action_values(state[None]).view(R, M, 6, A))


def test_the_demonstrator_is_the_average_of_the_members_policies(model: StepRewardModel) -> None:
    state, *_ = _transitions(6)
    q, found = model.action_values(state), model.demonstrator(state)
    assert found.shape == (R, 6, A)
    for replicate, n in itertools.product(range(R), range(6)):
        policies = [torch.softmax(1.5 * q[replicate, member, n], dim=-1) for member in range(M)]
        torch.testing.assert_close(found[replicate, n].exp(), sum(policies) / M)


def test_without_demonstrations_there_is_no_demonstrator() -> None:
    for values in (True, False):
        model = _model(values, rationality=None)
        assert not model.demonstrated
        with pytest.raises(ValueError, match="no demonstrations"):
            model.demonstrator(torch.zeros(1, O))
    with pytest.raises(ValueError, match="none was learned"):
        model.action_values(torch.zeros(1, O))


def test_nothing_of_it_carries_a_gradient(model: StepRewardModel) -> None:
    steps = _transitions(2)
    answers = [model.mean(*steps), model.sample(*steps), *model.member_moments(*steps), model.demonstrator(steps[0])]
    assert not any(answer.requires_grad for answer in answers)
    assert all(parameter.requires_grad for parameter in model.posterior.parameters())  # they may still be trained


# Files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("domain", ["s", "sa", "sas"])
def test_save_and_load_are_exact(domain: str, scaled: bool, values: bool, tmp_path: Path) -> None:
    model = _model(values, scaled, domain=domain, rationality=1.5 if values else None)
    save_reward_model(tmp_path, {**model.tensors(), "prior.variance": torch.ones(R * M, 1)}, model.description)
    loaded = load_reward_model(tmp_path)
    assert isinstance(loaded, StepRewardModel)
    steps = _transitions(6)
    ends = torch.rand(6) < 0.5
    for method in METHODS:
        assert getattr(loaded, method)(*steps).equal(getattr(model, method)(*steps))
        assert getattr(loaded[2], method)(*steps).equal(getattr(model[2], method)(*steps))
    for ours, theirs in zip(
        loaded.member_moments(*steps, ends) + loaded.on_feedback(),
        model.member_moments(*steps, ends) + model.on_feedback(),
        strict=True,
    ):
        assert ours.equal(theirs)
    assert loaded.at_termination == -1.0
    assert loaded.demonstrated == values
    if values:
        assert loaded.demonstrator(steps[0]).equal(model.demonstrator(steps[0]))
    else:
        assert loaded.q is None


def test_a_loaded_model_is_independent_of_the_one_it_was(model: StepRewardModel) -> None:
    steps = _transitions(4)
    rebuilt, alone = StepRewardModel.from_tensors(model.tensors(), model.description), model[0]
    before = rebuilt.mean(*steps), alone.mean(*steps)
    with torch.no_grad():
        for parameter in model.posterior.parameters():
            parameter.zero_()
    assert rebuilt.mean(*steps).equal(before[0])
    assert alone.mean(*steps).equal(before[1])
