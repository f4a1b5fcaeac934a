# pyright: reportMissingImports=false
"""Writes the files of other packages that the tests read; README.md says with which installation.

python write_files.py minari | imitation | imitation_npz
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


def write_minari() -> None:
    """minari/: two episodes of CartPole, one that fell and one that was cut off after 12 steps."""
    folder = HERE / "minari"
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    import gymnasium
    import minari
    from minari.data_collector import EpisodeBuffer

    env = gymnasium.make("CartPole-v1", max_episode_steps=12)
    buffers = []
    for actions in ([0] * 12, [0, 1] * 6):
        observations, steps = [env.reset(seed=0)[0]], []
        for action in actions:
            observation, *step, _ = env.step(action)
            observations.append(observation)
            steps.append((action, *step))
            if step[1] or step[2]:
                break
        taken, rewards, terminations, truncations = map(list, zip(*steps, strict=True))
        infos = {"even": [number % 2 == 0 for number in range(len(observations))]}
        buffers.append(EpisodeBuffer(None, 0, None, observations, taken, rewards, terminations, truncations, infos))
    names: dict[str, Any] = {
        "algorithm_name": "fixed",
        "author": "MAVRL",
        "author_email": "none",
        "code_permalink": "none",
    }
    minari.create_dataset_from_buffers("cartpole/test-v0", buffers, env, description="A test.", **names)
    env.close()


def trajectories() -> list[Any]:
    """Three trajectories: ended, cut off by a time limit, a fragment."""
    from imitation.data.types import TrajectoryWithRew

    rng = np.random.default_rng(0)
    made = []
    for steps, terminal, time_limit in ((3, True, False), (4, True, True), (2, False, False)):
        infos = [{"TimeLimit.truncated": time_limit and step == steps - 1} for step in range(steps)]
        made.append(
            TrajectoryWithRew(
                obs=rng.normal(size=(steps + 1, 2)).astype(np.float32),
                acts=rng.integers(0, 2, size=steps),
                infos=np.array(infos),
                terminal=terminal,
                rews=np.arange(steps, dtype=np.float32),
            )
        )
    return made


def write_imitation() -> None:
    """imitation/: a folder, as imitation 1.0.1 stores trajectories."""
    from imitation.data.serialize import save

    shutil.rmtree(HERE / "imitation", ignore_errors=True)
    save(HERE / "imitation", trajectories())


def write_imitation_npz() -> None:
    """imitation.npz: the same trajectories, as imitation 0.3.1 stored them."""
    from imitation.data.types import save

    save(str(HERE / "imitation.npz"), trajectories())


if __name__ == "__main__":
    {"minari": write_minari, "imitation": write_imitation, "imitation_npz": write_imitation_npz}[sys.argv[1]]()
