"""All feedback of a run, served together: one batch of each kind a step."""

from typing import Any

from lightning import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from mavrl.feedback.base import FeedbackLikelihood
from mavrl.feedback.data import FeedbackData, ShuffledBatches
from mavrl.simulation.base import Simulator
from mavrl.storage.answers import DatasetCache
from mavrl.types import FeedbackBatch


class CombinedFeedback(LightningDataModule):
    """Feedback of several kinds about one environment.

    An epoch is as many steps as the largest kind has batches; smaller ones cycle.

    Args:
        sources: the kinds of feedback, by name.
        seeds: one per replicate.
        simulator: where it comes from.
        environment: what identifies the simulator in the cache.
        batch_size: samples of each kind a step; None for all of them.
        demonstration_batch_size: demonstrated steps a step; None for all of them.
        least_steps: steps of an epoch at least; small data sets are passed through more often to reach them.
        passes_per_epoch: passes over the largest kind in one epoch.
        validation: whether to simulate a second set of the same size, from an independent stream.
        members: models per replicate; each sees its replicate's data.
    """

    def __init__(
        self,
        sources: dict[str, FeedbackData],
        simulator: Simulator,
        seeds: list[int],
        cache: DatasetCache,
        environment: dict[str, Any],
        batch_size: int | None = None,
        demonstration_batch_size: int | None = None,
        least_steps: int = 1,
        passes_per_epoch: int = 1,
        validation: bool = False,
        members: int = 1,
    ) -> None:
        super().__init__()
        self.sources = sources
        self.simulator = simulator
        self.seeds = seeds
        self.cache = cache
        self.environment = environment
        self.batch_size = batch_size
        self.demonstration_batch_size = demonstration_batch_size
        self.least_steps = least_steps
        self.passes_per_epoch = passes_per_epoch
        self.validation = validation
        self.members = members
        self.sets: dict[str, dict[str, FeedbackBatch]] = {}
        self._teachers: dict[str, dict[str, Tensor]] = {}

    def prepare(self) -> None:
        """Simulate or load all data; a second call does nothing."""
        if self.sets:
            return
        for split in ("train", "validation") if self.validation else ("train",):
            self.sets[split] = {}
            for name, source in self.sources.items():
                batch, teacher = source.simulate_all(self.simulator, self.seeds, self.cache, split, self.environment)
                self.sets[split][name] = batch
                self._teachers.setdefault(name, teacher)

    def likelihoods(self) -> dict[str, FeedbackLikelihood]:
        """The likelihood that the models score each kind with."""
        n_models = len(self.seeds) * self.members
        return {name: source.likelihood(self._teachers[name], n_models) for name, source in self.sources.items()}

    def setup(self, stage: str) -> None:
        self.prepare()

    @property
    def steps_per_epoch(self) -> int:
        return max(len(loader) for loader in self._loaders().values())

    def train_dataloader(self) -> CombinedLoader:
        return CombinedLoader(self._loaders(), "max_size_cycle")

    def _loaders(self) -> dict[str, ShuffledBatches]:
        seeds = [seed for seed in self.seeds for _ in range(self.members)]
        sets = {name: batch.repeat_replicates(self.members) for name, batch in self.sets["train"].items()}
        sizes = {name: self.demonstration_batch_size if name == "demonstration" else self.batch_size for name in sets}
        longest = max(len(ShuffledBatches(batch, seeds, sizes[name], name)) for name, batch in sets.items())
        passes = max(self.passes_per_epoch, -(-self.least_steps // longest))
        return {name: ShuffledBatches(batch, seeds, sizes[name], name, passes) for name, batch in sets.items()}

    def val_dataloader(self) -> CombinedLoader | list:
        if not self.validation:
            return []
        sets = {name: batch.repeat_replicates(self.members) for name, batch in self.sets["validation"].items()}
        return CombinedLoader(
            {name: ShuffledBatches(batch, self.seeds, None, name) for name, batch in sets.items()}, "max_size_cycle"
        )
