"""How jobs are named, and how their ends are told."""

import pytest
from hydra.core.utils import JobReturn, JobStatus

from mavrl.errors import ConfigurationError, JobError
from mavrl.sweep.launchers.jobs import error_of, failed_job, failure_of, job_lines, job_names, one_line

GRID = [["env=grid_trap", "seed=0", "hydra.sweep.dir=x"], ["env=grid_trap", "seed=1", "hydra.sweep.dir=x"]]


def _completed(value: object) -> JobReturn:
    job = JobReturn(status=JobStatus.COMPLETED)
    job.return_value = value
    return job


class TestJobNames:
    def test_are_what_differs(self):
        assert job_names(GRID) == ["seed=0", "seed=1"]

    def test_of_a_single_job_are_all_its_overrides_but_those_of_hydra(self):
        assert job_names(GRID[:1]) == ["env=grid_trap seed=0"]

    def test_of_equal_jobs_are_not_empty(self):
        assert job_names([["seed=0"], ["seed=0"]]) == ["seed=0", "seed=0"]
        assert job_names([[]]) == ["job"]


class TestOneLine:
    def test_errors_of_the_package_speak_for_themselves(self):
        assert one_line(ConfigurationError("seed", -1, "must be positive")) == "seed=-1: must be positive"

    def test_others_have_their_type(self):
        assert one_line(ValueError("\nfirst\nsecond")) == "ValueError: first"
        assert one_line(KeyError()) == "KeyError"


class TestFailedJob:
    def test_has_its_error_as_return_value(self):
        error = JobError("dead")
        job = failed_job(["seed=0"], error)
        assert job.status == JobStatus.FAILED
        assert job.overrides == ["seed=0"]
        assert error_of(job) is failure_of(job) is error
        with pytest.raises(JobError, match="dead"):
            job.return_value  # noqa: B018

    def test_a_completed_one_has_none(self):
        assert failure_of(_completed(1.0)) is None


class TestJobLines:
    def test_count_the_ended_ones(self, capsys: pytest.CaptureFixture[str]):
        with job_lines(GRID, True) as lines:
            lines.print_end(1, _completed(87.65432), "3.2 s", "1.log")
            lines.print_end(0, failed_job(GRID[0], ValueError("bad")), "SLURM job 7_0", "0.log")
        printed = capsys.readouterr()
        assert printed.out.splitlines() == [
            "[1/2] completed seed=1: 87.654 (3.2 s)",
            "[2/2] failed seed=0: ValueError: bad (SLURM job 7_0, log 0.log)",
        ]
        assert "2/2" in printed.err

    def test_a_value_that_is_no_number_is_not_shown(self, capsys: pytest.CaptureFixture[str]):
        with job_lines(GRID, False) as lines:
            lines.print_end(0, _completed(None), "1 s", "0.log")
        assert capsys.readouterr() == ("[1/2] completed seed=0 (1 s)\n", "")
