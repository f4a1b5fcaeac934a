"""The task that has the simulated teachers label: what they would be shown, in a new folder, or a folder's episodes."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from mavrl.configuration.settings import RunSettings
from mavrl.errors import ConfigurationError
from mavrl.folder.creation import check_new, creating, is_folder
from mavrl.progress import stage, ticking
from mavrl.tasks.described import check_same, commanded

if TYPE_CHECKING:
    from mavrl.families.base import Family


def simulate(config: DictConfig) -> None:
    """Ask the simulated teacher: what a run would ask, in a new folder, or about the episodes of one that is there."""
    if config.data.folder is None:
        raise ConfigurationError("data", None, "must be the folder to write, such as data=labels")
    if config.replicates != 1:
        allowed = "must be 1: a folder holds the feedback of one replicate, that of the seed"
        raise ConfigurationError("replicates", config.replicates, allowed)
    place = Path(config.data.folder)
    there = is_folder(place)
    if not there:
        check_new(place)
    with stage(config.progress, "importing torch"):
        from mavrl.families.base import family_of
        from mavrl.workers import workers

    settings = replace(RunSettings.from_config(config), data=None)
    with ticking(config.progress, "simulating feedback", "episode"), workers(config.processes) as pool:
        family = family_of(settings, pool)
        lines = _label(config, settings, family, place) if there else _write(config, settings, family, place)
    print("\n".join([*lines, str(place)]))


def _write(config: DictConfig, settings: RunSettings, family: "Family", place: Path) -> list[str]:
    """A new folder with what a run would ask, and the answers; what is in it."""
    from mavrl.feedback.recording import record
    from mavrl.folder.folder import FeedbackFolder
    from mavrl.training.building import build_data

    environment, source = commanded(config), f"simulated by MAVRL, seed {config.seed}"
    with creating(place) as new:

        def create(told: dict[str, Any]) -> FeedbackFolder:
            return FeedbackFolder.create(new, *family.spaces, environment, config.env.max_steps, source, told)

        summary = record(build_data(settings, family).modules, create).validate()
    return [f"{summary.episodes} episodes of {summary.steps} steps; {_counts(summary.labels)}"]


def _label(config: DictConfig, settings: RunSettings, family: "Family", place: Path) -> list[str]:
    """Labels about segments of a folder's episodes, appended to it; how many there are."""
    from mavrl.feedback.recording import add_labels
    from mavrl.folder.folder import FeedbackFolder
    from mavrl.simulation.recorded import RecordedEpisodes
    from mavrl.training.building import build_data

    folder = FeedbackFolder.open(place)
    check_same(place, folder.description, config)
    if "demonstration" in settings.feedback:
        allowed = "recorded episodes do not tell who demonstrates; task=collect demonstrations=true says so of its own"
        raise ConfigurationError("modality", settings.modality, allowed)
    episodes = family.fitted(folder.episodes(), folder.description.action_space.n)
    about = RecordedEpisodes(episodes, family.simulator)
    if not about.rewarded:
        allowed = f"has episodes without rewards, and {settings.env['name']} does not tell them from a state alone"
        raise ConfigurationError("data", place, allowed)
    feedback = {kind: {**each, "n_episodes": len(episodes)} for kind, each in settings.feedback.items()}
    added = add_labels(build_data(replace(settings, feedback=feedback), family, about).modules, folder)
    return [f"{len(episodes)} episodes of {episodes.lengths.sum()} steps; {_counts(added)} added"]


def _counts(labels: Any) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in labels.items())
