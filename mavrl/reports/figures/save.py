"""Figures on disk."""

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure
from PIL import Image

from mavrl.reports.figures.style import styled
from mavrl.storage.files import replacing

_DPI = 150


@styled
def save_figure(figure: Figure, path: Path, dpi: int = _DPI, pdf: bool = True) -> list[Path]:
    """Write a figure as PNG, and beside it as PDF; each whole or not at all.

    The canvases are asked themselves: `Figure.savefig` draws everything twice.

    Args:
        path: of the PNG.
        pdf: whether to write the PDF; it takes as long as the PNG.

    Returns:
        The paths of what was written.

    Raises:
        StorageError: they cannot be written.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    with replacing(path) as temporary:
        Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).save(temporary, "PNG", dpi=(dpi, dpi))
    if not pdf:
        return [path]
    figure.set_layout_engine("none")  # all is where it belongs by now
    with replacing(path.with_suffix(".pdf")) as temporary:
        FigureCanvasPdf(figure).print_pdf(temporary, metadata={"CreationDate": None})
    return [path, path.with_suffix(".pdf")]
