"""Covariance of an offset: from pixels to the sky, from one place to another, as an ellipse."""

from __future__ import annotations

from typing import NamedTuple

import astropy.units as u
import numpy as np

from astroreg.checks import argument_named
from astroreg.exceptions import CorrectionError
from astroreg.sky.frames import pixel_to_lonlat
from astroreg.sky.rotations import local_basis, lonlat_to_vector

__all__ = [
    "ErrorEllipse",
    "checked",
    "ellipse",
    "finite_lonlat",
    "from_pixels",
    "in_pixel",
    "jacobian",
    "transport",
]

# Half step, in pixel, of the central differences: long against the rounding of world
# coordinates (1e-13 deg), short against the scale on which distortions change.
JACOBIAN_STEP = 0.5


class ErrorEllipse(NamedTuple):
    """A 1-sigma error ellipse on the sky.

    For two jointly normal coordinates it holds 39.3 percent; scale by 1.515 for 68.3 percent.
    """

    #: semi-major axis, arcsec
    semimajor: u.Quantity
    #: semi-minor axis, arcsec
    semiminor: u.Quantity
    #: position angle of the major axis, from North through East, in [0, 180) deg
    position_angle: u.Quantity


def checked(covariance):
    """Return a (2, 2) covariance in arcsec2, or raise; `None` stays `None`."""
    if covariance is None:
        return None
    with argument_named("covariance", "it must have the unit of an angle squared and shape (2, 2)"):
        values = u.Quantity(covariance).to_value(u.arcsec**2)
    if values.shape != (2, 2):
        raise ValueError(f"`covariance` must have shape (2, 2), got {values.shape}")
    scale = np.max(np.abs(values))
    if not np.allclose(values, values.T, rtol=0, atol=1e-9 * scale, equal_nan=True):
        raise ValueError(f"`covariance` must be symmetric, got {values.tolist()} arcsec2")
    if np.all(np.isfinite(values)) and np.linalg.eigvalsh(values)[0] < -1e-9 * scale:
        raise ValueError(f"`covariance` must not have a negative variance, got {values.tolist()} arcsec2")
    result = values.copy() * u.arcsec**2
    result.flags.writeable = False
    return result


def in_pixel(value, shape, argument, *, power=1):
    """Plain float array, in pixel to a power, of a Quantity in pixel or of plain numbers."""
    with argument_named(argument, f"give numbers of shape {shape}, in pixels"):
        is_quantity = isinstance(value, u.Quantity)
        plain = value.to_value(u.pixel**power) if is_quantity else np.asarray(value, dtype=float)
    if plain.shape != shape or not np.all(np.isfinite(plain)):
        raise ValueError(f"`{argument}` must be finite with shape {shape}, got {plain}")
    return np.asarray(plain, dtype=float)


def finite_lonlat(wcs, pixels):
    """Longitude and latitude (radian) of (x, y) pairs, refusing places that are not on the sky."""
    x, y = np.asarray(pixels, dtype=float).T
    lon, lat = pixel_to_lonlat(wcs, x, y)
    if not np.all(np.isfinite(lon) & np.isfinite(lat)):
        raise CorrectionError(
            f"pixel {np.asarray(pixels)[0]} of `wcs`, or its neighbourhood, is not on the sky; "
            "give a `pivot_pixel` inside the image"
        )
    return lon, lat


def jacobian(wcs, pixel, *, origin=None) -> np.ndarray:
    """Derivative of the offsets (lon, lat) on the sky with respect to the pixel (x, y).

    By central differences through the full WCS, with its distortions.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or any APE-14 WCS
        The WCS.
    pixel : array-like, shape (2,)
        Where the derivative is taken.
    origin : array-like, shape (2,), optional
        The pixel from which the offsets are told, and whose East and North they use; by default
        ``pixel`` itself.

    Returns
    -------
    ndarray, shape (2, 2)
        In arcsec per pixel; rows lon and lat, columns x and y.
    """
    step = JACOBIAN_STEP
    around = np.asarray(pixel) + np.array([[step, 0], [-step, 0], [0, step], [0, -step]])
    lon, lat = finite_lonlat(wcs, np.vstack([[pixel if origin is None else origin], around]))
    radial, east, north = local_basis(lon[0], lat[0]) @ lonlat_to_vector(lon[1:], lat[1:]).T
    offsets = np.array([np.arctan2(east, radial), np.arctan2(north, np.hypot(radial, east))])
    return (offsets[:, ::2] - offsets[:, 1::2]) / (2 * step) * u.rad.to(u.arcsec)


def from_pixels(wcs, covariance, pivot, shift):
    """Covariance on the sky, ``J C J^T``, of a pixel shift with covariance C (pixel2).

    J is the derivative of the offset, as told at the nominal pivot, with respect to the shift, at
    the measured shift.
    """
    # W(p0 - d): the sign of the derivative with respect to d cancels in J C J^T.
    matrix = jacobian(wcs, np.asarray(pivot) - np.asarray(shift), origin=pivot)
    sky = matrix @ covariance @ matrix.T
    return (sky + sky.T) / 2 * u.arcsec**2


def transport(covariance, start, end):
    """Carry the covariance of an offset from one local basis to another, along the rotation it tells.

    Parameters
    ----------
    covariance : Quantity, shape (2, 2), or None
        Covariance of (lon, lat) in the first basis.
    start, end : ndarray, shape (3, 3)
        Rows: line of sight, East and North, of both bases in the same cartesian axes.

    Returns
    -------
    Quantity, shape (2, 2), or None
    """
    if covariance is None:
        return None
    _, east0, north0 = start
    _, east1, north1 = end
    # An offset (lon, lat) is the small rotation w = lon north - lat east about the line of
    # sight crossed with it; read back, lon = w . north and lat = -w . east.
    turn = np.array([[north1 @ north0, -north1 @ east0], [-east1 @ north0, east1 @ east0]])
    return turn @ covariance @ turn.T


def ellipse(covariance) -> ErrorEllipse:
    """The 1-sigma ellipse of a covariance of (lon, lat)."""
    if covariance is None or not np.all(np.isfinite(covariance)):
        return ErrorEllipse(np.nan * u.arcsec, np.nan * u.arcsec, np.nan * u.deg)
    values, vectors = np.linalg.eigh(covariance.to_value(u.arcsec**2))
    minor, major = np.sqrt(np.clip(values, 0.0, None))
    angle = np.mod(np.degrees(np.arctan2(vectors[0, 1], vectors[1, 1])), 180.0)
    return ErrorEllipse(major * u.arcsec, minor * u.arcsec, angle * u.deg)
