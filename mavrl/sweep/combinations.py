"""The runs that one command asks for: every combination of its values, composed, checked, and compared with rules."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.check import check
from mavrl.configuration.conditions import conditions_hold, idle_words, key_of
from mavrl.errors import ConfigurationError
from mavrl.storage.files import read_json
from mavrl.sweep.composer import Composer
from mavrl.sweep.launchers.jobs import varying_words


@dataclass(frozen=True)
class ComposedJob:
    """One run of a sweep, composed but not launched.

    Args:
        overrides: words of the command line that make the run.
        config: the whole configuration, Hydra's included.
    """

    overrides: list[str]
    config: DictConfig

    @cached_property
    def directory(self) -> Path:
        """The run's directory."""
        return Path(self.config.hydra.sweep.dir) / self.config.hydra.sweep.subdir

    @property
    def finished(self) -> bool:
        """Whether the run's result is there, so that nothing needs to be done."""
        if self.config.task.name != "train":
            return False
        status = read_json(self.directory / "status.json") or {}
        return status.get("state") == "completed" and (self.directory / "metrics.json").exists()


def combinations(arguments: Sequence[str]) -> list[list[str]]:
    """Every combination of the values on a command line, the last argument varying fastest.

    Of a key that is given twice the last values count; deletions are part of every combination.

    Raises:
        ConfigurationError: an argument is an interval, which has no single values.
    """
    axes: dict[str, list[str]] = {}
    deletions = []
    for override in OverridesParser.create().parse_overrides(list(arguments)):
        key = override.get_key_element()
        if override.is_delete():
            deletions.append(str(override.input_line))
        elif not override.is_sweep_override():
            axes[key] = [f"{key}={override.get_value_element_as_str()}"]
        elif override.is_discrete_sweep():
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        else:
            allowed = "has no single values; hydra/sweeper=optuna searches in it"
            raise ConfigurationError(key, override.get_value_string(), allowed)
    return [[*combination, *deletions] for combination in itertools.product(*axes.values())]


def compose_all(compose: Composer, jobs: Iterable[list[str]]) -> tuple[list[ComposedJob], dict[str, int]]:
    """Compose the jobs of a sweep.

    Args:
        compose: makes a configuration of overrides.
        jobs: overrides of each job.

    Returns:
        The jobs that no rule of `skip` leaves out, each run once, and how many jobs each rule leaves out. Values that a
        rule of `only` does not let a job have are taken from it.

    Raises:
        ConfigurationError: a job cannot work and no rule leaves it out.
    """
    kept: dict[Any, ComposedJob] = {}
    left_out: dict[str, int] = {}
    lines = list(jobs)
    varied = {key_of(word) for words in varying_words(lines) for word in words}
    for overrides in lines:
        job = _composed(compose, overrides, varied)
        rule = skipping_rule(job.config)
        if rule is not None:
            left_out[rule] = left_out.get(rule, 0) + 1
            continue
        _check(job)
        training = job.config.task.name == "train"
        kept.setdefault(job.directory if training else tuple(job.overrides), job)
    return list(kept.values()), left_out


def _composed(compose: Composer, overrides: list[str], varied: set[str]) -> ComposedJob:
    """A job without the values that may not vary in it."""
    job = ComposedJob(overrides, compose(overrides))
    while idle := idle_words(job.config, job.overrides, varied):
        fitting = [word for word in job.overrides if word not in idle]
        job = ComposedJob(fitting, compose(fitting))
    return job


def skipping_rule(config: DictConfig) -> str | None:
    """The name of the first rule of `skip` all of whose conditions hold; None if there is none.

    Raises:
        ConfigurationError: a rule is not a mapping of keys to values.
    """
    for name, conditions in config.skip.items():
        if conditions is None:
            continue
        if not OmegaConf.is_dict(conditions):
            raise ConfigurationError(f"skip.{name}", conditions, "must map keys to values, such as {model.q: planned}")
        if conditions_hold(config, conditions):
            return str(name)
    return None


def _check(job: ComposedJob) -> None:
    try:
        check(job.config)
    except ConfigurationError as error:
        which = " ".join(override for override in job.overrides if not override.startswith("hydra."))
        allowed = f"{error.allowed}; in the job {which} (a rule in `skip` can leave such jobs out)"
        raise ConfigurationError(error.key, error.value, allowed) from error
