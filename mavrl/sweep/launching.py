"""How the sweepers use a launcher."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, read_write

from mavrl.progress import Count, Wanted, stage
from mavrl.storage.contents import read_status
from mavrl.sweep.combinations import ComposedJob
from mavrl.sweep.launchers.jobs import varying_words
from mavrl.sweep.launchers.local import LocalLauncher
from mavrl.sweep.launchers.slurm import SlurmLauncher

_CELL = ("env=", "modality=", "hydra.")  # words that a job's line has anyway, and those that are shown nowhere


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


def launch(
    launcher: Launcher, jobs: Sequence[ComposedJob], first: int = 0, progress: Wanted | None = None
) -> Sequence[JobReturn]:
    """Run composed jobs, which a local launcher need not compose again.

    Args:
        launcher: where the jobs run.
        jobs: the jobs.
        first: number of the first job.
        progress: how it is shown how many have ended; None for as the first job says.

    Returns:
        What each job returned, in their order.
    """
    if not jobs:
        return []
    lines, wanted = [job.overrides for job in jobs], jobs[0].config.progress if progress is None else progress
    if isinstance(launcher, (LocalLauncher, SlurmLauncher)):
        launcher.progress = wanted
    if isinstance(launcher, LocalLauncher):
        return launcher.launch(lines, first, [_with_directory(job) for job in jobs])
    if isinstance(launcher, SlurmLauncher):
        return launcher.launch(lines, initial_job_idx=first)
    with stage(wanted, "running", "run", len(jobs), look=_runs_ended([job.directory for job in jobs])):
        return launcher.launch(lines, initial_job_idx=first)


def _runs_ended(directories: Sequence[Path]) -> Callable[[Count], None]:
    """A look at how many of these runs, which begin one after the other, have ended since now."""
    before = [read_status(directory) for directory in directories]

    def look(count: Count) -> None:
        while count.done < len(directories):
            number = int(count.done)
            status = read_status(directories[number])
            if status.get("state") not in ("completed", "failed") or status == before[number]:
                return
            count.done += 1

    return look


def show_jobs(launcher: Launcher, jobs: Sequence[ComposedJob]) -> None:
    """Print what would be launched: cell, the words in which jobs differ, and directory of each.

    Args:
        launcher: that would launch them.
        jobs: the jobs.
    """
    for job, words in zip(jobs, varying_words([job.overrides for job in jobs]), strict=True):
        cell = [f"env={job.config.env.name}", f"modality={job.config.modality.name}"]
        print(*cell, *(word for word in words if not word.startswith(_CELL)), job.directory)
    show_submission(launcher, len(jobs))


def show_submission(launcher: Launcher, jobs: int) -> None:
    """Write the file that would be submitted to a scheduler, if there is one, and print its path."""
    if isinstance(launcher, SlurmLauncher) and jobs:
        print(f"the file that would be submitted: {launcher.write_submission(jobs)}")


def _with_directory(job: ComposedJob) -> DictConfig:
    """A job's configuration, with the directory that is known by now, so that no worker needs to find it again."""
    with read_write(job.config.hydra):
        job.config.hydra.sweep.subdir = job.directory.relative_to(job.config.hydra.sweep.dir).as_posix()
    return job.config
