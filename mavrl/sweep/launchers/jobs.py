"""The jobs of a launch, as every launcher of this package shows and returns them."""

import contextlib
import io
from collections.abc import Iterator, Sequence

from hydra.core.utils import JobReturn, JobStatus, filter_overrides

from mavrl.errors import MavrlError
from mavrl.progress import Count, Wanted, say, stage


@contextlib.contextmanager
def job_lines(job_overrides: Sequence[Sequence[str]], progress: Wanted) -> "Iterator[JobLines]":
    """Lines of the jobs of a launch, and how many of them have ended, while the block runs.

    Args:
        job_overrides: overrides of each job of the launch.
        progress: how it is shown, as `mavrl.progress` has it.
    """
    with stage(progress, "running", "run", len(job_overrides)) as count:
        yield JobLines(job_overrides, count)


class JobLines:
    """Prints one line as each job of a launch ends.

    Args:
        job_overrides: overrides of each job of the launch.
        count: of the jobs that have ended.
    """

    def __init__(self, job_overrides: Sequence[Sequence[str]], count: Count) -> None:
        self._names = job_names(job_overrides)
        self._count = count

    def print_end(self, index: int, job: JobReturn, where: str, log: str) -> None:
        """Print the line of a job that has ended.

        Args:
            index: position of the job in the launch.
            job: what the job returned.
            where: how long the job took, or which job of a scheduler it was.
            log: the file with the job's output, named when it failed.
        """
        self._count.done += 1
        head = f"[{self._count.done:g}/{len(self._names)}]"
        if job.status == JobStatus.COMPLETED:
            value = job.return_value
            result = f": {round(value, 3)}" if isinstance(value, (int, float)) else ""
            say(f"{head} completed {self._names[index]}{result} ({where})")
        else:
            why = one_line(error_of(job))
            more = ", ".join(text for text in (where, f"log {log}") if text not in why)
            say(f"{head} failed {self._names[index]}: {why}" + (f" ({more})" if more else ""))


def job_names(job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """Names that tell jobs apart: the overrides that not all of them have, or all overrides of a single job."""
    own = [list(filter_overrides(overrides)) for overrides in job_overrides]  # without those of Hydra
    distinct = [" ".join(words) for words in varying_words(own)] if len(own) > 1 else [""] * len(own)
    return [name or " ".join(words) or "job" for name, words in zip(distinct, own, strict=True)]


def varying_words(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """The words of each line that not all lines have."""
    common = set.intersection(*map(set, lines)) if lines else set()
    return [[word for word in words if word not in common] for words in lines]


def failed_job(overrides: Sequence[str], error: BaseException) -> JobReturn:
    """The result of a job that could not return any itself, with the error that says why."""
    job = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
    job.return_value = error
    return job


def error_of(job: JobReturn) -> BaseException:
    """The error with which a job failed."""
    if job.status == JobStatus.FAILED:
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # Hydra prints all overrides, then raises
                job.return_value  # noqa: B018
        except BaseException as error:
            return error
    return RuntimeError(f"the job's state is {job.status.name.lower()}")


def failure_of(job: JobReturn) -> BaseException | None:
    """The error with which a job failed; None if it did not."""
    return None if job.status == JobStatus.COMPLETED else error_of(job)


def one_line(error: BaseException) -> str:
    """The first line of an error, with its type where the message alone may not say enough."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return first if first and isinstance(error, MavrlError) else f"{type(error).__name__}: {first}".rstrip(": ")
