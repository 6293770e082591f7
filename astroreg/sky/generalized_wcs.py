"""Corrections of every WCS that is not a FITS WCS: generalized WCS and wrappers (APE 14)."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.wcs.wcsapi import BaseLowLevelWCS, HighLevelWCSWrapper

from astroreg.exceptions import CorrectionError
from astroreg.sky.dispatch import check_policy
from astroreg.sky.fits_wcs import sphere_matrix_for
from astroreg.sky.frames import celestial_frame, unit_vector
from astroreg.sky.rotations import vector_to_lonlat
from astroreg.sky.wrapped_wcs import RotatedWCS, ShiftedWCS, celestial_world_axes

__all__ = ["correct_generalized_wcs"]


def correct_generalized_wcs(
    wcs, correction, *, kind: str = "pointing", roll: str | u.Quantity = "zero", wcsinfo: dict | None = None
):
    """Return a corrected copy of a generalized WCS, or of any other WCS of the shared interface.

    Parameters
    ----------
    wcs : `gwcs.WCS` or any APE-14 WCS
        The nominal WCS; it is not changed.
    correction : SkyCorrection
        What to add to the nominal coordinates.
    kind : {"pointing", "detector"}, optional
        As in `correct_wcs`; default ``"pointing"``.
    roll : {"zero", "keep-pa"} or `~astropy.units.Quantity`, optional
        As in `correct_wcs`; default ``"zero"``.
    wcsinfo : dict, optional
        For JWST and Roman: ``v2_ref``, ``v3_ref`` (arcsec), ``roll_ref`` (deg) of the pipeline's
        metadata, and ``telescope`` (``"JWST"`` or ``"ROMAN"``). By default they are taken from
        the transformation from V2, V3 to the sky, and the telescope from an earlier correction,
        else JWST.

    Returns
    -------
    same type as ``wcs``
        A `gwcs.WCS` stays one and can be written. One with a frame ``v2v3`` is corrected in the
        tangent plane, in the frame ``v2v3corr``, as the pipelines of JWST and Roman expect it. Of
        other classes comes a wrapper with the same interface, which cannot be written.

    Raises
    ------
    CorrectionError
        If the WCS is not celestial, or cannot be corrected exactly.
    ImportError
        If the WCS needs tweakwcs and it is not installed.
    """
    check_policy(correction, kind, roll)
    if _is_gwcs(wcs):
        from astroreg.sky import gwcs_pipeline

        if kind == "detector":
            return gwcs_pipeline.with_shift(wcs, _detector_shift(wcs, correction))
        sphere = sphere_matrix_for(wcs, correction, roll)
        return gwcs_pipeline.with_rotation(wcs, sphere, correction, wcsinfo)
    low_level = getattr(wcs, "low_level_wcs", wcs)
    if not isinstance(low_level, BaseLowLevelWCS):
        raise TypeError(f"`wcs` must be a FITS WCS, a gWCS or another APE-14 WCS, got {type(wcs).__name__}")
    if kind == "detector":
        corrected = ShiftedWCS(low_level, _detector_shift(low_level, correction))
    else:
        corrected = RotatedWCS(low_level, sphere_matrix_for(low_level, correction, roll))
    return corrected if low_level is wcs else HighLevelWCSWrapper(corrected)


def _is_gwcs(wcs) -> bool:
    # by name: who holds a gwcs.WCS has gwcs, who does not need not have it
    return any(
        cls.__module__.partition(".")[0] == "gwcs" and cls.__name__ == "WCS" for cls in type(wcs).__mro__
    )


def _detector_shift(wcs, correction) -> np.ndarray:
    """The pixel shift d with ``W(p0 - d)`` the true pivot, p0 the pixel of the nominal one."""
    if wcs.pixel_n_dim != 2 or wcs.world_n_dim != 2:
        raise CorrectionError(
            f"`wcs` has {wcs.pixel_n_dim} pixel and {wcs.world_n_dim} world axes; kind='detector' needs the "
            "two-dimensional WCS of an image"
        )
    local = correction.transform_to(celestial_frame(wcs))
    nominal, true = (_pixel_of(wcs, place) for place in (local.pivot, local.true_pivot))
    if not np.all(np.isfinite(nominal - true)):
        raise CorrectionError("the pivot of the correction is not on the image; use kind='pointing'")
    return nominal - true


def _pixel_of(wcs, place) -> np.ndarray:
    world = [0.0, 0.0]
    for axis, angle in zip(celestial_world_axes(wcs), vector_to_lonlat(unit_vector(place))):
        world[axis] = float((angle * u.rad).to_value(wcs.world_axis_units[axis]))
    return np.array([float(value) for value in wcs.world_to_pixel_values(*world)])
