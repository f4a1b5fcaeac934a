"""Output on terminals and into pipes that do not know all characters."""

import codecs
import io
import sys

_PLAIN = {"±": "+-", "†": "^", "≤": "<=", "━": "=", "─": "-", "…": "..."}  # what this package prints beside ASCII
_HANDLER = "mavrl.plain"


def show_on_any_terminal() -> None:
    """From now on, print characters that the standard streams do not know as plain ones, instead of failing."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors != _HANDLER:
            stream.reconfigure(errors=_HANDLER)


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_PLAIN.get(character, "?") for character in unknown), error.end
