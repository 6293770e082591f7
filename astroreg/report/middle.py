"""The middle of a very large image: what a page can show does not need all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy import units as u

from astroreg.align import Alignment
from astroreg.grids import shifted_wcs
from astroreg.inputs import Frame
from astroreg.results import ShiftResult

__all__ = ["LARGEST", "middle_of"]

LARGEST = 1500  # pixels a side: interpolating 1500 x 1500 takes a second, 15000 x 15000 all memory


def middle_of(image: Frame, result: ShiftResult) -> tuple[Frame, ShiftResult]:
    """Return the middle of an image and the result as it is for that part.

    Parameters
    ----------
    image : Frame
        The image.
    result : ShiftResult
        Its shift.

    Returns
    -------
    image : Frame
        Of at most `LARGEST` pixels a side; the same where it is no larger.
    result : ShiftResult
        Told in the pixels of the part.
    """
    if max(image.shape) <= LARGEST:
        return image, result
    y0, x0 = (max(0, (n - LARGEST) // 2) for n in image.shape)
    cells = (slice(y0, y0 + LARGEST), slice(x0, x0 + LARGEST))
    part = replace(
        image,
        data=image.data[cells],
        variance=None if image.variance is None else image.variance[cells],
        mask=None if image.mask is None else image.mask[cells],
        wcs=None if image.wcs is None else shifted_wcs(image.wcs, x0, y0),
    )
    origin = np.array([x0, y0])
    if result.wcs is None:
        # By pixels alone: reference pixel p stands at p + shift - origin of the part.
        return part, replace(result, shift=result.shift - origin * u.pixel)
    changes = {"wcs": shifted_wcs(result.wcs, x0, y0), "image_shape": part.shape}
    if isinstance(result, Alignment):
        changes["pivot_pixel"] = tuple(np.array(result.pivot_pixel) - origin)
    return part, replace(result, **changes)
