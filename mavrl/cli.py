"""From the command line to a task, and from whatever goes wrong to one clear line and an exit status."""

import contextlib
import multiprocessing
import os
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mavrl.configuration.check import check, register_with_hydra
from mavrl.configuration.composition import configuration_directory
from mavrl.configuration.known import nearest
from mavrl.configuration.registry import TASKS, in_order, resolve, trusted_targets
from mavrl.errors import ConfigurationError, EnvironmentFault, MavrlError
from mavrl.folder.command_line import with_folder
from mavrl.interruption import Interruption, interruptible, without_exits
from mavrl.secrets import masked_text, without_secrets
from mavrl.storage.files import naming, storage_error
from mavrl.sweep import register_plugins
from mavrl.terminal import show_on_any_terminal

_SWEPT = ("retry", "confirm")  # tasks that run jobs
_LIBRARIES = ("hydra", "omegaconf", "antlr4")  # that read the command line


def main() -> None:
    """Do what the words of the command line, `sys.argv`, ask for: `python run.py` and the command `mavrl`.

    Exits with status 2 when they cannot work, 1 when something else has failed, 130 on Ctrl-C and 143 on SIGTERM.
    """
    sys.argv[1:] = without_secrets(sys.argv[1:])
    words = set(sys.argv[1:])
    if words & {f"task={task}" for task in _SWEPT} and not words & {"-m", "--multirun"}:
        sys.argv.append("-m")
    show_on_any_terminal()
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come here instead of being printed with a traceback
    try:
        with interruptible():
            register_with_hydra()
            register_plugins()
            sys.argv[1:] = with_folder(sys.argv[1:])
            hydra.main(str(configuration_directory()), "config", execution_whitelist=trusted_targets())(run_task)()
    except (HydraException, OmegaConfBaseException) as error:
        _exit(_configuration_error(error) or error)
    except (MavrlError, OSError) as error:
        _exit(error)
    except Interruption:
        if multiprocessing.parent_process() is None:  # which says it for all
            print("interrupted; the same command goes on", file=sys.stderr)
        raise
    except Exception as error:
        if not _is_of_a_library(error):
            raise
        _exit(error)


def run_task(config: DictConfig) -> Any:
    """Check the configuration, run its task, and return what the task returns.

    In a multirun errors are raised, so that the launcher sees them; a single run reports them and exits.
    """
    multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        check(config)
        if config.task.name in _SWEPT and not multirun:
            raise ConfigurationError("task", config.task.name, "runs jobs, which takes -m")
        with without_exits(f"task={config.task.name}"), naming(HydraConfig.get().runtime.output_dir):
            return resolve(TASKS[config.task.name])(config)
    except MavrlError as error:
        if multirun:
            raise
        _exit(error)


def _exit(error: Exception) -> NoReturn:
    if isinstance(error, EnvironmentFault):
        with contextlib.suppress(OSError):
            error.keep(Path())  # where a task that has a run directory has not done it
    line, status = str(error), 2 if isinstance(error, ConfigurationError) else 1
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        line, status = _one_line(error), 2
    elif isinstance(error, OSError):
        line = str(storage_error(error.filename or "output", error))
    elif _is_of_a_library(error):
        line, status = _one_line(error), 2
    print(f"error: {masked_text(line)}", file=sys.stderr)
    sys.exit(status)


def _is_of_a_library(error: BaseException) -> bool:
    """Whether an error was raised where the command line is read, and not by what it asks for."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES


def _configuration_error(error: BaseException | None) -> ConfigurationError | None:
    """A ConfigurationError that a resolver raised is wrapped by OmegaConf and Hydra."""
    while error is not None:
        if isinstance(error, ConfigurationError):
            return error
        error = error.__cause__ or error.__context__
    return None


# What Hydra says, shorter ---------------------------------------------------------------------------------------------

_SAID = (  # by Hydra, and in fewer words; None for what it says itself
    (r"[Cc]ould not override '([^']+)'", None),
    (r"Could not append to config\. An item is already at '([^']+)'", "is there already; without + it changes"),
    (r"Could not delete from config\. '([^']+)' does not exist", "is not there, so it cannot be deleted"),
    (r"Ambiguous value for argument '([^'=]+)", "has several values; -m runs them all, quotes make them one text"),
    (r"Sweep parameters '([^'=]+)", "has several values, which takes -m"),
    (r"Sweeping over Hydra's configuration is not supported : '([^'=]+)", "is Hydra's own and has one value"),
)


def _one_line(error: Exception) -> str:
    """The key and the value, what is wrong with them, and the nearest name that exists."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = sorted(error.options)
        meant = in_order(name) if group == "modality" else ""
        near = f" (did you mean {meant}?)" if meant in options else nearest(name, options)
        allowed = f"unknown{near}; allowed are {', '.join(options)}"
        return str(ConfigurationError(group, name, allowed))
    if isinstance(error, OverrideParseException):
        key, _, value = error.override.partition("=")
        said = next((line for line in str(error).splitlines()[1:] if not line.startswith("See ")), "")
        return str(ConfigurationError(key, value, f"cannot be read: {said.strip()}; quotes make it text"))
    text = " ".join(_said(error).split())
    if text.startswith("Config group override must be"):
        key = next((_key(word) for word in reversed(sys.argv) if word.endswith("=null") and _is_group(_key(word))), "")
        return str(ConfigurationError(key or "group", "null", "must be an option of this group"))
    for pattern, words in _SAID:
        if found := re.search(pattern, text):
            key = found[1].split("@")[0].lstrip("+~")
            why = words or f"no such key{nearest(key, _known_keys())}"
            return str(ConfigurationError(key, _given(key), why))
    named = [word for word in sys.argv[1:] if not word.startswith("-") and _key(word) and _key(word) in text]
    if named:
        key = max((_key(word) for word in named), key=len)
        return str(ConfigurationError(key, _given(key), text))
    return text or type(error).__name__


def _said(error: BaseException) -> str:
    """The message of an error, or of the one that it was made of, without what is about Hydra's inside."""
    lines = str(error).splitlines() or str(error.__cause__ or error.__context__ or "").splitlines()
    about = ("full_key", "object_type", "reference_type", "Search path", "See http", "To append")
    kept = [line for line in lines if line.strip() and not line.strip().startswith((*about, "provider="))]
    if error.__cause__ is not None and isinstance(error.__cause__, OmegaConfBaseException):
        kept += [line for line in str(error.__cause__).splitlines()[:1] if line not in kept]
    return "; ".join(line.strip() for line in kept)


def _is_group(key: str) -> bool:
    return "/" in key or (configuration_directory() / key).is_dir() or key == "modality"


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~").partition("@")[0]


def _given(key: str) -> str:
    """The value that the command line gives to a key."""
    return next((word.partition("=")[2] for word in reversed(sys.argv) if _key(word) == key), "")


def _known_keys() -> list[str]:
    """Those of the groups that the command line chooses."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    directory = configuration_directory()
    groups = {path.name for path in directory.iterdir() if path.is_dir()}
    chosen = [word for word in sys.argv[1:] if word.partition("=")[0] in groups]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(directory)):
        try:
            config = compose("config", chosen)
        except HydraException:  # several at once, or one of the user's own directory
            config = compose("config")
    return _paths(OmegaConf.to_container(config), "")


def _paths(node: Any, prefix: str) -> list[str]:
    if not isinstance(node, dict):
        return []
    keys = [f"{prefix}{key}" for key in node]
    return keys + [path for key, child in node.items() for path in _paths(child, f"{prefix}{key}.")]
