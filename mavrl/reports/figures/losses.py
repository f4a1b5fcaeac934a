"""How the loss of a run and the terms in it went."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from mavrl.reports.figures.style import BLUE, PAGE, SMALL, VERMILLION, entitle, open_axes, styled

_ACROSS = 4  # panels in a row
_WORDS = {
    "loss": "loss",
    "log_likelihood": "log-likelihood",
    "kl": "KL from the prior",
    "prior_scale": "scale of the prior",
}


@styled
def loss_figure(
    epochs: Float[np.ndarray, "N"],
    train: Mapping[str, Float[np.ndarray, "N"]],
    validation: Mapping[str, Float[np.ndarray, "N"]],
    title: str,
) -> Figure:
    """Draw a panel for each term, the loss first. Epochs are on a logarithmic scale, where most happens early.

    Args:
        epochs: numbers from 1.
        train: value of each term at the end of each epoch, by its name in metrics.csv; NaN where there is none.
        validation: the same of validation data.
        title: of the figure.
    """
    names = sorted(train, key=lambda name: (name != "loss", not name.endswith("log_likelihood"), name))
    rows = -(-len(names) // _ACROSS)
    height = 0.6 + 1.6 * rows
    figure = Figure(figsize=(PAGE, height))  # without a layout engine, which takes long for so many axes
    edges = {"left": 0.6 / PAGE, "right": 1 - 0.1 / PAGE, "bottom": 0.45 / height, "top": 1 - 0.55 / height}
    grid = figure.add_gridspec(rows, min(_ACROSS, len(names)), **edges, wspace=0.42, hspace=0.5)
    panels = list(grid.subplots(squeeze=False).flat)
    for axes, name in zip(panels, names, strict=False):
        _draw(axes, epochs, train[name], BLUE, "-")
        if name in validation:
            _draw(axes, epochs, validation[name], VERMILLION, "--")
        axes.set_title(_words(name), fontsize=SMALL)
        if len(epochs) > 20:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
            axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(MaxNLocator(4))
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes in panels[max(0, len(names) - min(_ACROSS, len(names))) : len(names)]:
        axes.set_xlabel("epoch")
    panels[0].set_ylabel("nats")
    dashed = "; dashed: validation" if validation else ""
    entitle(figure, f"{title}: mean over all models{dashed}")
    return figure


def _draw(axes: Axes, epochs: np.ndarray, values: np.ndarray, colour: str, dashes: str) -> None:
    axes.plot(epochs, values, color=colour, linestyle=dashes)
    known = np.concatenate([line.get_ydata() for line in axes.lines])
    known = known[np.isfinite(known)]
    if len(known) > 20:  # the first few epochs must not press all others flat
        low, high = np.quantile(known, [0.02, 0.98])
        axes.set_ylim(low - 0.08 * max(high - low, 1e-9), high + 0.08 * max(high - low, 1e-9))
    axes.margins(x=0.02)
    open_axes(axes)


def _words(name: str) -> str:
    kind, _, term = name.rpartition("/")
    words = _WORDS.get(term, term.replace("_", " "))
    return f"{kind}: {words}" if kind else words
