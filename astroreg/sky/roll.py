"""The one angle of a pointing correction that a single shift does not determine."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS

from astroreg.exceptions import CorrectionError
from astroreg.sky.frames import frame_rotation, unit_vector
from astroreg.sky.rotations import (
    matrix_to_rotation_vector,
    minimal_rotation,
    rotation_vector_to_matrix,
    vector_to_lonlat,
)

__all__ = ["check_roll", "twist_of_kept_position_angle", "with_roll"]


def with_roll(correction, roll) -> np.ndarray:
    """The rotation vector of a correction under a roll policy (see `SkyCorrection.with_roll`)."""
    check_roll(roll)
    if isinstance(roll, u.Quantity):
        return matrix_to_rotation_vector(
            _turn_about_true_pivot(correction, roll) @ correction.rotation_matrix
        )
    if roll == "zero":
        return correction.rotation_vector
    return matrix_to_rotation_vector(_keep_position_angle(correction))


def check_roll(roll) -> None:
    """Refuse what is neither a policy nor one finite angle."""
    if isinstance(roll, str) and roll in ("zero", "keep-pa"):
        return
    is_angle = isinstance(roll, u.Quantity) and roll.isscalar and roll.unit.is_equivalent(u.rad)
    if not (is_angle and np.isfinite(roll)):
        raise ValueError(f"`roll` must be 'zero', 'keep-pa' or one angle (a Quantity), got {roll!r}")


def twist_of_kept_position_angle(correction) -> u.Quantity:
    """Angle about the true pivot between the "keep-pa" rotation and the one without roll."""
    start = unit_vector(correction.pivot)
    end = correction.rotation_matrix @ start
    shortest = rotation_vector_to_matrix(minimal_rotation(start, end))
    rest = matrix_to_rotation_vector(_keep_position_angle(correction) @ shortest.T)
    return -np.dot(rest, end) * u.rad


def _turn_about_true_pivot(correction, angle):
    axis = correction.rotation_matrix @ unit_vector(correction.pivot)
    # Position angles grow from North to East: left-handed about the outward line of sight.
    return rotation_vector_to_matrix(-angle.to_value(u.rad) * axis)


def _keep_position_angle(correction):
    """Matrix, in the frame of the correction, of a turn about the pole and one along the meridian."""
    to_equatorial = _axes_of_mount(correction.frame)
    start = to_equatorial @ unit_vector(correction.pivot)
    end = to_equatorial @ correction.rotation_matrix @ unit_vector(correction.pivot)
    (lon0, lat0), (lon1, lat1) = vector_to_lonlat(start), vector_to_lonlat(end)
    about_pole = rotation_vector_to_matrix([0.0, 0.0, lon1 - lon0])
    # Raising the latitude at lon1 is left-handed about the direction of East there.
    east = np.array([-np.sin(lon1), np.cos(lon1), 0.0])
    along_meridian = rotation_vector_to_matrix(-(lat1 - lat0) * east)
    return to_equatorial.T @ along_meridian @ about_pole @ to_equatorial


def _axes_of_mount(frame):
    """Rotation to the equatorial axes; the frame's own axes where it has no fixed relation to them."""
    try:
        return frame_rotation(frame, ICRS())
    except CorrectionError:
        return np.eye(3)
