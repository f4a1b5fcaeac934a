"""The error family. Messages name the key, the value and what is allowed, and never a secret."""

from pathlib import Path

from mavrl.secrets import MASK, is_secret, masked_text


class MavrlError(Exception):
    """Base of every error that this package raises on purpose."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(masked_text(one) if isinstance(one, str) else one for one in arguments))


class ConfigurationError(MavrlError):
    """The user asked for something that is not allowed; ends a run with exit status 2."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        words = {None: "null", True: "true", False: "false"}
        text = words[value] if value is None or isinstance(value, bool) else str(value)
        super().__init__(f"{key}={MASK if is_secret(key, value) else text}: {allowed}")
        self.key = key
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple:  # it comes back from worker processes
        return type(self), (self.key, self.value, self.allowed)


class EnvironmentFault(ConfigurationError):
    """An environment raised an error of its own; the message names it and where it arose.

    Args:
        trace: the whole traceback, for a file.
    """

    FILE = "environment_error.txt"

    def __init__(self, key: str, value: object, allowed: str, trace: str) -> None:
        super().__init__(key, value, allowed)
        self.trace = trace
        self._kept = False

    def __reduce__(self) -> tuple:
        return type(self), (self.key, self.value, self.allowed, self.trace)

    def keep(self, directory: Path) -> None:
        """Write the traceback into a directory, and say so in the message; only the first time.

        Raises:
            OSError: it cannot be written.
        """
        if not self._kept:
            path = directory / self.FILE
            path.write_text(self.trace, encoding="utf-8")
            self._kept = True
            super().__init__(self.key, self.value, f"{self.allowed}; the traceback is in {path}")


class StorageError(MavrlError):
    """A file or directory cannot be written or read: disk full, no permission, damaged."""


class TrainingError(MavrlError):
    """Training cannot go on, for example because no replicate has a finite loss."""


class JobError(MavrlError):
    """A job of a sweep ended without a result: its process was killed, or the scheduler ended it."""
