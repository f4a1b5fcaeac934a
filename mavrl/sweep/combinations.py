"""The runs that one command asks for: every combination of its values, composed, checked, and compared with rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.check import check
from mavrl.errors import ConfigurationError
from mavrl.storage.files import read_json
from mavrl.sweep.composer import Composer


@dataclass(frozen=True)
class ComposedJob:
    """One run of a sweep.

    Args:
        overrides: of the command line.
        config: the whole configuration, Hydra's included.
    """

    overrides: list[str]
    config: DictConfig

    @cached_property
    def directory(self) -> Path:
        return Path(self.config.hydra.sweep.dir) / self.config.hydra.sweep.subdir

    @property
    def finished(self) -> bool:
        """Whether its result is there, so that nothing needs to be run."""
        if self.config.task.name != "train":
            return False
        status = read_json(self.directory / "status.json") or {}
        return status.get("state") == "completed" and (self.directory / "metrics.json").exists()


def combinations(arguments: Sequence[str]) -> list[list[str]]:
    """Every combination of the values on a command line, the last argument varying fastest."""
    parsed = OverridesParser.create().parse_overrides(list(arguments))
    deleted = [str(override.input_line) for override in parsed if override.is_delete()]
    product = BasicSweeper.split_arguments([override for override in parsed if not override.is_delete()], None)[0]
    return [job + deleted for job in product]


def compose_all(compose: Composer, jobs: Iterable[list[str]]) -> tuple[list[ComposedJob], dict[str, int]]:
    """The jobs that no rule leaves out, each run once, and how many each rule leaves out.

    Raises:
        ConfigurationError: a job cannot work and no rule leaves it out.
    """
    kept: dict[Any, ComposedJob] = {}
    left_out: dict[str, int] = {}
    for overrides in jobs:
        job = ComposedJob(overrides, compose(overrides))
        rule = skipping_rule(job.config)
        if rule is not None:
            left_out[rule] = left_out.get(rule, 0) + 1
            continue
        _check(job)
        training = job.config.task.name == "train"
        kept.setdefault(job.directory if training else tuple(overrides), job)
    return list(kept.values()), left_out


def skipping_rule(config: DictConfig) -> str | None:
    """The first rule of `skip` all of whose conditions hold; None if there is none.

    Raises:
        ConfigurationError: a rule is not a mapping of keys to values.
    """
    for name, conditions in config.skip.items():
        if conditions is None:
            continue
        if not OmegaConf.is_dict(conditions):
            raise ConfigurationError(f"skip.{name}", conditions, "must map keys to values, such as {model.q: planned}")
        if all(_holds(config, str(key), wanted) for key, wanted in conditions.items()):
            return str(name)
    return None


def _holds(config: DictConfig, key: str, wanted: Any) -> bool:
    """Whether a key has one of these values. A key that this configuration does not have has none."""
    value = OmegaConf.select(config, key)
    options = wanted if OmegaConf.is_list(wanted) else [wanted]
    return value is not None and any(value == option for option in options)


def _check(job: ComposedJob) -> None:
    try:
        check(job.config)
    except ConfigurationError as error:
        which = " ".join(override for override in job.overrides if not override.startswith("hydra."))
        allowed = f"{error.allowed}; in the job {which} (a rule in `skip` can leave such jobs out)"
        raise ConfigurationError(error.key, error.value, allowed) from error
