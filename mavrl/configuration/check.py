"""Whether a configuration can work, and the resolvers through which Hydra asks.

Nothing here imports torch: a wrong key or a finished run must not wait for it.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mavrl.configuration.extras import check_extras
from mavrl.configuration.identity import active_kinds, config_hash, known_return
from mavrl.configuration.known import ABSENT, nearest, put, refuse_unknown, value_of
from mavrl.configuration.plain import shown
from mavrl.configuration.registry import FAMILIES, KINDS, load_plugins, subsets
from mavrl.configuration.rule import Rule
from mavrl.configuration.rules import COMPARING, READING, execution_rules, hydra_rules, rules_of
from mavrl.errors import ConfigurationError

_SEARCH = "mavrl.sweep.search.SearchSweeper"
_SIMULATES = ("train", "data", "simulate")  # tasks that collect feedback
_GROUPS = (
    "env", "modality", "query", "teacher", "rounds", "model", "optim", "trainer", "policy", "logger", "task", "search",
)  # fmt: skip
_PARTS = ("feedback", "evaluation", "data", "paths", "cells", "notify", "skip", "only")
_FOLDER = ("folder", "digest")  # of data, which go together
_CHOOSING = (
    "task.name",
    "env.family",
    "model.objective",
    "policy.name",
    "rounds.name",
    "logger.name",
)  # which keys there are

_ASKING = {  # what is asked and who answers, unless the command says otherwise
    "query": "mavrl.feedback.queries.RandomQuery",
    "teacher": "mavrl.feedback.teachers.SimulatedTeacher",
}

_checked: tuple[DictConfig, DictConfig] | None = None  # the configuration that is just being asked about, and resolved


def check(config: DictConfig, choices: Mapping[str, Any] | None = None, values: dict[str, Any] | None = None) -> None:
    """Refuse a configuration that cannot work. Names in it that are whole numbers become text.

    Args:
        choices: option of each group; None for those of the command.
        values: what `resolved` makes of it, where that is known.

    Raises:
        ConfigurationError: for the first key that nothing reads, or with a value that is not allowed, or that does not
            fit another one.
    """
    values = resolved(config) if values is None else values
    reading = _check_keys(config, values, rules_of, _choices(config) if choices is None else choices)
    check_extras(config)
    if reading:
        return
    missing = [kind for kind in config.modality.active if kind not in config.feedback]
    if missing:
        allowed = f"feedback.{missing[0]} is not there; add +feedback@feedback.{missing[0]}={missing[0]}"
        raise ConfigurationError("modality", config.modality.name, allowed)
    if not active_kinds(config):
        counts = " ".join(
            f"feedback.{kind}.n_samples={config.feedback[kind].n_samples}" for kind in config.modality.active
        )
        raise ConfigurationError(
            "modality", config.modality.name, f"no feedback is active with {counts}; one needs more than 0"
        )
    if any(config.data[key] is not None for key in _FOLDER) and config.task.name in ("train", "data"):
        _check_recorded(config)
    elif config.task.name in _SIMULATES:
        _check_teacher(config)
        if config.rounds.name != "online":
            _check_segments(config)
    if config.rounds.name == "online" and config.trainer.validation:
        allowed = "must be false with rounds: what is held out is the teacher's, and chooses nothing"
        raise ConfigurationError("trainer.validation", True, allowed)
    if config.model.objective == "weighted" and config.model.covariance in ("full", "low_rank"):
        allowed = "must be diagonal, or null, with model.objective=weighted: its steps have rewards of their own"
        raise ConfigurationError("model.covariance", config.model.covariance, allowed)
    importlib.import_module(FAMILIES[config.env.family].rules).check(config)
    for key, wanted in (("selection", config.selection == "best"), ("trainer.patience", config.trainer.patience)):
        if wanted and not config.trainer.validation:
            value = OmegaConf.select(config, key)
            raise ConfigurationError(key, value, "needs a validation set; add trainer.validation=true")


@contextlib.contextmanager
def checked(config: DictConfig, without_references: DictConfig, values: dict[str, Any]) -> Iterator[None]:
    """Check a configuration; within the block, what Hydra asks about it is neither checked nor resolved again.

    Args:
        config: the configuration, Hydra's included.
        without_references: the same without interpolations.
        values: what `resolved` makes of it.
    """
    global _checked
    check(without_references, _choices(config), values)
    _checked = config, without_references
    try:
        yield
    finally:
        _checked = None


def check_sweep(config: DictConfig) -> None:
    """Refuse a sweep whose own settings cannot work; its jobs are checked one by one.

    Args:
        config: the configuration of the command, Hydra's included.

    Raises:
        ConfigurationError: as `check` does.
    """
    _check_keys(config, resolved(config), execution_rules, _choices(config))
    hydra = {part: config.hydra[part] for part in ("launcher", "sweeper")}
    for part, node in hydra.items():
        if not OmegaConf.is_dict(node):
            raise ConfigurationError(f"hydra/{part}", shown(node), "must be an option of this group")
    values = {"hydra": {part: OmegaConf.to_container(node, resolve=True) for part, node in hydra.items()}}
    values["hydra"] |= {"sweep": {"dir": config.hydra.sweep.dir}, "output_subdir": config.hydra.output_subdir}
    rules = hydra_rules(values["hydra"])
    targets = {f"hydra.{part}._target_" for part in hydra}
    if any(rule.startswith("hydra.launcher.") for rule in rules):  # one of ours: others have keys of their own
        _refuse_unknown_of(values, rules, "launcher", targets)
    for key, rule in rules.items():
        _check_value(config, values, key, rule)


def refuse_settings(unknown: Mapping[str, Any]) -> None:
    """Refuse settings of a sweeper, hydra.sweeper.<name>, that nothing reads."""
    for name, value in unknown.items():
        raise ConfigurationError(f"hydra.sweeper.{name}", shown(value), "no such key; `search` says how is searched")


def _refuse_unknown_of(values: Mapping[str, Any], rules: Mapping[str, Rule], part: str, targets: set[str]) -> None:
    for name, value in values["hydra"][part].items():
        key = f"hydra.{part}.{name}"
        if key not in rules and key not in targets:
            raise ConfigurationError(key, shown(value), f"no such key{nearest(key, rules)}")


def _check_keys(
    config: DictConfig,
    values: dict[str, Any],
    rules_for: Callable[[DictConfig], dict[str, Rule]],
    choices: Mapping[str, Any],
) -> bool:
    """Check keys and values one by one; returns whether the task reads runs, so that there is no more to check."""
    for part in (*_GROUPS, *_PARTS):
        if not isinstance(value_of(values, part), Mapping):
            what = "an option of this group" if part in _GROUPS else "a mapping of names to values, such as {a: 1}"
            raise ConfigurationError(part, _shown(value_of(values, part)), f"must be {what}")
    reading = values["task"].get("name") in READING
    rules = rules_for(config)
    execution = reading or rules_for is execution_rules
    for key in (key for key in _CHOOSING if key in rules):
        _check_value(config, values, key, rules[key])
    for part in dict.fromkeys(prefix for key in rules for prefix in _prefixes(key)):
        value = value_of(values, part)
        if value is not ABSENT and not isinstance(value, Mapping):
            names = ", ".join(key.removeprefix(f"{part}.") for key in rules if key.startswith(f"{part}."))
            raise ConfigurationError(part, _shown(value), f"must be a mapping of {names}")
    refuse_unknown(values, rules, choices, execution)
    for key, rule in rules.items():
        _check_value(config, values, key, rule)
    _check_conditions("skip", values, rules)
    _check_conditions("only", values, rules)
    return reading


def _check_value(config: DictConfig, values: dict[str, Any], key: str, rule: Rule) -> None:
    value = value_of(values, key)
    if value is ABSENT:
        if rule.required:
            raise ConfigurationError(key, "", f"is not there; it {rule.allowed}")
        return
    if rule.is_text and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
        put(values, key, value)
        OmegaConf.update(config, key, value, merge=False)
    if isinstance(value, _Unresolved):
        raise ConfigurationError(key, value, value.why)
    if not rule.holds(value):
        raise ConfigurationError(key, _shown(value), rule.refusal(value))


def _check_conditions(part: str, values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Refuse a rule of `skip` or `only` without conditions, or about a key that there is nowhere: it does nothing."""
    known = None
    for name, conditions in values[part].items():
        if conditions is not None and not (isinstance(conditions, Mapping) and conditions):
            allowed = "must map keys to values, such as {model.q: planned}"
            raise ConfigurationError(f"{part}.{name}", shown(conditions), allowed)
        subjects = [str(name)] if part == "only" and conditions else []  # the key that may vary
        for key in (*subjects, *map(str, conditions or ())):
            if key in rules or value_of(values, key) is not ABSENT:
                continue
            known = known or {*rules, *_keys_of_families(values)}
            if key not in known:
                allowed = f"{key} is no key of the configuration{nearest(key, known)}"
                raise ConfigurationError(f"{part}.{name}", shown(conditions), allowed)


def _keys_of_families(values: Mapping[str, Any]) -> set[str]:
    """Keys that environments of other families have."""
    found: set[str] = set()
    for entry in FAMILIES.values():
        changed = {"env": {**values["env"], "family": entry.name}, "policy": {**values["policy"], "name": "ppo"}}
        found |= rules_of(OmegaConf.create({**values, **changed})).keys()
    return found


class _Unresolved:
    """The place of a value that refers to something that is not there; it is refused when its key is checked."""

    def __init__(self, text: str, error: Exception) -> None:
        self._text = text
        self.why = f"cannot be resolved: {str(error).splitlines()[0]}"

    def __str__(self) -> str:
        return self._text


def resolved(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain values, without what Hydra needs for itself."""
    return {str(name): _plain(config, name) for name in config if name != "hydra"}


def resolved_value(config: DictConfig, key: str) -> Any:
    """The value of a dotted key, as it is in `resolved`."""
    parent, _, name = key.rpartition(".")
    return _plain(OmegaConf.select(config, parent) if parent else config, name)


def _plain(parent: Any, name: Any) -> Any:
    try:
        value = None if OmegaConf.is_missing(parent, name) else parent[name]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        raw = OmegaConf.to_container(parent, resolve=False)[name]  # type: ignore[index]
        if isinstance(raw, str):
            return _Unresolved(raw, error)
        names = range(len(raw)) if isinstance(raw, list) else raw
        found = {name_within: _plain(parent[name], name_within) for name_within in names}
        return list(found.values()) if isinstance(raw, list) else found


def _choices(config: DictConfig) -> Mapping[str, Any]:
    """The option of each group of the command; empty where the configuration was not made of one."""
    choices = OmegaConf.select(config, "hydra.runtime.choices")
    if choices is None and HydraConfig.initialized():
        choices = HydraConfig.get().runtime.choices
    return choices or {}


def _prefixes(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _shown(value: Any) -> str:
    return "null" if value is ABSENT else shown(value)


def _check_recorded(config: DictConfig) -> None:
    """Refuse what has no meaning where feedback has been recorded."""
    if config.rounds.name == "online":
        raise ConfigurationError("rounds", "online", "asks a teacher; with data=FOLDER the answers are there already")
    if config.trainer.validation:
        raise ConfigurationError("trainer.validation", True, "must be false with data=FOLDER")
    for key, expected in _ASKING.items():
        target = str(config[key]._target_)
        if target != expected:
            allowed = "has no meaning with data=FOLDER: what is asked, and what is answered, has been recorded"
            raise ConfigurationError(key, target.rpartition(".")[2], allowed)
    for key in _FOLDER:
        if config.data[key] is None:
            raise ConfigurationError(f"data.{key}", None, "is not there; data=FOLDER on the command line says both")


def _check_teacher(config: DictConfig) -> None:
    """Refuse labels that the teachers of B-Pref do not give; what is demonstrated needs no teacher."""
    others = [kind for kind in active_kinds(config) if kind not in ("preference", "demonstration")]
    if config.teacher._target_ == COMPARING and others:
        allowed = f"must be p or pd: the teachers of B-Pref compare segments, and give no {others[0]}"
        raise ConfigurationError("modality", config.modality.name, allowed)


def _check_segments(config: DictConfig) -> None:
    limit = config.env.max_steps
    for kind in active_kinds(config):
        settings = config.feedback[kind]
        segments = KINDS[kind].segments
        if limit is None or not segments:
            continue
        if settings.segment_len > limit:
            allowed = f"must be at most {limit}: env.max_steps={limit} lets no episode be longer"
            raise ConfigurationError(f"feedback.{kind}.segment_len", settings.segment_len, allowed)
        wanted = max(settings.n_samples, settings.gen_samples) * segments
        if wanted > settings.n_episodes * limit:
            allowed = (
                f"needs {wanted} segments; {settings.n_episodes} episodes of at most env.max_steps={limit} steps "
                f"have {settings.n_episodes * limit}"
            )
            raise ConfigurationError(f"feedback.{kind}.n_samples", settings.n_samples, allowed)


def run_directory(config: DictConfig) -> str:
    """Where a single run works: its own directory for training, the current one for tasks that keep nothing."""
    if config.task.name != "train":
        return "."
    if OmegaConf.select(config, "hydra.sweeper._target_") == _SEARCH and str(config.hydra.mode) != "RunMode.MULTIRUN":
        raise ConfigurationError("hydra/sweeper", "optuna", "searches with -m only: python run.py -m ...")
    return f"{config.paths.runs}/{config.env.name}/{config.modality.name}/{config_hash(config)}"


def register_with_hydra() -> None:
    """Make known to Hydra what no file of conf/ says: the resolvers, and an option of `modality` for every subset.

    Plugins are imported first, so that their kinds are among them: in every process that composes or runs a job.

    Raises:
        ConfigurationError: a plugin cannot be imported.
    """
    load_plugins()
    for name, kinds in subsets():
        ConfigStore.instance().store(name, {"name": name, "active": kinds}, group="modality", replace=True)
    OmegaConf.register_resolver("config_hash", _resolver(config_hash), replace=True)
    OmegaConf.register_resolver("run_directory", _resolver(run_directory), replace=True)
    OmegaConf.register_resolver("minibatch", _minibatch, replace=True)
    OmegaConf.register_resolver("steps_of_update", _steps_of_update, replace=True)
    OmegaConf.register_resolver("constant", _constant, replace=True)
    OmegaConf.register_resolver("cap_beside_others", _cap_beside_others, replace=True)


def _minibatch(n_envs: Any, n_steps: Any, minibatches: Any) -> int:
    """Steps of one, at least 2, which is the least that PPO takes; 0 where something is no number, which is refused."""
    if not all(type(number) is int for number in (n_envs, n_steps, minibatches)):
        return 0
    return max(2, n_envs * n_steps // max(1, minibatches))


def _steps_of_update(total_steps: Any, n_envs: Any, updates: Any) -> int:
    """Steps of each environment, 2 to 1,024, so that there are so many updates; 0 where something is no number."""
    if not all(type(number) is int for number in (total_steps, n_envs, updates)):
        return 0
    return min(1024, max(2, -(-total_steps // max(1, n_envs * updates))))


def _constant(name: str, *, _root_: DictConfig) -> int | float | None:
    """A return of `env.constants`, where it is one of the environment that is configured."""
    return known_return(_root_, name)


def _cap_beside_others(cap: Any, kinds: Any) -> Any:
    """Most samples of a kind that shares a budget with others; one that is alone gets all of it."""
    return None if OmegaConf.is_list(kinds) and len(kinds) == 1 else cap


def _resolver(function: Callable[[DictConfig], str]) -> Callable[..., str]:
    def resolve(*, _root_: DictConfig) -> str:
        if _checked is not None and _root_ is _checked[0]:
            return function(_checked[1])
        check(_root_)
        return function(_root_)

    return resolve
