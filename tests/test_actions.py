import numpy as np
import pytest
import torch
from gymnasium import spaces

from mavrl.actions import NumberedActions, VectorActions, actions_of, described_actions, drawn

TORQUES = VectorActions((-2.0, 0.0), (2.0, 10.0))


def test_spaces_are_read() -> None:
    assert actions_of(spaces.Discrete(3, start=1)) == NumberedActions(3)
    assert actions_of(spaces.Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32))) == TORQUES


@pytest.mark.parametrize(
    "space",
    [
        spaces.MultiBinary(2),
        spaces.Box(-1, 1, (2, 2)),
        spaces.Box(-1, np.inf, (2,)),
        spaces.Box(0, 5, (2,), np.int64),
        spaces.Box(np.array([0, 1], np.float32), np.array([1, 1], np.float32)),
    ],
)
def test_others_are_none(space: spaces.Space) -> None:
    assert actions_of(space) is None


@pytest.mark.parametrize("actions", [NumberedActions(4), TORQUES])
def test_they_are_told_again_from_their_description(actions: NumberedActions | VectorActions) -> None:
    assert described_actions({"else": 1, **actions.described}) == actions
    assert actions_of(actions.space) == actions


def test_the_unit_box_goes_from_bound_to_bound() -> None:
    raw, unit = np.array([[-2.0, 0.0], [2.0, 10.0], [0.0, 2.5]]), np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, -0.5]])
    assert np.array_equal(TORQUES.to_unit(raw), unit)
    assert np.array_equal(TORQUES.from_unit(unit), raw)
    assert TORQUES.to_unit(torch.from_numpy(raw).float()).equal(torch.from_numpy(unit).float())
    assert TORQUES.from_unit(unit.astype(np.float32)).dtype == np.float32
    assert np.array_equal(TORQUES.to_unit(np.array([9.0, -3.0])), [1.0, -1.0])


def test_numbers_stay_what_they_are() -> None:
    number = np.array([0, 3])
    assert NumberedActions(4).to_unit(number) is number
    assert NumberedActions(4).from_unit(number) is number


def test_a_draw_inverts_the_distribution() -> None:
    probabilities = np.array([[0.25, 0.5, 0.25]] * 5)
    draws = np.array([[0.0], [0.24], [0.25], [0.74], [0.76]])
    assert drawn(probabilities, draws).tolist() == [0, 0, 1, 1, 2]
