"""Whether code may be imported that only a run directory names: the module of its environment."""

import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from mavrl.configuration.registry import trusted_targets
from mavrl.errors import ConfigurationError


def check_trust(command: DictConfig, env_id: object, run: Path) -> None:
    """Refuse to go on with a run whose environment is in a module that the command does not name.

    The command names it by an environment of its own, such as env=maze, whose id has the same module, and MAVRL_PLUGINS
    names packages. With trust=true it is imported all the same, and a line says so.

    Args:
        command: the configuration of the command.
        env_id: env.id of the run, such as maze:Maze-v0; anything without a module is in no need of trust.
        run: directory of the run.

    Raises:
        ConfigurationError: the command neither names the module nor says trust=true.
    """
    module = _module(env_id)
    packages = [pattern.removesuffix(".*") for pattern in trusted_targets()]
    if not module or module.partition(".")[0] in packages or module == _module(OmegaConf.select(command, "env.id")):
        return
    if not command.trust:
        allowed = f"its environment is code in the module {module}; name the environment (env=...) or add trust=true"
        raise ConfigurationError("run_dir", run, allowed)
    print(f"trust=true: imports the module {module}, which {run} names", file=sys.stderr)


def _module(env_id: object) -> str:
    return str(env_id or "").rpartition(":")[0]
