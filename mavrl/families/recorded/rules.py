"""What the keys of recorded behaviour may be, and which tasks need an environment that can be run."""

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.rule import Rule
from mavrl.errors import ConfigurationError
from mavrl.families.control.rules import LEARNING_RULES, check_learning

_RUNNING = ("simulate", "collect", "expert", "normalize", "transfer")  # tasks that run an environment


def rules(config: DictConfig) -> dict[str, Rule]:
    """The rules of keys that are narrower where nobody can run the environment."""
    nobody = Rule(lambda value: value == "none", "must be none: nobody can run the environment, so nobody acts in it")
    return {**LEARNING_RULES, "policy.name": nobody}


def check(config: DictConfig) -> None:
    """Refuse what needs an environment that can be run, and recorded behaviour without a folder.

    Raises:
        ConfigurationError: for the first such thing.
    """
    task = config.task.name
    if task in _RUNNING:
        allowed = f"runs an environment; env={config.env.name} is behaviour recorded in one that nobody can run here"
        raise ConfigurationError("task", task, allowed)
    if OmegaConf.select(config, "data.digest") is None:
        allowed = "is chosen by data=FOLDER, where nobody can run the folder's environment; add data=FOLDER"
        raise ConfigurationError("env", config.env.name, allowed)
    check_learning(config)
