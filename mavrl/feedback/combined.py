"""All feedback of a run, served together: one batch of each kind a step."""

from collections.abc import Mapping

from lightning import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.feedback.datamodule import FeedbackDataModule
from mavrl.feedback.loaders import ShuffledBatches


class CombinedDataModule(LightningDataModule):
    """Feedback of several kinds about one environment; each kind's own DataModule does the work.

    An epoch is as many steps as the largest kind has batches; smaller ones cycle.

    Args:
        modules: DataModule of each kind, by its name, with the same seeds and members.
        least_steps: steps of an epoch at least; small data sets are passed through more often to reach them.
        passes_per_epoch: passes over the largest kind in one epoch.
    """

    def __init__(
        self, modules: Mapping[str, FeedbackDataModule], least_steps: int = 1, passes_per_epoch: int = 1
    ) -> None:
        super().__init__()
        self.modules = dict(modules)
        self.least_steps = least_steps
        self.passes_per_epoch = passes_per_epoch

    def prepare_data(self) -> None:
        """Ask what has not been answered yet, and keep the answers."""
        for module in self.modules.values():
            module.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Make tensors of the answers; a second call does nothing."""
        for module in self.modules.values():
            module.setup(stage)

    @property
    def train_sets(self) -> dict[str, FeedbackBatch]:
        """What there is to learn from, by kind."""
        return {kind: module.sets["train"] for kind, module in self.modules.items()}

    @property
    def models(self) -> list[tuple[int, int]]:
        """Seed of the replicate and number of the member, of each model that learns from this."""
        return next(iter(self.modules.values())).models

    def likelihoods(self) -> dict[str, FeedbackLikelihood]:
        """The likelihood that the models score each kind with."""
        return {kind: module.likelihood() for kind, module in self.modules.items()}

    def sizes(self) -> dict[str, Tensor]:
        """Samples of each kind to learn from, for each model, shape (R * members,)."""
        return {kind: module.sizes() for kind, module in self.modules.items()}

    @property
    def steps_per_epoch(self) -> int:
        """Training steps of one epoch."""
        return max(len(loader) for loader in self._loaders().values())

    def train_dataloader(self) -> CombinedLoader:
        return CombinedLoader(self._loaders(), "max_size_cycle")

    def val_dataloader(self) -> CombinedLoader | list:
        loaders = {kind: module.val_dataloader() for kind, module in self.modules.items()}
        return CombinedLoader(loaders, "max_size_cycle") if all(loaders.values()) else []

    def _loaders(self) -> dict[str, ShuffledBatches]:
        longest = max(len(module.loader(passes=1)) for module in self.modules.values())
        passes = max(self.passes_per_epoch, -(-self.least_steps // longest))
        return {kind: module.loader(passes) for kind, module in self.modules.items()}
