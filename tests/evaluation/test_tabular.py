"""Metrics of a learned reward of states, against the functions of tensors that they are made of."""

import pytest
import torch

from mavrl.envs.grid import GridEnv
from mavrl.envs.problem import TabularProblem
from mavrl.evaluation import distance
from mavrl.evaluation.calibration import coverage, probability_below
from mavrl.evaluation.returns import return_metrics
from mavrl.evaluation.tabular import TabularJudgement, value_coverage_90
from mavrl.metrics import measure
from mavrl.model.tabular_reward import TabularRewardModel

PROBLEM = TabularProblem.of_grid(GridEnv("trap", 4), 0.9)


def judged(mean: torch.Tensor, **description: object) -> TabularJudgement:
    """The judgement of posteriors with these means, shape (R, M, S), and standard deviation 1/2."""
    about = {"replicates": len(mean), "members": mean.shape[1], **description}
    return TabularJudgement(PROBLEM, TabularRewardModel(mean, torch.full_like(mean, 0.5), about))


def test_every_metric() -> None:
    mean = torch.randn(3, 1, 16)
    found = measure("tabular", judged(mean))
    expected = {
        **return_metrics(PROBLEM, mean[:, 0].double()),
        "epic_distance": distance.epic_distance(mean[:, 0], PROBLEM.reward),
        "spearman": distance.spearman(mean[:, 0], PROBLEM.reward),
        "posterior_std": torch.full((3,), 0.5, dtype=torch.float64),
        "coverage_50": coverage(probability_below(mean[:, 0], torch.full((3, 16), 0.5), PROBLEM.reward), 0.5),
        "coverage_90": coverage(probability_below(mean[:, 0], torch.full((3, 16), 0.5), PROBLEM.reward), 0.9),
        "value_coverage_90": value_coverage_90(judged(mean)),
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, msg=name)


def test_the_true_reward_is_perfect() -> None:
    found = measure("tabular", judged(PROBLEM.reward[:, None]))
    assert found["normalized_return"].tolist() == pytest.approx([100])
    assert found["epic_distance"].tolist() == pytest.approx([0])
    assert found["coverage_50"].tolist() == [1]


def test_members_differ_only_where_there_are_several() -> None:
    assert "member_spread" not in measure("tabular", judged(torch.randn(2, 1, 16)))
    mean = torch.stack([torch.zeros(16), torch.full((16,), 2.0)])[None]
    assert measure("tabular", judged(mean))["member_spread"].tolist() == [1]


def test_the_bound_is_what_the_training_ended_with() -> None:
    mean = torch.randn(2, 1, 16)
    assert measure("tabular", judged(mean, bound=[-1.5, -2.5]))["bound"].tolist() == [-1.5, -2.5]
    assert "bound" not in measure("tabular", judged(mean))
