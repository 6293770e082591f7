"""The picture of ``astroreg demo``: image and residual, before and after the correction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy import units as u

from astroreg.files import replacing
from astroreg.plotting import plot_before_after, plot_residual
from astroreg.plotting.style import sky_subplot

if TYPE_CHECKING:
    from astroreg.align import Alignment

__all__ = ["draw"]

_TITLES = (
    "before: image, and contours of the reference",
    "after: the contours lie on the image",
    "before: image - scaled reference",
    "after: noise is left",
)
_SIGMAS = 5  # range of both residuals


def draw(image: Any, found: Alignment, path: Path, *, title: str, overwrite: bool) -> Path:
    """Draw the image with the reference's contours and the residual, before and after.

    Parameters
    ----------
    image : CCDData
        The image, with the WCS that it claims.
    found : Alignment
        What was measured; its reference has the image's resolution.
    path : Path
        The PNG file.
    title : str
        Of the figure.
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

    figure = Figure(figsize=(11.5, 10), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize="x-large")
    wcs = (image.wcs, found.corrected_wcs()) * 2
    axes = [sky_subplot(figure, one, (2, 2, i)) for i, one in enumerate(wcs, 1)]
    plot_before_after(found.reference, image, found, ax=axes[:2])
    uncorrected = replace(found, shift=[0, 0] * u.pixel)
    for result, ax in ((uncorrected, axes[2]), (found, axes[3])):
        plot_residual(found.reference, image, result, ax=ax)[0].set_clim(-_SIGMAS, _SIGMAS)
    for ax, words in zip(axes, _TITLES, strict=True):
        ax.set_title(words)
    with replacing(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=110)
    return path
