"""Batches check themselves when they are built, and act alike on all of their tensors."""

import dataclasses

import jaxtyping
import numpy as np
import pytest
import torch

from mavrl.feedback.demonstration import DemonstrationBatch
from mavrl.feedback.preference import PreferenceBatch
from mavrl.feedback.rating import RatingBatch
from mavrl.feedback.stop import StopBatch
from mavrl.types import Transitions, at_steps, segment_mean


def numbered(*shape: int, valid: torch.Tensor | None = None) -> Transitions:
    """Transitions whose fields all differ, so that a mix-up shows."""
    number = torch.arange(torch.Size(shape).numel()).view(shape)
    return Transitions(
        state=number,
        action=number + 1000,
        next_state=number + 2000,
        next_action=number + 3000,
        terminal=number % 3 == 0,
        valid=torch.ones(shape, dtype=torch.bool) if valid is None else valid,
    )


def observed(*shape: int, features: int = 3, valid: torch.Tensor | None = None) -> Transitions:
    """The same with observations: feature o of state n is n + o / 10."""
    steps = numbered(*shape, valid=valid)
    feature = torch.arange(features) / 10
    return dataclasses.replace(
        steps, state=steps.state[..., None] + feature, next_state=steps.next_state[..., None] + feature
    )


@pytest.fixture
def without_shape_checks(monkeypatch):
    """As users run it: annotations are not checked, so the batches must do it themselves."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


class TestTransitions:
    @pytest.mark.usefixtures("without_shape_checks")
    def test_refuses_unequal_shapes(self):
        good = numbered(2, 3, 4)
        with pytest.raises(ValueError, match="equal shapes"):
            dataclasses.replace(good, action=good.action[..., :-1])

    @pytest.mark.usefixtures("without_shape_checks")
    def test_refuses_a_missing_batch_axis(self):
        with pytest.raises(ValueError, match=r"\(R, B"):
            numbered(3)

    @pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 2, 2, 3)])
    @pytest.mark.parametrize("features", [1, 2, 4])
    def test_observations_have_one_axis_more(self, shape, features):
        steps = observed(*shape, features=features)
        assert steps.state.shape == steps.next_state.shape == (*shape, features)
        assert steps.action.shape == shape

    @pytest.mark.parametrize(
        "change",
        [
            lambda steps: {"state": steps.state[..., 0], "next_state": steps.next_state[..., 0]},  # no axis O
            lambda steps: {"state": steps.state.long(), "next_state": steps.next_state.long()},  # numbers with one
            lambda steps: {"state": steps.state[..., None], "next_state": steps.next_state[..., None]},  # two
            lambda steps: {"next_state": steps.next_state[..., :-1]},
            lambda steps: {"state": steps.state[:, :-1]},
            lambda steps: {"valid": steps.valid[:, :-1]},
            lambda steps: {"terminal": steps.terminal[..., None]},
            lambda steps: {"next_state": steps.action},
        ],
    )
    @pytest.mark.usefixtures("without_shape_checks")
    def test_refuses_observations_that_do_not_fit(self, change):
        good = observed(2, 3, 4)
        with pytest.raises(ValueError, match=r"equal shapes|one axis more"):
            dataclasses.replace(good, **change(good))

    @pytest.mark.usefixtures("without_shape_checks")
    def test_refuses_an_observation_beside_a_number(self):
        good = observed(2, 3)
        with pytest.raises(ValueError, match="numbers or vectors"):
            dataclasses.replace(good, next_state=good.next_state.long())

    def test_actions_may_be_vectors(self):
        steps = observed(2, 3, 4)
        vectors = torch.arange(48.0).view(2, 3, 4, 2)
        moved = dataclasses.replace(steps, action=vectors, next_action=vectors)
        assert moved.flatten().action.equal(vectors.view(2, 12, 2))
        shorter = vectors[:, :, :3]
        with pytest.raises(ValueError, match="equal shapes"):
            dataclasses.replace(moved, action=shorter, next_action=shorter)

    @pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 2, 4)])
    def test_flatten_lines_up_all_steps_of_a_replicate(self, shape):
        for steps in (numbered(*shape), observed(*shape)):
            flat = steps.flatten()
            n = int(torch.tensor(shape[1:]).prod())
            assert flat.action.shape == flat.valid.shape == (2, n)
            assert flat.state.shape == flat.next_state.shape == (2, n, *steps.state.shape[len(shape) :])
            number = torch.arange(2 * n).view(2, n)
            assert flat.action.equal(number + 1000)
            first_feature = flat.state[..., 0] if flat.state.is_floating_point() else flat.state
            assert first_feature.equal(number.to(first_feature.dtype))

    def test_annotations_are_checked_in_tests(self):
        good = numbered(2, 3)
        with pytest.raises(jaxtyping.TypeCheckError, match="valid"):
            dataclasses.replace(good, valid=good.state)

    def test_is_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            numbered(2, 3).state = torch.zeros(2, 3, dtype=torch.int64)


class TestOperationsOnEveryTensor:
    def test_take_is_indexing_within_each_replicate(self):
        batch = RatingBatch(numbered(2, 3, 4), torch.tensor([[0, 1, 2], [3, 4, 0]]))
        taken = batch.take(torch.tensor([[2, 0], [1, 1]]))
        assert taken.rating.tolist() == [[2, 0], [4, 4]]
        original = batch.transitions
        for field in dataclasses.fields(Transitions):
            expected = getattr(original, field.name)
            rows = [[expected[0, 2], expected[0, 0]], [expected[1, 1], expected[1, 1]]]
            assert torch.equal(getattr(taken.transitions, field.name), torch.stack([torch.stack(row) for row in rows]))

    def test_take_keeps_the_features_of_an_observation_together(self):
        batch = StopBatch(observed(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64))
        index = torch.tensor([[2, 0], [1, 1]])
        taken = batch.take(index)
        for r in range(2):
            for b in range(2):
                sample = int(index[r, b])
                assert taken.transitions.state[r, b].equal(batch.transitions.state[r, sample])
                assert taken.transitions.next_state[r, b].equal(batch.transitions.next_state[r, sample])
                assert taken.transitions.action[r, b].equal(batch.transitions.action[r, sample])

    def test_repeat_replicates_of_observations(self):
        batch = DemonstrationBatch(observed(2, 5))
        repeated = batch.repeat_replicates(2).transitions
        assert repeated.state.shape == (4, 5, 3)
        assert repeated.state[[0, 2]].equal(batch.transitions.state)
        assert repeated.state[[1, 3]].equal(batch.transitions.state)

    def test_repeat_replicates_keeps_copies_together(self):
        batch = StopBatch(numbered(2, 1, 3), torch.tensor([[0], [3]]))
        repeated = batch.repeat_replicates(3)
        assert repeated.stop_step.flatten().tolist() == [0, 0, 0, 3, 3, 3]
        assert repeated.transitions.action[:, 0, 0].tolist() == [1000] * 3 + [1003] * 3

    def test_repeating_once_changes_nothing(self):
        batch = DemonstrationBatch(numbered(2, 5))
        assert batch.repeat_replicates(1) is batch

    def test_map_reaches_labels_and_transitions(self):
        batch = PreferenceBatch(numbered(1, 4, 2, 3), torch.tensor([[True, False, True, True]]))
        kept = batch.map(lambda tensor: tensor[:, :2])
        assert type(kept) is PreferenceBatch
        assert kept.first_preferred.tolist() == [[True, False]]
        assert kept.transitions.state.shape == kept.transitions.valid.shape == (1, 2, 2, 3)


class TestLayouts:
    def test_preference_needs_pairs(self):
        with pytest.raises(ValueError, match="2 segments"):
            PreferenceBatch(numbered(1, 4, 3, 5), torch.zeros(1, 4, dtype=torch.bool))

    def test_layouts_count_the_axes_of_steps_and_not_that_of_observations(self):
        label = torch.zeros(1, 4, dtype=torch.int64)
        assert PreferenceBatch(observed(1, 4, 2, 5), label.bool()).transitions.state.shape == (1, 4, 2, 5, 3)
        assert DemonstrationBatch(observed(1, 4)).transitions.state.shape == (1, 4, 3)
        assert RatingBatch(observed(1, 4, 5), label).transitions.state.shape == (1, 4, 5, 3)
        assert StopBatch(observed(1, 4, 5), label).transitions.state.shape == (1, 4, 5, 3)
        with pytest.raises(ValueError, match="2 segments"):
            PreferenceBatch(observed(1, 4, 3, 2, features=2), label.bool())
        with pytest.raises(ValueError, match="RatingBatch"):
            RatingBatch(observed(1, 4), label)
        with pytest.raises(ValueError, match="DemonstrationBatch"):
            DemonstrationBatch(observed(1, 4, 5))

    @pytest.mark.parametrize(
        ("build", "name"),
        [
            (lambda: PreferenceBatch(numbered(1, 4, 5), torch.zeros(1, 4, dtype=torch.bool)), "PreferenceBatch"),
            (lambda: DemonstrationBatch(numbered(1, 4, 5)), "DemonstrationBatch"),
            (lambda: RatingBatch(numbered(1, 4), torch.zeros(1, 4, dtype=torch.int64)), "RatingBatch"),
            (lambda: StopBatch(numbered(1, 4, 2, 5), torch.zeros(1, 4, dtype=torch.int64)), "StopBatch"),
        ],
    )
    def test_wrong_number_of_axes(self, build, name):
        with pytest.raises(ValueError, match=name):
            build()

    @pytest.mark.parametrize(
        "build",
        [
            lambda label: PreferenceBatch(numbered(2, 4, 2, 3), label.bool()),
            lambda label: RatingBatch(numbered(2, 4, 3), label),
            lambda label: StopBatch(numbered(2, 4, 3), label),
        ],
    )
    @pytest.mark.parametrize("shape", [(2, 3), (1, 4)])
    @pytest.mark.usefixtures("without_shape_checks")
    def test_labels_that_do_not_fit(self, build, shape):
        with pytest.raises(ValueError, match="do not fit"):
            build(torch.zeros(shape, dtype=torch.int64))


def test_samples_are_taken_away_as_padding() -> None:
    valid = torch.tensor([[[[True, True], [True, False]], [[True, True], [True, True]]]])
    steps = numbered(1, 2, 2, 2, valid=valid)
    left = steps.without(torch.tensor([[False, True]]))
    assert left.valid.tolist() == [[[[True, True], [True, False]], [[False, False], [False, False]]]]
    assert left.state.equal(steps.state)
    assert steps.valid.equal(valid)


class TestValidSamples:
    def test_a_step_is_a_sample_of_a_demonstration(self):
        valid = torch.tensor([[True, False, True]])
        assert torch.equal(DemonstrationBatch(numbered(1, 3, valid=valid)).valid_samples, valid)

    def test_a_segment_counts_from_one_valid_step(self):
        valid = torch.tensor([[[True, True], [True, False], [False, False]]])
        batch = StopBatch(numbered(1, 3, 2, valid=valid), torch.full((1, 3), 2))
        assert batch.valid_samples.tolist() == [[True, True, False]]

    def test_features_of_observations_do_not_matter(self):
        valid = torch.tensor([[[True, True], [True, False], [False, False]]])
        batch = StopBatch(observed(1, 3, 2, features=1, valid=valid), torch.full((1, 3), 2))
        assert batch.valid_samples.tolist() == [[True, True, False]]
        steps = torch.tensor([[True, False, True]])
        assert torch.equal(DemonstrationBatch(observed(1, 3, valid=steps)).valid_samples, steps)

    def test_a_pair_counts_from_one_valid_step(self):
        valid = torch.zeros(1, 2, 2, 3, dtype=torch.bool)
        valid[0, 1, 1, 0] = True
        batch = PreferenceBatch(numbered(1, 2, 2, 3, valid=valid), torch.zeros(1, 2, dtype=torch.bool))
        assert batch.valid_samples.tolist() == [[False, True]]


class TestSegmentMean:
    def test_only_valid_steps_count(self):
        values = torch.tensor([[1.0, 2.0, 6.0], [4.0, 9.0, 9.0]])
        valid = torch.tensor([[True, True, True], [True, False, False]])
        assert segment_mean(values, valid).tolist() == [3.0, 4.0]

    def test_nothing_valid_is_zero(self):
        assert segment_mean(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)).tolist() == [0.0, 0.0]

    def test_padding_may_be_anything(self):
        values = torch.tensor([5.0, float("nan"), float("inf")], requires_grad=True)
        mean = segment_mean(values, torch.tensor([True, False, False]))
        assert mean.item() == 5.0
        mean.backward()
        assert values.grad.tolist() == [1.0, 0.0, 0.0]

    def test_gradient_is_shared_equally(self):
        values = torch.zeros(4, requires_grad=True)
        segment_mean(values, torch.tensor([True, True, False, True])).backward()
        torch.testing.assert_close(values.grad, torch.tensor([1 / 3, 1 / 3, 0, 1 / 3]))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_keeps_the_precision_of_the_values(self, dtype):
        assert segment_mean(torch.ones(2, 3, dtype=dtype), torch.ones(2, 3, dtype=torch.bool)).dtype == dtype


# Tables --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("columns", [1, 5])
def test_at_steps_reads_the_entry_of_each_state_and_action(rows: int, columns: int) -> None:
    table = torch.randn(rows, 9, columns)
    state, action = torch.randint(9, (2, 4, 3)), torch.randint(5, (2, 4, 3))
    flags = torch.ones(2, 4, 3, dtype=torch.bool)
    read = at_steps(table, Transitions(state, action, state, action, flags, flags))
    for r, b, t in np.ndindex(2, 4, 3):
        column = 0 if columns == 1 else int(action[r, b, t])
        assert read[r, b, t] == table[min(r, rows - 1), int(state[r, b, t]), column]
