"""Ranks of true rewards among draws from their posteriors."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from mavrl.reports.figures.style import GREY, LIGHT, PAGE, line_style, open_axes, sheet, styled

_BAND = 2.576  # standard deviations from the mean that 99 % of flat bins lie within


@styled
def rank_figure(histograms: Mapping[str, Mapping[str, Int[np.ndarray, "bins"]]], title: str) -> Figure:
    """Draw histograms of ranks: flat is right, high at both ends is too narrow a posterior.

    Args:
        histograms: by kind of feedback and by posterior; of independent ranks, which the band is right for.
        title: of the figure.
    """
    figure, panels = sheet(1, len(histograms), PAGE, 2.3, sharey=True)
    for axes, (kind, of_posteriors) in zip(panels, histograms.items(), strict=True):
        for number, (name, counts) in enumerate(of_posteriors.items()):
            total, bins = counts.sum(), len(counts)
            if number == 0:
                flat, half = total / bins, _BAND * math.sqrt(total / bins * (1 - 1 / bins))
                axes.axhspan(flat - half, flat + half, color=LIGHT, linewidth=0, label="99 % of flat bins")
                axes.axhline(flat, color=GREY, linewidth=1.0)
            places = (np.arange(bins) + 0.5) / bins
            axes.plot(places, counts, label=name, **line_style(number))
        axes.set(xlim=(0, 1), ylim=(0, None), xlabel="rank of the truth", title=kind)
        open_axes(axes)
    panels[0].set_ylabel("replicates")
    panels[-1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(title, x=0.01, ha="left")
    return figure
