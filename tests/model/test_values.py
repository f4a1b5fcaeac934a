"""Q from planning and from a network, and the Bellman term."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mavrl.feedback.demonstration import DemonstrationBatch
from mavrl.feedback.preference import PreferenceBatch
from mavrl.feedback.rating import RatingBatch
from mavrl.model.action_heads import NumberedHead, VectorHead
from mavrl.model.layers import BatchedMLP, Standardization
from mavrl.model.support import StateSupport, StepSupport
from mavrl.model.values import LearnedStateValues, LearnedStepValues, PlannedValues
from mavrl.types import Transitions

GAMMA = 0.8
N_FEATURES, N_ACTIONS = 3, 4  # of the fixture's control environment
HEAD = NumberedHead(N_ACTIONS)


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
    assert values.bellman(torch.zeros(1, 9, 5), table, table, _of_states(_steps(1)), "it") is None


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


def _batch(steps: Transitions) -> Any:
    """These steps as feedback of the kind that has them in this shape."""
    label = torch.zeros(steps.action.shape[:2], dtype=torch.int64)
    kinds = {
        2: lambda: DemonstrationBatch(steps),
        3: lambda: RatingBatch(steps, label),
        4: lambda: PreferenceBatch(steps, label > 0),
    }
    return kinds[steps.action.ndim]()


def _of_states(steps: Transitions) -> StateSupport:
    return StateSupport({"it": _batch(steps)}, {"it": torch.ones(len(steps.action))}, ["it"])


def _residual_nll(
    q: Any, following: list[float], next_action: int, terminal: bool, mean: Any, logvar: Any, backup: str
) -> float:
    """The Bellman term of one step, given Q of its action and Q of every action that follows."""
    value = {
        "optimal": max(following),
        "behaviour": following[next_action],
        "soft": 0.5 * math.log(sum(math.exp(v / 0.5) for v in following) / len(following)),
    }[backup]
    residual = float(q) - (0.0 if terminal else GAMMA * value)
    return 0.5 * ((residual - float(mean)) ** 2 / math.exp(float(logvar)) + float(logvar))


def _generators(n: int = 2) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(k) for k in range(n)]


SHAPES = [(6,), (3, 4), (2, 2, 4)]
BACKUPS = ["optimal", "soft", "behaviour"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backup", BACKUPS)
def test_the_bellman_term_of_states_step_by_step(backup: Any, shape: tuple[int, ...]) -> None:
    values = LearnedStateValues(BatchedMLP(9, [6], 5, _generators()), NumberedHead(5), GAMMA, backup, 0.5)
    q = values(torch.zeros(2, 9)).detach() * 10
    mean, logvar = torch.randn(2, 9), torch.randn(2, 9)
    steps = _steps(2, *shape)
    found = values.bellman(q, mean, logvar, _of_states(steps), "it")
    for index in np.ndindex(2, *shape):
        r, s, a = index[0], int(steps.state[index]), int(steps.action[index])
        following, after = q[r, int(steps.next_state[index])].tolist(), int(steps.next_action[index])
        terminal = bool(steps.terminal[index])
        expected = _residual_nll(q[r, s, a], following, after, terminal, mean[r, s], logvar[r, s], backup)
        assert float(found[index]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("backup", BACKUPS)
def test_the_bellman_term_of_observations_step_by_step(backup: Any, shape: tuple[int, ...], make_steps: Any) -> None:
    """Also behind the points of another kind, and with observations that are standardized."""
    scale = Standardization(torch.randn(2, N_FEATURES), torch.rand(2, N_FEATURES) + 0.5)
    network = BatchedMLP(N_FEATURES, [6], N_ACTIONS, _generators())
    values = LearnedStepValues(network, HEAD, GAMMA, backup, 0.5, standardization=scale)
    steps, other = make_steps(2, *shape, lengths=shape[-1]), make_steps(2, 5, seed=1)
    batches = {"it": _batch(steps), "other": DemonstrationBatch(other)}
    support = StepSupport(batches, dict.fromkeys(batches, torch.ones(2)), ["other", "it"], "transition", HEAD)
    n_points = 2 * 5 + int(np.prod(shape)) - 5
    mean, logvar = torch.randn(2, n_points), torch.randn(2, n_points)
    q = values(mean, support)
    assert q.shape == (2, n_points, N_ACTIONS)
    found = values.bellman(q, mean, logvar, support, "it")
    for number, index in enumerate(np.ndindex(*shape)):
        for r in range(2):
            at, point = (r, *index), 5 + number

            def action_values(state: torch.Tensor, r: int = r) -> torch.Tensor:
                return network(((state - scale.mean[r, 0]) / scale.std[r, 0]).clamp(-5, 5).expand(2, 1, -1))[r, 0]

            here, following = action_values(steps.state[at]), action_values(steps.next_state[at]).tolist()
            assert torch.allclose(q[r, point], here, atol=1e-5)
            after, terminal = int(steps.next_action[at]), bool(steps.terminal[at])
            chosen = here[int(steps.action[at])]
            expected = _residual_nll(chosen, following, after, terminal, mean[r, point], logvar[r, point], backup)
            assert float(found[at]) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@torch.no_grad()
def test_values_of_vectors_are_in_units_of_the_horizon_and_told_without_it(make_steps: Any) -> None:
    head, scale = VectorHead(2), Standardization(torch.randn(2, N_FEATURES), torch.rand(2, N_FEATURES) + 0.5)
    network = BatchedMLP(N_FEATURES, [6], head.n_outputs, _generators())
    values = LearnedStepValues(network, head, GAMMA, "optimal", 0.5, standardization=scale)
    steps = make_steps(2, 6, seed=1)
    steps = replace(steps, action=2 * torch.rand(2, 6, 2) - 1, next_action=torch.zeros(2, 6, 2))
    support = StepSupport({"it": DemonstrationBatch(steps)}, {"it": torch.ones(2)}, ["it"], "transition", head)
    plain, q = network(scale(steps.state)), values(torch.zeros(2, 6), support)
    torch.testing.assert_close(q[..., 0], plain[..., 0] / (1 - GAMMA))
    assert q[..., 1:].equal(plain[..., 1:])
    torch.testing.assert_close(values.told()(scale(steps.state)), q)
    assert network(scale(steps.state)).equal(plain)  # is what it was
    mean, logvar = torch.randn(2, 6), torch.randn(2, 6)
    found = values.bellman(q, mean, logvar, support, "it")
    after = network(scale(steps.next_state))[..., 0] / (1 - GAMMA)
    residual = head.taken(q, steps.action) - GAMMA * after * ~steps.terminal
    torch.testing.assert_close(found, 0.5 * ((residual - mean).square() / logvar.exp() + logvar))


@torch.no_grad()
def test_q_is_computed_for_the_kinds_that_need_it_only(control_batches: Any, make_control_inference: Any) -> None:
    values = make_control_inference(control_batches).values
    scales = dict.fromkeys(control_batches, torch.ones(2))
    rewards = torch.zeros(2, 62)
    for valued, n_points in (([], 0), (["stop"], 20), (["stop", "demonstration"], 26), (list(control_batches), 62)):
        support = StepSupport(control_batches, scales, valued, "sample", HEAD)
        assert values(rewards, support).shape == (2, n_points, N_ACTIONS)


def test_a_learned_q_does_not_look_at_the_reward(control_batches: Any, make_control_inference: Any) -> None:
    values = LearnedStateValues(BatchedMLP(9, [6], 5, _generators(1)), NumberedHead(5), GAMMA, "optimal", 0.5)
    assert values(torch.zeros(1, 9)).equal(values(torch.randn(1, 9)))
    of_steps = make_control_inference(control_batches).values
    support = StepSupport(control_batches, dict.fromkeys(control_batches, torch.ones(2)), ["stop"], "sample", HEAD)
    assert of_steps(torch.zeros(2, 62), support).equal(of_steps(torch.randn(2, 62), support))
