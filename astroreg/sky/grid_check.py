"""Compare a corrected FITS WCS with the rotation of the nominal one, on a grid of pixels."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

from astroreg.sky.frames import axis_units, pixel_to_lonlat
from astroreg.sky.rotations import angular_distance, lonlat_to_vector

__all__ = [
    "GRID_TOLERANCE",
    "STRETCH_TOLERANCE",
    "field_radius",
    "first_exact",
    "grid_pixels",
    "rotation_residual",
    "shift_residual",
]

#: largest difference, in pixel, at which a correction counts as exact
GRID_TOLERANCE = 1e-6

#: the same for a stretch: of the plane of projection instead of that about the pivot, it is not quite exact
STRETCH_TOLERANCE = 0.01

# A form that is this exact on the grid is taken at once, with a margin for the pixels between.
SAFE_TOLERANCE = 1e-7

# Points a side of the grid.
GRID_POINTS = 9


def first_exact(candidates):
    """The first of several (residual, result) that is exact, else the best; results are lazy.

    Parameters
    ----------
    candidates : iterable of (float, object)
        Residuals in pixel with what they belong to, the preferred way first.

    Returns
    -------
    (float, object)
        Residual and result; ``(inf, None)`` where there is no candidate.
    """
    best = (np.inf, None)
    for residual, result in candidates:
        if residual < best[0]:
            best = (residual, result)
        if residual < SAFE_TOLERANCE:
            break
    return best


def grid_pixels(wcs: WCS) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (x, y), flat, of a 9 x 9 grid over the celestial plane of an image.

    Where the size of the image is not known, it is taken as twice the distance of the reference
    pixel from the first, and at least 100 pixels.
    """
    sizes = [_size(wcs, axis) for axis in sorted((wcs.wcs.lng, wcs.wcs.lat))]
    x, y = np.meshgrid(*(np.linspace(0.0, size - 1.0, GRID_POINTS) for size in sizes))
    return x.ravel(), y.ravel()


def _size(wcs, axis):
    if wcs.pixel_shape is not None and (wcs.pixel_shape[axis] or 0) > 1:
        return float(wcs.pixel_shape[axis])
    return max(2.0 * abs(wcs.wcs.crpix[axis]), 100.0)


def rotation_residual(nominal: WCS, corrected: WCS, rotation: np.ndarray) -> float:
    """Largest difference, in pixel, of a corrected WCS from the rotation of the nominal one.

    Parameters
    ----------
    nominal, corrected : `astropy.wcs.WCS`
        Both with the same size.
    rotation : ndarray, shape (3, 3)
        R, in the frame of the WCS; with a stretch, what it makes of unit vectors is normalised.

    Returns
    -------
    float
        Infinite where the one is on the sky and the other is not, or no pixel is on the sky.
    """
    x, y = grid_pixels(nominal)
    return _difference(nominal, corrected, (x, y), (x, y), rotation)


def shift_residual(nominal: WCS, corrected: WCS, shift: np.ndarray) -> float:
    """Largest difference, in pixel, of a corrected WCS from ``W(p - d)`` of the nominal one."""
    x, y = grid_pixels(nominal)
    return _difference(nominal, corrected, (x - shift[0], y - shift[1]), (x, y), np.eye(3))


def _difference(nominal, corrected, start, end, rotation):
    wanted = lonlat_to_vector(*pixel_to_lonlat(nominal, *start)) @ rotation.T
    wanted = wanted / np.linalg.norm(wanted, axis=-1, keepdims=True)
    found = lonlat_to_vector(*pixel_to_lonlat(corrected, *end))
    on_sky = np.isfinite(wanted[:, 0])
    if not np.any(on_sky) or np.any(on_sky != np.isfinite(found[:, 0])):
        return np.inf
    return float(np.max(angular_distance(wanted[on_sky], found[on_sky])) / _pixel_scale(nominal))


def _pixel_scale(wcs):
    """The smaller side of a pixel in the plane of projection, in radian."""
    rows, columns = [wcs.wcs.lng, wcs.wcs.lat], sorted((wcs.wcs.lng, wcs.wcs.lat))
    matrix = wcs.pixel_scale_matrix[np.ix_(rows, columns)] * np.array(axis_units(wcs))[:, np.newaxis]
    return np.radians(np.min(np.linalg.norm(matrix, axis=0)))


def field_radius(wcs: WCS, pivot: np.ndarray) -> float:
    """Angle in radian from a unit vector to the farthest place of the grid that is on the sky."""
    vectors = lonlat_to_vector(*pixel_to_lonlat(wcs, *grid_pixels(wcs)))
    distances = angular_distance(vectors, pivot)
    return float(np.max(distances[np.isfinite(distances)], initial=0.0))
