"""What can be learned from recorded behaviour whose environment nobody can run: observations, actions, kinds."""

from collections.abc import Collection

from mavrl.errors import ConfigurationError
from mavrl.folder.description import Description

ABOUT_ACTIONS = ("demonstration", "stop")  # kinds that say that an action is better than others in the same state


def check_observations(description: Description, place: object) -> None:
    """Refuse observations of several axes, such as pictures.

    Args:
        place: of the folder, for the message.

    Raises:
        ConfigurationError: they have several axes.
    """
    shape = description.observation_space.shape
    if len(shape) > 1:
        allowed = f"has observations of the shape {shape}; without its environment they must be vectors or numbers"
        raise ConfigurationError("data", place, allowed)


def has_numbered_actions(description: Description) -> bool:
    """Whether actions are numbers, of which one is taken and the others are not; otherwise they are vectors."""
    return description.action_space.n is not None


def check_kinds(description: Description, kinds: Collection[str]) -> None:
    """Refuse kinds of feedback that are about actions where actions are vectors.

    Args:
        kinds: by name, that are to be learned from.

    Raises:
        ConfigurationError: for the first such kind.
    """
    if has_numbered_actions(description):
        return
    for kind in kinds:
        if kind in ABOUT_ACTIONS:
            allowed = "needs numbered actions; those of the folder are vectors, so choose a modality of p and r"
            raise ConfigurationError("modality", kind, allowed)
