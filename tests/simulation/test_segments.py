"""Segments: uniform over episodes and starts, padded where an episode ends."""

import numpy as np
from scipy import stats

from mavrl.simulation.rollouts import Episodes
from mavrl.simulation.segments import sample_segments

LENGTHS = (1, 3, 9, 20)


def _episodes(n_replicates: int = 1, terminated: bool = True) -> Episodes:
    """Episodes of LENGTHS whose state at step t of episode e is 100 e + t and whose action is t % 5."""
    n_episodes = len(LENGTHS)
    total, block = n_replicates * n_episodes, 64
    step, number = np.indices((block, total))
    return Episodes(
        length=np.tile(np.array(LENGTHS), (n_replicates, 1)),
        terminated=np.full((n_replicates, n_episodes), terminated),
        states=(100 * (number % n_episodes) + step).reshape(-1),
        actions=(step % 5).reshape(-1),
        block_start=np.array([0]),
        block_width=np.array([total]),
        column=np.arange(total)[None],
    )


def _streams(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_episodes_and_starts_are_uniform() -> None:
    segments = sample_segments(_episodes(), 40_000, 4, _streams(0))[1]
    episode, start = np.divmod(segments.state[0, :, 0].numpy(), 100)
    assert stats.chisquare(np.bincount(episode, minlength=4)).pvalue > 1e-4
    for e, length in enumerate(LENGTHS):
        starts = np.bincount(start[episode == e], minlength=length)
        assert len(starts) == length
        if length > 1:
            assert stats.chisquare(starts).pvalue > 1e-4


def test_steps_follow_the_episode_and_padding_is_invalid_and_zero() -> None:
    segments = sample_segments(_episodes(), 2000, 6, _streams(1))[1]
    for n in range(2000):
        episode, start = divmod(int(segments.state[0, n, 0]), 100)
        expected = min(6, LENGTHS[episode] - start)
        assert int(segments.valid[0, n].sum()) == expected
        assert segments.valid[0, n, :expected].all()
        for t in range(expected):
            at = start + t
            assert int(segments.state[0, n, t]) == 100 * episode + at
            assert int(segments.action[0, n, t]) == at % 5
            ends = at == LENGTHS[episode] - 1
            assert bool(segments.terminal[0, n, t]) == ends
            if not ends:
                assert int(segments.next_state[0, n, t]) == 100 * episode + at + 1
                assert int(segments.next_action[0, n, t]) == (at + 1) % 5
        for name in ("state", "action", "next_state", "next_action"):
            assert (getattr(segments, name)[0, n, expected:] == 0).all()
        assert not segments.terminal[0, n, expected:].any()


def test_no_segment_is_all_padding() -> None:
    for length in (1, 2, 50):
        segments = sample_segments(_episodes(), 5000, length, _streams(2))[1]
        assert segments.valid[..., 0].all()


def test_a_cut_off_episode_has_a_next_state_and_no_terminal_step() -> None:
    segments = sample_segments(_episodes(terminated=False), 2000, 30, _streams(3))[1]
    assert not segments.terminal.any()
    last = segments.valid.sum(-1) - 1
    for n in range(2000):
        t = int(last[0, n])
        assert int(segments.next_state[0, n, t]) == int(segments.state[0, n, t]) + 1


def test_the_first_segments_do_not_depend_on_how_many_follow() -> None:
    few = sample_segments(_episodes(), 7, 5, _streams(4))[1]
    many = sample_segments(_episodes(), 1000, 5, _streams(4))[1]
    assert few.state.equal(many.state[:, :7])
    assert few.valid.equal(many.valid[:, :7])


def test_replicates_have_segments_of_their_own() -> None:
    together = sample_segments(_episodes(2), 100, 5, _streams(5, 6))[1]
    alone = sample_segments(_episodes(1), 100, 5, _streams(6))[1]
    assert together.state[1].equal(alone.state[0])
    assert not together.state[0].equal(together.state[1])
