"""Many runs from one command: what decides which, and where they run."""


def register_plugins() -> None:
    """Make the sweepers and launchers known to Hydra, which looks for others only in installed packages."""
    from hydra.core.plugins import Plugins

    from mavrl.sweep.launchers.local import LocalLauncher
    from mavrl.sweep.launchers.slurm import SlurmLauncher
    from mavrl.sweep.runs import RunsSweeper
    from mavrl.sweep.search import SearchSweeper

    for plugin in (LocalLauncher, SlurmLauncher, RunsSweeper, SearchSweeper):
        Plugins.instance().register(plugin)
