"""Loading of reward models of any kind."""

from pathlib import Path

from mavrl.errors import StorageError
from mavrl.model.reward_model import RewardModel, find_reward_model
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.tabular_reward import TabularRewardModel

_CLASSES: dict[str, type[RewardModel]] = {model.kind: model for model in (TabularRewardModel, StepRewardModel)}


def load_reward_model(path: Path | str) -> RewardModel:
    """The reward model of a run, of the class that its description names.

    Args:
        path: a run directory, or the `reward_model` directory in it.

    Raises:
        StorageError: there is no reward model there, or its files are damaged.
    """
    _, description = find_reward_model(path)
    kind = description.get("kind")
    if kind not in _CLASSES:
        raise StorageError(f"{path}: its reward model is of kind {kind}, known are {', '.join(_CLASSES)}")
    return _CLASSES[kind].load(path)
