"""Where experts are found, and what happens when there is none."""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from mavrl import __version__
from mavrl.agents.expert_training import true_returns
from mavrl.configuration.settings import RunSettings
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError, StorageError
from mavrl.families.control import expert_library as experts
from mavrl.families.control.expert_library import ExpertLibrary
from mavrl.families.control.settings import ControlSettings
from mavrl.policies.network import NetworkPolicy
from mavrl.workers import Workers

CART_POLE = ControlEnvironment("CartPole-v1", max_steps=30)


def policy(*sizes: int, **card: Any) -> NetworkPolicy:
    layers = [(torch.randn(outputs, inputs), torch.zeros(outputs)) for inputs, outputs in pairwise(sizes)]
    return NetworkPolicy.from_layers(layers, "relu", "q", card)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the experts of the package are."""
    monkeypatch.setattr(experts.resources, "files", lambda package: tmp_path / package)
    return tmp_path / "mavrl.policies" / "experts" / "cartpole_v1"


@pytest.fixture
def library(control: DictConfig, tmp_path: Path) -> ExpertLibrary:
    trainings = RunSettings.from_config(control).experts
    return ExpertLibrary("cartpole_v1", tmp_path / "own" / "cartpole_v1", trainings, seed=0)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings of all trainings, which train nothing."""
    calls: list[dict[str, Any]] = []

    def train(environment: Any, algorithm: str, settings: dict[str, Any], seed: int, progress: Any) -> NetworkPolicy:
        calls.append({"environment": environment, "algorithm": algorithm, "settings": settings, "seed": seed})
        progress(settings["total_steps"], 12.0)
        return policy(4, 2)

    monkeypatch.setattr(experts, "train_expert", train)
    monkeypatch.setattr(experts, "_JUDGED_EPISODES", 5)
    return calls


class TestFinding:
    def test_one_s_own_comes_before_the_shipped_one(self, library: ExpertLibrary, shipped: Path, tmp_path: Path):
        policy(4, 3, 2, whose="shipped").save(shipped / "dqn")
        assert library.find(CART_POLE, "dqn").card == {"whose": "shipped"}
        policy(4, 2, whose="own").save(tmp_path / "own" / "cartpole_v1" / "dqn")
        assert library.find(CART_POLE, "dqn").card == {"whose": "own"}

    def test_each_algorithm_has_its_own(self, library: ExpertLibrary, shipped: Path):
        for name in ("dqn", "ppo"):
            policy(4, 2, whose=name).save(shipped / name)
        assert [library.find(CART_POLE, name).card["whose"] for name in ("dqn", "ppo")] == ["dqn", "ppo"]

    @pytest.mark.parametrize(
        ("sizes", "environment"),
        [
            ((4, 3), CART_POLE),
            ((6, 2), CART_POLE),
            ((3, 2), CART_POLE),
            ((4, 2), ControlEnvironment("Acrobot-v1")),
            ((8, 4), ControlEnvironment("CartPole-v1")),
            ((3, 2), ControlEnvironment("CartPole-v1", fixed_horizon=True)),
            ((6, 2), ControlEnvironment("CartPole-v1", fixed_horizon=True)),
        ],
    )
    def test_one_that_does_not_fit_is_refused(
        self, sizes: tuple[int, int], environment: ControlEnvironment, library: ExpertLibrary, shipped: Path
    ):
        policy(*sizes).save(shipped / "dqn")
        with pytest.raises(ConfigurationError) as caught:
            library.find(environment, "dqn")
        message = str(caught.value)
        assert caught.value.key == "env.id"
        assert f"has {sizes[0]} observation features and {sizes[1]} actions" in message
        assert f"the environment {environment.observation_size} and {environment.actions.in_words}" in message
        assert str(shipped / "dqn") in message

    @pytest.mark.parametrize("features", [4, 5])
    def test_a_fixed_horizon_may_be_new_to_it(self, features: int, library: ExpertLibrary, shipped: Path):
        policy(features, 2).save(shipped / "dqn")
        environment = ControlEnvironment("CartPole-v1", max_steps=30, fixed_horizon=True)
        assert library.find(environment, "dqn").n_inputs == features

    @pytest.mark.parametrize(
        ("card", "environment", "key"),
        [
            ({"id": "CartPole-v0"}, CART_POLE, "env.id"),
            ({"kwargs": {"sutton_barto_reward": True}}, CART_POLE, "env.kwargs"),
            ({"kwargs": {}}, replace(CART_POLE, kwargs={"sutton_barto_reward": True}), "env.kwargs"),
            ({"max_steps": 29}, CART_POLE, "env.max_steps"),
            ({"max_steps": 30}, replace(CART_POLE, max_steps=None), "env.max_steps"),
        ],
    )
    def test_one_of_another_environment_is_refused(
        self, card: Any, environment: Any, key: str, library: ExpertLibrary, shipped: Path, trained: list[Any]
    ):
        policy(4, 2, **card).save(library.own / "dqn")
        with pytest.raises(ConfigurationError, match=r"was trained with .*task=expert trains one") as caught:
            library.find(environment, "dqn")
        assert caught.value.key == key
        assert str(library.own / "dqn") in str(caught.value)
        assert trained == []
        policy(4, 2, whose="shipped").save(shipped / "dqn")
        assert library.find(environment, "dqn").card == {"whose": "shipped"}

    @pytest.mark.parametrize(
        "card",
        [
            {"id": "CartPole-v1", "kwargs": {}, "max_steps": None, "perturbation": {}, "fixed_horizon": False},
            {"max_steps": 30}, {"max_steps": 500}, {"perturbation": {"gravity": 12.0}}, {"fixed_horizon": True}, {},
        ],
    )  # fmt: skip
    def test_one_acts_in_changed_dynamics_and_shorter_episodes(self, card: Any, library: ExpertLibrary, shipped: Path):
        policy(4, 2, **card).save(library.own / "dqn")
        assert library.find(CART_POLE, "dqn").card == card

    def test_one_that_was_trained_on_other_code(self, library: ExpertLibrary, shipped: Path, caplog: Any):
        now = replace(library, code={"gymnasium": "2", "maze": "b", "moves": "c"})
        policy(4, 2, code={"gymnasium": "1", "maze": "b", "moves": "c"}).save(library.own / "dqn")
        assert now.find(CART_POLE, "dqn").n_inputs == 4
        assert "another version of Gymnasium" in caplog.text
        policy(4, 2, code={"gymnasium": "2", "maze": "a"}).save(library.own / "dqn")
        with pytest.raises(ConfigurationError, match=r"maze and moves changed since .* task=expert rerun=true"):
            now.find(CART_POLE, "dqn")

    def test_a_damaged_one_is_not_trained_again(self, library: ExpertLibrary, shipped: Path, trained: list[Any]):
        policy(4, 2).save(shipped / "dqn")
        (shipped / "dqn" / "policy.safetensors").write_bytes(b"")
        with pytest.raises(StorageError, match="damaged"):
            library.find(CART_POLE, "dqn")
        assert trained == []


class TestTrainingOne:
    def test_it_happens_once_and_says_so(
        self, library: ExpertLibrary, shipped: Path, trained: list[Any], tmp_path: Path, capsys: Any
    ):
        first = library.find(CART_POLE, "dqn")
        own = tmp_path / "own" / "cartpole_v1" / "dqn"
        output = capsys.readouterr()
        assert output.out == ""
        assert "cartpole_v1 has no dqn expert yet" in output.err
        assert re.search(r"for 100000 steps, which takes about \d+ minutes and happens once", output.err)
        assert str(own) in output.err
        assert first.n_inputs == 4
        assert library.find(CART_POLE, "dqn").fingerprint == first.fingerprint
        assert capsys.readouterr().err == ""
        assert len(trained) == 1
        assert trained[0]["settings"]["learning_rate"] == 2.3e-3

    def test_it_is_one_of_the_environment_as_it_is(
        self, library: ExpertLibrary, shipped: Path, trained: list[Any], tmp_path: Path
    ):
        """It acts in a changed one too."""
        changed = ControlEnvironment("CartPole-v1", max_steps=30, perturbation={"gravity": 12.0}, fixed_horizon=True)
        assert library.find(changed, "dqn").n_inputs == 4
        assert trained[0]["environment"] == CART_POLE
        card = json.loads((tmp_path / "own" / "cartpole_v1" / "dqn" / "card.json").read_text())
        assert card["perturbation"] == {}

    def test_a_process_that_was_faster_is_not_repeated(
        self, library: ExpertLibrary, shipped: Path, trained: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        class Slow:
            def __init__(self, path: Path) -> None:
                self.directory = path.parent

            def __enter__(self) -> None:
                policy(4, 2, whose="the other's").save(self.directory)

            def __exit__(self, *error: Any) -> None:
                pass

        monkeypatch.setattr(experts, "FileLock", Slow)
        assert library.find(CART_POLE, "dqn").card == {"whose": "the other's"}
        assert trained == []

    @pytest.mark.parametrize("known", [{}, {"ppo": {"total_steps": 10}}])
    def test_without_settings_it_says_what_is_needed(
        self, known: dict[str, Any], library: ExpertLibrary, shipped: Path, changed: Any, tmp_path: Path
    ):
        with pytest.raises(ConfigurationError) as caught:
            replace(library, trainings=known).find(CART_POLE, "dqn")
        message = str(caught.value)
        assert caught.value.key == "env.experts"
        for words in ("cartpole_v1 has no dqn expert", "task=expert", "env.experts.dqn", "docs/extending.md"):
            assert words in message
        assert str(tmp_path / "own" / "cartpole_v1" / "dqn") in message
        assert not (tmp_path / "own").exists()

    @pytest.mark.parametrize(
        ("algorithm", "missing"), [("dqn", "total_steps"), ("dqn", "hidden_sizes"), ("ppo", "n_epochs")]
    )
    def test_a_setting_that_is_missing(
        self, algorithm: Any, missing: str, library: ExpertLibrary, shipped: Path, trained: list[Any]
    ):
        settings = {name: value for name, value in library.trainings[algorithm].items() if name != missing}
        with pytest.raises(ConfigurationError, match=rf"env\.experts\.{algorithm}=.*: lacks {missing}$"):
            replace(library, trainings={algorithm: settings}).find(CART_POLE, algorithm)
        assert trained == []


class TestTheCard:
    @pytest.fixture
    def card(
        self, library: ExpertLibrary, trained: list[Any], tmp_path: Path, changed: Any, monkeypatch: pytest.MonkeyPatch
    ) -> dict[str, Any]:
        monkeypatch.setattr(sys, "argv", ["/somewhere/run.py", "task=expert", "seed=7"])
        perturbed = ControlEnvironment("CartPole-v1", max_steps=30, perturbation={"gravity": 12.0})
        found = replace(library, seed=7).make(perturbed, "dqn", tmp_path / "new")
        stored = json.loads((tmp_path / "new" / "card.json").read_text())
        assert {**found.card, "network": stored["network"]} == stored
        assert trained[0]["seed"] == 7
        return stored

    def test_it_says_what_the_expert_is(self, card: dict[str, Any]):
        assert (card["env"], card["id"], card["algorithm"]) == ("cartpole_v1", "CartPole-v1", "dqn")
        assert card["perturbation"] == {"gravity": 12.0}
        assert (card["steps"], card["seed"], card["episodes"]) == (100_000, 7, 5)
        assert card["settings"]["hidden_sizes"] == [256, 256]
        assert 1 <= card["return_mean"] <= 30
        assert card["return_std"] >= 0
        assert card["seconds"] > 0
        assert card["versions"]["mavrl"] == __version__
        assert card["versions"].keys() >= {"stable-baselines3", "gymnasium", "torch"}
        assert card["command"] == "python run.py task=expert seed=7"


LEAST = {  # mean return that shipped experts must reach
    ("cartpole_v1", "dqn"): 500, ("acrobot_v1", "dqn"): -85, ("lunar_lander_v3", "dqn"): 200,
    ("lunar_lander_v3", "ppo"): 240,
}  # fmt: skip


class TestTheShippedOnes:
    @pytest.fixture(params=LEAST, ids="-".join)
    def found(
        self, request: pytest.FixtureRequest, composed: Any, changed: Any, tmp_path: Path, trained: list[Any]
    ) -> Any:
        """Environment, expert and its key in LEAST."""
        env, algorithm = request.param
        settings = RunSettings.from_config(changed(composed(f"env={env}"), {"paths.experts": str(tmp_path)}))
        environment = ControlSettings.from_env(settings.env).environment
        expert = ExpertLibrary.from_settings(settings).find(environment, algorithm)
        assert trained == []
        return environment, expert, request.param

    def test_every_expert_that_an_environment_needs_is_there(self, composed: Any):
        needed = set()
        for env in ("cartpole_v1", "acrobot_v1", "lunar_lander_v3"):
            settings = composed(f"env={env}").env
            needed |= {(env, settings.behaviour_expert), (env, settings.demonstration_expert)}
        assert needed == set(LEAST)

    def test_they_are_small_policies_with_a_card(self, found: Any):
        environment, expert, (env, algorithm) = found
        card = expert.card
        assert (card["env"], card["id"], card["algorithm"]) == (env, environment.id, algorithm)
        assert card["return_mean"] >= LEAST[env, algorithm]
        assert card["episodes"] >= 1000
        assert card.keys() >= {"return_std", "steps", "seed", "versions", "settings", "command"}
        assert sum(tensor.numel() for tensor in expert.network.state_dict().values()) * 4 < 1e6
        assert expert.scores == ("q" if algorithm == "dqn" else "log_probability")

    @pytest.mark.slow
    def test_they_are_as_good_as_it_says(self, found: Any):
        environment, expert, cell = found
        returns = true_returns(environment, expert, (0, "test of the experts"), 200, Workers(1))
        error = 3 * returns.std() / 200**0.5
        assert returns.mean() >= LEAST[cell] - error
        assert returns.mean() == pytest.approx(expert.card["return_mean"], abs=1.5 * error + 1e-9)


@pytest.mark.parametrize("frequency", [4, [4, "step"], [1, "episode"]])
def test_the_expected_time_of_any_frequency(frequency: Any) -> None:
    settings = {"total_steps": 60_000, "train_freq": frequency}
    assert 1 <= experts._expected_minutes("dqn", settings) <= 3


@pytest.mark.parametrize("env", ["cartpole_v1", "acrobot_v1", "lunar_lander_v3"])
@pytest.mark.parametrize("algorithm", ["dqn", "ppo"])
def test_the_expected_time_is_of_minutes(env: str, algorithm: Any, composed: Callable[..., DictConfig]) -> None:
    settings = RunSettings.from_config(composed(f"env={env}")).experts[algorithm]
    assert 1 <= experts._expected_minutes(algorithm, settings) <= 60
