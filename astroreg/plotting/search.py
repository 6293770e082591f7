"""The search for the shift: the correlation of two images over all shifts, with the peak that was taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from astroreg.align import Alignment
from astroreg.inputs import as_frame
from astroreg.plotting.surfaces import plot_correlation
from astroreg.prepared import prepare

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from astroreg.inputs import Frame
    from astroreg.results import ShiftResult

__all__ = ["plot_search"]


def plot_search(
    reference: Any, image: Any, result: ShiftResult, *, min_overlap: float = 0.1, ax: Axes | None = None
) -> list[Artist]:
    """Draw the correlation of two images over the shift, with the peak that was taken and its rival.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, path, Quantity or array
        The two images as they were given to the method, or to `astroreg.align`.
    result : ShiftResult
        What it gave; one that found no shift, too.
    min_overlap : float, default 0.1
        Least overlap of the good pixels; what overlaps less is left blank.
    ax : Axes, optional
        Where to draw; the default is a new figure.

    Returns
    -------
    list of Artist
        The surface, then the marks, as of `plot_correlation`.

    Raises
    ------
    ValueError
        If the images cannot be compared.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    This is the first step of all methods. A shift that can be trusted is one peak that stands out.
    """
    first, origin = _laid_on_the_grid(reference, result)
    second = as_frame(image, argument="image")
    pair = prepare(
        first,
        second,
        max_shift=None,
        min_overlap=min_overlap,
        boundary="overlap",
        fit_scale=True,
        fit_background=True,
        uncertainty="attached",
    )
    found = pair.coarse.surface
    rival = result.rival if result.determined else None
    return plot_correlation(
        np.where(found.overlap >= min_overlap, found.rho, np.nan),
        x=found.x + origin[0],
        y=found.y + origin[1],
        peak=result.shift if result.determined else None,
        rivals=() if rival is None else [rival.shift.to_value(u.pixel)],
        ax=ax,
    )


def _laid_on_the_grid(reference: Any, result: ShiftResult) -> tuple[Frame, np.ndarray]:
    """Return the reference on the grid of the image, and the shift (x, y) at which it lies there."""
    if not isinstance(result, Alignment):
        return as_frame(reference, argument="reference"), np.zeros(2)
    frame = as_frame(result.resampled_reference, argument="reference")
    # The reference lies where the corrected coordinates put it, if there are any.
    return frame, np.zeros(2) if result.corrected is None else result.shift.to_value(u.pixel)
