"""Where the points of a training step are, and how often each one counts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.feedback.demonstration import DemonstrationBatch
from mavrl.feedback.rating import RatingBatch
from mavrl.model.action_heads import NumberedHead
from mavrl.model.support import StateSupport, StepSupport, next_states, step_weights
from mavrl.types import Transitions, at_steps

KINDS = ["preference", "demonstration", "rating", "stop"]
N_POINTS = {"preference": 3 * 2 * 4, "demonstration": 6, "rating": 4 * 3, "stop": 4 * 5}  # of the fixture's batches
SCALES = {kind: torch.tensor([1.0 + k, 0.5 + k]) for k, kind in enumerate(KINDS)}


def _support(batches: Any, valued: list[str], count: Any = "sample") -> StepSupport:
    return StepSupport(batches, {kind: SCALES[kind] for kind in batches}, valued, count, NumberedHead(4))


def _points(batches: Any, valued: list[str]) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and step of every point, in order: kinds with values first, each sample by sample and step by step."""
    order = valued + [kind for kind in batches if kind not in valued]
    return [(kind, step) for kind in order for step in np.ndindex(*batches[kind].transitions.action.shape[1:])]


# Points --------------------------------------------------------------------------------------------------------------

VALUED = [[], ["demonstration"], ["stop", "demonstration"], KINDS]


@pytest.mark.parametrize("valued", VALUED)
def test_points_are_the_steps_of_one_kind_after_the_other(valued: list[str], control_batches: Any) -> None:
    support, points = _support(control_batches, valued), _points(control_batches, valued)
    assert support.state.shape == support.next_state.shape == (2, len(points), 3)
    assert support.n_valued == sum(N_POINTS[kind] for kind in valued)
    for number, (kind, step) in enumerate(points):
        steps = control_batches[kind].transitions
        for r in range(2):
            at = (r, *step)
            assert support.state[r, number].equal(steps.state[at])
            assert support.next_state[r, number].equal(steps.next_state[at])
            assert support.action[r, number] == steps.action[at]
            assert support.terminal[r, number] == steps.terminal[at]


@pytest.mark.parametrize("valued", VALUED)
def test_every_step_finds_its_own_values(valued: list[str], control_batches: Any) -> None:
    support, points = _support(control_batches, valued), _points(control_batches, valued)
    rewards, q = torch.randn(2, len(points)), torch.randn(2, support.n_valued, 4)
    for kind in KINDS:
        steps = control_batches[kind].transitions
        found = support.look_up(rewards, kind)
        assert found.shape == steps.action.shape
        of_action = support.taken(q, kind) if kind in valued else None
        for number, (name, step) in enumerate(points):
            if name != kind:
                continue
            for r in range(2):
                assert found[(r, *step)] == rewards[r, number]
                if of_action is not None:
                    assert of_action[(r, *step)] == q[r, number, steps.action[(r, *step)]]


def test_values_carry_the_gradient_to_their_own_points_alone(control_batches: Any) -> None:
    support = _support(control_batches, ["stop"])
    table = torch.randn(2, 62, requires_grad=True)
    support.look_up(table, "rating").sum().backward()
    before = N_POINTS["stop"] + N_POINTS["preference"] + N_POINTS["demonstration"]
    expected = torch.zeros(2, 62)
    expected[:, before : before + N_POINTS["rating"]] = 1
    assert table.grad is not None
    assert table.grad.equal(expected)


def test_padding_never_terminates(make_steps: Any) -> None:
    steps = make_steps(2, 3, 4)
    everywhere = Transitions(
        steps.state, steps.action, steps.next_state, steps.next_action, torch.ones_like(steps.terminal), steps.valid
    )
    support = _support({"rating": RatingBatch(everywhere, torch.zeros(2, 3, dtype=torch.int64))}, [])
    assert not steps.valid.all()
    assert support.terminal.equal(steps.valid.flatten(1))


def test_the_prior_mean_of_steps_is_where_they_terminate(control_batches: Any) -> None:
    support = _support(control_batches, ["stop"])
    assert support.terminal.any()
    mean = support.prior_mean(torch.tensor([-1.0]))
    assert mean.equal(torch.where(support.terminal, -1.0, 0.0))


def test_the_points_of_a_finite_environment_are_its_states(make_feedback: Any) -> None:
    batches = make_feedback({"preference": 3, "demonstration": 1}, [0, 1]).train_sets
    support = StateSupport(batches, {kind: SCALES[kind] for kind in batches}, ["demonstration"])
    table, prior_mean = torch.randn(2, 9, 5), torch.randn(9)
    for kind in batches:
        steps = batches[kind].transitions
        assert support.taken(table, kind).equal(at_steps(table, steps))
        assert support.look_up(table[..., 0], kind).equal(at_steps(table[..., :1], steps))
        weights = support.bellman_weights(kind)
        assert weights.equal(SCALES[kind].view(-1, *[1] * (steps.valid.ndim - 1)) * steps.valid)
    assert support.kl_weights.expand(2, 9).equal(torch.ones(2, 9))  # each state once, however often it is visited
    assert support.prior_mean(prior_mean).expand(2, 9).equal(prior_mean.expand(2, 9))


# How often a step counts ---------------------------------------------------------------------------------------------

# Two replicates, two pairs. Valid steps: 3 + 1 and 2 + 2 in the first, 1 + 1 and 3 + 0 in the second.
_PAIRS = torch.tensor([
    [[[1, 1, 1], [1, 0, 0]], [[1, 1, 0], [1, 1, 0]]],
    [[[1, 0, 0], [1, 0, 0]], [[1, 1, 1], [0, 0, 0]]],
]).bool()  # fmt: skip
_SCALE = torch.tensor([3.0, 0.5])


def test_each_transition_counts_as_one() -> None:
    weights = step_weights(_PAIRS, _SCALE, "transition")
    assert weights.equal(_PAIRS * torch.tensor([3.0, 0.5]).view(2, 1, 1, 1))


def test_all_of_a_sample_counts_as_one() -> None:
    """Both segments of a pair are one sample, of 4, 4, 2 and 3 steps."""
    weights = step_weights(_PAIRS, _SCALE, "sample")
    each = torch.tensor([[3 / 4, 3 / 4], [0.5 / 2, 0.5 / 3]]).view(2, 2, 1, 1)
    torch.testing.assert_close(weights, _PAIRS * each)


def test_all_of_a_data_set_counts_as_one() -> None:
    """8 steps in the first replicate, 5 in the second: whatever the scale."""
    weights = step_weights(_PAIRS, _SCALE, "mean")
    torch.testing.assert_close(weights, _PAIRS * torch.tensor([1 / 8, 1 / 5]).view(2, 1, 1, 1))


@pytest.mark.parametrize("count", ["transition", "sample"])
def test_a_demonstrated_step_is_a_sample(count: Any) -> None:
    valid = torch.tensor([[True, True, True], [True, False, False]])
    expected = torch.tensor([[3.0, 3.0, 3.0], [0.5, 0.0, 0.0]])
    assert step_weights(valid, _SCALE, count).equal(expected)


@pytest.mark.parametrize("count", ["transition", "sample", "mean"])
def test_what_is_all_padding_counts_nothing(count: Any) -> None:
    nothing = torch.zeros(2, 3, 4, dtype=torch.bool)
    assert (step_weights(nothing, _SCALE, count) == 0).all()
    nothing[:, 0, 0] = True
    weights = step_weights(nothing, _SCALE, count)
    assert weights.isfinite().all()
    assert (weights[:, 1:] == 0).all()


@pytest.mark.parametrize("count", ["transition", "sample", "mean"])
@pytest.mark.parametrize("valued", [[], ["stop", "demonstration"], KINDS])
def test_the_sums_of_kl_and_bellman_terms(count: Any, valued: list[str], control_batches: Any) -> None:
    """Sample by sample, with the scale of a mini-batch. In the Bellman term all of a sample always counts as one."""
    support, values = _support(control_batches, valued, count), torch.rand(2, 62)
    for r in range(2):
        total = 0.0
        for kind, batch in control_batches.items():
            valid, of_kind = batch.transitions.valid[r], support.look_up(values, kind)[r]
            samples = [of_kind[b][valid[b]].tolist() for b in range(len(valid))]
            scale, means = float(SCALES[kind][r]), sum(sum(steps) / len(steps) for steps in samples if steps)
            total += {
                "transition": scale * sum(sum(steps) for steps in samples),
                "sample": scale * means,
                "mean": sum(sum(steps) for steps in samples) / int(valid.sum()),
            }[count]
            if kind in valued:
                bellman = (support.bellman_weights(kind)[r] * of_kind).sum()
                assert float(bellman) == pytest.approx(scale * means, rel=1e-5)
        assert float((support.kl_weights * values)[r].sum()) == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(("count", "whole"), [("transition", 16.0), ("sample", 6.0), ("mean", 1.0)])
def test_mini_batches_count_as_much_as_the_data_set(count: Any, whole: float, make_steps: Any) -> None:
    """Six segments of 1, 5, 2, 4, 1 and 3 steps: in two batches of three, each standing for all six."""
    steps = make_steps(1, 6, 5, lengths=torch.tensor([[1, 5, 2, 4, 1, 3]]))
    assert float(step_weights(steps.valid, torch.ones(1), count).sum()) == pytest.approx(whole)
    halves = [step_weights(part, torch.full((1,), 2.0), count).sum() for part in steps.valid.split(3, dim=1)]
    assert float(sum(halves)) / 2 == pytest.approx(whole)


def test_one_kind_alone_is_all_there_is(make_steps: Any) -> None:
    support = _support({"demonstration": DemonstrationBatch(make_steps(2, 6, lengths=[6, 4]))}, ["demonstration"])
    assert support.n_valued == support.state.shape[1] == 6


# States that are visited ---------------------------------------------------------------------------------------------


def _paths(make_steps: Any, *shape: int, lengths: Any = None) -> Transitions:
    """Steps that lead from one to the next."""
    steps = make_steps(*shape, seed=7, lengths=lengths)
    following = steps.next_state.clone()
    real = steps.valid[..., 1:, None].expand_as(steps.state[..., 1:, :])
    following[..., :-1, :] = torch.where(real, steps.state[..., 1:, :], following[..., :-1, :])
    return replace(steps, next_state=following)


def test_a_segment_has_one_state_more_than_steps(make_steps: Any) -> None:
    steps = _paths(make_steps, 2, 3, 2, 5)
    others, place = next_states(steps)
    assert others.shape == (2, 3 * 2, 3)
    states = torch.cat([steps.flatten().state, others], dim=1)
    found = states.take_along_dim(place[..., None], dim=1)
    flat = steps.flatten()
    assert found[flat.valid].equal(flat.next_state[flat.valid])
    assert 0 < int((place < 30).sum()) < int(flat.valid.sum())


@pytest.mark.parametrize("shape", [(2, 6), (2, 3, 2, 5)])
def test_steps_that_lead_nowhere_have_next_states_of_their_own(shape: Any, make_steps: Any) -> None:
    steps = make_steps(*shape)
    others, place = next_states(steps)
    assert others.equal(steps.flatten().next_state)
    assert place[0].tolist() == list(range(len(place[0]), 2 * len(place[0])))


def test_every_kind_finds_its_next_states(control_batches: Any, make_steps: Any) -> None:
    stop = control_batches["stop"]
    paths = replace(stop, transitions=_paths(make_steps, 2, 4, 5))
    support = _support({**control_batches, "stop": paths}, ["stop", "demonstration"])
    seen = []

    class FirstFeature(torch.nn.Module):
        def forward(self, states: torch.Tensor) -> torch.Tensor:
            seen.append(states.shape)
            return states[..., :1]

    network, scale = FirstFeature(), torch.nn.Identity()
    found = support.outputs(network, scale)
    assert support.outputs(network, scale) is found
    n = support.state.shape[1]
    assert seen == [(2, n + 4 + 6 + 24 + 12, 3)]  # a state more for each path, one for each step of the other kinds
    assert found[:, :n, 0].equal(support.state[..., 0])
    valid = torch.cat([support.transitions(kind).valid.flatten(1) for kind in ("stop", "demonstration")], dim=1)
    following = support.following(found[..., 0])[:, : support.n_valued]
    assert following[valid].equal(support.next_state[:, : support.n_valued, 0][valid])
