import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from mavrl.actions import VectorActions
from mavrl.errors import StorageError
from mavrl.policies.base import Policy, UniformPolicy
from mavrl.policies.gaussian import GaussianPolicy
from mavrl.policies.loading import load_policy
from mavrl.policies.network import NetworkPolicy

ACTIONS = VectorActions((-2.0, 0.0), (2.0, 10.0))
STD = (0.5, 0.1)


def _policy(squash: Any = "tanh", critic: bool = True, **more: Any) -> GaussianPolicy:
    """Mean (x0, x0 + x1), standard deviations as in STD, and the value 7 - (x0 - u0)^2 as far as a kink allows."""
    weight = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    bias = torch.tensor([0.0, 0.0, *(math.log(each) for each in STD)])
    first = torch.tensor([[1.0, 0.0, -1.0, 0.0], [-1.0, 0.0, 1.0, 0.0]])  # |x0 - u0| in two parts
    values = [(first, torch.zeros(2)), (torch.tensor([[-1.0, -1.0]]), torch.tensor([7.0]))]
    other = [(first, torch.zeros(2)), (torch.tensor([[-2.0, -2.0]]), torch.tensor([8.0]))]
    critics = (values, other) if critic else ()
    return GaussianPolicy.from_layers([(weight, bias)], "relu", squash, ACTIONS, critics, **more)


OBSERVATION = torch.tensor([[0.5, -0.25], [-3.0, 1.0]])


@pytest.mark.parametrize("policy", [_policy(), UniformPolicy(ACTIONS)])
def test_they_are_policies(policy: Any) -> None:
    assert isinstance(policy, Policy)


@pytest.mark.parametrize(("squash", "function"), [("tanh", np.tanh), ("clip", lambda x: np.clip(x, -1, 1))])
def test_of_infinite_rationality_it_takes_the_mean(squash: str, function: Any) -> None:
    policy, draws = _policy(squash), np.full((2, 3), 0.3)
    expected = function(np.array([[0.5, 0.25], [-3.0, -2.0]]))
    found = policy.choose(OBSERVATION, math.inf, 0.0, draws)
    assert found == pytest.approx(expected, abs=1e-6)
    assert found.dtype == np.float32
    assert policy.act(OBSERVATION.numpy()) == pytest.approx(ACTIONS.from_unit(expected), abs=1e-5)


@pytest.mark.parametrize("rationality", [1.0, 4.0])
def test_rationality_divides_the_variance(rationality: float) -> None:
    draws = np.random.default_rng(0).random((3000, 3))
    found = _policy("tanh").choose(OBSERVATION[:1].expand(3000, 2), rationality, 0.0, draws)
    before = np.arctanh(found.astype(float))
    for j, (mean, std) in enumerate(zip((0.5, 0.25), STD, strict=True)):
        assert stats.kstest(before[:, j], "norm", (mean, std / math.sqrt(rationality))).pvalue > 1e-3


def test_without_rationality_every_action_is_as_frequent() -> None:
    draws = np.random.default_rng(1).random((3000, 3))
    found = _policy().choose(OBSERVATION[:1].expand(3000, 2), 0.0, 0.0, draws)
    assert all(stats.kstest(found[:, j], "uniform", (-1, 2)).pvalue > 1e-3 for j in range(2))


def test_some_actions_are_uniform() -> None:
    draws = np.random.default_rng(2).random((4000, 3))
    found = _policy("clip").choose(OBSERVATION[:1].expand(4000, 2), math.inf, 0.25, draws)
    other = found[:, 0] != 0.5
    assert other.mean() == pytest.approx(0.25, abs=0.03)
    assert stats.kstest(found[other, 1], "uniform", (-1, 2)).pvalue > 1e-3


def test_a_uniform_policy_of_vectors() -> None:
    draws = np.random.default_rng(3).random((3000, 2))
    found = UniformPolicy(ACTIONS).choose(torch.zeros(3000, 4), 5.0, 0.0, draws)
    assert found.shape == (3000, 2)
    assert all(stats.kstest(found[:, j], "uniform", (-1, 2)).pvalue > 1e-3 for j in range(2))


def test_regret_is_what_the_lower_critic_loses_and_never_below_zero() -> None:
    policy, state = _policy("clip"), torch.tensor([[0.5, 0.0], [0.5, 0.0], [2.0, 0.0]])
    action = torch.tensor([[0.5, 1.0], [0.0, -1.0], [1.0, 0.0]])
    # best: u0 = x0, of value min(7, 8); then min(7 - 0.5, 8 - 1); then the clipped mean is as far off as the action is
    torch.testing.assert_close(policy.regret(state, action), torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64))
    tanh = _policy("tanh")
    better = torch.tensor([[0.5, 0.0]])  # nearer to x0 than tanh(0.5) is
    assert tanh.regret(state[:1], better) == 0.0
    assert _policy(critic=False).regret(state, action).isnan().all()


def test_more_features_are_not_read() -> None:
    policy, draws = _policy(), np.full((2, 3), 0.7)
    longer = torch.cat([OBSERVATION, torch.ones(2, 1)], dim=1)
    assert np.array_equal(policy.choose(longer, 1.0, 0.1, draws), policy.choose(OBSERVATION, 1.0, 0.1, draws))
    assert policy.regret(longer, torch.zeros(2, 2)).equal(policy.regret(OBSERVATION, torch.zeros(2, 2)))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    policy, draws = _policy(card={"return": 1.0}), np.full((2, 3), 0.7)
    policy.save(tmp_path)
    found = load_policy(tmp_path)
    assert isinstance(found, GaussianPolicy)
    assert (found.fingerprint, found.card, found.actions) == (policy.fingerprint, {"return": 1.0}, ACTIONS)
    assert np.array_equal(found.choose(OBSERVATION, 1.0, 0.0, draws), policy.choose(OBSERVATION, 1.0, 0.0, draws))
    assert found.regret(OBSERVATION, torch.zeros(2, 2)).equal(policy.regret(OBSERVATION, torch.zeros(2, 2)))
    prints = {policy.fingerprint, _policy("clip").fingerprint, _policy(critic=False).fingerprint}
    assert len(prints) == 3


def test_policies_of_numbers_are_loaded_too(tmp_path: Path) -> None:
    NetworkPolicy.from_layers([(torch.zeros(3, 2), torch.zeros(3))], "relu", "q").save(tmp_path)
    assert isinstance(load_policy(tmp_path), NetworkPolicy)


@pytest.mark.parametrize("damage", ["squash", "sizes", "critics", "action_low"])
def test_damaged_ones_are_one_line(tmp_path: Path, damage: str) -> None:
    _policy().save(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    card["network"][damage] = {"squash": "sigmoid", "sizes": [2, 5], "critics": [[4, 3, 1]], "action_low": [0.0]}[
        damage
    ]
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(StorageError, match=r"damaged or incomplete") as caught:
        load_policy(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(StorageError, match="no policy there"):
        load_policy(tmp_path / "nowhere")


def test_networks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 2 numbers"):
        GaussianPolicy.from_layers([(torch.zeros(3, 2), torch.zeros(3))], "relu", "tanh", ACTIONS)
    critic = [(torch.zeros(1, 3), torch.zeros(1))]
    with pytest.raises(ValueError, match="do not fit 2 numbers"):
        GaussianPolicy.from_layers([(torch.zeros(4, 2), torch.zeros(4))], "relu", "tanh", ACTIONS, (critic,))
