"""All feedback of a run, served together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mavrl.feedback.combined import CombinedDataModule
from mavrl.feedback.datamodule import Serving
from mavrl.simulation.tabular import TabularSimulator


@pytest.fixture
def combine(make_source: Any, make_problem: Any) -> Any:
    def build(
        counts: dict[str, int],
        seeds: list[int],
        cache: Path | None = None,
        simulator: Any = None,
        batch_size: int | None = None,
        demonstration_batch_size: int | None = None,
        members: int = 1,
        validation: bool = False,
        **together: int,
    ) -> CombinedDataModule:
        world = simulator or TabularSimulator(make_problem())
        sizes = {kind: demonstration_batch_size if kind == "demonstration" else batch_size for kind in counts}
        modules = {
            kind: make_source(kind, n).module(
                world, seeds, {"layout": "cliff"}, cache, validation, Serving(sizes[kind], members=members)
            )
            for kind, n in counts.items()
        }
        return CombinedDataModule(modules, **together)

    return build


def _batches(feedback: CombinedDataModule, epoch: int = 0) -> list[dict[str, Any]]:
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
    feedback.setup()
    assert feedback.steps_per_epoch == len(_batches(feedback)) == 15


def test_the_full_batch_is_everything_in_one_step(combine: Any) -> None:
    feedback = combine({"rating": 10, "stop": 3}, [0, 1])
    feedback.setup()
    (batch,) = _batches(feedback)
    assert batch["rating"].rating.equal(feedback.train_sets["rating"].rating)
    assert batch["stop"].stop_step.equal(feedback.train_sets["stop"].stop_step)


def test_the_batches_of_a_control_environment_hold_observations(combine: Any, make_control: Any) -> None:
    counts = {"preference": 5, "demonstration": 1, "rating": 6, "stop": 4}
    settings = {"batch_size": 3, "demonstration_batch_size": 3, "validation": True, "members": 2}
    feedback = combine(counts, [0, 1], simulator=make_control(), **settings)
    feedback.setup()
    first = _batches(feedback)[0]
    assert first["preference"].transitions.state.shape == (4, 3, 2, 5, 4)
    assert first["demonstration"].transitions.next_state.shape == (4, 3, 4)
    assert first["rating"].transitions.state.shape == first["stop"].transitions.state.shape == (4, 3, 5, 4)
    (validation,) = [batch for batch, _, _ in feedback.val_dataloader()]
    assert validation["stop"].transitions.state.shape == (4, 4, 5, 4)


def test_demonstrated_steps_come_in_batches_of_their_own_size(combine: Any) -> None:
    feedback = combine({"rating": 10, "demonstration": 1}, [0], batch_size=4, demonstration_batch_size=3)
    feedback.setup()
    n_steps = feedback.train_sets["demonstration"].transitions.action.shape[1]
    batches = _batches(feedback)
    assert len(batches) == feedback.steps_per_epoch == max(3, -(-n_steps // 3))
    assert batches[0]["rating"].rating.shape == (1, 4)
    assert batches[0]["demonstration"].transitions.action.shape == (1, 3)


def test_without_a_size_all_demonstrated_steps_come_at_once(combine: Any) -> None:
    feedback = combine({"rating": 10, "demonstration": 2}, [0], batch_size=4)
    feedback.setup()
    whole = feedback.train_sets["demonstration"].transitions
    assert feedback.steps_per_epoch == 3
    assert all(batch["demonstration"].transitions.action.equal(whole.action) for batch in _batches(feedback))


@pytest.mark.parametrize(("least_steps", "expected"), [(1, 3), (3, 3), (4, 6), (7, 9)])
def test_small_data_sets_are_passed_through_more_often(least_steps: int, expected: int, combine: Any) -> None:
    feedback = combine({"rating": 10, "stop": 3}, [0], batch_size=4, least_steps=least_steps)
    feedback.setup()
    assert feedback.steps_per_epoch == len(_batches(feedback)) == expected


def test_more_passes_than_the_least_steps_need_stay(combine: Any) -> None:
    feedback = combine({"rating": 10}, [0], batch_size=4, passes_per_epoch=5, least_steps=4)
    feedback.setup()
    assert feedback.steps_per_epoch == 15


@pytest.mark.parametrize("batch_size", [None, 4])
def test_members_see_the_data_of_their_replicate_in_the_same_order(combine: Any, batch_size: int | None) -> None:
    feedback = combine({"rating": 10}, [0, 1], batch_size=batch_size, members=3)
    feedback.setup()
    single = combine({"rating": 10}, [0, 1], batch_size=batch_size)
    single.setup()
    for batch, expected in zip(_batches(feedback, 2), _batches(single, 2), strict=True):
        assert batch["rating"].rating.shape[0] == 6
        assert batch["rating"].rating.equal(expected["rating"].rating.repeat_interleave(3, 0))
        assert batch["rating"].transitions.state.equal(expected["rating"].transitions.state.repeat_interleave(3, 0))
    assert feedback.likelihoods()["rating"].first_cutpoint.shape == (6,)


def test_validation_is_a_second_set_of_the_same_size_in_one_batch(combine: Any) -> None:
    feedback = combine({"rating": 10, "stop": 3}, [0, 1], batch_size=4, validation=True, members=2)
    feedback.setup()
    (batch,) = [batch for batch, _, _ in feedback.val_dataloader()]
    assert batch["rating"].rating.shape == (4, 10)
    assert batch["stop"].stop_step.shape == (4, 3)
    assert not feedback.train_sets["rating"].transitions.state.equal(
        feedback.modules["rating"].sets["validation"].transitions.state
    )
    assert combine({"rating": 10}, [0]).val_dataloader() == []


def test_validation_does_not_change_the_training_data_or_the_teacher(combine: Any, equal: Any) -> None:
    plain, validated = (combine({"stop": 6}, [0, 1], validation=v) for v in (False, True))
    for feedback in (plain, validated):
        feedback.setup()
    assert equal(plain.train_sets["stop"], validated.train_sets["stop"])
    assert plain.likelihoods()["stop"].rate.equal(validated.likelihoods()["stop"].rate)


def test_preparing_twice_simulates_once(combine: Any) -> None:
    feedback = combine({"rating": 4}, [0])
    feedback.setup()
    before = feedback.train_sets["rating"]
    feedback.setup()
    assert feedback.train_sets["rating"] is before


def test_kinds_have_streams_of_their_own(combine: Any) -> None:
    """Adding a kind leaves the data of the others as they are."""
    alone, both = combine({"rating": 6}, [0]), combine({"rating": 6, "stop": 6}, [0])
    alone.setup()
    both.setup()
    assert alone.train_sets["rating"].rating.equal(both.train_sets["rating"].rating)
    assert not both.train_sets["rating"].transitions.state.equal(both.train_sets["stop"].transitions.state)


def test_the_cache_serves_a_second_run(combine: Any, tmp_path: Path, equal: Any, nobody: Any) -> None:
    first, second = (combine({"rating": 6, "stop": 5}, [0, 1], cache=tmp_path) for _ in range(2))
    first.setup()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    for module in second.modules.values():
        module.asking = replace(module.asking, simulator=nobody)
    second.setup()
    assert all(equal(first.train_sets[kind], second.train_sets[kind]) for kind in ("rating", "stop"))
