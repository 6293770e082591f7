"""Whether the roll, which one shift does not tell, matters for an alignment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy import units as u

from astroreg.align.alignment import Alignment
from astroreg.flags import ShiftFlag
from astroreg.sky.frames import pixel_to_lonlat, unit_vector
from astroreg.sky.rotations import angular_distance, lonlat_to_vector

__all__ = ["with_roll_judged"]


def with_roll_judged(found: Alignment) -> Alignment:
    """Set ROLL_AMBIGUOUS where the two usual rolls part, in the farthest corner, by more than the error.

    Parameters
    ----------
    found : Alignment
        With a correction; the roll of a detector that moved, or one that was given, is no question.

    Returns
    -------
    Alignment
        The same, or with the flag.
    """
    correction = found.sky_correction
    if found.linear_correction is not None:  # which has measured the roll
        return found
    if correction is None or found.kind != "pointing" or not isinstance(found.roll, str):
        return found
    ambiguity = correction.roll_ambiguity(_farthest(found))
    if not ambiguity > correction.ellipse.semimajor:  # an unknown error is NaN
        return found
    return replace(found, flags=found.flags | ShiftFlag.ROLL_AMBIGUOUS)


def _farthest(found: Alignment) -> u.Quantity:
    """Angle from the pivot to the farthest corner of the image that is on the sky."""
    ny, nx = found.image_shape
    x, y = np.meshgrid([-0.5, (nx - 1) / 2, nx - 0.5], [-0.5, (ny - 1) / 2, ny - 0.5])
    corners = lonlat_to_vector(*pixel_to_lonlat(found.wcs, x.ravel(), y.ravel()))
    distances = angular_distance(corners, unit_vector(found.sky_correction.pivot))
    return np.max(distances, where=np.isfinite(distances), initial=0.0) * u.rad
