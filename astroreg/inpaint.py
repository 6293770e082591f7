"""Plausible values for bad pixels, so that linear filters can run over an image and be blanked afterwards."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded where they are first used

__all__ = ["fill_bad"]

REACH = 2  # pixels; bad pixels farther than this from a good one keep the value of the nearest good one


def fill_bad(data: np.ndarray, bad: np.ndarray, *, smooth: bool = True) -> np.ndarray:
    """Replace bad pixels by values that continue the good ones.

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Good pixels must be finite; not changed.
    bad : ndarray of bool, shape (ny, nx)
        True = bad.
    smooth : bool, optional
        Whether the bad pixels close to good ones take the values of least squared Laplacian, which is
        exact for a cubic surface (default), rather than the value of the nearest good pixel.

    Returns
    -------
    ndarray, shape (ny, nx)
        `data` itself where nothing is bad, zeros where everything is.
    """
    if not bad.any():
        return data
    if bad.all():
        return np.zeros_like(data)
    filled = _nearest(data, bad)
    if smooth and min(data.shape) > 2:
        disc = np.hypot(*np.indices((2 * REACH + 1,) * 2) - REACH) <= REACH
        wanted = bad & scipy.ndimage.binary_dilation(~bad, disc)
        filled[wanted] = _least_laplacian(filled, wanted)
    return filled


def _nearest(data: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Give every bad pixel the value of the nearest good one; a frame of bad rows, that of its inner edge."""
    lines = [np.flatnonzero(~bad.all(axis)) for axis in (1, 0)]
    inside = tuple(slice(line[0], line[-1] + 1) for line in lines)
    inner, holes = data[inside], bad[inside]
    if holes.any():
        nearest = scipy.ndimage.distance_transform_edt(holes, return_distances=False, return_indices=True)
        inner = inner[tuple(nearest)]
    frame = [(line[0], n - 1 - line[-1]) for line, n in zip(lines, data.shape, strict=True)]
    return np.pad(inner, frame, mode="edge")


def _least_laplacian(filled: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Minimise the sum of the squared five-point Laplacian over the wanted pixels, the others held."""
    nx = filled.shape[1]
    # Stencils whose centre is at or beside a wanted pixel and which lie inside the array.
    rows = np.zeros_like(wanted)
    rows[1:-1, 1:-1] = (
        wanted[1:-1, 1:-1] | wanted[:-2, 1:-1] | wanted[2:, 1:-1] | wanted[1:-1, :-2] | wanted[1:-1, 2:]
    )
    centre = np.flatnonzero(rows)
    column = centre[:, None] + np.array([0, 1, -1, nx, -nx])
    weight = np.broadcast_to([-4.0, 1.0, 1.0, 1.0, 1.0], column.shape)
    free = wanted.ravel()[column]
    values = filled.astype(float).ravel()
    constant = np.sum(np.where(free, 0.0, weight * values[column]), axis=1)
    number = np.cumsum(wanted.ravel()) - 1
    row = np.broadcast_to(np.arange(centre.size)[:, None], column.shape)
    shape = (centre.size, int(wanted.sum()))
    laplacian = scipy.sparse.csr_array((weight[free], (row[free], number[column[free]])), shape=shape)
    # The small ridge towards the nearest value settles pixels in the array's corners, which no stencil holds.
    ridge = 1e-6
    start = values[wanted.ravel()]
    from scipy.sparse.linalg import spsolve  # here: it loads the solvers of all kinds

    normal = (laplacian.T @ laplacian + ridge * scipy.sparse.eye_array(shape[1])).tocsc()
    return np.atleast_1d(spsolve(normal, ridge * start - laplacian.T @ constant))
