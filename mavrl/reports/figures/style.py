"""What all figures share: colours, sizes and dress. Nothing of it stays in matplotlib's own settings."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from mavrl.configuration.registry import KINDS

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")

# Okabe and Ito (2008): told apart by everybody.
BLUE, VERMILLION, GREEN, ORANGE = "#0072b2", "#d55e00", "#009e73", "#e69f00"
SKY, PURPLE = "#56b4e9", "#cc79a7"
GREY, LIGHT, INK = "0.45", "0.8", "0.15"
# Lightness rises with the value, so that they are read in a grey print, too.
REWARDS, AMOUNTS, SPREADS = "cividis", "Blues", "Greys"

COLUMN, PAGE = 3.5, 7.2  # inches: one column of a printed page, and all of it
SMALL, TEXT = 8, 9  # points
_PAD = 0.06  # inches around axes
MOST_LINES = 8  # that can be told apart

_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, INK, GREY)
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1)), (0, (8, 2)))
_MARKERS = "osD^vPX*"
_SETTINGS: dict[str, Any] = {
    "font.size": SMALL,
    "axes.titlesize": TEXT,
    "axes.labelsize": SMALL,
    "figure.titlesize": TEXT,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "axes.unicode_minus": False,  # the true minus would take a second font in each PDF, and its time
    "pdf.fonttype": 42,  # embedded as TrueType, which publishers ask for
}


def styled(function: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """The function, with the settings of the style while it runs."""

    @wraps(function)
    def within(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with rc_context(_SETTINGS):  # type: ignore[arg-type]
            return function(*args, **kwargs)

    return within


def sheet(rows: int, columns: int, width: float, height: float, **more: Any) -> tuple[Figure, list[Axes]]:
    """A figure with its axes, row by row.

    Args:
        width, height: in inches.
        more: of `Figure.subplots`.
    """
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=_PAD, h_pad=_PAD))
    return figure, list(figure.subplots(rows, columns, squeeze=False, **more).flat)


def entitle(figure: Figure, title: str) -> None:
    """A title above all axes, on the left as those of the axes."""
    figure.suptitle(title, x=0.01, ha="left")


def open_axes(axes: Axes) -> None:
    """Leave out the lines at the top and on the right."""
    axes.spines[["top", "right"]].set_visible(False)


def line_style(number: int) -> dict[str, Any]:
    """Colour, dashes and marker of the line with this number, each of which tells it from its neighbours."""
    k = number % MOST_LINES
    return {"color": _COLOURS[k], "linestyle": _DASHES[k], "marker": _MARKERS[k]}


def kind_style(kind: str) -> dict[str, Any]:
    """The line style of a kind of feedback, the same in all figures."""
    return line_style(list(KINDS).index(kind) if kind in KINDS else len(KINDS))


def thousands(value: float, _: Any = None) -> str:
    """A number of steps, such as "40 k"."""
    return f"{value / 1000:g} k" if value else "0"
