"""From the command line to a task, and from whatever goes wrong to one clear line and an exit status."""

import difflib
import os
import re
import sys
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mavrl.configuration.check import check, register_with_hydra
from mavrl.configuration.composition import configuration_directory
from mavrl.configuration.registry import in_order, trusted_targets
from mavrl.errors import ConfigurationError, MavrlError
from mavrl.storage.files import storage_error
from mavrl.sweep import register_plugins

_JOBS = {"task=retry", "task=confirm"}  # tasks that run jobs


def main() -> None:
    """Do what the words of the command line, `sys.argv`, ask for: `python run.py` and the command `mavrl`.

    Exits with status 2 when they cannot work, 1 when something else has failed.
    """
    words = set(sys.argv[1:])
    if words & _JOBS and not words & {"-m", "--multirun"}:
        sys.argv.append("-m")
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # errors come here instead of being printed with a traceback
    try:
        register_with_hydra()
        register_plugins()
        hydra.main(str(configuration_directory()), "config", execution_whitelist=trusted_targets())(run_task)()
    except (HydraException, OmegaConfBaseException) as error:
        _exit(_configuration_error(error) or _one_line(error))
    except (MavrlError, OSError) as error:
        _exit(error)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)


def run_task(config: DictConfig) -> Any:
    """Check the configuration, run its task, and return what the task returns.

    In a multirun errors are raised, so that the launcher sees them; a single run reports them and exits.
    """
    try:
        check(config)
        return get_method(config.task._target_)(config)
    except (MavrlError, OSError) as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        _exit(error)


def _exit(error: Exception) -> NoReturn:
    if isinstance(error, OSError):
        error = storage_error(error.filename or "storage", error)
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2 if isinstance(error, ConfigurationError) else 1)


def _configuration_error(error: BaseException | None) -> ConfigurationError | None:
    """A ConfigurationError that a resolver raised is wrapped by OmegaConf and Hydra."""
    while error is not None:
        if isinstance(error, ConfigurationError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _one_line(error: Exception) -> ConfigurationError:
    """What Hydra says, shorter, with the nearest name that exists."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        options = sorted(error.options)
        meant = in_order(name) if group == "modality" else ""
        near = f" (did you mean {meant}?)" if meant in options else _nearest(name, options)
        return ConfigurationError(group, name, f"unknown{near}; allowed are {', '.join(options)}")
    text = " ".join(str(error).split())
    unknown = re.search(r"[Cc]ould not override '([^']+)'", text)
    if unknown:
        key = unknown[1].split("@")[0]
        return ConfigurationError(key, _given(key), f"no such key{_nearest(key, _known_keys())}")
    return ConfigurationError("command", " ".join(sys.argv[1:]), text)


def _given(key: str) -> str:
    """The value that the command line gives to a key."""
    return next((word.partition("=")[2] for word in sys.argv[1:] if word.partition("=")[0].lstrip("+~") == key), "")


def _nearest(name: str, options: list[str]) -> str:
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


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
