"""All feedback of a run, served together."""

from pathlib import Path
from typing import Any

import pytest

from mavrl.data.cache import DatasetCache
from mavrl.data.combined import CombinedFeedback


@pytest.fixture
def combine(make_source: Any, make_problem: Any) -> Any:
    def build(counts: dict[str, int], seeds: list[int], cache: Path | None = None, **settings: Any) -> CombinedFeedback:
        sources = {kind: make_source(kind, n) for kind, n in counts.items()}
        return CombinedFeedback(sources, make_problem(), seeds, DatasetCache(cache), {"layout": "cliff"}, **settings)

    return build


def _batches(feedback: CombinedFeedback, epoch: int = 0) -> list[dict[str, Any]]:
    loader = feedback.train_dataloader()
    for part in loader.flattened:
        part.set_epoch(epoch)
    return [batch for batch, _, _ in loader]


def test_an_epoch_is_as_long_as_the_largest_kind_and_smaller_ones_cycle(combine: Any) -> None:
    feedback = combine({"preference": 4, "rating": 10}, [0], batch_size=4)
    feedback.setup("fit")
    batches = _batches(feedback)
    assert len(batches) == feedback.steps_per_epoch == 3
    assert all(set(batch) == {"preference", "rating"} for batch in batches)
    assert [batch["rating"].rating.shape[1] for batch in batches] == [4, 4, 2]
    assert [batch["preference"].first_preferred.shape[1] for batch in batches] == [4, 4, 4]


def test_passes_lengthen_the_epoch(combine: Any) -> None:
    feedback = combine({"rating": 10, "stop": 3}, [0], batch_size=4, passes_per_epoch=5)
    feedback.prepare()
    assert feedback.steps_per_epoch == len(_batches(feedback)) == 15


def test_the_full_batch_is_everything_in_one_step(combine: Any) -> None:
    feedback = combine({"rating": 10, "stop": 3}, [0, 1])
    feedback.prepare()
    (batch,) = _batches(feedback)
    assert batch["rating"].rating.equal(feedback.sets["train"]["rating"].rating)
    assert batch["stop"].stop_step.equal(feedback.sets["train"]["stop"].stop_step)


@pytest.mark.parametrize("batch_size", [None, 4])
def test_members_see_the_data_of_their_replicate_in_the_same_order(combine: Any, batch_size: int | None) -> None:
    feedback = combine({"rating": 10}, [0, 1], batch_size=batch_size, members=3)
    feedback.prepare()
    single = combine({"rating": 10}, [0, 1], batch_size=batch_size)
    single.prepare()
    for batch, expected in zip(_batches(feedback, 2), _batches(single, 2), strict=True):
        assert batch["rating"].rating.shape[0] == 6
        assert batch["rating"].rating.equal(expected["rating"].rating.repeat_interleave(3, 0))
        assert batch["rating"].transitions.state.equal(expected["rating"].transitions.state.repeat_interleave(3, 0))
    assert feedback.likelihoods()["rating"].first_cutpoint.shape == (6,)


def test_validation_is_a_second_set_of_the_same_size_in_one_batch(combine: Any) -> None:
    feedback = combine({"rating": 10, "stop": 3}, [0, 1], batch_size=4, validation=True, members=2)
    feedback.prepare()
    (batch,) = [batch for batch, _, _ in feedback.val_dataloader()]
    assert batch["rating"].rating.shape == (4, 10)
    assert batch["stop"].stop_step.shape == (4, 3)
    assert not feedback.sets["train"]["rating"].transitions.state.equal(
        feedback.sets["validation"]["rating"].transitions.state
    )
    assert combine({"rating": 10}, [0]).val_dataloader() == []


def test_validation_does_not_change_the_training_data_or_the_teacher(combine: Any, equal: Any) -> None:
    plain, validated = (combine({"stop": 6}, [0, 1], validation=v) for v in (False, True))
    for feedback in (plain, validated):
        feedback.prepare()
    assert equal(plain.sets["train"]["stop"], validated.sets["train"]["stop"])
    assert plain.likelihoods()["stop"].rate.equal(validated.likelihoods()["stop"].rate)


def test_preparing_twice_simulates_once(combine: Any) -> None:
    feedback = combine({"rating": 4}, [0])
    feedback.prepare()
    before = feedback.sets["train"]["rating"]
    feedback.prepare()
    assert feedback.sets["train"]["rating"] is before


def test_kinds_have_streams_of_their_own(combine: Any) -> None:
    """Adding a kind leaves the data of the others as they are."""
    alone, both = combine({"rating": 6}, [0]), combine({"rating": 6, "stop": 6}, [0])
    alone.prepare()
    both.prepare()
    assert alone.sets["train"]["rating"].rating.equal(both.sets["train"]["rating"].rating)
    assert not both.sets["train"]["rating"].transitions.state.equal(both.sets["train"]["stop"].transitions.state)


def test_the_cache_serves_a_second_run(combine: Any, tmp_path: Path, equal: Any) -> None:
    first, second = (combine({"rating": 6, "stop": 5}, [0, 1], cache=tmp_path) for _ in range(2))
    first.prepare()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    for source in second.sources.values():
        source.simulate = None
    second.prepare()
    assert all(equal(first.sets["train"][kind], second.sets["train"][kind]) for kind in ("rating", "stop"))
