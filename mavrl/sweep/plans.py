"""From a configuration to the plan of a search."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution

from mavrl.configuration.conditions import conditions_hold, rules_of_keys
from mavrl.configuration.identity import scientific
from mavrl.configuration.plain import flatten, shown
from mavrl.configuration.rules import rules_of
from mavrl.errors import ConfigurationError
from mavrl.search.metric import direction_of
from mavrl.search.space import SearchSpace, distribution_text
from mavrl.search.study import SearchPlan
from mavrl.secrets import masked
from mavrl.sweep.distributions import extremes


def make_plan(config: DictConfig, study: str, settings: Mapping[str, BaseDistribution], fixed: list[str]) -> SearchPlan:
    """Plan the search of one cell.

    Args:
        config: configuration of a run in the cell, without what is searched.
        study: name of the study.
        settings: distributions of what is searched besides the division of the budget, by configuration key.
        fixed: overrides that all trials have in common.

    Raises:
        ConfigurationError: the metric does not fit, nothing can be divided, or what may be drawn is not allowed.
    """
    search = config.search
    space = _space(config, settings)
    unknown = [key for key in settings if OmegaConf.select(config, key) is None and not _exists(config, key)]
    if unknown:
        raise ConfigurationError("search.space", unknown[0], "is not a key of the configuration")
    _refuse_what_is_not_allowed(config, space)
    searched = {*space.settings, *(f"feedback.{kind}.n_samples" for kind in space.kinds)}
    everything = flatten({**scientific(config), "feedback": OmegaConf.to_container(config.feedback, resolve=True)})
    kept = {f"feedback.{kind}." for kind in config.modality.active}
    return SearchPlan(
        study,
        config.env.name,
        config.modality.name,
        search.metric,
        direction_of(search.metric, config.env.family, config.model.objective),
        space,
        {
            key: value
            for key, value in masked(everything).items()
            if key not in searched and (not key.startswith("feedback.") or any(key.startswith(k) for k in kept))
        },
        fixed,
        search.n_trials,
        search.seed,
        search.kept,
    )


def _space(config: DictConfig, settings: Mapping[str, BaseDistribution]) -> SearchSpace:
    settings, only = _varied(config, settings)
    if not config.search.allocation:
        return SearchSpace(settings, only=only)
    kinds, caps = list(config.modality.active), OmegaConf.to_container(config.search.caps, resolve=True)
    assert isinstance(caps, dict)
    return SearchSpace(settings, kinds, config.search.budget, {str(kind): cap for kind, cap in caps.items()}, only)


def _varied(
    config: DictConfig, settings: Mapping[str, BaseDistribution]
) -> tuple[dict[str, BaseDistribution], dict[str, dict[str, Any]]]:
    """The settings that the rules of `only` let vary in this cell, and the conditions that depend on a trial."""
    open_rules: dict[str, dict[str, Any]] = {}
    kept = dict(settings)
    for key, rule in rules_of_keys(config).items():
        given = {name: wanted for name, wanted in rule.items() if name not in settings}
        if not conditions_hold(config, given):
            kept.pop(key, None)
        elif key in settings and (drawn := {k: _plain(w) for k, w in rule.items() if k in settings}):
            open_rules[key] = drawn
    return kept, {key: rule for key, rule in open_rules.items() if key in kept}


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


def _refuse_what_is_not_allowed(config: DictConfig, space: SearchSpace) -> None:
    rules = rules_of(config)
    for key, distribution in space.settings.items():
        if key in {f"feedback.{kind}.n_samples" for kind in space.kinds}:
            allowed = "is drawn with the division of the budget; search.allocation=false searches it by itself"
            raise ConfigurationError(key, distribution_text(distribution), allowed)
        for value in extremes(distribution) if key in rules else ():
            if not rules[key].holds(value):
                allowed = f"{rules[key].allowed}; the search draws from {distribution_text(distribution)}"
                raise ConfigurationError(key, shown(value), allowed)


def study_folder(config: DictConfig, study: str) -> Path:
    """The folder of a cell's journal and runs."""
    return Path(config.paths.studies) / study / config.env.name / config.modality.name


def storage_place(config: DictConfig, study: str) -> str:
    """The place of a cell's study: its own journal file, unless `search.storage` is a database or a file."""
    return config.search.storage or str(study_folder(config, study) / "journal.log")


def _exists(config: DictConfig, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    return OmegaConf.is_dict(node) and name in node
