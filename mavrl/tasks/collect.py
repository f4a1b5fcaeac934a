"""The task that records episodes into a feedback folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.folder.creation import check_new, creating, is_folder
from mavrl.progress import stage, ticking
from mavrl.tasks.described import check_same, commanded, trained
from mavrl.tasks.trained import given, run_directory, trained_config, trained_settings

if TYPE_CHECKING:
    from mavrl.folder.folder import FeedbackFolder
    from mavrl.simulation.collecting import Scene

_LIMIT = "env.max_steps"


def collect(config: DictConfig) -> None:
    """Record `task.episodes` episodes, with videos where the environment renders, into a folder: new, or there."""
    if config.data.folder is None:
        raise ConfigurationError("data", None, "must be the folder to record into, such as data=labels")
    place, of_run = Path(config.data.folder), bool(config.run_dir)
    if of_run and config.task.policy is not None:
        raise ConfigurationError("task.policy", config.task.policy, "must be null with run_dir, whose policy acts")
    there = is_folder(place)
    if not there:
        check_new(place)
    settings, environment, described = _of_run(config) if of_run else _of_command(config)
    with stage(config.progress, "importing torch"):
        from mavrl.families.base import family_of
        from mavrl.folder.folder import FeedbackFolder
        from mavrl.workers import workers

    actor = run_directory(config) if of_run else config.task.policy or "random"
    source = f"recorded by MAVRL, seed {config.seed}: {actor if not of_run else 'the policy of a run'}"
    with ticking(config.progress, "recording", "episode"), workers(config.processes) as pool:
        family = family_of(settings, pool)
        scene = family.scene(actor)
        if there:
            folder = FeedbackFolder.open(place)
            check_same(place, folder.description, environment)
            lines = _record(config, scene, folder)
        else:
            with creating(place) as new:
                about = (described, scene.max_steps, source)
                lines = _record(config, scene, FeedbackFolder.create(new, *family.spaces, *about))
    print("\n".join([*lines, str(place)]))


def _of_command(config: DictConfig) -> tuple[RunSettings, DictConfig, dict[str, Any]]:
    return RunSettings.from_config(config), config, commanded(config)


def _of_run(config: DictConfig) -> tuple[RunSettings, DictConfig, dict[str, Any]]:
    """The settings of the run in `run_dir`, whose environment may have another time limit here."""
    directory = run_directory(config)
    limited = _LIMIT in given(config, ["seed", "data", _LIMIT])
    environment = trained_config(config)
    if limited:
        OmegaConf.update(environment, _LIMIT, config.env.max_steps)
    settings = trained_settings(config, {_LIMIT: config.env.max_steps} if limited else None)
    return settings, environment, trained(environment, directory)


def _record(config: DictConfig, scene: "Scene", folder: "FeedbackFolder") -> list[str]:
    """Record into a folder; what there is to say about it, line by line."""
    from mavrl.folder.videos import VIDEOS, check_video_writer
    from mavrl.simulation.collecting import collect as collected

    task, films = config.task, config.task.video and scene.renders
    if films:
        check_video_writer()
    before = folder.count()
    numbers = range(before, before + task.episodes)
    with _scratch(folder.path) as scratch:
        episodes = collected(scene, config.seed, numbers, task.epsilon, scratch if films else None)
        placed = folder.add_episodes(episodes, [scratch / f"{number}.mp4" for number in numbers] if films else [])
    if task.demonstrations:
        folder.add_all([{"type": "demonstration", "tool": "mavrl collect", "episode": number} for number in placed])
    returns = [float(each.rewards.sum()) for each in episodes if each.rewards is not None]
    steps, ended = sum(map(len, episodes)), sum(each.terminated for each in episodes)
    mean = sum(returns) / len(returns)
    counted = f"{len(episodes)} episode{'s' if len(episodes) > 1 else ''}"
    lines = [f"{counted} of {steps} steps; {ended} terminated; mean return {mean:.4g}"]
    if films:
        names = [f"{VIDEOS}/{number}.mp4" for number in (placed[0], placed[-1])]
        return [*lines, " to ".join(dict.fromkeys(names))]
    return [*lines, f"no videos: {'the environment does not render' if task.video else 'task.video=false'}"]


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A directory beside the videos, for those that are being made."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".videos.") as name:
        yield Path(name)
