"""Learning from feedback in Python, as the command `mavrl data=FOLDER` does it."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mavrl.configuration.composition import compose_with_hydra
from mavrl.configuration.plain import written
from mavrl.errors import ConfigurationError
from mavrl.folder.command_line import with_folder
from mavrl.folder.episodes import Episode
from mavrl.folder.folder import FeedbackFolder
from mavrl.model.loading import load_reward_model
from mavrl.model.reward_model import RewardModel
from mavrl.reports.run_report import print_metrics
from mavrl.tasks.train import run_in

Recorded = Episode | Sequence[Any]  # an episode, or its fields in order: observations, actions, perhaps more


def learn(
    feedback: Path | str | FeedbackFolder | Sequence[Recorded],
    *overrides: str,
    labels: Sequence[Mapping[str, Any]] | None = None,
    spaces: tuple[Any, Any] | None = None,
    environment: str | Mapping[str, Any] | None = None,
    directory: Path | str | None = None,
    **settings: Any,
) -> RewardModel:
    """Learn a reward from what people said, and judge it by held-out labels.

    Defaults are those of the command line, and so is what comes of it: the same words give the same reward model.

    Args:
        feedback: a feedback folder, or episodes of which one is to be made.
        overrides: words of the command line, such as "modality=pr" or "trainer.max_epochs=50".
        labels: of the episodes, with the fields of the folder's format, such as {"type": "rating", "segment":
            {"episode": 0, "start": 0, "stop": 20}, "value": 4, "scale": [1, 5]}.
        spaces: of observations and actions, as Gymnasium has them; of the episodes.
        environment: that the episodes are of: an option of the group `env`, or what dataset.json has there.
        directory: where the run is kept, to be found again when it is finished or was cut off; None keeps nothing.
        settings: overrides of keys without a dot, such as seed=1.

    Prints what the command prints at its end, unless progress=False.

    Returns:
        The reward model, with the content of metrics.json as its `metrics`; `save` writes it.

    Raises:
        ConfigurationError: the feedback or the settings cannot work.
        TrainingError: no model has a finite loss.
    """
    words = [*overrides, *(f"{key}={written(value)}" for key, value in settings.items())]
    with tempfile.TemporaryDirectory(prefix="mavrl-") as scratch:
        folder = feedback.path if isinstance(feedback, FeedbackFolder) else feedback
        if not isinstance(folder, (str, Path)):
            folder = _new_folder(Path(scratch) / "feedback", folder, labels, spaces, environment)
        elif any(each is not None for each in (labels, spaces, environment)):
            raise ConfigurationError("data", folder, "is a folder, which has labels, spaces and environment of its own")
        place = Path(scratch) / "run" if directory is None else Path(directory)
        config, hydra = compose_with_hydra(*with_folder([f"data={folder}", *words]))
        metrics, remark = run_in(place, config, hydra, alone=True)
        model = load_reward_model(place)
    if config.progress is not False:
        print_metrics(metrics, None if directory is None else place, remark)
    return model


def _new_folder(
    place: Path,
    episodes: Sequence[Recorded],
    labels: Sequence[Mapping[str, Any]] | None,
    spaces: tuple[Any, Any] | None,
    environment: str | Mapping[str, Any] | None,
) -> Path:
    """A feedback folder of arrays; the same arrays make the same folder."""
    for name, value in (("labels", labels), ("spaces", spaces)):
        if value is None:
            raise ConfigurationError(name, None, "is not there; episodes need labels, and spaces of their environment")
    assert labels is not None
    assert spaces is not None
    described = {"option": environment} if isinstance(environment, str) else environment
    folder = FeedbackFolder.create(place, *spaces, described)
    folder.add_episodes(each if isinstance(each, Episode) else _episode(each) for each in episodes)
    folder.add_all([{"id": str(number), "time": None, **label} for number, label in enumerate(labels)])
    return place


def _episode(fields: Sequence[Any]) -> Episode:
    observations, actions, *more = fields
    return Episode(np.asarray(observations), np.asarray(actions), *more)
