"""What the DataModules of all kinds have in common: questions, answers and their keeping."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from mavrl.errors import ConfigurationError
from mavrl.feedback.datamodule import FeedbackDataModule
from mavrl.storage.answers import AnswerStore

KINDS = ("preference", "demonstration", "rating", "stop")
SEGMENTED = ("preference", "rating", "stop")
WORLDS = ("grid", "control")


def _row(batch: Any, k: int) -> Any:
    return batch.map(lambda tensor: tensor[k : k + 1])


def _valid_steps(batch: Any, k: int) -> dict[str, torch.Tensor]:
    """The valid steps of one replicate's demonstrations; how much padding follows depends on the other replicates."""
    steps = batch.transitions
    return {field.name: getattr(steps, field.name)[k][steps.valid[k]] for field in dataclasses.fields(steps)}


# Simulation ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("p_rand", [0.0, 0.25])
def test_replicate_k_is_the_single_run_of_seed_s_plus_k(
    kind: str, p_rand: float, make_source: Any, make_problem: Any, simulate: Any, equal: Any
) -> None:
    problem = make_problem(p_rand=p_rand)
    together = simulate(make_source(kind, 6), [20, 21, 22], problem)
    rows = []
    for k in range(3):
        alone = simulate(make_source(kind, 6), [20 + k], problem)
        if kind == "demonstration":
            here, there = _valid_steps(together, k), _valid_steps(alone, 0)
            assert all(here[name].equal(there[name]) for name in here)
        else:
            assert equal(_row(together, k), alone)
        rows.append(alone)
    assert not rows[0].transitions.state.equal(rows[1].transitions.state)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "environment",
    [{}, {"fixed_horizon": True}, {"id": "LunarLander-v3", "kwargs": {}, "perturbation": {"wind_power": 10.0}}],
    ids=str,
)
def test_replicate_k_is_the_single_run_in_control_environments(
    kind: str, environment: dict[str, Any], make_source: Any, make_control: Any, simulate: Any, equal: Any
) -> None:
    world = make_control(**environment)
    together, teachers = simulate(make_source(kind, 6), [20, 21, 22], world, with_teacher=True)
    for k in range(3):
        alone, teacher = simulate(make_source(kind, 6), [20 + k], world, with_teacher=True)
        if kind == "demonstration":
            here, there = _valid_steps(together, k), _valid_steps(alone, 0)
            assert all(here[name].equal(there[name]) for name in here)
        else:
            assert equal(_row(together, k), alone)
        assert all(teachers[name][k : k + 1].equal(teacher[name]) for name in teacher)
    assert not together.transitions.state[0].equal(together.transitions.state[1])


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_teacher_of_one_replicate_is_that_of_the_single_run(
    kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
) -> None:
    _, together = simulate(make_source(kind, 4), [20, 21], simulators[world], with_teacher=True)
    _, alone = simulate(make_source(kind, 4), [21], simulators[world], with_teacher=True)
    assert together.keys() == alone.keys()
    assert all(together[name][1:].equal(alone[name]) for name in alone)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("few", "many"), [((3, 0), (20, 0)), ((3, 0), (3, 40)), ((17, 0), (33, 50)), ((1, 5), (2, 0))])
def test_the_first_samples_do_not_depend_on_the_count(
    kind: str,
    world: str,
    few: tuple[int, int],
    many: tuple[int, int],
    make_source: Any,
    simulate: Any,
    simulators: Any,
    equal: Any,
) -> None:
    n = min(few[0], many[0])
    small, large = (simulate(make_source(kind, *counts), [5, 6], simulators[world]) for counts in (few, many))
    if kind == "demonstration":  # whole episodes, end to end
        for k in range(2):
            here, there = _valid_steps(small, k), _valid_steps(large, k)
            count = min(len(here["state"]), len(there["state"]))
            assert count >= n
            assert all(here[name][:count].equal(there[name][:count]) for name in here)
    else:
        assert equal(small.map(lambda t: t[:, :n]), large.map(lambda t: t[:, :n]))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_teacher_does_not_depend_on_the_count(
    kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
) -> None:
    settings = {} if kind == "demonstration" else {"n_episodes": 400}
    few, many = (
        simulate(make_source(kind, n, **settings), [3], simulators[world], with_teacher=True)[1]
        for n in (2, 40 if kind[0] == "d" else 1500)
    )
    assert few.keys() == many.keys()
    assert all(few[name].equal(many[name]) for name in few)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
def test_train_and_validation_are_independent_streams(
    kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
) -> None:
    train, validation = (
        simulate(make_source(kind, 8), [0], simulators[world], split=split) for split in ("train", "validation")
    )
    shape = min(train.transitions.action.shape[1], validation.transitions.action.shape[1])
    assert not train.transitions.action[:, :shape].equal(validation.transitions.action[:, :shape])


@pytest.mark.parametrize("kind", SEGMENTED)
def test_kinds_draw_from_streams_of_their_own(kind: str, make_source: Any, simulate: Any, simulators: Any) -> None:
    other = "stop" if kind != "stop" else "rating"
    for world in simulators.values():
        mine, theirs = (simulate(make_source(k, 8), [0], world).transitions.action for k in (kind, other))
        assert not mine.flatten()[:40].equal(theirs.flatten()[:40])


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_sample_is_all_padding(kind: str, world: str, make_source: Any, simulate: Any, simulators: Any) -> None:
    batch = simulate(make_source(kind, 30), [0], simulators[world])
    assert batch.valid_samples.all()


@pytest.mark.parametrize("kind", SEGMENTED)
def test_rationality_shows_in_the_behaviour(kind: str, make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem()
    best = problem.q.argmax(-1)[0]

    def share_of_best_actions(rationality: float) -> float:
        batch = simulate(make_source(kind, 60, behaviour_rationality=rationality), [0], problem)
        steps = batch.transitions
        return (steps.action == best[steps.state])[steps.valid].float().mean().item()

    assert share_of_best_actions(0.0) < 0.5 < share_of_best_actions(20.0)


@pytest.mark.parametrize("kind", SEGMENTED)
def test_rationality_and_epsilon_show_in_a_control_environment(
    kind: str, make_source: Any, make_control: Any, simulate: Any
) -> None:
    world = make_control()

    def share_of_best_actions(rationality: float, epsilon: float) -> float:
        source = make_source(kind, 60, behaviour_rationality=rationality, behaviour_epsilon=epsilon)
        steps = simulate(source, [0], world).transitions
        return (steps.action == world.behaviour(steps.state).argmax(-1))[steps.valid].float().mean().item()

    greedy = 1e15  # this policy balances so well that its two actions are nearly worth the same
    shares = [share_of_best_actions(*b) for b in ((0.0, 0.0), (greedy, 1.0), (greedy, 0.5), (greedy, 0.0))]
    # 4 standard errors of at least 200 steps
    assert shares == pytest.approx([0.5, 0.5, 0.75, 1.0], abs=4 * (0.25 / 200) ** 0.5)
    assert shares[-1] == 1.0


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", SEGMENTED)
def test_a_segment_longer_than_any_episode_is_refused(
    kind: str, world: str, make_source: Any, simulate: Any, simulators: Any
) -> None:
    source = make_source(kind, 4, segment_len=61, behaviour_rationality=20.0)  # max_steps is 60
    with pytest.raises(ConfigurationError, match="longest episode") as caught:
        simulate(source, [0], simulators[world])
    assert caught.value.key == f"feedback.{kind}.segment_len"
    assert caught.value.value == 61


@pytest.mark.parametrize("kind", SEGMENTED)
def test_more_segments_than_exist_are_refused(kind: str, make_source: Any, make_problem: Any, simulate: Any) -> None:
    problem = make_problem(size=6, max_steps=5)  # every episode has 5 steps: 10 segments in 2 episodes
    per_sample = 2 if kind == "preference" else 1
    settings = {"n_episodes": 2, "segment_len": 3}
    simulate(make_source(kind, 10 // per_sample, **settings), [0], problem)
    for counts in ((10 // per_sample + 1, 0), (1, 10 // per_sample + 1)):
        with pytest.raises(ConfigurationError, match="only 10 exist") as caught:
            simulate(make_source(kind, *counts, **settings), [0], problem)
        assert caught.value.key.startswith(f"feedback.{kind}.")


@pytest.mark.parametrize("kind", SEGMENTED)
def test_more_segments_than_exist_in_a_control_environment_are_refused(
    kind: str, make_source: Any, make_control: Any, simulate: Any
) -> None:
    world = make_control(max_steps=5)  # every episode has 5 steps: 10 segments in 2 episodes
    per_sample = 2 if kind == "preference" else 1
    settings = {"n_episodes": 2, "segment_len": 3}
    simulate(make_source(kind, 10 // per_sample, **settings), [0], world)
    with pytest.raises(ConfigurationError, match="only 10 exist in 2 episodes") as caught:
        simulate(make_source(kind, 10 // per_sample + 1, **settings), [0], world)
    assert caught.value.key == f"feedback.{kind}.n_samples"


# Cache ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_hit_equals_a_fresh_simulation(
    kind: str,
    world: str,
    make_source: Any,
    simulate: Any,
    simulators: Any,
    equal: Any,
    tmp_path: Path,
    nobody: Any,
) -> None:
    source = make_source(kind, 9, 12)
    fresh, teacher = simulate(source, [0, 1], simulators[world], with_teacher=True)
    filled = simulate(source, [0, 1], simulators[world], cache=tmp_path)
    hit, hit_teacher = simulate(source, [0, 1], nobody, cache=tmp_path, with_teacher=True)
    assert fresh.transitions.state.dtype == (torch.int64 if world == "grid" else torch.float32)
    assert equal(fresh, filled)
    assert equal(fresh, hit)
    assert all(teacher[name].equal(hit_teacher[name]) for name in teacher)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_smaller_request_takes_the_prefix_and_a_larger_one_replaces(
    kind: str,
    world: str,
    make_source: Any,
    simulate: Any,
    simulators: Any,
    equal: Any,
    tmp_path: Path,
    nobody: Any,
) -> None:
    here = simulators[world]
    simulate(make_source(kind, 6, 10), [4], here, cache=tmp_path)
    small = make_source(kind, 3)
    expected = simulate(small, [4], here)
    assert equal(simulate(small, [4], nobody, cache=tmp_path), expected)
    large = make_source(kind, 20)
    expected = simulate(large, [4], here)
    assert equal(simulate(large, [4], here, cache=tmp_path), expected)
    assert equal(simulate(large, [4], nobody, cache=tmp_path), expected)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", KINDS)
def test_only_missing_replicates_are_simulated(
    kind: str,
    world: str,
    make_source: Any,
    simulate: Any,
    simulators: Any,
    equal: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = make_source(kind, 5)
    simulate(source, [1], simulators[world], cache=tmp_path)
    asked: list[Any] = []
    original = FeedbackDataModule._ask
    monkeypatch.setattr(
        FeedbackDataModule,
        "_ask",
        lambda self, simulator, streams: asked.extend(streams) or original(self, simulator, streams),
    )
    mixed = simulate(source, [0, 1, 2], simulators[world], cache=tmp_path)
    monkeypatch.undo()
    assert asked == [(0, kind, "train"), (2, kind, "train")]
    assert equal(mixed, simulate(make_source(kind, 5), [0, 1, 2], simulators[world]))


@pytest.mark.parametrize("kind", KINDS)
def test_missing_replicates_are_simulated_with_rewards_of_their_own(
    kind: str, make_source: Any, make_problem: Any, simulate: Any, equal: Any, tmp_path: Path
) -> None:
    problem = make_problem()
    problem = dataclasses.replace(problem, reward=torch.cat([problem.reward, -problem.reward, 2 * problem.reward]))
    source = make_source(kind, 5)
    expected = simulate(source, [0, 1, 2], problem)
    simulate(source, [1], dataclasses.replace(problem, reward=problem.reward[1:2]), cache=tmp_path)
    assert equal(simulate(source, [0, 1, 2], problem, cache=tmp_path), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_entry_is_simulated_again(
    kind: str, make_source: Any, simulate: Any, equal: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected = simulate(make_source(kind, 5), [0, 1], cache=tmp_path)
    (first, *_) = tmp_path.rglob("*.safetensors")
    whole = first.read_bytes()
    first.write_bytes(whole[:-1])
    with caplog.at_level(logging.WARNING):
        assert equal(simulate(make_source(kind, 5), [0, 1], cache=tmp_path), expected)
    assert len(caplog.records) == 1
    simulate(make_source(kind, 5), [0, 1], cache=tmp_path)
    assert len(caplog.records) == 1  # it has been rebuilt


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_that_changes_the_data_changes_the_entry(
    kind: str, make_source: Any, nobody: Any, tmp_path: Path
) -> None:
    changes: list[dict[str, Any]] = {
        "preference": [{"teacher_rationality": 1.0}],
        "demonstration": [{"teacher_rationality": 1.0}, {"minimum_return": 0.0}],
        "rating": [{"n_categories": 3}],
        "stop": [{"discount": 0.1}, {"percentile": 90.0}, {"scale": 2.0}],
    }[kind]
    if kind != "demonstration":
        changes += [{"segment_len": 4}, {"n_episodes": 33}, {"behaviour_rationality": 1.0}, {"behaviour_epsilon": 0.1}]
    cache = AnswerStore(tmp_path)

    def path(seed: int = 0, split: str = "train", env: Any = "a", n: int = 3, **change: Any) -> Path | None:
        return cache.path(make_source(kind, n, **change).module(nobody, [seed], {"env": env}).key(seed, split))

    paths = [path(), path(seed=1), path(split="validation"), path(env="b"), *(path(**change) for change in changes)]
    assert len(set(paths)) == len(paths)
    assert path() == path(n=7) == path(**({} if kind in ("rating", "stop") else {"model_rationality": 9.0}))
