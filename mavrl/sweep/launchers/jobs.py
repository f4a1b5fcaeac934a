"""The jobs of a launch, as every launcher of this package shows and returns them."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus, filter_overrides

from mavrl.errors import MavrlError


class JobLines:
    """Prints one line as each job of a launch ends.

    Args:
        job_overrides: of all jobs of the launch.
    """

    def __init__(self, job_overrides: Sequence[Sequence[str]]) -> None:
        self._names = names(job_overrides)
        self._ended = 0

    def ended(self, index: int, job: JobReturn, where: str, log: str) -> None:
        """Print the line of a job.

        Args:
            index: of the job in the launch.
            job: what it returned.
            where: how long it took, or which job of a scheduler it was.
            log: the file with its output, printed when it failed.
        """
        self._ended += 1
        head = f"[{self._ended}/{len(self._names)}]"
        if job.status == JobStatus.COMPLETED:
            value = job.return_value
            shown = f": {round(value, 3)}" if isinstance(value, (int, float)) else ""
            print(f"{head} completed {self._names[index]}{shown} ({where})", flush=True)
        else:
            why = one_line(error_of(job))
            more = ", ".join(text for text in (where, f"log {log}") if text not in why)
            print(f"{head} failed {self._names[index]}: {why}" + (f" ({more})" if more else ""), flush=True)


def names(job_overrides: Sequence[Sequence[str]]) -> list[str]:
    """What tells each job from the others: the overrides that not all of them have, or all of a single one."""
    shown = [list(filter_overrides(overrides)) for overrides in job_overrides]
    common = set.intersection(*map(set, shown)) if len(shown) > 1 else set()
    distinct = [" ".join(word for word in words if word not in common) for words in shown]
    return [name or " ".join(words) or "job" for name, words in zip(distinct, shown, strict=True)]


def failed_job(overrides: Sequence[str], error: BaseException) -> JobReturn:
    """What a launcher returns for a job that could not return anything itself."""
    job = JobReturn(overrides=list(overrides), status=JobStatus.FAILED)
    job.return_value = error
    return job


def error_of(job: JobReturn) -> BaseException:
    """Why a job failed. Hydra's own property raises it, and prints all overrides."""
    error = job._return_value
    return error if isinstance(error, BaseException) else RuntimeError(f"the job's state is {job.status.name.lower()}")


def failure_of(job: JobReturn) -> BaseException | None:
    """Why a job failed; None if it did not."""
    return None if job.status == JobStatus.COMPLETED else error_of(job)


def one_line(error: BaseException) -> str:
    """The first line of an error, with its type where the message alone may not say enough."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return first if first and isinstance(error, MavrlError) else f"{type(error).__name__}: {first}".rstrip(": ")
