"""What the DataModules of all kinds share: questions are asked and answered, answers are kept, batches are served."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor

from mavrl.configuration.sources import source_digests
from mavrl.errors import ConfigurationError
from mavrl.feedback.annotators import Crowd
from mavrl.feedback.base import FeedbackBatch, FeedbackLikelihood
from mavrl.feedback.loaders import ShuffledBatches
from mavrl.feedback.packing import pack, unpack
from mavrl.feedback.queries import Candidates, Query, RandomQuery
from mavrl.feedback.rationality import UnknownRationality
from mavrl.feedback.teachers import Questions, SimulatedTeacher, Teacher
from mavrl.simulation.base import Behaviour, EpisodesTooShort, Segments, Simulated, Simulator, Stream
from mavrl.storage.answers import AnswerStore, Arrays
from mavrl.streams import torch_stream
from mavrl.types import joined

Batch = TypeVar("Batch", bound=FeedbackBatch)

CALIBRATION_SEGMENTS = 1024  # a teacher is calibrated on this many segments, however many of them it labels
_VERSION = 5  # of what is simulated; a change of it makes every stored answer unknown


@dataclass(frozen=True)
class Asking:
    """Where questions come from, who answers them, and where answers are kept.

    Args:
        simulator: of the environment that is asked about.
        seeds: one for each replicate.
        environment: what tells the simulator from all others in the store.
        store: of answered questions.
        query: which candidates are asked about.
        teacher: who answers.
        validation: whether to ask for a second set of the same size, from an independent stream.
    """

    simulator: Simulator
    seeds: Sequence[int]
    environment: Mapping[str, Any]
    store: AnswerStore = field(default_factory=lambda: AnswerStore(None))
    query: Query = field(default_factory=RandomQuery)
    teacher: Teacher = field(default_factory=SimulatedTeacher)
    validation: bool = False

    @property
    def splits(self) -> tuple[str, ...]:
        """The data sets: to learn from, and perhaps to validate on."""
        return ("train", "validation") if self.validation else ("train",)


@dataclass(frozen=True)
class Serving:
    """How answers are served.

    Args:
        batch_size: samples a step; None for all of them.
        passes_per_epoch: over the data.
        members: models of each replicate, which see the same data.
    """

    batch_size: int | None = None
    passes_per_epoch: int = 1
    members: int = 1


class FeedbackDataModule(LightningDataModule, ABC, Generic[Batch]):
    """Feedback of one kind for all replicates.

    `prepare_data` asks what has not been answered yet and keeps the answers, `setup` makes tensors of them, and the
    loaders serve batches. It can be used alone with a plain Trainer, or with others in
    `mavrl.feedback.combined.CombinedDataModule`.

    Args:
        asking: where questions come from, who answers, and where answers are kept.
        n_samples: samples of feedback per replicate.
        gen_samples: samples to ask for and keep when that is more, where the query begins alike.
        serving: how batches are served.
        cost: of one question, beside that of other kinds; of one episode where episodes are shown.
        learn_rationality: whether models learn how far answers heed the reward, instead of being told.
    """

    kind: ClassVar[str]
    answered: ClassVar[type[Any]]  # a FeedbackBatch: what is kept of answered questions
    model_rationality: float = 1.0  # that models assume, or expect where it is learned; 1 where it has another name
    labelled: ClassVar[bool] = True  # an answer is a label of what is shown; otherwise what is shown is the answer

    def __init__(
        self,
        asking: Asking,
        n_samples: int,
        gen_samples: int = 0,
        serving: Serving | None = None,
        cost: float = 1.0,
        learn_rationality: bool = False,
    ) -> None:
        super().__init__()
        self.cost = cost
        self.learn_rationality = learn_rationality
        self.asking = asking
        self.serving = serving or Serving()
        self.n_samples = n_samples
        # What some queries choose depends on how many are asked for: more of them would be other ones.
        self.gen_samples = max(n_samples, gen_samples) if asking.query.begins_alike else n_samples
        self.sets: dict[str, Batch] = {}  # by split
        self.skipped = torch.zeros(len(asking.seeds), dtype=torch.int64)  # questions without an answer, shape (R,)
        self._entries: dict[str, list[Arrays]] = {}
        self._known_to_model: dict[str, Tensor] = {}

    # What a kind says of itself --------------------------------------------------------------------------------------

    @abstractmethod
    def candidates(self, simulator: Simulator, streams: list[Stream]) -> tuple[Simulated, Simulated]:
        """What could be asked about, and segments to calibrate a teacher on, for each stream.

        Returns:
            Candidates of shape (R, C, ...), the first of which do not depend on how many there are; and segments of the
            same behaviour, whose number does not depend on `n_samples`.
        """

    def teacher(self, known: Simulated) -> FeedbackLikelihood:
        """The kind's own model of a teacher, calibrated on known segments; asked for only where answers are labels."""
        raise ValueError(f"{self.kind}: what is shown is the answer, there is no model of a teacher")

    def crowd(self, known: Simulated, crowd: Crowd) -> FeedbackLikelihood:
        """The kind's own model of several annotators, calibrated on known segments.

        Raises:
            ConfigurationError: the kind has none.
        """
        raise ConfigurationError("teacher", "crowd", f"has no annotators who give a {self.kind}")

    @abstractmethod
    def likelihood_of_models(self, known_to_model: dict[str, Tensor], n_models: int) -> FeedbackLikelihood:
        """The likelihood that models score this feedback with.

        Args:
            known_to_model: what models are told of the teacher, by name, shape (R, ...).
            n_models: replicates times members.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Settings of behaviour and teacher that the answers depend on."""

    def batch_of(self, answered: Any) -> Batch:
        """What is learned from, given answered questions: the same, unless a kind says otherwise."""
        return answered

    # Asking and keeping ----------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Ask what has not been answered yet, and keep the answers."""
        for split in self.asking.splits:
            if split not in self.sets and split not in self._entries:
                self._entries[split] = self._answers(split)

    def setup(self, stage: str | None = None) -> None:
        """Make tensors of the answers; a second call does nothing."""
        self.prepare_data()
        for split, entries in self._entries.items():
            answered = unpack(self.answered, [_part(e, "batch") for e in entries], self.n_samples)
            self.sets[split] = compact(self.batch_of(answered))
            if split == "train":
                self.skipped = (~answered.valid_samples).sum(-1)
            if not self._known_to_model:
                self._known_to_model = _told(entries)
        self._entries = {}

    def segments(self) -> Segments:
        """Which parts of which episodes the questions to learn from are about, shape (R, B, ...)."""
        return unpack(Segments, [_part(entry, "question") for entry in self._answers("train")], self.n_samples)

    def answered_questions(self) -> tuple[Any, dict[str, Tensor]]:
        """What is kept of the questions to learn from, shape (R, B, ...), and what models are told."""
        return self.named_questions()[1:]

    def named_questions(self) -> tuple[Segments, Any, dict[str, Tensor]]:
        """Which segments were asked about, and what `answered_questions` returns."""
        entries = self._answers("train")
        names, answered = (
            unpack(of, [_part(entry, part) for entry in entries], self.n_samples)
            for of, part in ((Segments, "question"), (self.answered, "batch"))
        )
        return names, answered, _told(entries)

    def _answers(self, split: str) -> list[Arrays]:
        """Answers for every replicate, from the store where it has enough of them."""
        asking = self.asking
        keys = [self.key(seed, split) for seed in asking.seeds]
        entries = [asking.store.read(key, self.n_samples) for key in keys]
        missing = [k for k, entry in enumerate(entries) if entry is None]
        if missing:
            asked = self._ask(asking.simulator.subset(missing), [(asking.seeds[k], self.kind, split) for k in missing])
            for k, entry in zip(missing, asked, strict=True):
                asking.store.write(keys[k], entry, self.gen_samples)
                entries[k] = entry
        return [entry for entry in entries if entry is not None]

    def _ask(self, simulator: Simulator, streams: list[Stream]) -> list[Arrays]:
        """Ask the teacher `gen_samples` questions for each stream; what is kept of each."""
        candidates, known = self.candidates(simulator, streams)
        generators = [torch_stream(seed, kind, split, "query") for seed, kind, split in streams]
        pool = Candidates(self.kind, candidates.transitions, None, self.cost)
        chosen = self.asking.query.choose({self.kind: pool}, {self.kind: self.gen_samples}, math.inf, generators)
        shown = candidates.take(chosen[self.kind])
        batch, known_to_model = self.answer(shown, known, streams)
        columns = {f"batch.{name}": column for name, column in pack(batch).items()}
        columns |= {f"question.{name}": column for name, column in pack(shown.segments).items()}
        columns |= {f"known.{name}": tensor.numpy() for name, tensor in known_to_model.items()}
        return [{name: np.asarray(column[row]) for name, column in columns.items()} for row in range(len(streams))]

    def answer(self, shown: Simulated, known: Simulated, streams: list[Stream]) -> tuple[Any, dict[str, Tensor]]:
        """What the teacher says.

        Args:
            shown: what is asked about, shape (R, B, ...).
            known: segments to calibrate a teacher on.
            streams: addresses of each replicate's randomness.

        Returns:
            The answered questions, of which those without an answer are padding, and what models are told of the
            teacher, by name, shape (R, ...).
        """
        questions = Questions(self.kind, shown, streams)
        if self.labelled:
            one, several = partial(self.teacher, known), partial(self.crowd, known)
            questions = dataclasses.replace(questions, likelihood=one, crowd=several, known=known)
        answers = self.asking.teacher.answer(questions)
        steps = answers.transitions or shown.transitions
        if answers.skipped is not None:
            steps = steps.without(answers.skipped)
        return self.answered(steps, **answers.labels), answers.known_to_model

    # Asking in rounds ------------------------------------------------------------------------------------------------

    @abstractmethod
    def pool(self, simulator: Simulator, streams: list[Stream], count: int, n_episodes: int) -> Simulated:
        """Candidates of a round, shape (R, count, ...).

        Args:
            n_episodes: that segments are drawn from.
        """

    def known(self) -> Simulated:
        """Segments of the configured behaviour that a teacher is calibrated on, the same in all rounds; kept."""
        raise ValueError(f"{self.kind}: what is shown is the answer, there is no teacher to calibrate")

    def extend(self, answered: Any, known_to_model: dict[str, Tensor]) -> None:
        """Learn from these answered questions, too.

        Args:
            answered: of shape (R, B, ...), where what is not valid was not asked.
            known_to_model: what models are told of the teacher.
        """
        self._known_to_model = known_to_model
        batch, before = self.batch_of(answered), self.sets.get("train")
        self.sets["train"] = compact(batch if before is None else joined([before, batch]))

    def key(self, seed: int, split: str) -> dict[str, Any]:
        """What the answers of one replicate depend on, apart from their number: their key in the store."""
        query, teacher = self.asking.query, self.asking.teacher
        code = source_digests(type(each).__module__ for each in (self, query, teacher))
        return {
            "kind": self.kind,
            "version": _VERSION,
            "environment": self.asking.environment,
            "settings": self.settings(),
            "query": query.identity,
            "teacher": teacher.identity,
            "seed": seed,
            "split": split,
            **({} if query.begins_alike else {"count": self.gen_samples}),
            **({"code": code} if code else {}),
        }

    # Serving ---------------------------------------------------------------------------------------------------------

    @property
    def models(self) -> list[tuple[int, int]]:
        """Seed of the replicate and number of the member, of each model that learns from this."""
        return [(seed, member) for seed in self.asking.seeds for member in range(self.serving.members)]

    def likelihood(self) -> FeedbackLikelihood:
        """The likelihood that the models score this feedback with, once it has been set up."""
        return self.likelihood_given(self._known_to_model, len(self.models))

    def likelihood_given(self, known_to_model: dict[str, Tensor], n_models: int) -> FeedbackLikelihood:
        """The likelihood that so many models score this feedback with, whose rationality they know, or learn.

        Args:
            known_to_model: what models are told of the teacher, by name, shape (R, ...).
            n_models: replicates times members.
        """
        likelihood = self.likelihood_of_models(known_to_model, n_models)
        return UnknownRationality(likelihood, n_models) if self.learn_rationality else likelihood

    def sizes(self) -> Tensor:
        """Samples to learn from, for each model, shape (R * members,)."""
        return self.sets["train"].valid_samples.sum(-1).float().repeat_interleave(self.serving.members)

    def loader(self, passes: int) -> ShuffledBatches[Batch]:
        """Batches to learn from, in so many passes an epoch."""
        members = self.serving.members
        seeds = [seed for seed, _ in self.models]
        batch = self.sets["train"].repeat_replicates(members)
        return ShuffledBatches(batch, seeds, self.serving.batch_size, self.kind, passes)

    def train_dataloader(self) -> ShuffledBatches[Batch]:
        return self.loader(self.serving.passes_per_epoch)

    def val_dataloader(self) -> ShuffledBatches[Batch] | list:
        if not self.asking.validation:
            return []
        batch = self.sets["validation"].repeat_replicates(self.serving.members)
        return ShuffledBatches(batch, self.asking.seeds, None, self.kind)


class SegmentDataModule(FeedbackDataModule[Batch]):
    """Feedback about segments of a behaviour policy's episodes.

    Args:
        segment_len: steps T of a segment.
        n_episodes: episodes that the segments of a replicate are drawn from.
        behaviour_rationality: rationality of the policy that acts in them; 0 is a random walk.
        behaviour_epsilon: how often it takes a uniformly random action instead.
    """

    segments_per_sample: ClassVar[int] = 1
    calibrated: ClassVar[bool] = False  # the kind's own model of a teacher depends on what segments there are

    def __init__(
        self,
        asking: Asking,
        n_samples: int,
        segment_len: int,
        n_episodes: int,
        behaviour_rationality: float,
        behaviour_epsilon: float = 0.0,
        gen_samples: int = 0,
        serving: Serving | None = None,
        cost: float = 1.0,
        learn_rationality: bool = False,
    ) -> None:
        super().__init__(asking, n_samples, gen_samples, serving, cost, learn_rationality)
        self.segment_len = segment_len
        self.n_episodes = n_episodes
        self.behaviour = Behaviour(behaviour_rationality, behaviour_epsilon)

    def settings(self) -> dict[str, Any]:
        drawn = {"segment_len": self.segment_len, "n_episodes": self.n_episodes}
        return {**drawn, "behaviour": dataclasses.asdict(self.behaviour), "teacher": self.teacher_settings()}

    @abstractmethod
    def teacher(self, known: Simulated) -> FeedbackLikelihood: ...

    @abstractmethod
    def teacher_settings(self) -> dict[str, Any]:
        """Settings of the kind's own model of a teacher."""

    def candidates(self, simulator: Simulator, streams: list[Stream]) -> tuple[Simulated, Simulated]:
        """Segments with a uniform episode and a uniform start in it, in pairs where a sample is a pair.

        Raises:
            ConfigurationError: no episode is as long as a segment, or there are fewer segments than are asked about.
        """
        per_sample, distinct = self.segments_per_sample, self.segments_per_sample * self.gen_samples
        count = per_sample * self.asking.query.candidates * self.gen_samples
        least = self._calibration_segments
        try:
            segments = simulator.segments(
                streams, self.behaviour, self.n_episodes, max(count, least), self.segment_len, distinct
            )
        except EpisodesTooShort as error:
            if self.segment_len > error.longest:
                allowed = f"at most {error.longest}, the length of the longest episode"
                raise ConfigurationError(f"feedback.{self.kind}.segment_len", self.segment_len, allowed) from error
            allowed = f"needs {distinct} segments; only {error.places} exist in {self.n_episodes} episodes"
            raise ConfigurationError(f"feedback.{self.kind}.n_samples", self.n_samples, allowed) from error
        return self._arranged(segments.first(count)), segments.first(CALIBRATION_SEGMENTS)

    @property
    def _calibration_segments(self) -> int:
        """Segments that somebody is calibrated on; 0 where nobody is."""
        return CALIBRATION_SEGMENTS if self.calibrated or self.asking.teacher.calibrated else 0

    def pool(self, simulator: Simulator, streams: list[Stream], count: int, n_episodes: int) -> Simulated:
        """Segments with a uniform episode and a uniform start in it, in pairs where a sample is a pair."""
        drawn = count * self.segments_per_sample
        return self._arranged(simulator.segments(streams, self.behaviour, n_episodes, drawn, self.segment_len, 0))

    def _arranged(self, segments: Simulated) -> Simulated:
        """Segments as samples: in pairs where a sample is a pair."""
        size = self.segments_per_sample
        return segments if size == 1 else segments.map(lambda t: t.unflatten(1, (t.shape[1] // size, size)))

    def known(self) -> Simulated:
        asking, count = self.asking, max(1, self._calibration_segments)
        keys = [{**self.key(seed, "train"), "kept": "calibration"} for seed in asking.seeds]
        entries = [asking.store.read(key, count) for key in keys]
        if any(entry is None for entry in entries):
            streams = [(seed, self.kind, "train") for seed in asking.seeds]
            found = asking.simulator.segments(streams, self.behaviour, self.n_episodes, count, self.segment_len, 0)
            packed = pack(found)
            entries = [{name: column[row] for name, column in packed.items()} for row in range(len(keys))]
            for key, entry in zip(keys, entries, strict=True):
                asking.store.write(key, entry, count)
        return unpack(Simulated, [entry for entry in entries if entry is not None], count)


def compact(batch: Batch) -> Batch:
    """The same samples with the real ones first in each replicate, and no more padding than the fullest one needs."""
    order = torch.argsort(batch.valid_samples.int(), dim=1, descending=True, stable=True)
    return batch.take(order[:, : max(1, int(batch.valid_samples.sum(-1).max()))])


def _part(entry: Arrays, prefix: str) -> Arrays:
    """The arrays of an entry whose names begin with this word, without it."""
    return {name.removeprefix(f"{prefix}."): array for name, array in entry.items() if name.startswith(f"{prefix}.")}


def _told(entries: list[Arrays]) -> dict[str, Tensor]:
    """What models are told of the teacher, by name, shape (R, ...)."""
    told = [_part(entry, "known") for entry in entries]
    return {name: torch.stack([torch.as_tensor(each[name]) for each in told]) for name in told[0]}
