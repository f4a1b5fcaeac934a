"""Settings of a run as typed values: where the untyped configuration ends.

They can be made of a configuration, or by hand. Nothing here imports torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.identity import active_kinds, environment
from mavrl.configuration.plain import plain
from mavrl.errors import ConfigurationError

Settings = TypeVar("Settings")
Device = Literal["cpu", "cuda", "auto"]


@dataclass(frozen=True)
class PriorSettings:
    """Prior of the reward; see `mavrl.model.posterior.RewardPrior`."""

    scale: float | None
    hyperprior_shape: float
    hyperprior_rate: float


@dataclass(frozen=True)
class SamplingSettings:
    """How the exact posterior is sampled; conf/model/exact.yaml says what each setting means."""

    chains: int
    warmup: int
    draws: int
    thinning: int


@dataclass(frozen=True)
class ModelSettings:
    """What is learned, and by which objective; conf/model/ says what each setting means."""

    objective: Literal["elbo", "weighted", "exact"]
    q: Literal["planned", "learned", "inverse"]
    reward_domain: Literal["s", "sa", "sas"]
    backup: Literal["optimal", "soft", "behaviour"]
    soft_temperature: float
    hidden_sizes: list[int]
    prior: PriorSettings
    bellman_weight: float
    kl_weight: float
    importance_weights: bool
    standardize: bool = False
    kl_count: Literal["transition", "sample", "mean"] = "mean"
    sampling: SamplingSettings | None = None  # where the objective is exact
    covariance: Literal["full", "low_rank", "diagonal"] | None = None
    covariance_rank: int = 10


@dataclass(frozen=True)
class OptimizerSettings:
    """How it is optimised; see conf/optim/."""

    lr: float
    schedule: Literal["constant", "cosine"]
    batch_size: int | None
    demonstration_batch_size: int | None
    weight_decay: float
    gradient_clip: float


@dataclass(frozen=True)
class TrainerSettings:
    """How long it is trained, and on what; see conf/trainer/."""

    max_epochs: int
    passes_per_epoch: int
    least_steps: int
    validation: bool
    patience: int | None


@dataclass(frozen=True)
class RoundsSettings:
    """How feedback is asked for in rounds; conf/rounds/online.yaml says what each setting means."""

    count: int
    until: float
    first: Literal["random", "behaviour"]
    earlier: float
    behaviour: float
    n_episodes: int
    refit: Literal["continue", "fresh"]
    budget: float | None
    held_out: int

    @classmethod
    def from_group(cls, rounds: Mapping[str, Any]) -> "RoundsSettings | None":
        """The settings in the `rounds` of a configuration; None where all is asked at once."""
        own = {key: value for key, value in rounds.items() if key != "name"}
        return structured(cls, "rounds", own) if rounds["name"] == "online" else None

    def begins_at(self, number: int, parts: int) -> int:
        """Parts of a policy's training, out of `parts`, that come before a round."""
        return round(self.until * parts * number / max(1, self.count - 1))


@dataclass(frozen=True)
class Execution:
    """How a run is executed; none of this changes a result.

    Args:
        progress: how progress is shown, as `mavrl.progress` has it.
        threads: of torch while a reward is learned; None for as many as there are cores.
        processes: that simulate, train policies and evaluate; None for as many as there are cores.
        device: that rewards are learned on.
        checkpoint_seconds: least time between two checkpoints.
        cache: folder of answered questions; None keeps none.
        folder: the feedback folder; None where feedback is simulated.
        experts: folder of own experts.
        figures: which are drawn at the end: "all", the "one" that says most, "none"; "auto" draws all of a run that is
            alone, and one of a job among many.
        logger: where training curves go besides metrics.csv: its name and its settings.
        task: that the run is for, by its name.
        study, trial: the trial of a search that the run is; None where it is none. A run that confirms a trial has a
            study alone.
    """

    progress: bool | Literal["auto"] = False
    threads: int | None = 1
    processes: int | None = 1
    device: Device = "cpu"
    checkpoint_seconds: float = 5.0
    cache: str | None = None
    folder: str | None = None
    experts: str = "experts"
    figures: Literal["auto", "all", "one", "none"] = "auto"
    logger: Mapping[str, Any] = field(default_factory=lambda: {"name": "csv"})
    task: str = "train"
    study: str | None = None
    trial: int | None = None


@dataclass(frozen=True)
class RunSettings:
    """All that a run is made of.

    Args:
        seed: of the first replicate; replicate k has seed + k.
        replicates: R.
        members: models of each replicate.
        selection: weights that are kept: the last, or those of the best validation loss.
        modality: name of the subset of feedback.
        env: of the environment, which its family reads.
        feedback: arguments of each active kind's DataModule, with the class as _target_.
        query, teacher: arguments of the rule that chooses questions, and of who answers, with the class as _target_.
        model, optim, trainer: of learning.
        policy: who acts on the learned reward, which the family reads.
        evaluation_episodes: that judge a policy, where that takes episodes.
        experts: how experts are trained, by their algorithm.
        baselines: returns to compare with, where the environment's YAML has them.
        rounds: in which feedback is asked for; None where it is all asked for at once, before anything is learned.
        data: digest of the feedback folder that the feedback is in; None where it is simulated.
        folds: in which labels of the folder are held out; 0 where none are.
        execution: how all this is executed.
    """

    seed: int
    replicates: int
    members: int
    selection: Literal["last", "best"]
    modality: str
    env: Mapping[str, Any]
    feedback: Mapping[str, Mapping[str, Any]]
    query: Mapping[str, Any]
    teacher: Mapping[str, Any]
    model: ModelSettings
    optim: OptimizerSettings
    trainer: TrainerSettings
    policy: Mapping[str, Any]
    evaluation_episodes: int
    experts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: Mapping[str, float | None] = field(default_factory=dict)
    rounds: RoundsSettings | None = None
    data: str | None = None
    folds: int = 0
    execution: Execution = field(default_factory=Execution)

    @property
    def seeds(self) -> list[int]:
        """The seed of each replicate."""
        return [self.seed + k for k in range(self.replicates)]

    @classmethod
    def from_config(cls, config: DictConfig) -> "RunSettings":
        """The settings of a checked configuration.

        Raises:
            ConfigurationError: it has a key that nothing reads.
        """
        model, digest = plain(config.model), OmegaConf.select(config, "data.digest")
        prior = structured(PriorSettings, "model.prior", model.pop("prior"))
        exact = model.get("sampling")
        sampling = {"sampling": structured(SamplingSettings, "model.sampling", exact)} if exact else {}
        return cls(
            seed=config.seed,
            replicates=config.replicates,
            members=config.members,
            selection=config.selection,
            modality=config.modality.name,
            env=environment(config),
            feedback={kind: plain(config.feedback[kind]) for kind in active_kinds(config)},
            query=plain(config.query),
            teacher=plain(config.teacher),
            model=structured(ModelSettings, "model", {**model, "prior": prior, **sampling}),
            optim=structured(OptimizerSettings, "optim", plain(config.optim)),
            trainer=structured(TrainerSettings, "trainer", plain(config.trainer)),
            policy=plain(config.policy),
            evaluation_episodes=config.evaluation.episodes,
            experts=plain(config.env).get("experts", {}),
            baselines=plain(config.env).get("baselines", {}),
            rounds=RoundsSettings.from_group(plain(config.rounds) if "rounds" in config else {"name": "once"}),
            data=digest,
            folds=0 if digest is None else OmegaConf.select(config, "data.folds", default=0),
            execution=Execution(
                progress=config.progress,
                threads=config.threads,
                processes=config.processes,
                device=config.device,
                checkpoint_seconds=config.checkpoint_seconds,
                cache=config.paths.cache,
                folder=OmegaConf.select(config, "data.folder"),
                experts=config.paths.experts,
                figures=config.figures,
                logger=plain(config.logger),
                task=config.task.name,
                study=config.study if config.search.trial is not None or config.task.name == "confirm" else None,
                trial=config.search.trial,
            ),
        )


def structured(cls: type[Settings], key: str, values: Mapping[str, Any]) -> Settings:
    """Settings of a class from a mapping.

    Args:
        key: that the mapping has in the configuration.

    Raises:
        ConfigurationError: the mapping has a key that the class does not have.
    """
    known = [each.name for each in fields(cls)]  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise ConfigurationError(f"{key}.{name}", value, f"no such key; {key} has {', '.join(known)}")
    return cls(**values)
