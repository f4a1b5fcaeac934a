"""What a run's reward model says of segments that nothing was learned from: predicted answers, and returns."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mavrl.configuration.registry import KINDS
from mavrl.configuration.settings import RunSettings
from mavrl.evaluation.distance import spearman
from mavrl.evaluation.held_out import expected_calibration_error, reliability
from mavrl.evaluation.predictions import predictions
from mavrl.families.base import Family
from mavrl.feedback.base import LearnedLikelihood
from mavrl.feedback.datamodule import Asking, FeedbackDataModule
from mavrl.feedback.rounds import AnsweredAnew, answered_anew
from mavrl.feedback.teachers import SimulatedTeacher
from mavrl.model.loading import load_reward_model
from mavrl.streams import torch_stream
from mavrl.training.building import build_data, data_of

SAMPLES = 256  # of a kind of feedback, for each replicate
_EPISODES = 32  # that segments are drawn from, where episodes take long to simulate
_SPLIT = "figures"  # of the streams, which sets them apart from all that is learned from
_FUNCTIONS = 12  # reward functions whose spread is the uncertainty of a return
_EVENTS = {"preference": ("first", "chosen"), "stop": ("stop_probability", "stop_frequency")}
_CONSTANT = 1e-9  # deviation, as a part of the largest value, of returns that do not differ


@dataclass(frozen=True)
class SegmentReturns:
    """Sums of rewards over segments.

    Args:
        true: of the true reward.
        mean, std: of the learned one: posterior mean and standard deviation.
        rank_correlation: Spearman's, of true and mean.
        length: steps of the longest segment.
    """

    true: Float[np.ndarray, "N"]
    mean: Float[np.ndarray, "N"]
    std: Float[np.ndarray, "N"]
    rank_correlation: float
    length: int


@dataclass(frozen=True)
class FreshSegments:
    """Simulated segments of the behaviour that a run's feedback is about, with answers of its simulated teachers.

    They are the same whenever they are drawn. Where episodes take long they are those of the first replicate alone.

    Args:
        settings: of the run, whose feedback is simulated.
        family: the environment.
        directory: of the run.
    """

    settings: RunSettings
    family: Family
    directory: Path

    @property
    def _replicates(self) -> int:
        return 1 if self.family.trains_policies else self.settings.replicates

    @cached_property
    def _asking(self) -> Asking:
        """As the run asks, for few replicates; nothing is kept."""
        few = replace(
            self.settings, replicates=self._replicates, execution=replace(self.settings.execution, cache=None)
        )
        return next(iter(build_data(few, self.family).modules.values())).asking

    @cached_property
    def _modules(self) -> dict[str, FeedbackDataModule]:
        """Of all kinds, with simulated teachers: no other one is asked for a figure."""
        asking = replace(self._asking, teacher=SimulatedTeacher())
        return data_of(replace(self.settings, replicates=self._replicates), asking).modules

    @cached_property
    def _known(self) -> dict[str, AnsweredAnew]:
        """Of the kinds that have been asked about."""
        return {}

    def _answered(self, kind: str) -> AnsweredAnew:
        if kind not in self._known:
            count = SAMPLES if KINDS[kind].segments else _EPISODES
            n_episodes = _EPISODES if self.family.trains_policies else SAMPLES
            self._known[kind] = answered_anew(self._modules[kind], count, n_episodes, _SPLIT)
        return self._known[kind]

    def predicted(self) -> tuple[str, list[Mapping[str, float]], float] | None:
        """A kind of feedback, how reliable its predicted probabilities are, and their expected calibration error.

        Preferences if there are any, or stops. None without either, where another teacher answers than a simulated one,
        and where what a teacher is like is learned: that is not kept with the reward.
        """
        kind = next((kind for kind in _EVENTS if kind in self.settings.feedback), None)
        belief = self.family.stored_belief(self.directory)
        if kind is None or belief is None or type(self._asking.teacher) is not SimulatedTeacher:
            return None
        found = self._answered(kind)
        likelihood = self._modules[kind].likelihood_given(found.known_to_model, self._replicates * belief.n_members)
        if isinstance(likelihood, LearnedLikelihood):
            return None
        seeds = [torch_stream(seed, _SPLIT).initial_seed() for seed in self.settings.seeds[: self._replicates]]
        columns = predictions(belief, likelihood, found.batch, seeds)
        said, happened = (columns[name].flatten() for name in _EVENTS[kind])
        decided = columns["decided"].flatten() > 0 if "decided" in columns else torch.ones_like(said, dtype=torch.bool)
        bins = reliability(said[decided].numpy(), happened[decided].numpy())
        return (kind, list(bins), expected_calibration_error(bins)) if bins else None

    @torch.no_grad()
    def returns(self) -> SegmentReturns | None:
        """Returns of segments of the first replicate, or of whole episodes where all feedback is about these.

        None where the true ones do not differ.
        """
        kinds = sorted(self.settings.feedback, key=lambda kind: KINDS[kind].segments == 0)
        shown = self._answered(kinds[0]).shown
        steps, in_pairs = shown.transitions, shown.reward.ndim == 4
        state, action, next_state, valid, reward = (
            each[0].flatten(0, 1) if in_pairs else each[0]
            for each in (steps.state, steps.action, steps.next_state, steps.valid, shown.reward)
        )
        model = load_reward_model(self.directory)[0]
        action = model.in_units(action)

        def total(rewards: Tensor) -> Float[np.ndarray, "N"]:
            return torch.where(valid, rewards.double(), 0.0).sum(-1)[:SAMPLES].numpy()

        true, mean = total(reward), total(model.mean(state, action, next_state))
        if true.std() <= _CONSTANT * max(abs(true).max(), _CONSTANT):
            return None
        drawn = [total(model.sample(state, action, next_state, seed)) for seed in range(_FUNCTIONS)]
        rank = float(spearman(torch.from_numpy(mean)[None], torch.from_numpy(true)[None]))
        return SegmentReturns(true, mean, np.std(drawn, axis=0), rank, int(valid.sum(-1).max()))
