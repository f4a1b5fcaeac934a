"""The error family. Messages name the key, the value and what is allowed."""


class MavrlError(Exception):
    """Base of every error that this package raises on purpose."""


class ConfigurationError(MavrlError):
    """The user asked for something that is not allowed; ends a run with exit status 2."""

    def __init__(self, key: str, value: object, allowed: str) -> None:
        super().__init__(f"{key}={value}: {allowed}")
        self.key = key
        self.value = value
        self.allowed = allowed

    def __reduce__(self) -> tuple:  # it comes back from worker processes
        return type(self), (self.key, self.value, self.allowed)


class StorageError(MavrlError):
    """A file or directory cannot be written or read: disk full, no permission, damaged."""


class TrainingError(MavrlError):
    """Training cannot go on, for example because no replicate has a finite loss."""


class JobError(MavrlError):
    """A job of a sweep ended without a result: its process was killed, or the scheduler ended it."""
