"""Exact correction of `astropy.wcs.WCS` objects: the rotation of the sky, the shift of the detector."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.sky.closed_form import (
    NATIVE_POLE,
    crpix_without_offset,
    is_isotropic_zenithal,
    matrix_turn,
    turned_pole,
)
from astroreg.sky.deformation import stretched_fits_wcs, with_plane
from astroreg.sky.frames import axis_units, celestial_frame, pixel_to_lonlat, unit_vector
from astroreg.sky.grid_check import GRID_TOLERANCE, STRETCH_TOLERANCE, first_exact, rotation_residual
from astroreg.sky.rotations import lonlat_to_vector, vector_to_lonlat

__all__ = [
    "correct_fits_wcs",
    "detector_shift",
    "require_stretch",
    "rotated_fits_wcs",
    "rotation_for",
    "sphere_matrix_for",
]


def correct_fits_wcs(wcs: WCS, correction, *, kind: str, roll) -> WCS:
    """Return a corrected copy of a FITS WCS (see `astroreg.sky.correct_wcs`)."""
    wcs = wcs.deepcopy()  # wcslib completes a WCS in place when it is first used
    if kind == "detector":
        return _shifted(wcs, detector_shift(wcs, correction))
    if correction.stretch is None:
        return rotated_fits_wcs(wcs, rotation_for(wcs, correction, roll))
    sphere = sphere_matrix_for(wcs, correction, roll)
    plane, rotation = stretched_fits_wcs(wcs, sphere)
    corrected = rotated_fits_wcs(with_plane(wcs, plane), rotation)
    require_stretch(rotation_residual(wcs, corrected, sphere))
    return corrected


def rotated_fits_wcs(wcs: WCS, rotation: np.ndarray) -> WCS:
    """Return a copy of a FITS WCS turned by a 3x3 rotation in its own frame."""
    ways = (turned(wcs, rotation) for turned in (_with_turned_matrix, _with_turned_pole, _with_native_pole))
    residual, corrected = first_exact(
        (rotation_residual(wcs, candidate, rotation), candidate)
        for candidate in ways
        if candidate is not None
    )
    if not residual < GRID_TOLERANCE:
        raise CorrectionError(
            f"no keywords of `wcs` express the correction: {residual:.2g} pixel off at best"
        )
    return corrected


def rotation_for(wcs, correction, roll) -> np.ndarray:
    """The 3x3 rotation of a correction, with its roll decided, in the frame of a WCS."""
    return correction.with_roll(roll).transform_to(celestial_frame(wcs)).rotation_matrix


def sphere_matrix_for(wcs, correction, roll) -> np.ndarray:
    """The 3x3 matrix of a correction with its stretch, as `rotation_for`."""
    return correction.with_roll(roll).transform_to(celestial_frame(wcs)).sphere_matrix


def require_stretch(residual: float) -> None:
    """Refuse a stretch that the plane of projection does not take up, `residual` in pixel."""
    if not residual < STRETCH_TOLERANCE:
        raise CorrectionError(
            f"the WCS cannot express the stretch of the sky: {residual:.2g} pixel off at best; measure with "
            'geometry="rshift" or "shift", which it can'
        )


# -- three ways to write the rotation; None where a way does not apply ---------------------------


def _with_crval(wcs, pole):
    corrected = wcs.deepcopy()
    crval = np.array(wcs.wcs.crval)
    crval[[wcs.wcs.lng, wcs.wcs.lat]] = np.array(pole.crval) / axis_units(wcs)
    corrected.wcs.crval = crval
    return corrected


def _with_turned_matrix(wcs, rotation):
    if not is_isotropic_zenithal(wcs):
        return None
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


def _with_turned_pole(wcs, rotation):
    pole = turned_pole(wcs, rotation)
    return _with_pole(wcs, pole, {3: pole.lonpole, 4: pole.latpole})


def _with_native_pole(wcs, rotation):
    """Tell the place of the native pole instead of solving for it, which is ill-conditioned at times."""
    crpix = crpix_without_offset(wcs)
    if crpix is None:
        return None
    pole = turned_pole(wcs, rotation, fiducial=NATIVE_POLE)
    keywords = {0: 0.0, 1: NATIVE_POLE[0], 2: NATIVE_POLE[1], 3: pole.lonpole, 4: pole.latpole}
    return _with_pole(wcs, pole, keywords, add=(0, 1, 2), crpix=crpix)


def _with_pole(wcs, pole, pv, add=(), crpix=None):
    """Set CRVAL, LONPOLE and LATPOLE, and the PVi_m of the longitude axis that are present or added.

    PVi_3 and PVi_4 are other names of LONPOLE and LATPOLE, and win over them.
    """
    corrected = _with_crval(wcs, pole)
    if crpix is not None:
        corrected.wcs.crpix = crpix
    corrected.wcs.lonpole, corrected.wcs.latpole = pole.lonpole, pole.latpole
    axis = wcs.wcs.lng + 1
    values = {(i, m): value for i, m, value in wcs.wcs.get_pv()}
    values |= {(axis, m): value for m, value in pv.items() if m in add or (axis, m) in values}
    corrected.wcs.set_pv([(i, m, value) for (i, m), value in values.items()])
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
