"""All feedback of a run, served together: one batch of each kind a step."""

from typing import Any

from lightning import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from torch import Tensor

from mavrl.data.base import FeedbackData, ShuffledBatches
from mavrl.data.cache import DatasetCache
from mavrl.envs.problem import TabularProblem
from mavrl.feedback.base import FeedbackLikelihood
from mavrl.types import FeedbackBatch


class CombinedFeedback(LightningDataModule):
    """Feedback of several kinds about one problem.

    An epoch is as many steps as the largest kind has batches; smaller ones cycle.

    Args:
        sources: the kinds of feedback, by name.
        seeds: one per replicate.
        environment: what identifies the problem in the cache.
        batch_size: samples of each kind a step; None for all of them.
        passes_per_epoch: passes over the largest kind in one epoch.
        validation: whether to simulate a second set of the same size, from an independent stream.
        members: models per replicate; each sees its replicate's data.
    """

    def __init__(
        self,
        sources: dict[str, FeedbackData],
        problem: TabularProblem,
        seeds: list[int],
        cache: DatasetCache,
        environment: dict[str, Any],
        batch_size: int | None = None,
        passes_per_epoch: int = 1,
        validation: bool = False,
        members: int = 1,
    ) -> None:
        super().__init__()
        self.sources = sources
        self.problem = problem
        self.seeds = seeds
        self.cache = cache
        self.environment = environment
        self.batch_size = batch_size
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
                batch, teacher = source.simulate_all(self.problem, self.seeds, self.cache, split, self.environment)
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
        return {
            name: ShuffledBatches(batch, seeds, self.batch_size, name, self.passes_per_epoch)
            for name, batch in sets.items()
        }

    def val_dataloader(self) -> CombinedLoader | list:
        if not self.validation:
            return []
        sets = {name: batch.repeat_replicates(self.members) for name, batch in self.sets["validation"].items()}
        return CombinedLoader(
            {name: ShuffledBatches(batch, self.seeds, None, name) for name, batch in sets.items()}, "max_size_cycle"
        )
