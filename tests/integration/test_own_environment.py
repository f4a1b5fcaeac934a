"""An environment that is not ours: one YAML file in a directory of one's own."""

import sys
from typing import Any

import gymnasium as gym
import pytest
import torch

from mavrl.policies.network import NetworkPolicy
from mavrl.storage.files import read_json

pytestmark = pytest.mark.integration

MOUNTAIN_CAR = """
defaults:
  - base/control@_here_
  - _self_
name: mountain_car
id: MountainCar-v0
termination: success
policy_steps: 512
"""

# A walk along a line of ten places, which is paid more the further right it is and ends at the right end.
MODULE = """
import gymnasium as gym
import numpy as np


class Line(gym.Env):
    metadata = {"render_modes": []}

    def __init__(self, bonus: float = 1.0) -> None:
        self.observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float64)
        self.action_space = gym.spaces.Discrete(3)
        self.bonus = bonus

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(5))
        return self._seen(), {}

    def step(self, action):
        self.place = min(9, max(0, self.place + int(action) - 1))
        over = self.place == 9
        return self._seen(), self.place / 9 + self.bonus * over, over, False, {}

    def _seen(self):
        return np.array([self.place / 9, self.np_random.random()])


gym.register("Line-v0", entry_point=Line, max_episode_steps=12)
"""

LINE = """
defaults:
  - base/control@_here_
  - _self_
name: line
id: my_line:Line-v0
kwargs: {bonus: 2.0}
policy_steps: 512
feedback:
  segment_len: 3
"""

# Legal in all that is odd about it, and then with one fault.
STRANGE_MODULE = """
import gymnasium as gym
import numpy as np


class Strange(gym.Env):
    def __init__(self, fault=None):
        place = gym.spaces.Box(0.0, 1.0, (2,), np.float64)
        self.observation_space = gym.spaces.Dict({"place": place, "late": gym.spaces.Discrete(2)})
        self.action_space = gym.spaces.Discrete(3, start=-1)
        self.fault = fault
        if fault == "making":
            raise IndexError("no such maze")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(5)) if options is None else 0
        self.way = [self.place]
        if self.fault == "reset":
            raise KeyError("start")
        return self.seen(), {"way": np.array(self.way), "last": None}

    def step(self, action):
        self.place = min(9, max(0, self.place + int(action)))
        self.way.append(self.place)
        steps = len(self.way) - 1
        reward = float("nan") if self.fault == "reward" and steps == 3 else self.place / 9
        if self.fault == "step" and steps == 3:
            raise RuntimeError("the motor is hot")
        info = {"way": np.array(self.way), "last": steps if steps % 2 else "even"}
        return self.seen(), np.array([reward]), self.place == 9, steps == 12, info

    def seen(self):
        at = np.array([self.place / 9, self.np_random.random()])
        return {"place": at, "late": int(len(self.way) > 6) if hasattr(self, "way") else 0}


gym.register("Strange-v0", entry_point=Strange, max_episode_steps=-1)
"""

STRANGE = """
defaults:
  - base/control@_here_
  - _self_
name: strange
id: my_strange:Strange-v0
wrappers: [FlattenObservation]
policy_steps: 512
feedback:
  segment_len: 3
"""

SMALL = (
    "replicates=1", "members=2", "model.hidden_sizes=[8]", "trainer.max_epochs=2", "evaluation.episodes=8",
    "env.feedback.n_episodes=16", "feedback.preference.n_samples=6", "feedback.demonstration.n_samples=2",
    "feedback.rating.n_samples=6", "feedback.stop.n_samples=6", "policy.n_envs=4", "policy.n_steps=32",
    "policy.batch_size=64", "policy.n_epochs=2", "policy.parts=2", "policy.evaluation_episodes=4",
    "policy.hidden_sizes=[8]", "processes=1", "paths.experts=experts",
)  # fmt: skip


@pytest.fixture
def own(fresh_app: Any) -> Any:
    """Runs jobs in a directory that holds the environments of this page in my_conf/env, and their module."""
    place = fresh_app.directory / "my_conf" / "env"
    place.mkdir(parents=True)
    (place / "mountain_car.yaml").write_text(MOUNTAIN_CAR)
    (place / "line.yaml").write_text(LINE)
    (fresh_app.directory / "my_line.py").write_text(MODULE)
    fresh_app.settings = (*SMALL, f"hydra.searchpath=[file://{place.parent}]")
    return fresh_app


def _expert(app: Any, env: str, weights: list[list[float]], bias: list[float]) -> None:
    layers = [(torch.tensor(weights), torch.tensor(bias))]
    NetworkPolicy.from_layers(layers, "relu", "q").save(app.directory / "experts" / env / "dqn")


def _push_along(app: Any) -> None:
    """MountainCar's expert pushes the way that the car rolls."""
    _expert(app, "mountain_car", [[0.0, -1e3], [0.0, 0.0], [0.0, 1e3]], [0.0, -1e-3, 0.0])


def test_mountain_car(own: Any) -> None:
    _push_along(own)
    outcome = own("env=mountain_car")
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    assert outcome.run.parts[-3:-1] == ("mountain_car", "pdrs")
    metrics = outcome.metrics
    assert metrics["comparison"] == {"expert": 100.0, "uniform": 0.0}  # measured, as nothing is given
    assert -200 <= metrics["final"]["mean_return"][0] <= -80
    assert metrics["protocol"]["termination"] == "success"
    again = own("task=evaluate", f"run_dir={outcome.run}", "paths.experts=experts", tiny=False)
    assert "as stored" in again.out, again.err


def test_a_class_in_a_file_of_one_s_own(own: Any) -> None:
    """Of float64, with three actions, arguments, episodes shorter than our environments' segments."""
    _expert(own, "line", [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [-1.0, 0.0, 1.0])
    found = {"process": True, "PYTHONPATH": str(own.directory)}
    outcome = own("env=line", **found)
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    metrics = outcome.metrics
    assert metrics["final"].keys() == {
        "normalized_return", "mean_return", "regret", "spearman", "posterior_std", "bound"
    }  # fmt: skip
    assert all(-1 <= value <= 1 for value in metrics["final"]["spearman"])
    assert read_json(outcome.run / "reward_model/description.json")["n_actions"] == 3
    parallel = own("env=line", "processes=2", "replicates=2", **found)
    assert parallel.status == 0, parallel.err
    assert len(parallel.metrics["final"]["mean_return"]) == 2
    transferred = own("task=transfer", "env=line", f"run_dir={outcome.run}", "+env.perturbation.wind=1.0", **found)
    assert transferred.status == 2
    (line,) = transferred.err.splitlines()
    assert "env.perturbation.wind=1.0: Line-v0 has no perturbations" in line


@pytest.fixture
def strange(own: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The strange environment with an expert, found by this process."""
    (own.directory / "my_conf/env/strange.yaml").write_text(STRANGE)
    (own.directory / "my_strange.py").write_text(STRANGE_MODULE)
    _expert(own, "strange", [[0.0] * 4] * 3, [-1.0, 0.0, 1.0])
    monkeypatch.syspath_prepend(own.directory)
    yield own
    sys.modules.pop("my_strange", None)
    gym.registry.pop("Strange-v0", None)


def test_what_is_legal_works(strange: Any) -> None:
    """Dict observations, actions from -1, infos of changing shape and type, rewards as arrays, no limit."""
    outcome = strange("env=strange", "modality=pr")
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    description = read_json(outcome.run / "reward_model/description.json")
    assert (description["n_features"], description["n_actions"]) == (4, 3)
    assert read_json(outcome.run / "config.json")["env"]["wrappers"] == ["FlattenObservation"]


def _error(outcome: Any) -> str:
    assert outcome.status == 2, outcome.err
    (line,) = outcome.err.splitlines()
    return line


def test_a_reward_that_is_none_ends_the_run_at_once(strange: Any) -> None:
    line = _error(strange("env=strange", "+env.kwargs.fault=reward"))
    given = "step 3 of an episode gives the reward [nan], which must be a finite number"
    assert line == f"error: env.id=my_strange:Strange-v0: {given}"
    assert not list((strange.directory / "runs").rglob("status.json"))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("making", ("making it raises IndexError: no such maze",)),
        ("reset", ("its reset raises KeyError: 'start'",)),
        ("step", ("step 3 of an episode raises RuntimeError: the motor is hot",)),
    ],
)
def test_an_error_of_the_environment_is_reported_with_its_place(
    fault: str, words: tuple[str, ...], strange: Any
) -> None:
    line = _error(strange("env=strange", f"+env.kwargs.fault={fault}"))
    (run,) = (path.parent for path in (strange.directory / "runs").rglob("status.json"))
    kept = run / "environment_error.txt"
    for word in ("env.id=my_strange:Strange-v0", *words, "my_strange.py, line ", f"the traceback is in {kept}"):
        assert word in line
    assert "raise " in kept.read_text()
    assert read_json(run / "status.json")["state"] == "failed"


def test_where_there_is_no_run_the_traceback_is_here(strange: Any) -> None:
    line = _error(strange("task=normalize", "env=strange", "+env.kwargs.fault=step"))
    assert line.endswith("; the traceback is in environment_error.txt")
    assert "the motor is hot" in (strange.directory / "environment_error.txt").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("env.wrappers=[FlatenObservation]", ("env.wrappers=FlatenObservation", "did you mean FlattenObservation?")),
        ("env.wrappers=[]", ("env.id=my_strange:Strange-v0", "env.wrappers=[FlattenObservation]")),
        ("env.wrappers=FlattenObservation", ("env.wrappers=FlattenObservation", "must be a list")),
    ],
)
def test_an_environment_that_is_refused_leaves_no_run(change: str, words: tuple[str, ...], strange: Any) -> None:
    line = _error(strange("env=strange", change))
    for word in words:
        assert word in line
    assert not list(strange.directory.rglob("status.json"))


def test_an_expert_is_trained_once_an_episode(strange: Any) -> None:
    settings = "{total_steps: 200, learning_rate: 0.01, train_freq: [1, episode], hidden_sizes: [8]}"
    path = strange.directory / "my_conf/env/strange.yaml"
    path.write_text(STRANGE.replace("name: strange", "name: untaught") + f"experts:\n  dqn: {settings}\n")
    outcome = strange("env=strange", "modality=r")
    assert outcome.status == 0, outcome.err
    card = read_json(strange.directory / "experts/untaught/dqn/card.json")
    assert card["settings"]["train_freq"] == [1, "episode"]


def test_without_an_expert_it_says_what_is_needed(own: Any) -> None:
    outcome = own("env=mountain_car")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    words = (
        "env.experts={}", "mountain_car has no dqn expert", "experts/mountain_car/dqn", "task=expert",
        "env.experts.dqn", "docs/extending.md",
    )  # fmt: skip
    for word in words:
        assert word in line
    assert not list(own.directory.rglob("metrics.json"))


def test_an_expert_of_its_own_is_trained(own: Any) -> None:
    (own.directory / "my_conf/env/line.yaml").write_text(
        LINE + "experts:\n  dqn: {total_steps: 300, learning_rate: 0.01, learning_starts: 50, hidden_sizes: [8]}\n"
    )
    path = str(own.directory)
    expert = own("task=expert", "env=line", "policy=dqn", process=True, PYTHONPATH=path, tiny=False)
    assert expert.status == 2  # the directory is not known
    expert = own("task=expert", "env=line", "policy=dqn", own.settings[-1], process=True, PYTHONPATH=path, tiny=False)
    assert expert.status == 0, expert.err
    card = read_json(own.directory / "experts" / "line" / "dqn" / "card.json")
    assert card["id"] == "my_line:Line-v0"
    assert card["return_mean"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("env.id=MountainCr-v0",), ("env.id=MountainCr-v0", "MountainCar-v0")),
        (("env.id=nowhere:MountainCar-v0",), ("env.id=nowhere:MountainCar-v0", "cannot import nowhere")),
        (("env.id=Blackjack-v1",), ("env.id=Blackjack-v1", "observations must be")),
        (("env.id=CartPole-v1",), ("env.id=CartPole-v1", "2 observation features and 3 actions", "4 and 2 actions")),
        (("+env.kwargs.gravitation=3",), ("env.kwargs=", "gravitation")),
        (("+env.perturbation.gravity=3",), ("env.perturbation.gravity=3", "has no perturbations")),
        (("env.feedback.segment_len=300",), ("feedback.preference.segment_len=300", "longest episode")),
        (("env.feedback.minimum_return=0",), ("feedback.demonstration.minimum_return=0", "0 of")),
    ],
)
def test_what_cannot_be_done(arguments: tuple[str, ...], words: tuple[str, ...], own: Any) -> None:
    _push_along(own)
    outcome = own("env=mountain_car", *arguments)
    assert outcome.status == 2, outcome.out
    (line,) = outcome.err.splitlines()
    for word in words:
        assert word in line
    assert not list(own.directory.rglob("metrics.json"))


def test_a_demonstrator_no_better_than_chance(own: Any) -> None:
    """Nothing tells good from bad here, so nothing is normalized; what is printed and stored is finite."""
    _expert(own, "mountain_car", [[0.0, 0.0]] * 3, [0.0, 1.0, 0.0])
    outcome = own("env=mountain_car", "modality=p")
    assert outcome.status == 0, outcome.err
    (line,) = outcome.err.splitlines()
    assert "normalized returns are left out" in line
    metrics = outcome.metrics
    assert metrics["final"]["mean_return"] == [-200.0]
    assert "normalized_return" not in metrics["final"]
    assert not {"comparison", "objective"} & metrics.keys()
    best = own("task=select_best", tiny=False)
    assert best.status == 2
    assert "none of 1 completed run in runs has it; it needs" in best.err
    listed = own("task=list", tiny=False)
    assert listed.status == 0, listed.err


def test_constants_that_normalize_nothing_are_refused(own: Any) -> None:
    _push_along(own)
    outcome = own("env=mountain_car", "env.normalization={optimal:-200,uniform:-110}")
    assert outcome.status == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("error: env.normalization.optimal=-200: is 100 and env.normalization.uniform=-110 is 0")


def test_results_know_the_code_of_the_environment(own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reward changes its sign: nothing that was made before is taken for what it is now."""
    monkeypatch.syspath_prepend(own.directory)
    _expert(own, "line", [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]], [-1.0, 0.0, 1.0])
    command = ("env=line", "modality=p", "policy.total_steps=128")
    before = own(*command)
    assert before.status == 0, before.err
    assert before.metrics["comparison"]["expert"] == 100
    assert read_json(before.run / "config.json")["code"].keys() == {"gymnasium", "my_line"}
    (own.directory / "my_line.py").write_text(MODULE.replace("self.place / 9 + ", "-self.place / 9 - "))
    del sys.modules["my_line"]
    after = own(*command, "rerun=true")
    assert after.status == 0, after.err
    assert after.run != before.run
    assert "normalized returns are left out" in after.err  # the expert goes where it is paid least
    regrets, returns = ([m.metrics["final"][key][0] for m in (before, after)] for key in ("regret", "mean_return"))
    assert returns[0] > 0 > returns[1]
    assert returns[1] + regrets[1] == pytest.approx(-(returns[0] + regrets[0]))  # that of the expert, measured again
    again = own("task=evaluate", f"run_dir={before.run}", "trust=true", tiny=False)
    assert "since the run the code of my_line has changed" in again.out
    refused = own(*command, f"hydra.run.dir={before.run}")
    assert refused.status == 2
    assert "holds a run of other code: my_line" in refused.err
    listed = own("task=list", tiny=False)
    assert str(before.run.name) in listed.out
    assert str(after.run.name) in listed.out
    del sys.modules["my_line"]
