"""The one entry point: `python run.py --help`."""

from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from mavrl.cli import guarded, run_task
from mavrl.configuration.check import register_with_hydra
from mavrl.sweep import register_plugins

register_with_hydra()
register_plugins()


@hydra.main(config_path="conf", config_name="config", execution_whitelist=["mavrl.*"])
def main(config: DictConfig) -> Any:
    return run_task(config)


if __name__ == "__main__":
    guarded(main, Path(__file__).resolve().parent / "conf")
