"""Rotations of the sphere as 3x3 matrices and rotation vectors (arrays in, arrays out).

A rotation vector is the axis times the angle in radian, right-handed. Longitudes and
latitudes are in radian; vectors have their three components on the last axis.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "angular_distance",
    "local_basis",
    "lonlat_to_vector",
    "matrix_to_rotation_vector",
    "minimal_rotation",
    "rotation_vector_to_matrix",
    "vector_to_lonlat",
]

# Directions nearer than this (radian) to opposite have no shortest way: rounding would choose it.
OPPOSITE = 1e-9


def lonlat_to_vector(lon, lat):
    """Unit vectors, shape (..., 3), at the given longitude and latitude."""
    lon, lat = np.broadcast_arrays(lon, lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def vector_to_lonlat(vector):
    """Longitude in [0, 2 pi) and latitude of vectors of any length."""
    x, y, z = np.moveaxis(np.asarray(vector, dtype=float), -1, 0)
    # atan2 rather than asin: asin loses half of the digits near the poles.
    return np.mod(np.arctan2(y, x), 2 * np.pi), np.arctan2(z, np.hypot(x, y))


def local_basis(lon, lat):
    """Rows: the unit vector at (lon, lat), the direction of East there and that of North."""
    east = [-np.sin(lon), np.cos(lon), 0.0]
    north = [-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)]
    return np.array([lonlat_to_vector(lon, lat), east, north])


def rotation_vector_to_matrix(vector):
    """The 3x3 matrix of a rotation vector."""
    from scipy.spatial.transform import Rotation  # here: it is loaded with all of scipy.spatial

    # scipy refuses a read-only array, hence the copy.
    return Rotation.from_rotvec(np.array(vector, dtype=float)).as_matrix()


def matrix_to_rotation_vector(matrix):
    """The rotation vector of a 3x3 matrix, of length at most pi."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(matrix).as_rotvec()


def minimal_rotation(start, end):
    """Rotation vector of the shortest way from one unit vector to another (no roll)."""
    cross = np.cross(start, end)
    sine = np.linalg.norm(cross)
    cosine = float(np.dot(start, end))
    if cosine < 0.0 and sine < OPPOSITE:
        raise ValueError("the two directions are opposite: the rotation between them is not unique")
    if sine == 0.0:
        return np.zeros(3)
    return cross * (np.arctan2(sine, cosine) / sine)


def angular_distance(first, second):
    """Angle in radian between unit vectors, accurate for small and for large angles."""
    chord = np.linalg.norm(np.asarray(first) - np.asarray(second), axis=-1)
    return 2 * np.arcsin(np.clip(chord / 2, 0.0, 1.0))
