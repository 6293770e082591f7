"""Which celestial frame a WCS speaks, its coordinates, and the rotation between two frames."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import (
    Attribute,
    BaseCoordinateFrame,
    SkyCoord,
    Supergalactic,
    UnitSphericalRepresentation,
)
from astropy.coordinates import representation as r
from astropy.coordinates.errors import ConvertError
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame

from astroreg.exceptions import CorrectionError
from astroreg.sky.rotations import lonlat_to_vector
from astroreg.sky.wrapped_wcs import celestial_world_axes

__all__ = [
    "UnlistedFrame",
    "axis_units",
    "celestial_frame",
    "direction",
    "frame_rotation",
    "frame_text",
    "lonlat",
    "pixel_to_lonlat",
    "realize",
    "require_projection",
    "unit_vector",
]

# A 3x3 map between frames counts as a rotation when it is orthogonal to this: far below
# the 2e-6 of the E-terms of aberration in FK4, far above rounding.
ROTATION_TOLERANCE = 1e-9


class UnlistedFrame(BaseCoordinateFrame):
    """Celestial frame of a WCS whose coordinate system astropy does not know by name.

    It has no transformation to any other frame: a correction measured in it holds only for
    WCS of the same axis types.

    Parameters
    ----------
    axes : str
        The axis types, e.g. ``"HPLN HPLT"``.
    """

    default_representation = r.SphericalRepresentation
    axes = Attribute(default="")


def celestial_frame(wcs) -> BaseCoordinateFrame:
    """Return the celestial frame, without data, of a WCS.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or any APE-14 WCS
        The WCS; it may have other axes beside the celestial pair.

    Returns
    -------
    `~astropy.coordinates.BaseCoordinateFrame`
        The frame; `UnlistedFrame` where the axis types are celestial but not known to astropy.

    Raises
    ------
    CorrectionError
        If the WCS has no pair of celestial axes.
    """
    if isinstance(wcs, WCS):
        return _fits_frame(wcs)
    if not hasattr(_low_level(wcs), "world_axis_object_classes"):
        raise TypeError(f"`wcs` must be a FITS WCS, a gWCS or another APE-14 WCS, got {type(wcs).__name__}")
    for kind, _, keywords, *_ in _low_level(wcs).world_axis_object_classes.values():
        if isinstance(kind, type) and issubclass(kind, SkyCoord):
            frame = keywords["frame"]
            return frame.replicate_without_data() if hasattr(frame, "replicate_without_data") else frame()
    raise CorrectionError(
        "`wcs` has no celestial coordinates; give a WCS with a longitude and a latitude axis"
    )


def _fits_frame(wcs):
    require_projection(wcs)
    try:
        frame = wcs_to_celestial_frame(wcs)
    except (ValueError, TypeError):  # TypeError: a planet whose radius the header does not tell
        return _frame_by_axis_type(wcs)
    # On planets latitudes may be those of an ellipsoid, which no rotation of a sphere maps.
    is_sphere = issubclass(frame.representation_type, r.SphericalRepresentation)
    return frame if is_sphere else _frame_by_axis_type(wcs)


def require_projection(wcs: WCS) -> None:
    """Refuse a FITS WCS without a pair of celestial axes in a projection.

    Raises
    ------
    CorrectionError
        If there is none: linear axes called RA and DEC are no map of the sphere.
    """
    wcs.wcs.set()
    if wcs.wcs.lng < 0 or wcs.wcs.lat < 0 or not wcs.wcs.cel.prj.code.strip():
        raise CorrectionError(
            f"the WCS has no pair of celestial axes in a projection (CTYPE {list(wcs.wcs.ctype)}); "
            "give the WCS of an image of the sky"
        )


def _frame_by_axis_type(wcs):
    types = [wcs.wcs.ctype[axis][:4] for axis in (wcs.wcs.lng, wcs.wcs.lat)]
    if types == ["SLON", "SLAT"]:
        return Supergalactic()
    if types == ["RA--", "DEC-"]:
        raise CorrectionError(
            f"the reference system RADESYS='{wcs.wcs.radesys}' is not known; "
            "set RADESYS to ICRS, FK5 or FK4 before correcting"
        )
    return UnlistedFrame(axes=" ".join(types))


def _low_level(wcs):
    if hasattr(wcs, "low_level_wcs"):
        return wcs.low_level_wcs
    return wcs


def pixel_to_lonlat(wcs, x, y):
    """Longitude and latitude, in radian, of pixels of the celestial plane of any WCS.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS` or any APE-14 WCS
        A FITS WCS may have further axes; any other must have two pixel axes.
    x, y : array-like
        Pixel coordinates, centres at integers from 0.

    Returns
    -------
    tuple of ndarray
        Longitude and latitude in radian, in the order (lon, lat) whatever the order of the axes.
    """
    if isinstance(wcs, WCS):
        return _fits_lonlat(wcs, x, y)
    low_level = _low_level(wcs)
    if low_level.pixel_n_dim != 2:
        raise CorrectionError(
            f"`wcs` has {low_level.pixel_n_dim} pixel axes; give its two-dimensional celestial part"
        )
    lon_axis, lat_axis = celestial_world_axes(low_level)
    world = low_level.pixel_to_world_values(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    units = low_level.world_axis_units
    return tuple(np.asarray(world[axis]) * u.Unit(units[axis]).to(u.rad) for axis in (lon_axis, lat_axis))


def _fits_lonlat(wcs, x, y):
    """As `pixel_to_lonlat`; further pixel axes stay at their reference pixel."""
    plane = wcs.celestial if wcs.naxis > 2 and wcs.has_distortion else wcs
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    pixels = np.tile(plane.wcs.crpix - 1.0, (x.size, 1))
    pixels[:, sorted((plane.wcs.lng, plane.wcs.lat))] = np.stack([x.ravel(), y.ravel()], axis=-1)
    world = plane.all_pix2world(pixels, 0)
    units = axis_units(plane)
    return tuple(
        np.radians(world[:, axis].reshape(x.shape) * unit)
        for axis, unit in zip((plane.wcs.lng, plane.wcs.lat), units, strict=True)
    )


def axis_units(wcs: WCS) -> tuple[float, float]:
    """Degrees in one CUNIT of the longitude and of the latitude axis."""
    return tuple(u.Unit(wcs.wcs.cunit[axis]).to(u.deg) for axis in (wcs.wcs.lng, wcs.wcs.lat))


def unit_vector(coordinate):
    """Cartesian unit vectors, shape (..., 3), of a SkyCoord in its own frame."""
    return lonlat_to_vector(*lonlat(coordinate))


def lonlat(coordinate) -> tuple:
    """Longitude and latitude, in radian, of a SkyCoord in its own frame."""
    sphere = coordinate.data.represent_as(UnitSphericalRepresentation)
    return sphere.lon.to_value(u.rad), sphere.lat.to_value(u.rad)


def realize(frame, lon, lat):
    """SkyCoord at longitude and latitude (radian) in a frame."""
    return SkyCoord(frame.realize_frame(UnitSphericalRepresentation(lon * u.rad, lat * u.rad)))


def direction(coordinate, argument: str, *, frame=None) -> SkyCoord:
    """One position as a SkyCoord with a direction alone, in `frame` where one is given."""
    if not isinstance(coordinate, (SkyCoord, BaseCoordinateFrame)) or not coordinate.isscalar:
        raise TypeError(f"`{argument}` must be one SkyCoord, got {coordinate!r}")
    place = SkyCoord(coordinate)
    if frame is not None:
        place = place.transform_to(frame)
    sphere = place.data.represent_as(UnitSphericalRepresentation)
    if not (np.isfinite(sphere.lon) and np.isfinite(sphere.lat)):
        raise ValueError(f"`{argument}` must be finite, got {place}")
    return realize(
        place.frame.replicate_without_data(), sphere.lon.to_value(u.rad), sphere.lat.to_value(u.rad)
    )


def frame_rotation(start, end) -> np.ndarray:
    """The 3x3 rotation from the axes of one frame to those of another.

    Parameters
    ----------
    start, end : `~astropy.coordinates.BaseCoordinateFrame`
        Frames without data.

    Returns
    -------
    ndarray, shape (3, 3)
        ``T``, with ``vector_end = T @ vector_start``.

    Raises
    ------
    CorrectionError
        If the two frames are not related by a pure rotation (FK4 has E-terms of aberration;
        topocentric and helioprojective frames depend on the observer).
    """
    if start.is_equivalent_frame(end):
        return np.eye(3)
    # The three axes and one more direction: a map that sends them all as a matrix does is linear.
    corner = np.full(3, 3**-0.5)
    probes = np.vstack([np.eye(3), corner])
    lon = np.arctan2(probes[:, 1], probes[:, 0])
    lat = np.arctan2(probes[:, 2], np.hypot(probes[:, 0], probes[:, 1]))
    try:
        image = unit_vector(realize(start, lon, lat).transform_to(end))
    except (ConvertError, ValueError) as error:
        raise CorrectionError(
            f"no transformation from {frame_text(start)} to {frame_text(end)}: {error}"
        ) from error
    matrix = image[:3].T
    linear = np.allclose(matrix @ corner, image[3], rtol=0, atol=ROTATION_TOLERANCE)
    if not (linear and np.allclose(matrix @ matrix.T, np.eye(3), rtol=0, atol=ROTATION_TOLERANCE)):
        raise CorrectionError(
            f"{frame_text(start)} and {frame_text(end)} are not related by a pure rotation; build the "
            "correction with SkyCorrection.from_coordinates from coordinates in the frame of the WCS"
        )
    return _nearest_rotation(matrix)


def _nearest_rotation(matrix):
    left, _, right = np.linalg.svd(matrix)
    return left @ right


def frame_text(frame) -> str:
    """Name of a frame with its equinox or observing time where it has one."""
    if isinstance(frame, UnlistedFrame):
        return frame.axes
    parts = [frame.name]
    for attribute in ("equinox", "obstime"):
        value = getattr(frame, attribute, None)
        if value is not None and attribute in frame.frame_attributes:
            parts.append(str(value))
    return " ".join(parts)
