"""Corrections inside the pipeline of a generalized WCS (needs gwcs; tweakwcs for JWST and Roman)."""

from __future__ import annotations

import copy
import warnings

import astropy.units as u
import numpy as np
from astropy.modeling import models
from scipy.spatial.transform import Rotation

from astroreg.exceptions import AstroregWarning, CorrectionError
from astroreg.sky.frames import celestial_frame, unit_vector
from astroreg.sky.grid_check import GRID_TOLERANCE
from astroreg.sky.rotations import angular_distance, lonlat_to_vector, vector_to_lonlat
from astroreg.sky.wrapped_wcs import celestial_world_axes

__all__ = ["with_rotation", "with_shift"]

# An affine map of the tangent plane is not quite a rotation of the sphere: 1e-4 px at 30 arcsec.
TANGENT_PLANE_TOLERANCE = 1e-3

_GRID_POINTS = 9
_V2V3 = "v2v3"
_INSTALL = "correcting this WCS needs tweakwcs; install it with: pip install 'astroreg[gwcs]'"


def with_rotation(wcs, rotation: np.ndarray, correction, wcsinfo: dict | None = None):
    """Return a gWCS with its sky rotated, and stretched where the correction says so.

    Parameters
    ----------
    wcs : `gwcs.WCS`
        The nominal WCS.
    rotation : ndarray, shape (3, 3)
        What takes nominal to true directions, in the celestial frame of ``wcs``.
    correction : SkyCorrection
        What the rotation was made of; its pivot tells where the image is.
    wcsinfo : dict or None
        As in `correct_generalized_wcs`.

    Returns
    -------
    `gwcs.WCS`
    """
    if _V2V3 in wcs.available_frames:
        return _with_tangent_plane_correction(wcs, rotation, correction, wcsinfo)
    return _with_inserted_rotation(wcs, rotation)


def with_shift(wcs, shift: np.ndarray):
    """Return a gWCS whose pixels have moved: ``W'(p) = W(p - shift)``.

    Parameters
    ----------
    wcs : `gwcs.WCS`
        The nominal WCS.
    shift : ndarray, shape (2,)
        Pixels (x, y).

    Returns
    -------
    `gwcs.WCS`
    """
    scale = u.pix if wcs.forward_transform.uses_quantity else 1
    back = models.Shift(-shift[0] * scale) & models.Shift(-shift[1] * scale)
    return _inserted(wcs, wcs.available_frames[0], back, after=True)


# -- any gWCS: a rotation before the last frame --------------------------------------------------


def _with_inserted_rotation(wcs, rotation):
    corrected = _inserted(wcs, wcs.available_frames[-1], _sky_rotation(wcs, rotation), after=False)
    residual = _residual(wcs, corrected, rotation)
    if not residual < GRID_TOLERANCE:
        raise CorrectionError(
            f"the corrected `wcs` differs from the rotation by {residual:.2g} pixel; it was left alone"
        )
    return corrected


def _inserted(wcs, frame, transform, *, after):
    corrected = copy.deepcopy(wcs)
    bounds = wcs.bounding_box
    corrected.insert_transform(frame, transform, after=after)
    if bounds is not None and corrected.bounding_box is None:  # it belongs to the transform that was replaced
        corrected.bounding_box = bounds.bounding_box(order="F")
    return corrected


def _sky_rotation(wcs, rotation):
    """The rotation as a model of all world axes, with its inverse."""
    from gwcs.geometry import CartesianToSpherical, SphericalToCartesian

    lon, lat = celestial_world_axes(wcs)
    to_degree = [u.Unit(wcs.world_axis_units[axis]).to(u.deg) for axis in (lon, lat)]
    turn = (
        _scaled(to_degree)
        | SphericalToCartesian(wrap_lon_at=360)
        | _linear(rotation)
        | CartesianToSpherical(wrap_lon_at=_wrap(wcs, lon))
        | _scaled([1 / scale for scale in to_degree])
    )
    others = [axis for axis in range(wcs.world_n_dim) if axis not in (lon, lat)]
    if others:
        turn = turn & models.Identity(len(others))
    order = [lon, lat, *others]
    if order == sorted(order):
        return turn
    return (
        models.Mapping(tuple(order)) | turn | models.Mapping(tuple(int(place) for place in np.argsort(order)))
    )


def _linear(matrix):
    """A 3x3 matrix as a model: a rotation, or rotations before and after a stretch along the axes."""
    left, values, right = np.linalg.svd(matrix)
    if np.allclose(values, 1, rtol=0, atol=1e-14):
        return _turn(matrix)
    if np.linalg.det(left) < 0:  # of both: a correction mirrors nothing
        left, right = -left, -right
    along = models.Scale(values[0]) & models.Scale(values[1]) & models.Scale(values[2])
    return _turn(right) | along | _turn(left)


def _turn(rotation):
    # RotationSequence3D turns the axes, not the vectors: hence the sign
    angles = -np.asarray(Rotation.from_matrix(rotation).as_euler("zyx", degrees=True))
    return models.RotationSequence3D(angles, axes_order="zyx", name="astroreg_rotation")


def _scaled(factors):
    if factors == [1.0, 1.0]:
        return models.Identity(2)
    return models.Scale(factors[0]) & models.Scale(factors[1])


def _wrap(wcs, lon_axis):
    """Count the longitude from -180 where the nominal WCS does so."""
    world = wcs.pixel_to_world_values(*_pixel_grid(wcs))
    return 180 if np.nanmin(world[lon_axis], initial=0.0) < 0 else 360


# -- JWST and Roman: the frame v2v3corr ----------------------------------------------------------


def _with_tangent_plane_correction(wcs, rotation, correction, wcsinfo):
    try:
        from tweakwcs import correctors
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    earlier = _earlier_correction(wcs)
    info = _reference_angles(wcs, wcsinfo, earlier)
    try:
        corrector = _corrector_class(correctors, wcsinfo, earlier)(wcs, info)
    except ValueError as error:
        raise CorrectionError(
            f"`wcs` has a frame v2v3, but is not built like that of JWST or Roman: {error}"
        ) from error
    corrector.set_correction(*_affine(corrector, wcs, rotation, correction))
    corrected = corrector.wcs
    corrected.pixel_shape = wcs.pixel_shape
    residual = _residual(wcs, corrected, rotation)
    if not residual < TANGENT_PLANE_TOLERANCE:
        warnings.warn(
            f"the tangent-plane correction differs from the rotation by up to {residual:.2g} pixel",
            AstroregWarning,
            stacklevel=6,
        )
    return corrected


def _earlier_correction(wcs):
    frames = wcs.available_frames
    if "v2v3corr" not in frames:
        return None
    return wcs.pipeline[frames.index("v2v3corr") - 1].transform


def _corrector_class(correctors, wcsinfo, earlier):
    classes = (correctors.JWSTWCSCorrector, correctors.RomanWCSCorrector, correctors.ST_V2V3_WCSCorrector)
    for cls in classes:
        if earlier is not None and earlier.name == cls.corrector_name:
            return cls
    is_roman = str((wcsinfo or {}).get("telescope", "")).upper() == "ROMAN"
    return correctors.RomanWCSCorrector if is_roman else correctors.JWSTWCSCorrector


def _reference_angles(wcs, wcsinfo, earlier):
    """v2_ref, v3_ref in arcsec and roll_ref in deg: given, of the earlier correction, or of v23tosky."""
    if earlier is not None:
        v2, v3, roll = earlier["det_to_optic_axis"].angles.value
        return {"v2_ref": v2 * 3600.0, "v3_ref": -v3 * 3600.0, "roll_ref": roll}
    if wcsinfo is not None:
        try:
            return {name: float(wcsinfo[name]) for name in ("v2_ref", "v3_ref", "roll_ref")}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "`wcsinfo` must hold the numbers v2_ref, v3_ref [arcsec] and roll_ref [deg]"
            ) from error
    for model in _all_models(wcs):
        if isinstance(model, models.RotationSequence3D) and model.axes_order == "zyxyz":
            v2, v3, roll, *_ = model.angles.value
            return {"v2_ref": v2 * 3600.0, "v3_ref": -v3 * 3600.0, "roll_ref": roll}
    raise CorrectionError(
        "the rotation from V2, V3 to the sky was not found in `wcs`; "
        "give `wcsinfo` with v2_ref, v3_ref [arcsec] and roll_ref [deg]"
    )


def _all_models(wcs):
    for step in wcs.pipeline[:-1]:
        transform = step.transform
        yield from transform.traverse_postorder() if hasattr(transform, "traverse_postorder") else [transform]


def _affine(corrector, wcs, rotation, correction):
    """Matrix and shift [arcsec] of the tangent plane that come nearest to the rotation over the image.

    A shift alone leaves the quadratic terms of the rotation; the matrix takes up their slope
    where the image lies beside the tangent point.
    """
    sky = _sky_grid(wcs, correction)
    start, end = (
        np.array(corrector.world_to_tanp(*_degrees(vectors))).T for vectors in (sky, sky @ rotation.T)
    )
    middle = start.mean(axis=0)
    design = np.column_stack([np.ones(len(start)), start - middle])
    # of the differences, not of the positions: the fit then keeps all digits of a small correction
    fit = np.linalg.lstsq(design, end - start, rcond=None)[0]
    matrix = np.eye(2) + fit[1:].T
    return matrix, fit[0] - fit[1:].T @ middle


def _sky_grid(wcs, correction):
    """Unit vectors over the image; around the pivot where the size of the image is not known."""
    if _size_is_known(wcs):
        vectors = _unit_vectors(wcs, _pixel_grid(wcs))
        vectors = vectors[np.isfinite(vectors[:, 0])]
        if len(vectors) >= 3:
            return vectors
    pivot = unit_vector(correction.transform_to(celestial_frame(wcs)).pivot)
    arcmin = np.radians(
        np.array([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]) / 60
    )
    return (pivot + arcmin) / np.linalg.norm(pivot + arcmin, axis=1, keepdims=True)


def _degrees(vectors):
    return tuple(np.degrees(angle) for angle in vector_to_lonlat(vectors))


# -- the check -----------------------------------------------------------------------------------


def _size_is_known(wcs):
    return wcs.pixel_bounds is not None or wcs.pixel_shape is not None


def _pixel_grid(wcs):
    """Pixels of a grid over the image, one flat array an axis; of an unknown size, 100 pixels."""
    if wcs.pixel_bounds is not None:
        bounds = [
            tuple(sorted(float(getattr(limit, "value", limit)) for limit in pair))
            for pair in wcs.pixel_bounds
        ]
    else:
        bounds = [(0.0, size - 1.0) for size in wcs.pixel_shape or (100,) * wcs.pixel_n_dim]
    axes = [np.linspace(low, high, _GRID_POINTS if high > low else 1) for low, high in bounds]
    return tuple(grid.ravel() for grid in np.meshgrid(*axes))


def _unit_vectors(wcs, pixels):
    world = wcs.pixel_to_world_values(*pixels)
    angles = [
        np.asarray(world[axis], dtype=float) * u.Unit(wcs.world_axis_units[axis]).to(u.rad)
        for axis in celestial_world_axes(wcs)
    ]
    return lonlat_to_vector(*angles)


def _residual(nominal, corrected, rotation):
    """Largest difference, in pixel, between a corrected gWCS and the rotated nominal one."""
    pixels = _pixel_grid(nominal)
    wanted = _turned(_unit_vectors(nominal, pixels), rotation)
    beside = _turned(_unit_vectors(nominal, (pixels[0] + 0.1, *pixels[1:])), rotation)
    found = _unit_vectors(corrected, pixels)
    on_sky = np.isfinite(wanted[:, 0])
    if not np.any(on_sky) or np.any(on_sky != np.isfinite(found[:, 0])):
        return np.inf
    pixel = np.nanmin(angular_distance(beside, wanted)) / 0.1
    return float(np.max(angular_distance(found, wanted)[on_sky]) / pixel)


def _turned(vectors, matrix):
    """Unit vectors of what a matrix, which may stretch, makes of others."""
    image = vectors @ matrix.T
    return image / np.linalg.norm(image, axis=-1, keepdims=True)
