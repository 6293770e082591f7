"""Where a rotation of the sky puts the keywords of a FITS WCS: the closed form, as numbers.

A celestial FITS WCS is ``world = M(native(linear(pixel)))`` with M the rotation from native to
celestial coordinates [1]_. A pointing error turns the sky as a whole, so the corrected WCS has
``M' = R M`` and nothing else changes, whatever the projection and the distortions.

References
----------
.. [1] Calabretta & Greisen 2002, A&A 395, 1077, doi:10.1051/0004-6361:20021327
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from astroreg.sky.frames import axis_units
from astroreg.sky.rotations import lonlat_to_vector, vector_to_lonlat

__all__ = [
    "PoleKeywords",
    "crpix_without_offset",
    "is_isotropic_zenithal",
    "matrix_turn",
    "native_to_celestial",
    "turned_pole",
]

# Projections whose radius depends on native latitude alone: a turn about the native pole is
# a turn of the plane, and may be put in the linear matrix. SIN only without obliqueness.
ISOTROPIC_ZENITHAL = ("TAN", "STG", "ARC", "ZPN", "ZEA", "AIR", "SIN")

#: native longitude and latitude, in degree, of the native pole
NATIVE_POLE = (0.0, 90.0)


@dataclass(frozen=True)
class PoleKeywords:
    """Keywords, in degree, that orient the native sphere on the sky."""

    crval: tuple[float, float]
    lonpole: float
    latpole: float


def is_isotropic_zenithal(wcs: WCS) -> bool:
    """Whether a turn about the native pole may be written into the linear matrix."""
    projection = wcs.wcs.cel.prj
    if projection.code not in ISOTROPIC_ZENITHAL or wcs.wcs.cel.offset:
        return False
    if wcs.wcs.cel.theta0 != 90.0:
        return False
    # A polynomial behind the matrix (TPV, TNX...) does not turn with it. wcslib hides it from
    # ctype and get_pv; only the full header tells.
    if _has_distortion_behind_matrix(wcs):
        return False
    return projection.code != "SIN" or not np.any(np.nan_to_num(projection.pv[1:3]))


def _has_distortion_behind_matrix(wcs):
    header = wcs.wcs.to_header(relax=True)
    return any(word in header for word in ("-TPV", "-TPD", "-TPU", "-TNX", "-ZPX", "-DSS", "DQ1", "DQ2"))


# -- the closed form ----------------------------------------------------------------------------


def native_to_celestial(wcs: WCS) -> np.ndarray:
    """The matrix M from native to celestial unit vectors."""
    lon_pole, colatitude, native_lon = np.radians(wcs.wcs.cel.euler[:3])
    sine, cosine = np.cos(colatitude), np.sin(colatitude)
    tilt = np.array([[-sine, 0.0, cosine], [0.0, -1.0, 0.0], [cosine, 0.0, sine]])
    return _about_pole(lon_pole) @ tilt @ _about_pole(-native_lon)


def _about_pole(angle):
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def turned_pole(wcs: WCS, rotation: np.ndarray, *, fiducial=None) -> PoleKeywords:
    """The keywords that orient the rotated WCS.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        The nominal WCS.
    rotation : ndarray, shape (3, 3)
        R, in the frame of the WCS.
    fiducial : tuple of float, optional
        Native longitude and latitude, in degree, of the place that CRVAL tells; by default the
        one of the WCS.

    Returns
    -------
    PoleKeywords
    """
    phi0, theta0 = (wcs.wcs.cel.phi0, wcs.wcs.cel.theta0) if fiducial is None else fiducial
    turned = rotation @ native_to_celestial(wcs)
    lon, lat = np.degrees(vector_to_lonlat(turned @ lonlat_to_vector(*np.radians([phi0, theta0]))))
    lonpole = _lonpole_of_pole_at(lon, turned) if theta0 == 90.0 else np.arctan2(turned[2, 1], turned[2, 0])
    latpole = np.arctan2(turned[2, 2], np.hypot(turned[2, 0], turned[2, 1]))
    return PoleKeywords((_like(lon, wcs), float(lat)), float(np.degrees(lonpole)), float(np.degrees(latpole)))


def _lonpole_of_pole_at(lon, turned):
    """LONPOLE in radian that belongs to a celestial longitude (degree) of the native pole.

    Near a celestial pole neither of the two is well determined, but their difference is: take the
    one as given and solve for the other.
    """
    unturned = _about_pole(-np.radians(lon)) @ turned
    return np.arctan2(unturned[1, 0], -unturned[1, 1])


def _like(lon, wcs):
    """A longitude in the turn (0..360 or -180..180) that the nominal CRVAL is written in."""
    nominal = wcs.wcs.crval[wcs.wcs.lng] * axis_units(wcs)[0]
    return float(nominal + (lon - nominal + 180.0) % 360.0 - 180.0)


def matrix_turn(wcs: WCS, pole: PoleKeywords) -> np.ndarray:
    """The 2x2 turn of the (lon, lat) rows of the matrix that stands for a change of LONPOLE."""
    angle = wcs.wcs.cel.euler[2] - pole.lonpole
    return _about_pole(np.radians(angle))[:2, :2]


def crpix_without_offset(wcs: WCS) -> np.ndarray | None:
    """CRPIX for the same plane with its origin at the projection's own, as PVi_0 = 0 has it.

    With PVi_0 = 1 the plane is moved so that its origin is the fiducial point. `None` where
    distortions before the matrix are tied to CRPIX.
    """
    if not wcs.wcs.cel.offset:
        return np.array(wcs.wcs.crpix)
    if wcs.has_distortion:
        return None
    plane = np.zeros(wcs.naxis)
    origin = np.array([wcs.wcs.cel.prj.x0, wcs.wcs.cel.prj.y0])
    plane[[wcs.wcs.lng, wcs.wcs.lat]] = origin / axis_units(wcs)
    return wcs.wcs.crpix - np.linalg.solve(wcs.pixel_scale_matrix, plane)
