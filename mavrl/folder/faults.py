"""What is wrong with a feedback folder, in one line: the folder, the file, the line and the cause."""

from pathlib import Path

from mavrl.errors import ConfigurationError


class FolderFault(ConfigurationError):
    """A feedback folder that cannot be read as it stands; ends a command with exit status 2.

    Args:
        folder: the feedback folder.
        file: within it.
        cause: what is wrong, and what is allowed.
        line: of the file, from 1; None where it is about the whole file.
    """

    def __init__(self, folder: Path | str, file: str, cause: str, line: int | None = None) -> None:
        where = file if line is None else f"{file}, line {line}"
        super().__init__("data", folder, f"{where}: {cause}")
        self.parts = (folder, file, cause, line)

    def __reduce__(self) -> tuple:
        return type(self), self.parts
