"""The policy that does what was shown."""

import torch

from mavrl.evaluation.cloning import cloned_policy
from mavrl.types import Transitions


def test_frequencies_where_something_was_shown_and_chance_elsewhere() -> None:
    state, action = torch.tensor([[0, 0, 0, 2, 2]]), torch.tensor([[1, 1, 0, 3, 0]])
    valid = torch.tensor([[True, True, True, True, False]])
    none = torch.zeros_like(state)
    policy = cloned_policy(Transitions(state, action, none, none, none.bool(), valid), 3, 4)
    expected = [[1 / 3, 2 / 3, 0, 0], [0.25] * 4, [0, 0, 0, 1]]
    torch.testing.assert_close(policy, torch.tensor([expected], dtype=torch.float64))
