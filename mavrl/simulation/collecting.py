"""Episodes that are recorded: somebody acts in an environment, is perhaps filmed, and the rewards are kept."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from jaxtyping import Float, Integer

from mavrl.actions import drawn
from mavrl.envs.mujoco import OPENGL, has_screen, is_mujoco, opengl_without_screen, why_no_picture
from mavrl.errors import ConfigurationError, EnvironmentFault
from mavrl.folder.episodes import Episode
from mavrl.folder.videos import filming
from mavrl.streams import numpy_stream

_LONGEST = 100_000  # steps of an episode without a time limit; one that never ends must not run for ever
_FPS = 30  # of an environment that does not say
_DRIVER = "SDL_VIDEODRIVER"  # of pygame, which draws most environments
_PYOPENGL = "PYOPENGL_PLATFORM"  # which MuJoCo sets when it draws for the first time

Observation = Float[np.ndarray, "O"] | Integer[np.ndarray, ""]


@dataclass(frozen=True)
class Scene:
    """An environment, and who acts in it.

    Args:
        make: a new environment; told whether it is to be filmed, with render_mode="rgb_array".
        choose: an action, given an observation as it is recorded (a vector, or a numbered state), how often a uniformly
            random one is taken instead, and draws in [0, 1).
        n_draws: how many of them.
        written: what is recorded of an action: itself, in the environment's units.
        max_steps: time limit of an episode; None for none.
    """

    make: Callable[[bool], gym.Env]
    choose: Callable[[Observation, float, Float[np.ndarray, "n"]], int | Float[np.ndarray, "D"]]
    max_steps: int | None = None
    n_draws: int = 1
    written: Callable[[Any], Any] = lambda action: action

    @property
    def renders(self) -> bool:
        """Whether the environment gives pictures of itself."""
        env = self.make(False)
        env.close()
        return "rgb_array" in (env.metadata.get("render_modes") or ())


def by_probabilities(probabilities: Callable[[Observation], Float[np.ndarray, "A"]]) -> Callable[..., int]:
    """The `Scene.choose` of one who takes each numbered action with some probability."""

    def choose(observation: Observation, epsilon: float, draws: Float[np.ndarray, "1"]) -> int:
        own = probabilities(observation)
        return int(drawn((1 - epsilon) * own + epsilon / len(own), draws))

    return choose


def collect(
    scene: Scene, seed: int, numbers: Sequence[int], epsilon: float = 0.0, films: Path | None = None
) -> list[Episode]:
    """Whole episodes with their true rewards, each from a stream of its own: it does not depend on the others.

    Args:
        seed, numbers: address of each episode, `(seed, "collect", number)`: from its stream come the seed of the
            environment's reset, and numbers in [0, 1) for each action.
        epsilon: how often a uniformly random action is taken instead.
        films: folder for a video of each episode, <number>.mp4, with a frame for each observation: frame t shows the
            state that action t is taken in, and the last frame the one after the last action. None for no videos.

    Raises:
        ConfigurationError: an episode does not end, or the environment gives no pictures (`env.max_steps`, `env.id`).
    """
    with ExitStack() as opened:
        if films is not None:
            opened.enter_context(_without_screen())
        env = scene.make(films is not None)
        opened.callback(env.close)
        if films is not None:
            _check_drawing(env)
        fps = float(env.metadata.get("render_fps") or _FPS)
        found = []
        for number in numbers:
            stream = numpy_stream(seed, "collect", number)
            if films is None:
                found.append(_episode(env, scene, stream, epsilon, lambda: None))
                continue
            with filming(films / f"{number}.mp4", fps) as add:
                found.append(_episode(env, scene, stream, epsilon, lambda add=add: add(_frame(env))))
    return found


def film(scene: Scene, seed: int, most: int) -> tuple[list[np.ndarray], float]:
    """The pictures of an episode, and how many of them make a second.

    Args:
        seed: address of the episode, `(seed, "collect", 0)`.
        most: pictures; a longer episode is cut off there.

    Raises:
        ConfigurationError: the environment gives no pictures.
    """
    frames: list[np.ndarray] = []
    with _without_screen():
        env = scene.make(True)
        try:

            def look() -> None:
                frames.append(_frame(env))

            _check_drawing(env)
            _episode(env, scene, numpy_stream(seed, "collect", 0), 0.0, look, most)
            return frames, float(env.metadata.get("render_fps") or _FPS)
        finally:
            env.close()


def _episode(
    env: gym.Env,
    scene: Scene,
    stream: np.random.Generator,
    epsilon: float,
    look: Callable[[], None],
    most: int | None = None,
) -> Episode:
    observation, _ = env.reset(seed=int(stream.integers(2**31 - 1)))
    look()
    observations, actions, rewards = [_recorded(observation)], [], []
    terminated = truncated = False
    while not terminated and not truncated and (most is None or len(observations) < most):
        action = scene.choose(observations[-1], epsilon, stream.random(scene.n_draws))
        observation, reward, terminated, truncated, _ = env.step(action)
        look()
        observations.append(_recorded(observation))
        actions.append(scene.written(np.asarray(action)))
        rewards.append(float(reward))
        if len(actions) >= _LONGEST and not terminated and not truncated:
            allowed = f"an episode does not end within {_LONGEST} steps; set a limit"
            raise ConfigurationError("env.max_steps", scene.max_steps, allowed)
    arrays = np.stack(observations), np.array(actions), np.array(rewards)
    return Episode(*arrays, terminated=bool(terminated), truncated=bool(truncated))


def _recorded(observation: Any) -> Observation:
    """A vector in single precision, or a numbered state."""
    array = np.asarray(observation)
    return array.astype(np.int64 if array.ndim == 0 else np.float32)


def _check_drawing(env: gym.Env) -> None:
    """Refuse to film where MuJoCo has nothing to draw with; within `_without_screen`, which chooses what there is.

    Raises:
        ConfigurationError: so it is.
    """
    if is_mujoco(env) and OPENGL not in os.environ and not has_screen():
        raise ConfigurationError("env.id", _name(env), why_no_picture())


def _frame(env: gym.Env) -> np.ndarray:
    """The picture that an environment gives of its present state.

    Raises:
        ConfigurationError: it is none, or there is nothing to draw with.
    """
    try:
        given = env.render()
    except EnvironmentFault as error:
        if is_mujoco(env):
            raise ConfigurationError("env.id", _name(env), why_no_picture()) from error
        raise
    if not isinstance(given, np.ndarray) or given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] != 3:
        what = f"an array {given.shape} of {given.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
        allowed = f"renders {what}, not a picture (height, width, 3) in uint8; task.video=false records without"
        raise ConfigurationError("env.id", _name(env), allowed)
    return given


def _name(env: gym.Env) -> str:
    return env.spec.id if env.spec else type(env.unwrapped).__name__


@contextmanager
def _without_screen() -> Iterator[None]:
    """Nobody looks on: pygame opens no window, and does not complain on the error stream where there is no screen.

    Its driver "dummy" would do so, too, but what highway-env draws is black there. MuJoCo draws in memory.
    """
    before = {name: os.environ.get(name) for name in (_DRIVER, OPENGL, _PYOPENGL)}
    chosen = {_DRIVER: "offscreen", OPENGL: opengl_without_screen()}
    os.environ.update({name: value for name, value in chosen.items() if before[name] is None and value is not None})
    try:
        yield
    finally:
        for name in [name for name, value in before.items() if value is None]:
            os.environ.pop(name, None)
