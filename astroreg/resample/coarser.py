"""An image on coarser pixels of its own grid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from astroreg.estimators.decimation import Flux, decimated
from astroreg.estimators.overlap import Plane
from astroreg.grids import binned_wcs

if TYPE_CHECKING:
    from astroreg.inputs import Frame

__all__ = ["on_coarser_pixels"]


def on_coarser_pixels(frame: Frame, block: int) -> Frame:
    """Return an image on pixels `block` times as large, with nothing lost that those can hold.

    Parameters
    ----------
    frame : Frame
        An image, of a block along each side at the least.
    block : int
        Pixels a side of a coarser pixel.

    Returns
    -------
    Frame
        Low-passed and sampled, with its variance, its mask and its WCS; the frame itself where a block is one
        pixel.
    """
    if block == 1:
        return frame
    good = None if frame.mask is None else ~frame.mask
    variance = 0.0 if frame.variance is None else frame.variance
    coarse = decimated(Plane(frame.data, variance, good), block, Flux(), frame.data.dtype)
    return replace(
        frame,
        data=coarse.data,
        variance=None if frame.variance is None else coarse.variance,
        mask=None if coarse.good is None else ~coarse.good,
        wcs=binned_wcs(frame.wcs, block),
    )
