"""Measuring one pair of a stack, wherever a worker is, and what is sent back."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import BaseCoordinateFrame

from astroreg.align import Alignment, align
from astroreg.flags import ShiftFlag
from astroreg.sky.frames import lonlat
from astroreg.stack.survey import frame_of

__all__ = ["PairShift", "measure_pair", "one_line"]

_NAN = float("nan")


@dataclass(frozen=True)
class PairShift:
    """The shift of one image of a stack relative to another, in plain numbers.

    Attributes
    ----------
    reference, image : int
        Places of the two in the stack; -1 is a reference that is not part of it.
    reference_identity, image_identity : str
        What tells their pixels from those of other images.
    dx, dy : float
        The shift of the image relative to the reference, in pixel of the image.
    dx_error, dy_error : float
        Its 1-sigma errors, in pixel.
    rotation_x, rotation_y, rotation_z : float
        Rotation vector, in radian, that takes the coordinates of the image to those of the reference.
    pivot_lon, pivot_lat : float
        Where the shift was measured, in degree, in the coordinates of the image.
    var_lon, cov_lonlat, var_lat : float
        Covariance of the offset on the sky there, in arcsec2.
    chi2, dof, overlap : float
        Of the measurement.
    flags : int
        Its `astroreg.ShiftFlag`.
    seconds : float
        How long it took.
    error : str
        Why there is no measurement; empty where there is one.
    """

    reference: int
    image: int
    reference_identity: str = ""
    image_identity: str = ""
    dx: float = _NAN
    dy: float = _NAN
    dx_error: float = _NAN
    dy_error: float = _NAN
    rotation_x: float = _NAN
    rotation_y: float = _NAN
    rotation_z: float = _NAN
    pivot_lon: float = _NAN
    pivot_lat: float = _NAN
    var_lon: float = _NAN
    cov_lonlat: float = _NAN
    var_lat: float = _NAN
    chi2: float = _NAN
    dof: float = _NAN
    overlap: float = _NAN
    flags: int = 0
    seconds: float = _NAN
    error: str = ""

    @property
    def usable(self) -> bool:
        """Whether there is a trusted shift with a known error."""
        numbers = (self.rotation_x, self.var_lon, self.cov_lonlat, self.var_lat)
        known = bool(np.isfinite(numbers).all()) and self.var_lon > 0 and self.var_lat > 0
        return not self.error and known and ShiftFlag(self.flags).trusted

    @property
    def covariance(self) -> np.ndarray:
        """Of (lon, lat) at the pivot, in arcsec2, shape (2, 2)."""
        return np.array([[self.var_lon, self.cov_lonlat], [self.cov_lonlat, self.var_lat]])

    @property
    def rotation_vector(self) -> np.ndarray:
        """From the coordinates of the image to those of the reference, in radian."""
        return np.array([self.rotation_x, self.rotation_y, self.rotation_z])


def measure_pair(
    reference: Any,
    image: Any,
    names: tuple[int, int, str, str],
    frame: BaseCoordinateFrame,
    hdu: Any,
    method: Callable,
    options: dict[str, Any],
) -> PairShift:
    """Measure one pair; whatever goes wrong is told, not raised.

    Parameters
    ----------
    reference, image : path or Frame
        The two images.
    names : tuple
        Their places in the stack and their identities.
    frame : BaseCoordinateFrame
        In which the rotation is told.
    hdu : int, str or tuple or None
        Which HDU of a file.
    method : callable
        As for `astroreg.align`.
    options : dict
        Further options of `astroreg.align`.

    Returns
    -------
    PairShift
        With ``error`` where there is no measurement.
    """
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = align(frame_of(reference, hdu), frame_of(image, hdu), method=method, **options)
            told = _told(found, frame)
        error = ""
    except Exception as failure:
        told, error = {}, one_line(failure)
    first, second, *identities = names
    return PairShift(
        first, second, *identities, **told, error=error, seconds=round(time.perf_counter() - start, 4)
    )


def one_line(error: BaseException) -> str:
    """Return an error as one line of text."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _told(found: Alignment, frame: BaseCoordinateFrame) -> dict[str, Any]:
    """Return what is worth sending back."""
    told = {"flags": int(found.flags), "chi2": float(found.chi2), "dof": float(found.dof)}
    told["overlap"] = float(found.overlap)
    if not found.determined:
        return told
    told |= dict(zip(("dx", "dy"), found.shift.to_value(u.pixel).tolist(), strict=True))
    told |= dict(zip(("dx_error", "dy_error"), found.shift_error.to_value(u.pixel).tolist(), strict=True))
    correction = found.sky_correction.transform_to(frame)
    told |= dict(
        zip(("rotation_x", "rotation_y", "rotation_z"), correction.rotation_vector.tolist(), strict=True)
    )
    lon, lat = np.degrees(lonlat(correction.pivot)).tolist()
    told |= {"pivot_lon": lon, "pivot_lat": lat}
    if correction.covariance is not None:
        (xx, xy), (_, yy) = correction.covariance.to_value(u.arcsec**2).tolist()
        told |= {"var_lon": xx, "cov_lonlat": xy, "var_lat": yy}
    return told
