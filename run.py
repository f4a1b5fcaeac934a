"""The one entry point: `python run.py --help`."""

from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from mavrl.sweep import register_plugins
from mavrl.tasks.configuration import register_resolvers
from mavrl.tasks.entry import guarded, run_task

register_resolvers()
register_plugins()


@hydra.main(config_path="conf", config_name="config", execution_whitelist=["mavrl.*"])
def main(config: DictConfig) -> Any:
    return run_task(config)


if __name__ == "__main__":
    guarded(main, Path(__file__).resolve().parent / "conf")
