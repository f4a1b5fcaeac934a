"""Q from planning and from a network, and the Bellman term."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.model.values import LearnedValues, PlannedValues
from mavrl.types import Transitions

GAMMA = 0.8


def _optimal_q(problem: Any, reward: np.ndarray) -> np.ndarray:
    successor = problem.transitions.successors[..., 0].numpy()
    value = np.zeros(len(reward))
    for _ in range(400):
        q = reward[:, None] + GAMMA * value[successor]
        value = q.max(1)
    return q


def test_planned_values_are_optimal_for_the_sampled_reward(problem: Any) -> None:
    values = PlannedValues(problem.transitions, GAMMA, 3)
    for _ in range(3):  # later ones start from the policy before
        reward = torch.randn(3, 9)
        q = values(reward)
        for r in range(3):
            assert np.allclose(q[r].numpy(), _optimal_q(problem, reward[r].double().numpy()), atol=1e-4)


def test_planned_values_carry_the_gradient(problem: Any) -> None:
    values = PlannedValues(problem.transitions, GAMMA, 1)
    reward = torch.randn(1, 9, requires_grad=True)
    values(reward)[0, 0, 0].backward()
    assert reward.grad is not None
    assert reward.grad.sum().item() == pytest.approx(1 / (1 - GAMMA), rel=1e-4)  # every step earns some state's reward
    for s in range(9):
        step = torch.zeros(9, dtype=torch.float64)
        step[s] = 1e-4
        here = reward.detach()[0].double()
        up, down = (_optimal_q(problem, (here + sign * step).numpy())[0, 0] for sign in (1, -1))
        assert reward.grad[0, s].item() == pytest.approx((up - down) / 2e-4, abs=1e-3)


def test_planned_values_have_no_bellman_term_and_no_parameters(problem: Any) -> None:
    values = PlannedValues(problem.transitions, GAMMA, 1)
    assert not list(values.parameters())
    table = torch.zeros(1, 9)
    assert values.bellman(torch.zeros(1, 9, 5), table, table, _steps(1)) is None


def test_evaluation_does_not_move_the_first_guess(problem: Any) -> None:
    values = PlannedValues(problem.transitions, GAMMA, 2).eval()
    before = values.actions.clone()
    values(torch.randn(2, 9))
    assert values.actions.equal(before)


def _steps(n_models: int, *shape: int) -> Transitions:
    shape = (n_models, *(shape or (4,)))
    flags = torch.rand(shape) < 0.3
    state, action = torch.randint(9, shape), torch.randint(5, shape)
    following, after = torch.randint(9, shape), torch.randint(5, shape)
    return Transitions(state, action, following, after, flags, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("shape", [(6,), (3, 4), (2, 2, 4)])
@pytest.mark.parametrize("backup", ["optimal", "soft", "behaviour"])
def test_the_bellman_term_step_by_step(backup: Any, shape: tuple[int, ...]) -> None:
    generators = [torch.Generator().manual_seed(k) for k in range(2)]
    values = LearnedValues(9, 5, [6], generators, GAMMA, backup, 0.5)
    q = values(torch.zeros(2, 9)).detach() * 10
    mean, logvar = torch.randn(2, 9), torch.randn(2, 9)
    steps = _steps(2, *shape)
    found = values.bellman(q, mean, logvar, steps)
    for index in np.ndindex(2, *shape):
        r = index[0]
        s, a = int(steps.state[index]), int(steps.action[index])
        following = q[r, int(steps.next_state[index])].tolist()
        value = {
            "optimal": max(following),
            "behaviour": following[int(steps.next_action[index])],
            "soft": 0.5 * math.log(sum(math.exp(v / 0.5) for v in following) / 5),
        }[backup]
        residual = float(q[r, s, a]) - (0.0 if steps.terminal[index] else GAMMA * value)
        variance = math.exp(float(logvar[r, s]))
        expected = 0.5 * ((residual - float(mean[r, s])) ** 2 / variance + float(logvar[r, s]))
        assert float(found[index]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_a_learned_q_does_not_look_at_the_reward() -> None:
    values = LearnedValues(9, 5, [6], [torch.Generator()], GAMMA, "optimal", 0.5)
    assert values(torch.zeros(1, 9)).equal(values(torch.randn(1, 9)))
