"""Control environments made from a description."""

import pickle
import sys
from collections.abc import Iterator

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from mavrl.actions import NumberedActions
from mavrl.envs.control import ControlEnvironment
from mavrl.envs.fixed_horizon import FixedHorizon
from mavrl.errors import ConfigurationError, EnvironmentFault


class Picture(gym.Env):
    """Nothing happens in it; its spaces and its constructor are what is tested."""

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, observations=None, actions=None, size: int = 4) -> None:
        if size < 1:
            raise ValueError(f"size={size}:\n  at least 1")
        self.observation_space = observations or spaces.Box(0, 1, (size,), np.float32)
        self.action_space = actions or spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


@pytest.fixture
def picture() -> Iterator[str]:
    """The id of an environment without a time limit."""
    gym.register("Picture-v0", entry_point=Picture)
    yield "Picture-v0"
    del gym.registry["Picture-v0"]


class TestMake:
    @pytest.mark.parametrize(
        ("env_id", "observation_size", "n_actions", "time_limit"),
        [("CartPole-v1", 4, 2, 500), ("Acrobot-v1", 6, 3, 500), ("LunarLander-v3", 8, 4, 1000)],
    )
    def test_sizes(self, env_id, observation_size, n_actions, time_limit):
        environment = ControlEnvironment(env_id)
        environment.check()
        assert environment.observation_size == observation_size
        assert environment.actions == NumberedActions(n_actions)
        assert environment.time_limit == time_limit
        env = environment.make()
        assert env.reset(seed=0)[0].shape == (observation_size,)
        assert env.spec.max_episode_steps == time_limit

    def test_is_gymnasium_s_own_environment_by_default(self):
        envs = ControlEnvironment("CartPole-v1").make(), gym.make("CartPole-v1", disable_env_checker=True)
        assert str(envs[0]) == f"<Intake{envs[1]}>"
        observations = [[env.reset(seed=1)[0], *(env.step(1)[0] for _ in range(5))] for env in envs]
        np.testing.assert_array_equal(*observations)

    def test_arguments_of_the_constructor(self):
        env = ControlEnvironment("CartPole-v1", kwargs={"sutton_barto_reward": True}).make()
        env.reset(seed=0)
        assert env.step(0)[1] == 0

    def test_another_time_limit(self):
        environment = ControlEnvironment("Acrobot-v1", max_steps=5)
        assert environment.time_limit == 5
        env = environment.make()
        env.reset(seed=0)
        assert [env.step(0)[3] for _ in range(5)] == [False] * 4 + [True]

    def test_no_time_limit(self, picture):
        environment = ControlEnvironment(picture)
        assert environment.time_limit is None
        env = environment.make()
        env.reset(seed=0)
        assert not any(env.step(0)[3] for _ in range(1100))

    @pytest.mark.parametrize("limit", [None, -1])
    def test_minus_1_is_gymnasium_s_word_for_no_limit(self, limit):
        gym.register("Limited-v0", entry_point=Picture, max_episode_steps=limit)
        try:
            environment = ControlEnvironment("Limited-v0")
            environment.check()
            assert environment.time_limit is None
            assert ControlEnvironment("Limited-v0", max_steps=7).time_limit == 7
        finally:
            del gym.registry["Limited-v0"]

    def test_actions_that_begin_elsewhere(self, picture):
        environment = ControlEnvironment(picture, {"actions": spaces.Discrete(3, start=1)})
        assert environment.actions == NumberedActions(3)
        assert environment.training_vector(2).single_action_space == spaces.Discrete(3)

    def test_perturbation(self):
        env = ControlEnvironment("CartPole-v1", perturbation={"gravity": 5.0, "pole_length": 1.0}).make()
        assert (env.unwrapped.gravity, env.unwrapped.length) == (5.0, 1.0)

    def test_fixed_horizon(self):
        environment = ControlEnvironment(
            "CartPole-v1", max_steps=40, perturbation={"gravity": 20.0}, fixed_horizon=True
        )
        assert environment.observation_size == 5
        env = environment.make()
        assert isinstance(env, FixedHorizon)
        assert env.unwrapped.gravity == 20.0
        env.reset(seed=0)
        outcomes = [env.step(0) for _ in range(40)]
        assert [outcome[2] for outcome in outcomes] == [False] * 40
        assert [outcome[3] for outcome in outcomes] == [False] * 39 + [True]
        assert outcomes[-1][4]["absorbing"]

    def test_fixed_horizon_with_the_registered_limit(self):
        env = ControlEnvironment("LunarLander-v3", fixed_horizon=True).make()
        assert isinstance(env, FixedHorizon)
        assert env.max_steps == 1000

    def test_an_id_may_name_the_module_that_registers_it(self, tmp_path, monkeypatch):
        (tmp_path / "mavrl_test_registers.py").write_text(
            "import gymnasium as gym\n"
            "gym.register('Registered-v0', entry_point='gymnasium.envs.classic_control:CartPoleEnv', "
            "max_episode_steps=9)\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        environment = ControlEnvironment("mavrl_test_registers:Registered-v0")
        try:
            assert environment.time_limit == 9
            assert environment.observation_size == 4
        finally:
            gym.registry.pop("Registered-v0", None)
            sys.modules.pop("mavrl_test_registers", None)


class TestVector:
    def test_ends_are_left_to_the_caller(self):
        vector = ControlEnvironment("CartPole-v1", max_steps=30).vector(3)
        assert vector.num_envs == 3
        assert vector.metadata["autoreset_mode"] is AutoresetMode.DISABLED
        vector.reset(seed=0)
        ended = np.zeros(3, bool)
        while not ended.any():
            observation, _, terminated, truncated, _ = vector.step(np.array([0, 1, 1]))
            ended = terminated | truncated
        observation, _ = vector.reset(options={"reset_mask": ended})
        assert (abs(observation[ended]) <= 0.05).all()
        assert (abs(observation[~ended]).max(axis=1) > 0.05).all()

    def test_copies_may_have_bounds_of_their_own(self):
        bounds = iter(range(1, 9))

        def bounded():
            return Picture(spaces.Box(0, next(bounds), (4,), np.float32))

        gym.register("Bounded-v0", entry_point=bounded)
        try:
            environment = ControlEnvironment("Bounded-v0")
            for vector in (environment.vector(3), environment.training_vector(3)):
                observation, _ = vector.reset(seed=0)
                assert observation.shape == (3, 4)
                assert vector.step(np.zeros(3, np.int64))[0].shape == (3, 4)
        finally:
            del gym.registry["Bounded-v0"]

    def test_training_goes_on_in_the_same_step(self):
        vector = ControlEnvironment("CartPole-v1", max_steps=4, fixed_horizon=True).training_vector(2)
        assert vector.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
        vector.reset(seed=0)
        for _ in range(3):
            *_, truncated, info = vector.step(np.array([0, 1]))
            assert not truncated.any()
        observation, _, terminated, truncated, info = vector.step(np.array([0, 1]))
        assert truncated.all()
        assert not terminated.any()
        assert (abs(observation) <= 0.05).all()
        assert all(abs(final[1]) > 0.5 for final in info["final_obs"])  # four pushes one way

    def test_seeds_reproduce_and_differ_between_environments(self):
        environment = ControlEnvironment("LunarLander-v3", perturbation={"wind_power": 10.0})
        first, second = (environment.vector(2).reset(seed=5)[0] for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first[0], first[1])


class TestPickle:
    def test_a_copy_makes_the_same_environment(self):
        environment = ControlEnvironment("Acrobot-v1", {}, 50, {"link_asymmetry": 1.5}, fixed_horizon=True)
        assert environment.observation_size == 7  # with what has been found out before, too
        twin = pickle.loads(pickle.dumps(environment))
        assert twin == environment
        observations = []
        for env in (environment.make(), twin.make()):
            observations.append([env.reset(seed=2)[0], *(env.step(2)[0] for _ in range(20))])
        np.testing.assert_array_equal(*observations)


class TestErrors:
    @pytest.mark.parametrize(
        ("env_id", "message"),
        [
            ("CartPole-v7", r"env\.id=CartPole-v7: not registered .*CartPole-v1"),
            ("cart_pole", r"env\.id=cart_pole: not registered .*nearest.*CartPole"),
            ("LunarLander-v2", r"env\.id=LunarLander-v2: not registered .*LunarLander-v3"),
            ("zzzz", r"env\.id=zzzz: not registered .*pprint_registry"),
            ("no_such_module:CartPole-v1", r"env\.id=no_such_module:CartPole-v1: cannot import no_such_module"),
            ("json:CartPoel-v1", r"env\.id=json:CartPoel-v1: not registered .*CartPole-v1"),
            ("Blackjack-v1", r"env\.id=Blackjack-v1: observations .*one-dimensional Box.*Tuple"),
            ("mavrl/GridTrap-v0", r"env\.id=mavrl/GridTrap-v0: observations .*one-dimensional Box.*Discrete"),
        ],
    )
    def test_what_cannot_be_made(self, env_id, message):
        environment = ControlEnvironment(env_id)
        for attempt in (environment.check, environment.make, lambda: environment.actions):
            with pytest.raises(ConfigurationError, match=message):
                attempt()

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"observations": spaces.Box(0, 255, (8, 8), np.uint8)}, r"env\.id=Picture-v0: .*one-dimensional Box"),
            ({"observations": "a picture"}, r"env\.id=Picture-v0: observations must be .* not a picture$"),
            (
                {"actions": spaces.MultiBinary(3)},
                r"env\.id=Picture-v0: .*finite bounds, not MultiBinary\(3\)$",
            ),
            ({"actions": spaces.Box(-1, 1, (2, 2))}, r"env\.id=Picture-v0: .*one-dimensional Box with finite.*not Box"),
            (
                {"actions": spaces.Box(-np.inf, 1, (2,))},
                r"env\.id=Picture-v0: .*; env\.wrappers=\[\{BoundAction: ",
            ),
            ({"size": 0}, r"env\.kwargs=\{'size': 0\}: .*size=0: at least 1"),
            ({"colour": 1}, r"env\.kwargs=\{'colour': 1\}: .*unexpected keyword argument 'colour'"),
            ({"max_episode_steps": 3}, r"env\.kwargs\.max_episode_steps=3: .*env\.max_steps"),
        ],
    )
    def test_arguments_that_do_not_suit(self, picture, kwargs, message):
        with pytest.raises(ConfigurationError, match=message) as caught:
            ControlEnvironment(picture, kwargs).check()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("max_steps", [0, -1])
    def test_at_least_one_step(self, max_steps):
        with pytest.raises(ConfigurationError, match=rf"env\.max_steps={max_steps}: at least 1"):
            ControlEnvironment("CartPole-v1", max_steps=max_steps).check()

    def test_a_fixed_horizon_needs_a_time_limit(self, picture):
        with pytest.raises(ConfigurationError, match=r"env\.max_steps=null: .*Picture-v0"):
            ControlEnvironment(picture, fixed_horizon=True).check()
        ControlEnvironment(picture, max_steps=10, fixed_horizon=True).check()

    def test_a_perturbation_that_it_does_not_have(self):
        with pytest.raises(ConfigurationError, match=r"env\.perturbation\.wind_power"):
            ControlEnvironment("CartPole-v1", perturbation={"wind_power": 1.0}).check()

    def test_a_missing_package(self, monkeypatch):
        for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "Box2D", None)  # importing it fails
        with pytest.raises(ConfigurationError, match=r"env\.id=LunarLander-v3: .*Box2D.*install") as caught:
            ControlEnvironment("LunarLander-v3").check()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError, IndexError, RuntimeError, OSError])
    def test_a_defect_of_an_environment_is_named_with_its_place(self, kind):
        def broken():
            raise kind("a defect")

        gym.register("Broken-v0", entry_point=broken)
        try:
            with pytest.raises(
                EnvironmentFault, match=rf"env\.id=Broken-v0: making it raises {kind.__name__}"
            ) as caught:
                ControlEnvironment("Broken-v0").check()
        finally:
            del gym.registry["Broken-v0"]
        assert "a defect" in str(caught.value)
        assert "test_control.py, line " in str(caught.value)
        assert 'raise kind("a defect")' in caught.value.trace

    @pytest.mark.parametrize("text", ["x = 1 / 0", "def x(:"])
    def test_so_is_one_of_its_module(self, text, tmp_path, monkeypatch):
        (tmp_path / "mavrl_test_defect.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(EnvironmentFault, match=r"importing mavrl_test_defect raises \w+Error: ") as caught:
            ControlEnvironment("mavrl_test_defect:Maze-v0").check()
        assert "mavrl_test_defect.py, line 1" in str(caught.value)

    @pytest.mark.parametrize("limit", [0, -2, 2.5])
    def test_a_registered_limit_that_is_none(self, limit):
        gym.register("Limited-v0", entry_point=Picture, max_episode_steps=limit)
        try:
            with pytest.raises(ConfigurationError, match=rf"env\.id=Limited-v0: .*={limit} is no .*env\.max_steps"):
                ControlEnvironment("Limited-v0").check()
            ControlEnvironment("Limited-v0", max_steps=3).check()
        finally:
            del gym.registry["Limited-v0"]
