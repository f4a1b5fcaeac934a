"""Folds by episode: every label is tested once, and never by a model that has seen its episode."""

import numpy as np
import pytest
import torch

from mavrl.feedback.folds import folds_by_episode
from mavrl.simulation.base import Segments


def about(episodes: list) -> Segments:
    episode = torch.tensor(episodes)[None].repeat(2, *[1] * np.ndim(episodes))
    return Segments(episode, torch.zeros_like(episode), torch.ones_like(episode))


@pytest.fixture
def segments() -> dict[str, Segments]:
    random = np.random.default_rng(0)
    pairs, single = random.integers(40, size=(60, 2)), random.integers(40, 55, size=30)
    return {"preference": about(pairs.tolist()), "rating": about(single.tolist())}


@pytest.mark.parametrize("count", [2, 5])
def test_labels_are_divided(segments: dict[str, Segments], count: int) -> None:
    folds = folds_by_episode(segments, count, seed=3)
    assert len(folds) == count
    for kind, each in segments.items():
        episodes = each.episode[0].reshape(len(each.episode[0]), -1)
        assert folds.tested[kind].sum(0).eq(1).all()
        for trained, tested in zip(folds.trained[kind], folds.tested[kind], strict=True):
            first = set(episodes[tested][:, 0].tolist())
            assert not first & set(episodes[trained].flatten().tolist())
    of_kind = {kind: folds.trained[kind].sum(0) for kind in segments}
    assert of_kind["rating"].eq(count - 1).all()
    assert set(of_kind["preference"].tolist()) == {count - 1, count - 2}


def test_no_episode_of_a_fold_is_trained_on_by_another_kind(segments: dict[str, Segments]) -> None:
    both = {"preference": segments["preference"], "rating": about(segments["preference"].episode[0, :, 1].tolist())}
    folds = folds_by_episode(both, 4, seed=0)
    for number in range(4):
        tested = {int(e) for kind in both for e in folds.episode[kind][folds.tested[kind][number]]}
        for kind, each in both.items():
            trained = each.episode[0][folds.trained[kind][number]].flatten().tolist()
            assert not tested & set(trained)


def test_folds_are_alike_in_episodes_and_seeded(segments: dict[str, Segments]) -> None:
    one, again, other = (folds_by_episode(segments, 5, seed) for seed in (1, 1, 2))
    assert one.tested["rating"].equal(again.tested["rating"])
    assert not one.tested["rating"].equal(other.tested["rating"])
    few = folds_by_episode({"rating": about([4, 4, 9, 7])}, 5, 0)
    assert len(few) == 3
    assert few.tested["rating"].sum(1).tolist() == pytest.approx([1, 1, 2], abs=1)


def test_folds_that_leave_nothing_are_named() -> None:
    assert folds_by_episode({"preference": about([[0, 1], [1, 0]])}, 5, 0).empty == [0, 1]
    assert folds_by_episode({"preference": about([[0, 0], [1, 1]])}, 5, 0).empty == []
