"""From a configuration to the plan of a search."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution

from mavrl.configuration.identity import scientific
from mavrl.configuration.plain import flatten
from mavrl.errors import ConfigurationError
from mavrl.search.metric import direction_of
from mavrl.search.space import SearchSpace
from mavrl.search.study import SearchPlan


def plan_of(
    config: DictConfig, study: str, settings: Mapping[str, BaseDistribution], fixed: list[str], direction: str | None
) -> SearchPlan:
    """The plan of one cell.

    Args:
        config: of a run in the cell, without what is searched.
        study: name of the study.
        settings: what is searched besides the allocation.
        fixed: overrides that all trials have in common.
        direction: that the user names, or None.

    Raises:
        ConfigurationError: the metric does not fit, or nothing can be divided.
    """
    search = config.search
    space = _space(config, settings)
    unknown = [key for key in settings if OmegaConf.select(config, key) is None and not _exists(config, key)]
    if unknown:
        raise ConfigurationError("search.space", unknown[0], "is not a key of the configuration")
    searched = {*settings, *(f"feedback.{kind}.n_samples" for kind in space.kinds)}
    everything = flatten({**scientific(config), "feedback": OmegaConf.to_container(config.feedback, resolve=True)})
    kept = {f"feedback.{kind}." for kind in config.modality.active}
    return SearchPlan(
        study,
        config.env.name,
        config.modality.name,
        search.metric,
        direction_of(search.metric, direction, config.env.family, config.model.objective),
        space,
        {
            key: value
            for key, value in everything.items()
            if key not in searched and (not key.startswith("feedback.") or any(key.startswith(k) for k in kept))
        },
        fixed,
        search.n_trials,
        search.seed,
        search.kept,
    )


def _space(config: DictConfig, settings: Mapping[str, BaseDistribution]) -> SearchSpace:
    if not config.search.allocation:
        return SearchSpace(settings)
    kinds, caps = list(config.modality.active), OmegaConf.to_container(config.search.caps, resolve=True)
    assert isinstance(caps, dict)
    return SearchSpace(settings, kinds, config.search.budget, {str(kind): cap for kind, cap in caps.items()})


def study_folder(config: DictConfig, study: str) -> Path:
    """Where a cell's journal and runs are."""
    return Path(config.paths.studies) / study / config.env.name / config.modality.name


def journal_of(config: DictConfig, study: str) -> str:
    """The storage of a cell: its own journal file, unless a database or a file is configured."""
    return config.search.storage or str(study_folder(config, study) / "journal.log")


def _exists(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return OmegaConf.is_dict(node) and name in node
