"""Episodes of control environments, rolled out in a Gymnasium vector environment.

Every episode has an address of its own, from which its first state, the environment's chance and its actions are
drawn. It is the same episode whatever runs beside it, in which process, and how many follow.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv
from jaxtyping import Float, Int

from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.policies.base import Policy
from mavrl.progress import expect, tick
from mavrl.simulation.base import Behaviour
from mavrl.streams import numpy_stream
from mavrl.workers import Workers

Address = tuple[int | str, ...]  # words of `mavrl.streams.numpy_stream`, the seed first

_WIDTH = 64  # environments stepped together
_DRAWS = 512  # random numbers drawn for an episode at once
_LEAST = 32  # episodes that are worth a process
_LONGEST = 100_000  # steps of an episode without a time limit; one that never ends must not run for ever


@dataclass(frozen=True)
class Episode:
    """One episode of L steps.

    Args:
        rewards: true reward of each step.
        observations: before each step, and after the last.
        actions: of each step, and the one that would have followed the last.
        terminated: whether the last step terminated the episode; if not, a time limit cut it off.
    """

    rewards: Float[np.ndarray, "L"]  # float64, as Gymnasium gives them
    observations: Float[np.ndarray, "L+1 O"]
    actions: Int[np.ndarray, "L+1"] | Float[np.ndarray, "L+1 D"]
    terminated: bool

    @property
    def length(self) -> int:
        return len(self.rewards)

    @property
    def true_return(self) -> float:
        """Undiscounted sum of the true rewards."""
        return float(self.rewards.sum())


def simulate(
    environment: ControlEnvironment,
    policy: Policy,
    behaviour: Behaviour,
    addresses: Sequence[Address],
    workers: Workers,
) -> list[Episode]:
    """The episodes of these addresses, in their order; several processes share them where that pays."""
    if not addresses:
        return []
    expect(len(addresses))
    parts = max(1, min(workers.count, len(addresses) // _LEAST))
    calls = [(environment, policy, behaviour, addresses[part::parts]) for part in range(parts)]
    found: list[Episode | None] = [None] * len(addresses)
    for part, episodes in enumerate(workers.map(_simulate, calls)):
        found[part::parts] = episodes
    return [episode for episode in found if episode is not None]


def simulate_accepted(
    environment: ControlEnvironment,
    policy: Policy,
    behaviour: Behaviour,
    addresses: Iterable[Address],
    count: int,
    tries: int,
) -> list[Episode]:
    """The first `count` episodes, of at most `tries`, whose return is high enough; fewer if there are no more."""
    accepted: list[Episode] = []
    source = islice(addresses, tries)
    while len(accepted) < count:
        batch = list(islice(source, count - len(accepted)))
        if not batch:
            break
        least = behaviour.minimum_return
        accepted += [
            episode
            for episode in _simulate(environment, policy, behaviour, batch)
            if least is None or episode.true_return >= least
        ]
    return accepted


def _simulate(
    environment: ControlEnvironment, policy: Policy, behaviour: Behaviour, addresses: Sequence[Address]
) -> list[Episode]:
    envs = environment.vector(min(_WIDTH, len(addresses)))
    try:
        return _roll_out(envs, policy, behaviour, addresses, environment.time_limit or _LONGEST)
    finally:
        envs.close()


def _roll_out(
    envs: SyncVectorEnv, policy: Policy, behaviour: Behaviour, addresses: Sequence[Address], longest: int
) -> list[Episode]:
    """Every slot of the vector environment takes the next episode when its own has ended."""
    n = envs.num_envs
    finished: list[Episode | None] = [None] * len(addresses)
    waiting = iter(range(len(addresses)))
    slots = [_Slot(next(waiting), addresses) for _ in range(n)]

    def chosen(which: Sequence[int]) -> np.ndarray:
        seen = torch.from_numpy(observation[which].astype(np.float32))  # as it will be recorded
        draws = np.array([slots[i].draw(policy.n_draws) for i in which])
        return policy.choose(seen, behaviour.rationality, behaviour.epsilon, draws)

    observation, _ = envs.reset(seed=[slot.env_seed for slot in slots])
    for slot, first in zip(slots, observation, strict=True):
        slot.observations.append(first.copy())
    running, everyone = n, range(n)
    while running:
        actions = chosen(everyone)
        observation, rewards, terminated, truncated, _ = envs.step(actions)
        over = terminated | truncated
        for i, slot in enumerate(slots):
            slot.add(observation[i].copy(), actions[i], float(rewards[i]))
        if any(slot.length > longest for slot in slots):
            allowed = f"an episode does not end within {longest} steps; set a limit"
            raise ConfigurationError("env.max_steps", None, allowed)
        if not over.any():
            continue
        ended = [i for i in np.flatnonzero(over).tolist() if slots[i].number is not None]
        following = dict(zip(ended, chosen(ended), strict=True)) if ended else {}
        for i in np.flatnonzero(over).tolist():
            slot = slots[i]
            if slot.number is not None:
                finished[slot.number] = slot.episode(following[i], bool(terminated[i]))
                tick()
            number = next(waiting, None)
            running -= slot.number is not None and number is None
            slots[i] = _Slot(number, addresses)
        observation, _ = envs.reset(seed=[slot.env_seed for slot in slots], options={"reset_mask": over})
        for i in np.flatnonzero(over):
            slots[i].observations.append(observation[i].copy())
    return [episode for episode in finished if episode is not None]


class _Slot:
    """The episode that one of the environments is in; idle (number None) when none is left."""

    def __init__(self, number: int | None, addresses: Sequence[Address]) -> None:
        self.number = number
        seed, *purpose = addresses[number or 0]
        self._stream = numpy_stream(int(seed), *purpose)
        self.env_seed = int(self._stream.integers(2**31 - 1))
        self._draws: Iterator[float] = iter(())
        self.observations: list[np.ndarray] = []
        self._actions: list[np.ndarray | np.integer] = []
        self._rewards: list[float] = []

    @property
    def length(self) -> int:
        """Steps of the episode so far."""
        return len(self._rewards)

    def draw(self, count: int) -> list[float]:
        """The next numbers in [0, 1), which decide an action."""
        values = list(islice(self._draws, count))
        while len(values) < count:
            self._draws = iter(self._stream.random(_DRAWS).tolist())
            values += islice(self._draws, count - len(values))
        return values

    def add(self, observation: np.ndarray, action: np.ndarray | np.integer, reward: float) -> None:
        if self.number is not None:
            self.observations.append(observation)
            self._actions.append(action)
            self._rewards.append(reward)

    def episode(self, following: np.ndarray | np.integer, terminated: bool) -> Episode:
        return Episode(
            rewards=np.array(self._rewards),
            observations=np.array(self.observations, dtype=np.float32),
            actions=np.stack([*self._actions, following]),
            terminated=terminated,
        )
