"""The runs that one command asks for: every combination of its values, composed, checked, and compared with rules."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from mavrl.configuration.check import checked
from mavrl.configuration.conditions import conditions_hold, idle_words, key_of
from mavrl.configuration.identity import config_hash
from mavrl.configuration.rule import SUBDIRECTORY
from mavrl.errors import ConfigurationError
from mavrl.garbage import uncollected
from mavrl.storage.run_directory import RunDirectory
from mavrl.sweep.composer import Composed, Composer
from mavrl.sweep.launchers.jobs import varying_words
from mavrl.sweep.ranges import refuse_endless


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
        """The run's directory.

        Raises:
            ConfigurationError: it is not below the folder of the sweep.
        """
        subdirectory = self.config.hydra.sweep.subdir
        if not SUBDIRECTORY.holds(subdirectory):
            raise ConfigurationError("hydra.sweep.subdir", subdirectory, SUBDIRECTORY.allowed)
        return Path(self.config.hydra.sweep.dir) / subdirectory

    @property
    def finished(self) -> bool:
        """Whether the run's result is there, so that nothing needs to be done."""
        return self.config.task.name == "train" and RunDirectory(self.directory).metrics is not None


def combinations(arguments: Sequence[str]) -> list[list[str]]:
    """Every combination of the values on a command line, the last argument varying fastest.

    Of a key that is given twice the last values count; deletions are part of every combination.

    Raises:
        ConfigurationError: an argument is an interval, which has no single values, or a range that is empty or endless.
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
            refuse_endless(override)
            axes[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
            if not axes[key]:
                raise ConfigurationError(key, override.get_value_string(), "has no value, so there is nothing to run")
        else:
            allowed = "has no single values; hydra/sweeper=optuna searches in it"
            raise ConfigurationError(key, override.get_value_string(), allowed)
    return [[*combination, *deletions] for combination in itertools.product(*axes.values())]


@uncollected()
def compose_all(compose: Composer, jobs: Iterable[list[str]]) -> tuple[list[ComposedJob], dict[str, int]]:
    """Compose the jobs of a sweep.

    Args:
        compose: makes a configuration of overrides.
        jobs: overrides of each job.

    Returns:
        The jobs that no rule of `skip` leaves out, each run once, and how many jobs each rule leaves out. Values that a
        rule of `only` does not let a job have are taken from it.

    Raises:
        ConfigurationError: a job cannot work and no rule leaves it out, or two runs have the same directory.
    """
    kept: dict[Any, ComposedJob] = {}
    left_out: dict[str, int] = {}
    lines = list(jobs)
    varied = {key_of(word) for words in varying_words(lines) for word in words}
    for overrides in lines:
        job, composed = _composed(compose, overrides, varied)
        rule = skipping_rule(composed.values)
        if rule is not None:
            left_out[rule] = left_out.get(rule, 0) + 1
            continue
        with _checked(job, composed):
            training = job.config.task.name == "train"
            first = kept.setdefault(job.directory if training else tuple(job.overrides), job)
        if training and first is not job:
            _refuse_two(first, job)
    return list(kept.values()), left_out


def _composed(compose: Composer, overrides: list[str], varied: set[str]) -> tuple[ComposedJob, Composed]:
    """A job without the values that may not vary in it."""
    composed = compose.compose(overrides)
    while idle := idle_words(composed.values, overrides, varied):
        overrides = [word for word in overrides if word not in idle]
        composed = compose.compose(overrides)
    return ComposedJob(overrides, composed.config), composed


def skipping_rule(values: Mapping[str, Any]) -> str | None:
    """The name of the first rule of `skip` all of whose conditions hold; None if there is none.

    Args:
        values: the configuration as plain values.
    """
    for name, conditions in values["skip"].items():
        if conditions is not None and conditions_hold(values, conditions):
            return str(name)
    return None


def _refuse_two(one: ComposedJob, other: ComposedJob) -> None:
    """Two jobs with the same directory are the same run, or one would be lost."""
    if config_hash(one.config) != config_hash(other.config):
        pairs = ((one, other), (other, one))
        own = [" ".join(word for word in job.overrides if word not in beside.overrides) for job, beside in pairs]
        allowed = f"is the directory of several runs, such as {own[0]} and {own[1]}; leave it out"
        raise ConfigurationError("hydra.sweep.subdir", one.config.hydra.sweep.subdir, allowed)


@contextlib.contextmanager
def _checked(job: ComposedJob, composed: Composed) -> Iterator[None]:
    try:
        with checked(*composed):
            yield
    except ConfigurationError as error:
        which = " ".join(override for override in job.overrides if not override.startswith("hydra."))
        allowed = f"{error.allowed}; in the job {which} (a rule in `skip` can leave such jobs out)"
        raise ConfigurationError(error.key, error.value, allowed) from error
