"""A stretch of the sky about a place, as a matrix, and how a FITS WCS takes it up.

The stretch is linear in the plane that touches the sphere at its pivot. On unit vectors it is a linear map
followed by a normalisation, so that, with the rotation that comes after it, a correction is one 3x3 matrix.
"""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS

from astroreg.checks import argument_named
from astroreg.sky.frames import axis_units, pixel_to_lonlat
from astroreg.sky.grid_check import grid_pixels
from astroreg.sky.rotations import local_basis, lonlat_to_vector, vector_to_lonlat

__all__ = [
    "checked_stretch",
    "linear_part",
    "polar",
    "stretch_matrix",
    "stretched_fits_wcs",
    "turned_basis",
    "with_plane",
]

# Largest change of a length that counts as a stretch and not as a mistake.
LARGEST = 2.0
# The stretch of the plane of projection is found by repetition; each gains more than two digits.
REPETITIONS = 4
STEP = 1e-5  # radian, of the central differences on the sky: 2 arcsec


def checked_stretch(stretch) -> np.ndarray | None:
    """Return a symmetric (2, 2) matrix, read-only, or raise; `None` stays `None`."""
    if stretch is None:
        return None
    with argument_named("stretch", "give a symmetric 2x2 matrix of numbers"):
        matrix = np.array(stretch, dtype=float)
    if matrix.shape != (2, 2) or not np.isfinite(matrix).all():
        raise ValueError(f"`stretch` must be a finite 2x2 matrix, got {stretch!r}")
    if not np.allclose(matrix, matrix.T, rtol=0, atol=1e-9):
        raise ValueError(
            f"`stretch` must be symmetric, got {matrix.tolist()}; its rotation belongs in `rotation_vector`"
        )
    values = np.linalg.eigvalsh(matrix)
    if not 1 / LARGEST <= values[0] <= values[1] <= LARGEST:
        raise ValueError(
            f"`stretch` changes lengths by factors of {values.tolist()}; they must be from 0.5 to 2"
        )
    matrix = (matrix + matrix.T) / 2
    matrix.flags.writeable = False
    return matrix


def stretch_matrix(basis: np.ndarray, stretch: np.ndarray | None) -> np.ndarray:
    """The 3x3 matrix of a stretch of the tangent plane.

    Parameters
    ----------
    basis : ndarray, shape (3, 3)
        Rows: the direction of the pivot, East and North there.
    stretch : ndarray, shape (2, 2), or None
        In the axes (East, North).

    Returns
    -------
    ndarray, shape (3, 3)
        What it makes of a unit vector has to be normalised.
    """
    if stretch is None:
        return np.eye(3)
    inner = np.eye(3)
    inner[1:, 1:] = stretch
    return basis.T @ inner @ basis


def turned_basis(stretch, start: np.ndarray, end: np.ndarray) -> np.ndarray | None:
    """Tell a stretch in the (East, North) of another basis of the same place, or carried along a rotation."""
    if stretch is None:
        return None
    turn = end[1:] @ start[1:].T
    return turn @ stretch @ turn.T


def polar(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rotation and symmetric stretch of a 2x2 matrix, ``matrix = rotation @ stretch``."""
    left, values, right = np.linalg.svd(matrix)
    return left @ right, right.T @ np.diag(values) @ right


def linear_part(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Derivative, in (East, North) at both ends, of what a 3x3 matrix makes of directions near one."""
    start = local_basis(*vector_to_lonlat(vector))
    image = matrix @ vector
    end = local_basis(*vector_to_lonlat(image))
    # The derivative of v / |v| is the projection on the plane across v, over |v|.
    return end[1:] @ matrix @ start[1:].T / np.linalg.norm(image)


# -- in a FITS WCS ------------------------------------------------------------------------------


def stretched_fits_wcs(wcs: WCS, sphere: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a correction with a stretch into what a FITS WCS can be told.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        The nominal WCS.
    sphere : ndarray, shape (3, 3)
        The correction of unit vectors, in the frame of the WCS.

    Returns
    -------
    plane : ndarray, shape (2, 2)
        To multiply the (lon, lat) rows of the linear matrix with, in degrees.
    rotation : ndarray, shape (3, 3)
        Of the sphere, to follow.

    Notes
    -----
    The two agree with the correction, with its derivative, in the middle of the image.
    """
    middle = [(values.min() + values.max()) / 2 for values in grid_pixels(wcs)]
    start = lonlat_to_vector(*pixel_to_lonlat(wcs, *middle))
    wanted = linear_part(sphere, start)
    turn, stretch = polar(wanted)
    to_plane = _to_plane(wcs, start)
    plane = to_plane @ stretch @ np.linalg.inv(to_plane)
    for _ in range(REPETITIONS):
        moved = with_plane(wcs, plane)
        end = lonlat_to_vector(*pixel_to_lonlat(moved, *middle))
        here = np.linalg.inv(_to_plane(moved, end)) @ plane @ to_plane
        turned, _ = polar(here)
        plane = plane @ to_plane @ np.linalg.inv(here) @ turned @ stretch @ np.linalg.inv(to_plane)
    return plane, _frame(sphere @ start, turn) @ _frame(end, turned).T


def _frame(vector, turn):
    """Columns: a direction, and its East and North turned."""
    vector = vector / np.linalg.norm(vector)
    basis = local_basis(*vector_to_lonlat(vector))
    return np.column_stack([vector, basis[1:].T @ turn])


def _to_plane(wcs, vector):
    """Derivative of the plane of projection (degree) by (East, North) at a direction (radian)."""
    _, east, north = local_basis(*vector_to_lonlat(vector))
    around = vector + STEP * np.array([east, -east, north, -north])
    places = _plane_of(wcs, around)
    return (places[::2] - places[1::2]).T / (2 * STEP)


def _plane_of(wcs, vectors):
    """Coordinates, in degree, in the plane of projection (native to the FITS WCS) of directions."""
    rows = [wcs.wcs.lng, wcs.wcs.lat]
    units = np.array(axis_units(wcs))
    world = np.tile(np.asarray(wcs.wcs.crval, dtype=float), (len(vectors), 1))
    world[:, rows] = np.degrees(np.transpose(vector_to_lonlat(vectors))) / units
    return wcs.wcs.s2p(world, 0)["imgcrd"][:, rows] * units


def with_plane(wcs: WCS, plane: np.ndarray) -> WCS:
    """Return a copy of a FITS WCS whose plane of projection is multiplied by a 2x2 matrix."""
    changed = wcs.deepcopy()
    rows = [wcs.wcs.lng, wcs.wcs.lat]
    scale = np.array(axis_units(wcs))
    if not wcs.wcs.has_cd():
        scale = scale * wcs.wcs.cdelt[rows]
    matrix = np.array(wcs.wcs.cd if wcs.wcs.has_cd() else wcs.wcs.get_pc())
    matrix[rows] = (plane * scale / scale[:, np.newaxis]) @ matrix[rows]
    if wcs.wcs.has_cd():
        changed.wcs.cd = matrix
    else:
        changed.wcs.pc = matrix
    changed.wcs.set()
    return changed
