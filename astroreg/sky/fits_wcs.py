"""Exact correction of `astropy.wcs.WCS`: the closed-form rotation and the detector shift.

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

from astroreg.exceptions import CorrectionError
from astroreg.sky.frames import celestial_frame, pixel_to_lonlat, unit_vector
from astroreg.sky.grid_check import GRID_TOLERANCE, rotation_residual
from astroreg.sky.rotations import lonlat_to_vector, vector_to_lonlat

__all__ = [
    "NativePole",
    "axis_units",
    "correct_fits_wcs",
    "detector_shift",
    "is_isotropic_zenithal",
    "matrix_turn",
    "rotation_for",
    "turned_pole",
]

# Projections whose radius depends on native latitude alone: a turn about the native pole is
# a turn of the plane, and may be put in the linear matrix. SIN only without obliqueness.
ISOTROPIC_ZENITHAL = ("TAN", "STG", "ARC", "ZPN", "ZEA", "AIR", "SIN")


@dataclass(frozen=True)
class NativePole:
    """Keywords, in degree, that orient the native sphere on the sky."""

    crval: tuple[float, float]
    lonpole: float
    latpole: float


def correct_fits_wcs(wcs: WCS, correction, *, kind: str, roll) -> WCS:
    """Return a corrected copy of a FITS WCS (see `astroreg.sky.correct_wcs`)."""
    if kind == "detector":
        return _shifted(wcs, detector_shift(wcs, correction))
    rotation = rotation_for(wcs, correction, roll)
    if is_isotropic_zenithal(wcs):
        corrected = _with_turned_matrix(wcs, rotation)
        if rotation_residual(wcs, corrected, rotation) < GRID_TOLERANCE:
            return corrected
    corrected = _with_turned_pole(wcs, rotation)
    residual = rotation_residual(wcs, corrected, rotation)
    if not residual < GRID_TOLERANCE:
        raise CorrectionError(
            f"the corrected `wcs` differs from the rotation by {residual:.2g} pixel; it was left as it was"
        )
    return corrected


def rotation_for(wcs, correction, roll) -> np.ndarray:
    """The 3x3 rotation of a correction, with its roll decided, in the frame of a WCS."""
    return correction.with_roll(roll).transform_to(celestial_frame(wcs)).rotation_matrix


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


def turned_pole(wcs: WCS, rotation: np.ndarray) -> NativePole:
    """The pole keywords of the rotated WCS.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        The nominal WCS.
    rotation : ndarray, shape (3, 3)
        R, in the frame of the WCS.

    Returns
    -------
    NativePole
    """
    turned = rotation @ native_to_celestial(wcs)
    fiducial = lonlat_to_vector(*np.radians([wcs.wcs.cel.phi0, wcs.wcs.cel.theta0]))
    lon, lat = np.degrees(vector_to_lonlat(turned @ fiducial))
    # Near a celestial pole the longitude of the native pole (x, y of the third column) is badly
    # determined, and so is LONPOLE; their difference is not. Take the one and solve for the other.
    if wcs.wcs.cel.theta0 == 90.0:
        unturned = _about_pole(-np.radians(lon)) @ turned
        lonpole = np.arctan2(unturned[1, 0], -unturned[1, 1])
    else:
        lonpole = np.arctan2(turned[2, 1], turned[2, 0])
    latpole = np.arctan2(turned[2, 2], np.hypot(turned[2, 0], turned[2, 1]))
    return NativePole((_like(lon, wcs), float(lat)), float(np.degrees(lonpole)), float(np.degrees(latpole)))


def _like(lon, wcs):
    """A longitude in the turn (0..360 or -180..180) that the nominal CRVAL is written in."""
    nominal = wcs.wcs.crval[wcs.wcs.lng] * axis_units(wcs)[0]
    return float(nominal + (lon - nominal + 180.0) % 360.0 - 180.0)


def matrix_turn(wcs: WCS, pole: NativePole) -> np.ndarray:
    """The 2x2 turn of the (lon, lat) rows of the matrix that stands for a change of LONPOLE."""
    angle = wcs.wcs.cel.euler[2] - pole.lonpole
    return _about_pole(np.radians(angle))[:2, :2]


def axis_units(wcs: WCS) -> tuple[float, float]:
    """Degrees in one CUNIT of the longitude and of the latitude axis."""
    return tuple(wcs.wcs.cunit[axis].to("deg") for axis in (wcs.wcs.lng, wcs.wcs.lat))


def _with_crval(wcs, pole):
    corrected = wcs.deepcopy()
    crval = np.array(wcs.wcs.crval)
    crval[[wcs.wcs.lng, wcs.wcs.lat]] = np.array(pole.crval) / axis_units(wcs)
    corrected.wcs.crval = crval
    return corrected


def _with_turned_pole(wcs, rotation):
    pole = turned_pole(wcs, rotation)
    corrected = _with_crval(wcs, pole)
    corrected.wcs.lonpole, corrected.wcs.latpole = pole.lonpole, pole.latpole
    # PVi_3 and PVi_4 of the longitude axis are other names of LONPOLE and LATPOLE, and win.
    alias = {(wcs.wcs.lng + 1, 3): pole.lonpole, (wcs.wcs.lng + 1, 4): pole.latpole}
    corrected.wcs.set_pv([(i, m, alias.get((i, m), value)) for i, m, value in wcs.wcs.get_pv()])
    corrected.wcs.set()
    return corrected


def _with_turned_matrix(wcs, rotation):
    pole = turned_pole(wcs, rotation)
    corrected = _with_crval(wcs, pole)
    turn = matrix_turn(wcs, pole)
    rows = [wcs.wcs.lng, wcs.wcs.lat]
    units = np.array(axis_units(wcs))
    if wcs.wcs.has_cd():
        # CD is in CUNIT: the turn mixes the two axes in degrees.
        matrix = np.array(wcs.wcs.cd)
        matrix[rows] = (turn * units / units[:, np.newaxis]) @ matrix[rows]
        corrected.wcs.cd = matrix
    else:
        scale = units * wcs.wcs.cdelt[rows]
        matrix = np.array(wcs.wcs.get_pc())
        matrix[rows] = (turn * scale / scale[:, np.newaxis]) @ matrix[rows]
        corrected.wcs.pc = matrix
    corrected.wcs.set()
    return corrected


# -- a shift of the detector --------------------------------------------------------------------


def detector_shift(wcs: WCS, correction) -> np.ndarray:
    """The pixel shift d (x, y of the celestial plane) with ``W(p0 - d)`` the true pivot.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        The nominal WCS of the image in which the correction was measured.
    correction : SkyCorrection
        The correction.

    Returns
    -------
    ndarray, shape (2,)
    """
    local = correction.transform_to(celestial_frame(wcs))
    plane = wcs.celestial
    nominal, true = (_sky_to_pixel(plane, place) for place in (local.pivot, local.true_pivot))
    shift = nominal - true
    if not np.all(np.isfinite(shift)):
        raise CorrectionError("the pivot of the correction is not on the image; use kind='pointing'")
    return shift


def _sky_to_pixel(plane, place):
    lon, lat = np.degrees(vector_to_lonlat(unit_vector(place)))
    world = np.empty(2)
    world[[plane.wcs.lng, plane.wcs.lat]] = np.array([lon, lat]) / axis_units(plane)
    start = np.array(plane.all_world2pix(*world, 0, tolerance=1e-6, quiet=True), dtype=float)
    return _polished(plane, place, start)


def _polished(plane, place, pixel):
    """One Newton step: the inverse of lookup tables and of SIP is iterative."""
    step = 0.5
    target = unit_vector(place)
    around = pixel + step * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    vectors = lonlat_to_vector(*pixel_to_lonlat(plane, *around.T))
    jacobian = np.stack([vectors[1] - vectors[2], vectors[3] - vectors[4]], axis=1) / (2 * step)
    return pixel + np.linalg.lstsq(jacobian, target - vectors[0], rcond=None)[0]


def _shifted(wcs, shift):
    corrected = wcs.deepcopy()
    x, y = sorted((wcs.wcs.lng, wcs.wcs.lat))
    crpix = np.array(wcs.wcs.crpix)
    crpix[[x, y]] += shift
    corrected.wcs.crpix = crpix
    if corrected.sip is not None:
        corrected.sip.crpix[:] = np.array(wcs.sip.crpix) + shift
    for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"):
        table = getattr(corrected, name)
        if table is not None:
            table.crval = tuple(np.array(table.crval) + shift)
    corrected.wcs.set()
    return corrected
