"""Episodes of tabular environments, simulated on transition tables for all replicates at once."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Integer
from numpy.typing import NDArray

from mavrl.envs.problem import TabularProblem
from mavrl.errors import ConfigurationError

_BLOCK = 64  # steps simulated between two looks at which episodes have ended
_LONGEST = 1_000_000  # steps of an episode; one that never ends must not run for ever
_MOST = 300_000_000  # steps in all, about 1 GB


@dataclass(frozen=True)
class Episodes:
    """E episodes of each of R replicates, stored block by block with only the episodes that were still running.

    Args:
        length: steps of each episode.
        terminated: whether the last step terminated the episode; if not, a time limit cut it off.
        states, actions: all steps of all blocks, end to end.
        block_start: where each block begins in them.
        block_width: episodes in each block.
        column: position of each episode in each block.
    """

    length: Int[np.ndarray, "R E"]
    terminated: Bool[np.ndarray, "R E"]
    states: Integer[np.ndarray, "steps"]
    actions: Integer[np.ndarray, "steps"]
    block_start: Int[np.ndarray, "blocks"]
    block_width: Int[np.ndarray, "blocks"]
    column: Int[np.ndarray, "blocks episodes"]

    def at(self, episode: NDArray, step: NDArray) -> tuple[NDArray, NDArray]:
        """State and action at steps of episodes.

        Args:
            episode: numbers replicate * E + episode, any shape.
            step: steps of the same shape, each before the end of its episode, or at the end of a cut-off one.

        Returns:
            States and actions, of the same shape.
        """
        block, row = np.divmod(step, _BLOCK)
        index = self.block_start[block] + row * self.block_width[block] + self.column[block, episode]
        return self.states[index], self.actions[index]


def simulate_episodes(
    problem: TabularProblem,
    policy: Float[np.ndarray, "r S A"],
    n_episodes: int,
    generators: list[np.random.Generator],
) -> Episodes:
    """Roll out `n_episodes` episodes for each replicate, replicate r with generators[r].

    Args:
        policy: probability of each action in each state; one policy for all replicates or one for each.
    """
    n_replicates = len(generators)
    limit = 2 * _LONGEST if problem.max_steps is None else problem.max_steps
    step_environment = _Dynamics(problem)
    choose = _ActionChoice(policy, n_episodes)

    total = n_replicates * n_episodes
    length = np.zeros(total, dtype=np.int64)
    terminated = np.zeros(total, dtype=bool)
    terminal_states = problem.terminal_states.numpy()
    state = np.concatenate([step_environment.first(g, n_episodes) for g in generators])
    running = np.arange(total)
    blocks_states, blocks_actions, columns, widths, elapsed = [], [], [], [], 0

    while running.size:
        if elapsed >= _LONGEST or _BLOCK * sum(widths) > _MOST:
            raise ConfigurationError(
                "env.max_steps", problem.max_steps, f"episodes do not end within {elapsed} steps; set a limit"
            )
        per_replicate = np.bincount(running // n_episodes, minlength=n_replicates)
        shares = list(zip(generators, per_replicate, strict=True))
        draws = np.concatenate([g.random((_BLOCK, n), dtype=np.float32) for g, n in shares], axis=1)
        luck = step_environment.luck(shares)
        states = np.empty((_BLOCK, running.size), dtype=step_environment.dtype)
        actions = choose.for_all_states(draws)
        for t in range(_BLOCK):
            states[t] = state
            if not choose.same_everywhere:
                actions[t] = choose.in_states(running, state, draws[t])
            state = step_environment.next(state, actions[t], None if luck is None else luck[t])

        at_end = terminal_states[states]
        ended = at_end.any(axis=0)
        ended_after = elapsed + at_end.argmax(axis=0) + 1
        # The step after the limit is simulated too: a cut-off episode would have gone on with its state and action.
        cut = (elapsed + _BLOCK > limit) & ~(ended & (ended_after <= limit))
        length[running] = np.where(cut, limit, ended_after)
        terminated[running] = ended & ~cut

        column = np.zeros(total, dtype=np.int32)
        column[running] = np.arange(running.size)
        blocks_states.append(states.reshape(-1))
        blocks_actions.append(actions.reshape(-1))
        columns.append(column)
        widths.append(running.size)
        going_on = ~(ended | cut)
        running, state = running[going_on], state[going_on]
        elapsed += _BLOCK

    width = np.array(widths)
    start = np.concatenate([[0], np.cumsum(width * _BLOCK)[:-1]])
    return Episodes(
        length=length.reshape(n_replicates, n_episodes),
        terminated=terminated.reshape(n_replicates, n_episodes),
        states=np.concatenate(blocks_states),
        actions=np.concatenate(blocks_actions),
        block_start=start,
        block_width=width,
        column=np.stack(columns),
    )


class _Dynamics:
    """Samples next states; one table look-up a step when the environment is deterministic."""

    def __init__(self, problem: TabularProblem) -> None:
        model = problem.transitions
        self.dtype = np.uint16 if model.n_states <= 2**16 else np.uint32
        self._n_actions = model.n_actions
        self._successors = model.successors.reshape(-1, model.successors.shape[-1]).numpy().astype(self.dtype)
        self._table = self._successors.reshape(-1)
        self._deterministic = model.deterministic
        outcomes = model.probabilities.reshape(self._successors.shape).numpy()
        self._cumulative = outcomes.cumsum(-1)[:, :-1].astype(np.float32)
        self._first = problem.initial_distribution.numpy()

    def first(self, generator: np.random.Generator, count: int) -> NDArray:
        return generator.choice(len(self._first), size=count, p=self._first).astype(self.dtype)

    def luck(self, shares) -> NDArray | None:
        """Numbers that decide the outcomes of a block of steps; None when nothing is left to chance."""
        if self._deterministic:
            return None
        return np.concatenate([g.random((_BLOCK, n), dtype=np.float32) for g, n in shares], axis=1)

    def next(self, state: NDArray, action: NDArray, luck: NDArray | None) -> NDArray:
        pair = state.astype(np.int64) * self._n_actions + action
        if luck is None:
            return self._table.take(pair)
        outcome = (luck[:, None] >= self._cumulative[pair]).sum(-1)
        return self._successors[pair, outcome]


class _ActionChoice:
    """Inverts the cumulative distribution of a policy; a whole block at once when it is the same in every state."""

    def __init__(self, policy: Float[np.ndarray, "r S A"], n_episodes: int) -> None:
        self._cumulative = policy.cumsum(-1)[..., :-1].astype(np.float32)
        self._n_episodes = n_episodes
        self.same_everywhere = bool((policy == policy[:1, :1]).all())

    def for_all_states(self, draws: NDArray) -> NDArray:
        if not self.same_everywhere:
            return np.empty(draws.shape, dtype=np.uint8)
        return np.searchsorted(self._cumulative[0, 0], draws, side="right").astype(np.uint8)

    def in_states(self, running: NDArray, state: NDArray, draw: NDArray) -> NDArray:
        replicate = running // self._n_episodes if len(self._cumulative) > 1 else 0
        return (draw[:, None] >= self._cumulative[replicate, state]).sum(-1)
