"""How the trials of a search divided their samples: points of the simplex, whose corners are kinds of feedback."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mavrl.reports.figures.style import COLUMN, GREY, INK, PAGE, REWARDS, VERMILLION, entitle, sheet, styled

_HEIGHT = np.sqrt(3) / 2
_MIDDLE = (0.05, 0.95)  # quantiles of the values that colours are spread between
_TURNS = (0.35, 1.92)  # radians: two sides of a tetrahedron, from which every point can be told
_TILT = 0.32


@styled
def simplex_figure(
    shares: Float[np.ndarray, "N K"],
    values: Float[np.ndarray, "N"],
    kinds: list[str],
    metric: str,
    minimize: bool,
    title: str,
) -> Figure:
    """Draw a point for each trial and the best one as a star, on a line, in a triangle, or in a tetrahedron.

    A corner is a division that gives everything to one kind. Four kinds are seen from two sides, with a thin line from
    the best trial down to the face opposite of the first corner. Lighter is better.

    Args:
        shares: of the samples that each of K = 2 to 4 kinds has, which sum to 1.
        values: of the trials.
        kinds: names of the kinds.
        metric: what the values are.
        minimize: whether low values are good.
        title: of the figure.

    Raises:
        ValueError: there are fewer or more kinds.
    """
    if len(kinds) not in (2, 3, 4):
        raise ValueError(f"a simplex of 2 to 4 kinds can be drawn, not of {len(kinds)}")
    low, high = np.quantile(values, _MIDDLE)
    norm = Normalize(low, max(high, low + 1e-9), clip=True)
    colours = f"{REWARDS}_r" if minimize else REWARDS
    best = int(values.argmin() if minimize else values.argmax())
    views = [corners(len(kinds), turn) for turn in (_TURNS if len(kinds) == 4 else _TURNS[:1])]
    figure, panels = sheet(1, len(views), PAGE if len(views) == 2 else COLUMN + 1.2, 2.2 if len(kinds) == 2 else 3.6)
    for axes, places in zip(panels, views, strict=True):
        _draw_edges(axes, places, kinds)
        order = np.argsort(-values if minimize else values)  # the best are drawn last
        points = shares @ places
        style = {"cmap": colours, "norm": norm, "edgecolor": INK, "linewidth": 0.4}
        axes.scatter(*points[order].T, c=values[order], s=26, zorder=3, **style)
        if len(kinds) == 4:
            foot = shares[best, 1:] + shares[best, 0] / 3
            axes.plot(*np.stack([points[best], foot @ places[1:]]).T, color=VERMILLION, linewidth=0.8, linestyle=":")
        axes.plot(*points[best], "*", color=VERMILLION, markeredgecolor="white", markersize=15, zorder=4)
        axes.set(aspect="equal", xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.margins(0.04)
    divided = ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in zip(kinds, shares[best], strict=True) if share)
    scale = {"location": "bottom", "aspect": 45, "shrink": 0.7, "pad": 0.02}
    figure.colorbar(ScalarMappable(norm, colours), ax=panels, label=metric, extend="both", **scale)
    entitle(figure, f"{title}\nstar: the best, {divided}")
    return figure


def corners(count: int, turn: float = 0.0) -> Float[np.ndarray, "K 2"]:
    """Where the corners are drawn: those of a line, a triangle, or a tetrahedron that is turned and seen from above.

    Args:
        count: K, 2 to 4.
        turn: of the tetrahedron, about its upright axis, in radians.
    """
    if count == 2:
        return np.array([[0.0, 0.0], [1.0, 0.0]])
    if count == 3:
        return np.array([[0.0, 0.0], [1.0, 0.0], [0.5, _HEIGHT]])
    angles = turn + np.array([0, 2, 4]) * np.pi / 3
    base = np.stack([np.cos(angles), np.sin(angles), np.zeros(3)], axis=1) / np.sqrt(3)
    solid = np.vstack([[0.0, 0.0, np.sqrt(2 / 3)], base])  # all edges are 1 long
    return np.stack([solid[:, 0], np.cos(_TILT) * solid[:, 2] + np.sin(_TILT) * solid[:, 1]], axis=1)


def _draw_edges(axes: Axes, places: Float[np.ndarray, "K 2"], kinds: list[str]) -> None:
    middle = places.mean(0)
    for k, place in enumerate(places):
        for other in places[k + 1 :]:
            axes.plot([place[0], other[0]], [place[1], other[1]], color=GREY, linewidth=0.8, zorder=1)
        outwards = place - middle
        outwards = 0.11 * outwards / max(float(np.linalg.norm(outwards)), 1e-9)
        aside = "center" if abs(outwards[0]) < 0.06 else "left" if outwards[0] > 0 else "right"
        aside = "center" if len(places) == 2 else aside
        where = place + (np.array([0.0, 0.1]) if len(places) == 2 else outwards)
        axes.text(where[0], where[1], f"{kinds[k]}s", ha=aside, va="center")
