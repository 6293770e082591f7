"""The picture of ``astroreg demo``: the image before and after the correction, and what is left over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from astroreg.files import replacing
from astroreg.plotting import plot_before_after, plot_residual
from astroreg.plotting.style import sky_subplot

if TYPE_CHECKING:
    from astroreg.align import Alignment

__all__ = ["draw"]

_TITLES = (
    "before: the reference's contours\nlie beside the image",
    "after: the WCS is corrected,\nthe contours fit",
    "residual: image - scaled reference\n(noise alone if all is well)",
)


def draw(image: Any, found: Alignment, path: Path, *, overwrite: bool) -> Path:
    """Draw the two images before and after, and the residual.

    Parameters
    ----------
    image : CCDData
        The image, with the WCS that it claims.
    found : Alignment
        What was measured; its reference has the image's resolution.
    path : Path
        The PNG file.
    overwrite : bool
        Whether it may be replaced.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    # Not by pyplot: no window, no state that is left behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    after = found.corrected_wcs()
    axes = [sky_subplot(figure, wcs, (1, 3, i)) for i, wcs in enumerate((image.wcs, after, after), 1)]
    plot_before_after(found.reference, image, found, ax=axes[:2])
    plot_residual(found.reference, image, found, ax=axes[2])
    for ax, title in zip(axes, _TITLES, strict=True):
        ax.set_title(title)
    with replacing(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=120)
    return path
