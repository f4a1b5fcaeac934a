"""Recorded episodes are what the environment does, and a video's frames are its states."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from mavrl.envs import GridEnv
from mavrl.envs.control import ControlEnvironment
from mavrl.errors import ConfigurationError
from mavrl.folder.episodes import Episode
from mavrl.simulation import collecting
from mavrl.simulation.collecting import Scene, by_probabilities, collect, film
from mavrl.streams import numpy_stream

CART = ControlEnvironment("CartPole-v1", max_steps=30)
N_CELLS = 3


def _balanced(observation: np.ndarray) -> np.ndarray:
    """Pushes the cart under its falling pole."""
    right = float(observation[2] + 0.5 * observation[3] > 0)
    return np.array([1 - right, right])


def _cart(environment: ControlEnvironment = CART, probabilities: Any = _balanced) -> Scene:
    return Scene(
        lambda filmed: (environment.filmed() if filmed else environment).make(), by_probabilities(probabilities), 30
    )


def _grid(p_rand: float = 0.0, probabilities: Any = lambda state: np.full(5, 0.2), **more: Any) -> Scene:
    def make(filmed: bool) -> gym.Env:
        return GridEnv("trap", N_CELLS, p_rand, render_mode="rgb_array" if filmed else None, **more)

    return Scene(make, by_probabilities(probabilities))


def _stepped(env: gym.Env, seed: int, number: int, episode: Episode) -> None:
    """An environment of our own, begun and stepped in the same way, does what was recorded."""
    observation, _ = env.reset(seed=int(numpy_stream(seed, "collect", number).integers(2**31 - 1)))
    assert np.array_equal(observation, episode.observations[0])
    for step, action in enumerate(episode.actions):
        observation, reward, terminated, truncated, _ = env.step(int(action))
        assert np.array_equal(observation, episode.observations[step + 1])
        assert reward == episode.rewards[step]  # type: ignore[index]
        assert (terminated or truncated) == (step == len(episode) - 1)
    assert (terminated, truncated) == (episode.terminated, episode.truncated)


def test_a_cart_does_what_was_recorded() -> None:
    kwargs = {"sutton_barto_reward": True}  # whose rewards differ: -1 for the last step of an episode that ends
    episodes = collect(_cart(ControlEnvironment("CartPole-v1", kwargs, 14), lambda _: np.full(2, 0.5)), 7, range(6))
    for number, episode in enumerate(episodes):
        _stepped(gym.make("CartPole-v1", max_episode_steps=14, **kwargs), 7, number, episode)  # type: ignore[arg-type]
        assert episode.observations.dtype == np.float32
    assert {each.terminated for each in episodes} == {True, False}
    assert {each.rewards[-1] for each in episodes if each.terminated} == {-1.0}  # type: ignore[index]


def test_a_grid_does_what_was_recorded() -> None:
    for number, episode in enumerate(collect(_grid(0.3), 3, range(4))):
        _stepped(GridEnv("trap", N_CELLS, 0.3), 3, number, episode)
        assert episode.terminated


def test_a_time_limit_terminates_nothing() -> None:
    (episode,) = collect(_cart(), 0, [0])
    assert len(episode) == 30
    assert (episode.terminated, episode.truncated) == (False, True)


def test_an_episode_depends_on_its_address_alone() -> None:
    together, alone = collect(_cart(), 1, range(3), 0.5), collect(_cart(), 1, [2], 0.5)
    for name in ("observations", "actions", "rewards"):
        assert np.array_equal(getattr(together[2], name), getattr(alone[0], name))
    assert not np.array_equal(together[1].observations[0], together[2].observations[0])


@pytest.mark.parametrize(("most", "frames"), [(5, 5), (1000, None)])
def test_a_film_is_of_the_episode_that_is_recorded_and_no_longer_than_asked(most: int, frames: int | None) -> None:
    (episode,) = collect(_cart(), 3, [0])
    pictures, fps = film(_cart(), 3, most)
    assert len(pictures) == (frames or len(episode) + 1)
    assert fps == 50
    assert pictures[0].shape == (400, 600, 3)


def test_actions_are_the_policy_s_or_random_ones() -> None:
    (greedy,) = collect(_cart(), 0, [0])
    assert greedy.actions.tolist() == [int(_balanced(seen)[1]) for seen in greedy.observations[:-1]]
    share = []
    for epsilon in (0.4, 1.0):
        found = collect(_grid(probabilities=lambda state: np.eye(5)[4], max_steps=500), 0, range(4), epsilon)
        share.append(np.mean(np.concatenate([each.actions for each in found]) == 4))
    assert share == pytest.approx([0.6 + 0.4 / 5, 0.2], abs=0.05)


def test_an_episode_that_never_ends_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "_LONGEST", 40)
    with pytest.raises(ConfigurationError, match=r"^env\.max_steps=null: an episode does not end within 40 steps"):
        collect(_grid(probabilities=lambda state: np.eye(5)[4]), 0, [0])
    monkeypatch.setattr(collecting, "_LONGEST", 30)
    assert len(collect(_cart(), 0, [0])[0]) == 30


class TestFilms:
    @pytest.fixture(scope="class")
    def filmed(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Episode]]:
        films = tmp_path_factory.mktemp("films")
        return films, collect(_grid(0.3), 5, [4, 5], films=films)

    def test_a_frame_shows_the_state_of_its_step(
        self, filmed: tuple[Path, list[Episode]], frames_of: Callable[[Path], tuple[dict, np.ndarray]]
    ):
        films, episodes = filmed
        for number, episode in zip((4, 5), episodes, strict=True):
            about, frames = frames_of(films / f"{number}.mp4")
            assert len(frames) == len(episode) + 1
            centres = frames[:, 8::16, 8::16].mean(-1).reshape(len(frames), -1)
            assert centres.argmin(-1).tolist() == episode.observations.tolist()
            assert about["fps"] == GridEnv.metadata["render_fps"]

    def test_who_is_filmed_acts_the_same(self, filmed: tuple[Path, list[Episode]]):
        for unfilmed, episode in zip(collect(_grid(0.3), 5, [4, 5]), filmed[1], strict=True):
            assert np.array_equal(unfilmed.observations, episode.observations)
            assert np.array_equal(unfilmed.rewards, episode.rewards)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "environment",
        [
            *(ControlEnvironment(env_id, max_steps=12) for env_id in ("CartPole-v1", "Acrobot-v1", "LunarLander-v3")),
            ControlEnvironment("highway_env:highway-v0", max_steps=12, wrappers=("FlattenObservation",)),
        ],
        ids=lambda environment: environment.id,
    )
    def test_those_of_gymnasium_are_filmed_as_they_render(
        self, environment: ControlEnvironment, tmp_path: Path, frames_of: Callable[[Path], tuple[dict, np.ndarray]]
    ):
        if ":" in environment.id:
            pytest.importorskip("highway_env")
        scene = _cart(environment, lambda _: np.eye(environment.actions.count)[1])
        assert scene.renders
        before = dict(os.environ)
        (episode,) = collect(scene, 0, [0], films=tmp_path)
        assert dict(os.environ) == before
        (unfilmed,) = collect(scene, 0, [0])
        assert np.array_equal(unfilmed.observations, episode.observations)
        about, frames = frames_of(tmp_path / "0.mp4")
        env = scene.make(True)
        env.reset(seed=int(numpy_stream(0, "collect", 0).integers(2**31 - 1)))
        pictures = [env.render(), *(env.step(int(a)) and env.render() for a in episode.actions)]
        assert len(frames) == len(pictures) == len(episode) + 1
        moved = range(6, len(frames))  # the first few hardly differ
        apart = [np.abs(frames - pictures[t].astype(int)).mean((1, 2, 3)) for t in moved]  # type: ignore[union-attr]
        assert [int(each.argmin()) for each in apart] == list(moved)
        assert max(each.min() for each in apart) < 1
        assert frames.std() > 1
        assert about["fps"] == env.metadata["render_fps"]
        env.close()

    def test_some_environments_do_not_render(self):
        class Dark(GridEnv):
            metadata = {"render_modes": []}  # noqa: RUF012

        assert not Scene(lambda filmed: Dark("trap"), by_probabilities(lambda state: np.full(5, 0.2))).renders

    @pytest.mark.parametrize(
        ("picture", "said"), [(None, "NoneType"), (np.zeros((4, 4)), "an array .4, 4. of float64")]
    )
    def test_what_is_no_picture_is_refused(self, picture: Any, said: str, tmp_path: Path):
        class Odd(GridEnv):
            def render(self) -> Any:
                return picture

        scene = Scene(lambda filmed: Odd("trap", 3), by_probabilities(lambda state: np.full(5, 0.2)))
        with pytest.raises(ConfigurationError, match=f"^env.id=Odd: renders {said}.*; task.video=false"):
            collect(scene, 0, [0], films=tmp_path)
        assert list(tmp_path.iterdir()) == []
