"""Episodes are those of the Gymnasium environment, and each depends on nothing but its address."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.policies.network import NetworkPolicy
from mavrl.simulation import episodes as module
from mavrl.simulation.base import Behaviour
from mavrl.simulation.episodes import Address, Episode, simulate, simulate_accepted
from mavrl.streams import numpy_stream
from mavrl.workers import Workers, workers

ENVIRONMENTS = {
    "CartPole-v1": ControlEnvironment("CartPole-v1", max_steps=80),
    "Acrobot-v1": ControlEnvironment("Acrobot-v1", max_steps=40),
    "LunarLander-v3": ControlEnvironment("LunarLander-v3", max_steps=80),
}
HERE = Workers(1)


def policy_of(environment: ControlEnvironment) -> NetworkPolicy:
    """A random network of these sizes, the same every time."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(32, environment.observation_size), (environment.actions.count, 32)]
    layers = [(torch.randn(*size, generator=generator), torch.zeros(size[0])) for size in sizes]
    return NetworkPolicy.from_layers(layers, "tanh", "q")


def addresses(count: int, first: int = 0) -> list[Address]:
    return [(7, "test", "episode", k) for k in range(first, first + count)]


def same(left: Episode, right: Episode) -> bool:
    names = ("rewards", "observations", "actions")
    alike = all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)
    return alike and left.terminated == right.terminated


# The environment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENVIRONMENTS)
@pytest.mark.parametrize("behaviour", [Behaviour(0.0), Behaviour(0.5, epsilon=0.1)], ids=["walk", "boltzmann"])
def test_replayed_in_a_plain_environment_they_are_the_same(name: str, behaviour: Behaviour) -> None:
    environment = ENVIRONMENTS[name]
    found = simulate(environment, policy_of(environment), behaviour, addresses(70), HERE)  # more than run side by side
    assert len(found) == 70
    plain = gym.make(name, max_episode_steps=environment.max_steps)
    ends = set()
    for address, episode in zip(addresses(70), found, strict=True):
        seed, *purpose = address
        observation, _ = plain.reset(seed=int(numpy_stream(seed, *purpose).integers(2**31 - 1)))
        for t in range(episode.length):
            assert np.array_equal(episode.observations[t], observation)
            observation, reward, terminated, truncated, _ = plain.step(int(episode.actions[t]))
            assert episode.rewards[t] == reward
            assert (terminated or truncated) == (t == episode.length - 1)
        assert np.array_equal(episode.observations[-1], observation)
        assert episode.terminated == terminated
        assert len(episode.observations) == len(episode.actions) == episode.length + 1
        ends.add(episode.terminated)
    assert len({episode.length for episode in found}) > 1 or name == "Acrobot-v1"
    assert ends == ({False} if name == "Acrobot-v1" else {True, False} if name == "LunarLander-v3" else ends)
    plain.close()


def test_the_return_is_the_sum_of_the_rewards() -> None:
    environment = ENVIRONMENTS["LunarLander-v3"]
    for episode in simulate(environment, policy_of(environment), Behaviour(0.0), addresses(3), HERE):
        assert episode.true_return == pytest.approx(sum(episode.rewards.tolist()), rel=1e-12)


def test_first_states_differ() -> None:
    environment = ENVIRONMENTS["CartPole-v1"]
    found = simulate(environment, policy_of(environment), Behaviour(0.0), addresses(100), HERE)
    assert len({tuple(episode.observations[0].tolist()) for episode in found}) == 100


def test_no_episodes() -> None:
    environment = ENVIRONMENTS["CartPole-v1"]
    assert simulate(environment, policy_of(environment), Behaviour(0.0), [], HERE) == []


# Independence ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_episode_does_not_depend_on_what_runs_beside_it(name: str) -> None:
    environment, behaviour = ENVIRONMENTS[name], Behaviour(1.0, epsilon=0.05)
    policy = policy_of(environment)
    together = simulate(environment, policy, behaviour, addresses(70), HERE)
    backwards = simulate(environment, policy, behaviour, addresses(70)[::-1], HERE)[::-1]
    few = simulate(environment, policy, behaviour, addresses(5, first=62), HERE)
    assert all(same(left, right) for left, right in zip(together, backwards, strict=True))
    assert all(same(left, right) for left, right in zip(together[62:67], few, strict=True))
    for k in (0, 69):  # the last one took the place of an episode that had ended
        (alone,) = simulate(environment, policy, behaviour, addresses(1, first=k), HERE)
        assert same(alone, together[k])


def test_nor_where_the_actions_are_worth_almost_the_same() -> None:
    """Rationality makes the last bits of a score count; those of float32 depend on the size of the batch."""
    environment, behaviour = ENVIRONMENTS["CartPole-v1"], Behaviour(1e5)
    hidden = torch.randn(64, 4)
    scores = 10 * torch.randn(1, 64) + torch.tensor([[0.0], [1e-6]]) * torch.randn(2, 64)
    policy = NetworkPolicy.from_layers([(hidden, torch.zeros(64)), (scores, torch.zeros(2))], "tanh", "q")
    together = simulate(environment, policy, behaviour, addresses(64), HERE)
    alone = [simulate(environment, policy, behaviour, [address], HERE)[0] for address in addresses(64)]
    assert all(same(left, right) for left, right in zip(together, alone, strict=True))


class Optional(gym.Env):
    """Starts at random without options, and at 0 with them."""

    observation_space = gym.spaces.Box(0, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        start = self.np_random.random() if options is None else 0.0
        return np.full(4, start, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), 1.0, True, False, {}


def test_nor_on_how_its_environment_is_reset() -> None:
    """A vector environment passes options to the resets after the first, and an environment may read them."""
    gym.register("Optional-v0", entry_point=Optional)
    try:
        environment = ControlEnvironment("Optional-v0")
        policy = policy_of(environment)
        together = simulate(environment, policy, Behaviour(0.0), addresses(130), HERE)  # two more after each first one
        late = simulate(environment, policy, Behaviour(0.0), addresses(20, first=110), HERE)
    finally:
        del gym.registry["Optional-v0"]
    assert all(same(left, right) for left, right in zip(together[110:], late, strict=True))
    assert all(episode.observations[0, 0] > 0 for episode in together)


@pytest.mark.slow
@pytest.mark.parametrize("count", [64, 101])
def test_nor_on_the_number_of_processes(count: int) -> None:
    environment, behaviour = ENVIRONMENTS["CartPole-v1"], Behaviour(1.0)
    policy = policy_of(environment)
    here = simulate(environment, policy, behaviour, addresses(count), HERE)
    with workers(2) as pool:
        there = simulate(environment, policy, behaviour, addresses(count), pool)
    assert all(same(left, right) for left, right in zip(here, there, strict=True))


def test_the_parts_of_several_processes_are_put_together_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = ENVIRONMENTS["CartPole-v1"]
    policy, parts = policy_of(environment), []
    three = Workers(3)
    monkeypatch.setattr(three, "map", lambda function, calls: parts.extend(calls) or [function(*c) for c in calls])
    expected = simulate(environment, policy, Behaviour(0.0), addresses(100), HERE)
    found = simulate(environment, policy, Behaviour(0.0), addresses(100), three)
    assert [len(call[-1]) for call in parts] == [34, 33, 33]
    assert all(same(left, right) for left, right in zip(expected, found, strict=True))


@pytest.mark.parametrize("part", range(4))
def test_every_part_of_an_address_counts(part: int) -> None:
    environment = ENVIRONMENTS["CartPole-v1"]
    other = [
        (8, "test", "episode", 0),
        (7, "rest", "episode", 0),
        (7, "test", "prologue", 0),
        (7, "test", "episode", 1),
    ]
    left, right = simulate(environment, policy_of(environment), Behaviour(0.0), [addresses(1)[0], other[part]], HERE)
    assert not np.array_equal(left.observations[0], right.observations[0])
    assert not np.array_equal(left.actions[:8], right.actions[:8])


def test_global_generators_do_not_matter_and_stay_as_they_are() -> None:
    environment = ENVIRONMENTS["LunarLander-v3"]
    policy = policy_of(environment)
    (first,) = simulate(environment, policy, Behaviour(0.0), addresses(1), HERE)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    (second,) = simulate(environment, policy, Behaviour(0.0), addresses(1), HERE)
    assert same(first, second)
    assert before[0].equal(torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002


# Time limits ----------------------------------------------------------------------------------------------------------


def test_a_time_limit_cuts_an_episode_that_would_have_gone_on() -> None:
    """What follows the cut in the record is what the same episode does under a later limit."""
    behaviour = Behaviour(0.7, epsilon=0.2)
    policy = policy_of(ENVIRONMENTS["CartPole-v1"])
    short, long = (
        simulate(ControlEnvironment("CartPole-v1", max_steps=n), policy, behaviour, addresses(40), HERE)
        for n in (7, 30)  # no pole falls within 7 steps
    )
    for cut, whole in zip(short, long, strict=True):
        assert cut.length == 7 < whole.length
        assert not cut.terminated
        assert np.array_equal(cut.observations, whole.observations[:8])
        assert np.array_equal(cut.actions, whole.actions[:8])  # with the one that would have been next
        assert np.array_equal(cut.rewards, whole.rewards[:7])


def test_long_episodes_do_not_run_out_of_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    environment, policy = ENVIRONMENTS["CartPole-v1"], policy_of(ENVIRONMENTS["CartPole-v1"])
    expected = simulate(environment, policy, Behaviour(0.0), addresses(10), HERE)
    monkeypatch.setattr(module, "_DRAWS", 3)
    found = simulate(environment, policy, Behaviour(0.0), addresses(10), HERE)
    assert all(same(left, right) for left, right in zip(expected, found, strict=True))


class Endless(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (4,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(4, np.float32), {}

    def step(self, action):
        return np.zeros(4, np.float32), 1.0, False, False, {}


def test_an_environment_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST", 30)
    gym.register("Endless-v0", entry_point=Endless)
    try:
        policy = policy_of(ENVIRONMENTS["CartPole-v1"])
        with pytest.raises(ConfigurationError, match=r"env\.max_steps=null: .* 30 steps"):
            simulate(ControlEnvironment("Endless-v0"), policy, Behaviour(0.0), addresses(3), HERE)
        limited = ControlEnvironment("Endless-v0", max_steps=50)
        assert simulate(limited, policy, Behaviour(0.0), addresses(1), HERE)[0].length == 50
    finally:
        del gym.registry["Endless-v0"]


# What environments give -----------------------------------------------------------------------------------------------


class Odd(gym.Env):
    """Counts its steps to 4. Its info grows and changes type, its reward is an array, its state changes in place."""

    observation_space = gym.spaces.Box(0, 9, (4,), np.float64)
    action_space = gym.spaces.Discrete(2, start=1)

    def __init__(self, reward: float = 1.0) -> None:
        self.state = np.zeros(4)
        self.paid = reward

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state[:] = 0
        return self.state, {"way": np.zeros(1), "last": None}

    def step(self, action):
        assert action in self.action_space
        self.state += 1
        reward = np.array([self.paid if self.state[0] == 2 else 1.0])
        steps = int(self.state[0])
        info = {"way": np.zeros(steps + 1), "last": steps if steps % 2 else "even"}
        return self.state, reward, np.array([steps == 4]), False, info


@pytest.fixture
def odd() -> Any:
    gym.register("Odd-v0", entry_point=Odd)
    yield "Odd-v0"
    del gym.registry["Odd-v0"]


def test_legal_oddities_do_not_matter(odd: str) -> None:
    environment = ControlEnvironment(odd)
    for episode in simulate(environment, policy_of(environment), Behaviour(0.0), addresses(70), HERE):
        assert episode.rewards.tolist() == [1.0] * 4
        assert episode.observations[:, 0].tolist() == [0, 1, 2, 3, 4]
        assert episode.terminated
        assert set(episode.actions.tolist()) <= {0, 1}


@pytest.mark.parametrize("reward", [np.nan, np.inf, None])
def test_what_is_no_reward_ends_the_simulation_at_once(odd: str, reward: Any) -> None:
    environment = ControlEnvironment(odd, {"reward": reward})
    with pytest.raises(ConfigurationError, match=r"env\.id=Odd-v0: step 2 of an episode gives the reward \["):
        simulate(environment, policy_of(environment), Behaviour(0.0), addresses(3), HERE)


# Actions --------------------------------------------------------------------------------------------------------------


def _probabilities(policy: NetworkPolicy, observations: np.ndarray, behaviour: Behaviour) -> np.ndarray:
    """Computed from the weights in NumPy."""
    into, _, out = policy.network
    hidden = np.tanh(observations.astype(np.float64) @ into.weight.numpy().T + into.bias.numpy())
    weight = np.exp(behaviour.rationality * (hidden @ out.weight.numpy().T + out.bias.numpy()))
    n_actions = weight.shape[-1]
    return (1 - behaviour.epsilon) * weight / weight.sum(-1, keepdims=True) + behaviour.epsilon / n_actions


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1"])
@pytest.mark.parametrize(
    "behaviour", [Behaviour(0.0), Behaviour(0.4), Behaviour(0.4, 0.3), Behaviour(50.0, 0.2)], ids=str
)
@pytest.mark.parametrize("following", [False, True])
def test_actions_follow_the_policy(name: str, behaviour: Behaviour, following: bool) -> None:
    """Within 4 standard errors, overall and weighted by the probability that each action has in the state."""
    environment = ControlEnvironment(name, max_steps=12)  # many ends, where the following action is drawn
    policy = policy_of(environment)
    found = simulate(environment, policy, behaviour, addresses(200), HERE)
    part = slice(-1, None) if following else slice(None, -1)
    observations = np.concatenate([episode.observations[part] for episode in found])
    actions = np.concatenate([episode.actions[part] for episode in found])
    probability = _probabilities(policy, observations, behaviour)
    assert len(actions) >= (200 if following else 1800)
    for action in range(environment.actions.count):
        p = probability[:, action]
        for weight in (np.ones_like(p), p):
            error = np.sqrt((weight**2 * p * (1 - p)).sum())
            assert abs((weight * ((actions == action) - p)).sum()) < 4 * error


class _AlwaysRight:
    """A policy without a network."""

    n_draws = 3

    def choose(self, observation: torch.Tensor, rationality: float, epsilon: float, draws: np.ndarray) -> np.ndarray:
        assert draws.shape == (len(observation), 3)
        assert ((draws >= 0) & (draws < 1)).all()
        return np.ones(len(observation), dtype=np.int64)


def test_whoever_chooses_can_act() -> None:
    environment = ENVIRONMENTS["CartPole-v1"]
    for episode in simulate(environment, _AlwaysRight(), Behaviour(1.0), addresses(5), HERE):
        assert (episode.actions == 1).all()
        assert episode.terminated
        assert episode.observations[-1, 2] < -0.2  # pushed right, the pole falls left


def test_infinite_rationality_takes_the_highest_score() -> None:
    environment = ENVIRONMENTS["Acrobot-v1"]
    policy = policy_of(environment)
    for episode in simulate(environment, policy, Behaviour(float("inf")), addresses(20), HERE):
        assert np.array_equal(episode.actions, policy.act(episode.observations))


# Acceptance -----------------------------------------------------------------------------------------------------------


def test_accepted_episodes_are_the_first_with_a_return_high_enough() -> None:
    environment = ENVIRONMENTS["CartPole-v1"]
    policy = policy_of(environment)
    every = simulate(environment, policy, Behaviour(0.0), addresses(100), HERE)
    expected = [episode for episode in every if episode.true_return >= 25.0]
    assert 10 < len(expected) < 60
    accepted = [
        simulate_accepted(environment, policy, Behaviour(0.0, minimum_return=25.0), addresses(100), count, 100)
        for count in (4, 10, 100)
    ]
    assert [len(found) for found in accepted] == [4, 10, len(expected)]  # of 100 tries, no more
    for found in accepted:
        assert all(same(left, right) for left, right in zip(found, expected, strict=False))


def test_the_minimum_itself_is_high_enough() -> None:
    environment = ControlEnvironment("CartPole-v1", max_steps=5)
    policy = policy_of(environment)
    (found,) = simulate_accepted(environment, policy, Behaviour(0.0, minimum_return=5.0), addresses(1), 1, 1)
    assert found.true_return == 5.0
    assert simulate_accepted(environment, policy, Behaviour(0.0, minimum_return=5.1), addresses(9), 1, 9) == []


def test_without_a_minimum_all_are_accepted_and_no_more_are_tried_than_needed() -> None:
    environment = ENVIRONMENTS["CartPole-v1"]
    policy = policy_of(environment)
    source: Any = iter(addresses(100))
    found = simulate_accepted(environment, policy, Behaviour(0.0), source, 6, 100)
    expected = simulate(environment, policy, Behaviour(0.0), addresses(6), HERE)
    assert all(same(left, right) for left, right in zip(found, expected, strict=True))
    assert next(source) == addresses(1, first=6)[0]
