"""Loading of reward models of any kind, from a folder or from a model hub."""

from pathlib import Path

from mavrl.errors import ConfigurationError, StorageError
from mavrl.model.averaging import AveragedRewardModel
from mavrl.model.hub import download, is_hub_name
from mavrl.model.reward_model import RewardModel, find_reward_model
from mavrl.model.sampled_reward import SampledRewardModel
from mavrl.model.step_reward import StepRewardModel
from mavrl.model.tabular_reward import TabularRewardModel

_CLASSES: dict[str, type[RewardModel]] = {
    model.kind: model for model in (TabularRewardModel, SampledRewardModel, AveragedRewardModel, StepRewardModel)
}


def load_reward_model(path: Path | str, revision: str | None = None) -> RewardModel:
    """The reward model in a folder or on the Hugging Face hub, of the class that its description names.

    Nothing is unpickled, and files other than safetensors and JSON are not read.

    Args:
        path: a run directory, the `reward_model` directory in it, or a copy of that; if there is no such folder, a
            repository of the hub, such as "user/grid-trap".
        revision: branch, tag or commit of that repository; None for its newest state.

    Raises:
        StorageError: there is no reward model there, its files are damaged, or the hub cannot be reached.
        ConfigurationError: the hub is needed, and huggingface_hub, of the extra `hub`, is not installed; or a folder
            is asked for a revision.
    """
    if isinstance(path, str) and is_hub_name(path) and not Path(path).exists():
        path = download(path, revision)
    elif revision is not None:
        raise ConfigurationError("revision", revision, f"{path} is a folder, and only models of a hub have revisions")
    _, description = find_reward_model(path)
    kind = description.get("kind")
    if kind not in _CLASSES:
        raise StorageError(f"{path}: its reward model is of kind {kind}, known are {', '.join(_CLASSES)}")
    return _CLASSES[kind].load(path)
