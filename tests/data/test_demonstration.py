"""Simulated demonstrations."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mavrl.feedback.demonstration import DemonstrationLikelihood


@pytest.mark.parametrize("n_samples", [1, 3, 16, 17])
def test_one_sample_is_one_whole_episode(n_samples: int, make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(max_steps=None)
    steps = simulate(make_source("demonstration", n_samples), [0, 1], problem).transitions
    goal = len(problem.terminal_states) - 1
    for k in range(2):
        valid = steps.valid[k]
        state, terminal = steps.state[k][valid], steps.terminal[k][valid]
        assert int(terminal.sum()) == n_samples
        assert terminal.equal(state == goal)
        ends = terminal.nonzero().flatten()
        assert int(ends[-1]) == len(state) - 1
        starts = [0, *(int(end) + 1 for end in ends[:-1])]
        assert (state[starts] == 0).all()


def test_padding_is_at_the_end_and_no_longer_than_needed(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(p_rand=0.3)
    valid = simulate(make_source("demonstration", 5), [0, 1, 2], problem).transitions.valid
    counts = valid.sum(1)
    assert len(set(counts.tolist())) > 1
    assert valid.shape[1] == int(counts.max())
    for k in range(3):
        assert valid[k, : counts[k]].all()


def test_actions_follow_the_boltzmann_policy(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(size=3)
    steps = simulate(make_source("demonstration", 800, teacher_rationality=0.2), [0], problem).transitions
    policy = DemonstrationLikelihood(0.2).policy(problem.q)[0].numpy()
    state, action = steps.state[steps.valid].numpy(), steps.action[steps.valid].numpy()
    tested = 0
    for here in range(9):
        taken = np.bincount(action[state == here], minlength=5)
        expected = policy[here] * taken.sum()
        if expected.min() > 5:
            assert stats.chisquare(taken, expected).pvalue > 1e-4
            tested += 1
    assert tested >= 3


def test_a_cut_off_demonstration_has_no_terminal_step(make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(size=6, max_steps=4)
    steps = simulate(make_source("demonstration", 3), [0], problem).transitions
    assert steps.valid.sum() == 12
    assert not steps.terminal.any()


def test_the_model_may_assume_another_rationality(make_source: Any) -> None:
    source = make_source("demonstration", 1, teacher_rationality=5.0, model_rationality=0.5)
    assert source.likelihood({}, 3).rationality == 0.5
