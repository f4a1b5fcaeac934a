"""How the sweepers use a launcher."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, read_write

from mavrl.sweep.combinations import ComposedJob
from mavrl.sweep.launchers.local import LocalLauncher


@contextmanager
def prepared(launcher: Launcher, jobs: int) -> Iterator[None]:
    """Let the workers that so many jobs need import their libraries meanwhile; they end with the block."""
    if not isinstance(launcher, LocalLauncher):
        yield
        return
    launcher.prepare(jobs)
    try:
        yield
    finally:
        launcher.close()


def launch(launcher: Launcher, jobs: Sequence[ComposedJob], first: int = 0) -> Sequence[JobReturn]:
    """Run the jobs; what each returned. A local launcher need not compose them again.

    Args:
        first: number of the first job.
    """
    if not jobs:
        return []
    lines = [job.overrides for job in jobs]
    if isinstance(launcher, LocalLauncher):
        return launcher.launch(lines, first, [_located(job) for job in jobs])
    return launcher.launch(lines, initial_job_idx=first)


def _located(job: ComposedJob) -> DictConfig:
    """Its configuration, with the directory that is known by now."""
    with read_write(job.config.hydra):
        job.config.hydra.sweep.subdir = job.directory.relative_to(job.config.hydra.sweep.dir).as_posix()
    return job.config
