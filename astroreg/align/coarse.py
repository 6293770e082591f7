"""The first pass of `align` on coarser pixels: where two large images lie, for little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy import units as u

from astroreg.align.pairs import footprint
from astroreg.flags import ShiftFlag
from astroreg.grids import GridMap, Window
from astroreg.inputs import Frame
from astroreg.resample.coarser import on_coarser_pixels
from astroreg.resample.resampling import FRACTION
from astroreg.results import ShiftResult
from astroreg.tiles.start import good_part

__all__ = ["coarse_frames", "in_pixels", "is_a_start"]

SIDE = 192  # coarser pixels along the shorter side of what both see, at least
WORTH = 3  # pixels along the side of a coarser one below which passes on them cost as much as one on all
LEAST = 48  # coarser pixels along the shorter side of the reference, which may lie askew
SURE = 0.5  # pixels: largest error of a start from which the passes on all pixels find what is left
HARMLESS = ShiftFlag.BAD_CHI2 | ShiftFlag.NOISE_ESTIMATED


def coarse_frames(reference: Frame, image: Frame) -> tuple[Frame, Frame, int] | None:
    """Return two images on pixels coarse enough that a pass costs little.

    Parameters
    ----------
    reference, image : Frame
        The two images.

    Returns
    -------
    reference, image : Frame
        On coarser pixels, of about the same size on the sky.
    block : int
        Pixels of the image along the side of a coarser one.
        None instead of all where nothing has to be resampled, what both see is small, or
        the reference is a strip.
    """
    whole = Window.of_shape(image.shape)
    if min(whole.shape) < WORTH * SIDE or not image.valid.any():
        return None
    grid = GridMap(reference.wcs, image.wcs, whole)
    if grid.translation(FRACTION) is not None:
        return None
    block = min((good_part(image) & footprint(reference, image.wcs, whole, 0)).shape) // SIDE
    if block < WORTH:
        return None
    # Reference pixels a pixel of the image; where its pixels are the larger ones they are left as they are.
    stretch = float(np.sqrt(np.prod(grid.stretches())))
    of_reference = max(1, round(block * stretch)) if np.isfinite(stretch) else 1
    if min(reference.shape) < LEAST * of_reference:
        return None
    return on_coarser_pixels(reference, of_reference), on_coarser_pixels(image, block), block


def in_pixels(result: ShiftResult, total: u.Quantity, block: int) -> ShiftResult:
    """Tell what passes on coarser pixels found in pixels of the image, without the map and the rival.

    Parameters
    ----------
    result : ShiftResult
        Of the last one.
    total : Quantity
        (x, y) coarser pixels, of all.
    block : int
        Pixels along the side of a coarser one.

    Returns
    -------
    ShiftResult
        In pixels.
    """
    size = {"shift": total * block, "covariance": result.covariance * block**2}
    return replace(result, **size, n_pixels=result.n_pixels * block**2, delta_chi2=None, rival=None)


def is_a_start(result: ShiftResult) -> bool:
    """Whether a shift found on coarser pixels leaves nothing open but the last half pixel.

    Parameters
    ----------
    result : ShiftResult
        In pixels.

    Returns
    -------
    bool
        True where its error is known and small, and no flag is raised that bears on the shift.
    """
    if not result.ok or result.flags & ~HARMLESS:
        return False
    return bool(np.all(result.shift_error < SURE * u.pixel))
