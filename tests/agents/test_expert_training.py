"""Experts of an environment whose reward is the number of the action."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from mavrl.actions import NumberedActions
from mavrl.agents import expert_training as experts
from mavrl.agents.expert_training import train_expert, true_returns
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError, EnvironmentFault, TrainingError
from mavrl.policies.network import NetworkPolicy
from mavrl.simulation.base import Behaviour
from mavrl.workers import Workers

STEPS = 6  # of an episode
DQN = {
    "total_steps": 600, "learning_rate": 1e-2, "batch_size": 32, "buffer_size": 600, "learning_starts": 50,
    "gamma": 0.5, "target_update_interval": 20, "train_freq": 4, "gradient_steps": 2, "exploration_fraction": 0.5,
    "exploration_final_eps": 0.1, "hidden_sizes": [16],
}  # fmt: skip
PPO = {
    "total_steps": 1024, "n_envs": 2, "n_steps": 64, "batch_size": 32, "n_epochs": 4, "gamma": 0.5, "gae_lambda": 0.9,
    "ent_coef": 0.0, "learning_rate": "lin_3e-2", "clip_range": 0.2, "hidden_sizes": [16],
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {"dqn": DQN, "ppo": PPO}
STATES = np.array([[n, k] for n in (0.2, 0.8) for k in range(STEPS)], dtype=np.float32)


@pytest.fixture(autouse=True)
def _few_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experts, "_CHUNKS", 4)
    monkeypatch.setattr(experts, "_EPISODES", 2)


@pytest.fixture
def environment(counter: Any) -> ControlEnvironment:
    return counter(limit=STEPS)


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_it_finds_the_best_action(environment: ControlEnvironment, algorithm: Any) -> None:
    settings, told = dict(SETTINGS[algorithm]), []
    policy = train_expert(environment, algorithm, settings, 0, lambda steps, mean: told.append((steps, mean)))
    assert policy.act(STATES).tolist() == [1] * len(STATES)
    assert settings == SETTINGS[algorithm]  # they are the caller's
    assert policy.scores == ("q" if algorithm == "dqn" else "log_probability")
    assert policy.activation == ("relu" if algorithm == "dqn" else "tanh")
    assert [steps for steps, _ in told] == [settings["total_steps"] * k // 4 for k in (1, 2, 3, 4)]
    assert max(mean for _, mean in told) == STEPS


def test_q_values_are_those_of_the_true_reward(environment: ControlEnvironment) -> None:
    """The worse action costs 1 now, whatever follows."""
    q = train_expert(environment, "dqn", {**DQN, "total_steps": 1200, "exploration_final_eps": 0.5}, 0)
    seen, _ = environment.vector(8).reset(seed=1)
    gap = torch.diff(q(torch.from_numpy(seen)), dim=-1)
    assert float(gap.median()) == pytest.approx(1, abs=0.5)


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_a_seed_is_a_training(environment: ControlEnvironment, algorithm: Any) -> None:
    short = {**SETTINGS[algorithm], "total_steps": 128}
    prints = [train_expert(environment, algorithm, dict(short), seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_the_best_of_the_training_is_kept(
    environment: ControlEnvironment, algorithm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[NetworkPolicy] = []
    means = [3.0, 5.0, 5.0, 1.0]

    def judge(environment: ControlEnvironment, policy: NetworkPolicy, *rest: Any) -> np.ndarray:
        met.append(policy)
        return np.array([means[len(met) - 1]])

    monkeypatch.setattr(experts, "true_returns", judge)
    best = train_expert(environment, algorithm, dict(SETTINGS[algorithm]), 0)
    assert len(met) == 4
    assert best is met[1]
    assert best.fingerprint != met[2].fingerprint  # later training has not changed it


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_a_training_without_any_mean_return_is_an_error(
    environment: ControlEnvironment, algorithm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experts, "true_returns", lambda *arguments: np.array([np.nan]))
    with pytest.raises(TrainingError, match=f"no policy of the {algorithm} training"):
        train_expert(environment, algorithm, {**SETTINGS[algorithm], "total_steps": 128}, 0)


class TestBadSettings:
    @pytest.mark.parametrize(
        ("algorithm", "change", "word"),
        [
            ("dqn", {"nonsense": 3}, "nonsense"),
            ("ppo", {"nonsense": 3}, "nonsense"),
            ("dqn", {"total_steps": None}, "total_steps"),
            ("ppo", {"total_steps": None}, "total_steps"),
            ("dqn", {"hidden_sizes": None}, "hidden_sizes"),
            ("ppo", {"n_steps": None}, "n_steps"),
            ("dqn", {"learning_rate": "lin_fast"}, "fast"),
            ("ppo", {"learning_rate": "fast"}, "fast"),
            ("dqn", {"batch_size": "many"}, "dtype"),
            ("dqn", {"train_freq": "often"}, "often"),
        ],
    )
    def test_they_are_refused(self, environment: ControlEnvironment, algorithm: Any, change: dict[str, Any], word: str):
        """None leaves the setting out."""
        settings = {key: value for key, value in {**SETTINGS[algorithm], **change}.items() if value is not None}
        with pytest.raises(ConfigurationError) as caught:
            train_expert(environment, algorithm, settings, 0)
        assert caught.value.key == f"env.experts.{algorithm}"
        assert "does not fit the algorithm" in str(caught.value)
        assert word in caught.value.allowed
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("frequency", [[1, "episode"], [4, "step"]])
    def test_a_list_is_stable_baselines3_s_pair(self, environment: ControlEnvironment, frequency: list[Any]):
        policy = train_expert(environment, "dqn", {**DQN, "train_freq": frequency, "total_steps": 128}, 0)
        assert policy.actions == NumberedActions(2)

    @pytest.mark.parametrize("frequency", [[1, "day"], ["x", "step"], [1]])
    def test_one_that_is_none(self, environment: ControlEnvironment, frequency: list[Any]):
        with pytest.raises(ConfigurationError, match=r"env\.experts\.dqn=.*does not fit the algorithm"):
            train_expert(environment, "dqn", {**DQN, "train_freq": frequency, "total_steps": 128}, 0)


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
@pytest.mark.parametrize("kind", [ValueError, KeyError, TypeError])
def test_an_error_of_the_environment_is_not_one_of_the_settings(
    environment: ControlEnvironment, algorithm: Any, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, action: Any) -> Any:
        raise kind("a defect")

    monkeypatch.setattr(gym.registry["Counter-v0"].entry_point, "step", broken)
    with pytest.raises(EnvironmentFault, match=r"env\.id=Counter-v0: step 1 of an episode raises .*a defect"):
        train_expert(environment, algorithm, dict(SETTINGS[algorithm]), 0)


@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_weights_that_are_not_finite_are_no_expert(environment: ControlEnvironment, algorithm: Any) -> None:
    settings = {**SETTINGS[algorithm], "learning_rate": 1e30, "total_steps": 256}
    with pytest.raises(TrainingError, match=r"weights"):
        train_expert(environment, algorithm, settings, 0)


class TestTrueReturns:
    ONE = NetworkPolicy.from_layers([(torch.zeros(2, 2), torch.tensor([0.0, 1.0]))], "relu", "q")

    def test_of_greedy_episodes(self, environment: ControlEnvironment):
        found = true_returns(environment, self.ONE, (0, "test"), 5, Workers(1))
        assert found.tolist() == [STEPS] * 5

    def test_of_another_behaviour(self, environment: ControlEnvironment):
        found = true_returns(environment, self.ONE, (0, "test"), 200, Workers(1), Behaviour(rationality=0.0))
        assert found.mean() == pytest.approx(STEPS / 2, abs=0.4)
        rational = true_returns(environment, self.ONE, (0, "test"), 200, Workers(1), Behaviour(rationality=1.0))
        assert rational.mean() == pytest.approx(STEPS / (1 + np.exp(-1)), abs=0.4)

    def test_the_same_address_gives_the_same_episodes(self):
        """So returns can be compared in pairs, and more episodes begin like fewer."""
        environment = ControlEnvironment("CartPole-v1", max_steps=40)
        policy = NetworkPolicy.from_layers([(torch.zeros(2, 4), torch.tensor([0.0, 1.0]))], "relu", "q")
        few, many = (true_returns(environment, policy, (0, "test"), n, Workers(1)) for n in (5, 9))
        assert few.tolist() == many[:5].tolist()
        assert many.tolist() != true_returns(environment, policy, (1, "test"), 9, Workers(1)).tolist()
        assert len(set(many.tolist())) > 1
