"""Learning curves over budgets: what runs with more labels reach."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from mavrl.metrics import METRICS
from mavrl.reports.figures.rounds import Curve, draw_curve
from mavrl.reports.figures.style import PAGE, SMALL, entitle, open_axes, sheet, styled


@styled
def budget_figure(curves: Mapping[str, Mapping[str, Curve]], metrics: Sequence[str], title: str) -> Figure:
    """Draw a panel for each metric, with a line for each subset of feedback, on a logarithmic scale of labels.

    Args:
        curves: of each subset, by its name, and in it by metric; one may lack a metric.
        metrics: names of those to draw.
        title: of the figure.
    """
    figure, panels = sheet(1, len(metrics), PAGE if len(metrics) > 1 else 4.6, 3.2)
    for axes, metric in zip(panels, metrics, strict=True):
        for number, (subset, of_subset) in enumerate(curves.items()):
            if metric in of_subset:
                draw_curve(axes, of_subset[metric], subset, number)
        axes.set_title(METRICS[metric].words, fontsize=SMALL)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
        axes.set_xlabel("labels, of all kinds together")
        open_axes(axes)
    handles = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=8, columnspacing=1.2)
    entitle(figure, f"{title}; bands: ± 1 stderr")
    return figure
