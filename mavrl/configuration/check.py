"""Whether a configuration can work, and the resolvers through which Hydra asks.

Nothing here imports torch: a wrong key or a finished run must not wait for it.
"""

import importlib
from collections.abc import Callable

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf

from mavrl.configuration.extras import check_extras
from mavrl.configuration.identity import active_kinds, config_hash, known_return
from mavrl.configuration.plain import written
from mavrl.configuration.registry import FAMILIES, KINDS, load_plugins, subsets
from mavrl.configuration.rules import RESULTS_RULES, rules_of
from mavrl.errors import ConfigurationError

_SEARCH = "mavrl.sweep.search.SearchSweeper"
_SIMULATES = ("train", "data")  # tasks that collect feedback


def check(config: DictConfig) -> None:
    """Refuse a configuration that cannot work.

    Raises:
        ConfigurationError: for the first key with a value that is not allowed, or that does not fit another one.
    """
    for key, rule in rules_of(config).items():
        value = OmegaConf.select(config, key)
        value = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        if not rule.holds(value):
            raise ConfigurationError(key, written(value), rule.allowed)
    check_extras(config)
    if config.task.name in RESULTS_RULES:
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
    if config.task.name in _SIMULATES:
        _check_segments(config)
    importlib.import_module(FAMILIES[config.env.family].rules).check(config)
    for key, wanted in (("selection", config.selection == "best"), ("trainer.patience", config.trainer.patience)):
        if wanted and not config.trainer.validation:
            value = OmegaConf.select(config, key)
            raise ConfigurationError(key, value, "needs a validation set; add trainer.validation=true")


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
    OmegaConf.register_resolver("constant", _constant, replace=True)
    OmegaConf.register_resolver("cap_beside_others", _cap_beside_others, replace=True)


def _minibatch(n_envs: int, n_steps: int, minibatches: int) -> int:
    """Steps of one, at least 2, which is the least that PPO takes."""
    return max(2, n_envs * n_steps // max(1, minibatches))


def _constant(name: str, *, _root_: DictConfig) -> int | float | None:
    """A return of `env.constants`, where it is one of the environment that is configured."""
    return known_return(_root_, name)


def _cap_beside_others(cap: int | None, kinds: ListConfig) -> int | None:
    """Most samples of a kind that shares a budget with others; one that is alone gets all of it."""
    return cap if len(kinds) > 1 else None


def _resolver(function: Callable[[DictConfig], str]) -> Callable[..., str]:
    def resolve(*, _root_: DictConfig) -> str:
        check(_root_)
        return function(_root_)

    return resolve
