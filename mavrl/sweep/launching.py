"""How the sweepers use a launcher."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, read_write

from mavrl.sweep.combinations import ComposedJob
from mavrl.sweep.launchers.local import LocalLauncher


@contextmanager
def prepared_workers(launcher: Launcher, jobs: int) -> Iterator[None]:
    """Start a local launcher's workers, which import their libraries while the block runs and end with it.

    Args:
        launcher: any launcher; those that have no workers of their own are left alone.
        jobs: number of jobs that will be launched, at most.
    """
    if not isinstance(launcher, LocalLauncher):
        yield
        return
    launcher.prepare(jobs)
    try:
        yield
    finally:
        launcher.close()


def launch(launcher: Launcher, jobs: Sequence[ComposedJob], first: int = 0) -> Sequence[JobReturn]:
    """Run composed jobs, which a local launcher need not compose again.

    Args:
        launcher: where the jobs run.
        jobs: the jobs.
        first: number of the first job.

    Returns:
        What each job returned, in their order.
    """
    if not jobs:
        return []
    lines = [job.overrides for job in jobs]
    if isinstance(launcher, LocalLauncher):
        return launcher.launch(lines, first, [_with_directory(job) for job in jobs])
    return launcher.launch(lines, initial_job_idx=first)


def _with_directory(job: ComposedJob) -> DictConfig:
    """A job's configuration, with the directory that is known by now, so that no worker needs to find it again."""
    with read_write(job.config.hydra):
        job.config.hydra.sweep.subdir = job.directory.relative_to(job.config.hydra.sweep.dir).as_posix()
    return job.config
