"""Numbers as they are shown."""

DIGITS = 9  # beyond which metrics differ by rounding errors only


def shown(value: float | None) -> str:
    """A metric in four digits, rounding errors of an exact 0 as 0, and a dash where there is none."""
    return "-" if value is None else f"{round(value, DIGITS) + 0.0:.4g}"
