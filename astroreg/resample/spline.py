"""Interpolation of an image, and of the weight of its bad pixels, at the places that a grid map gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.estimators.fourier import threads_at_hand
from astroreg.grids import GridMap, Window

__all__ = ["ORDER", "interpolated"]

ORDER = 5  # of the spline; at this order a beam of 2.5 pixels is moved to 1e-4 pixel, at order 3 to 1e-3
# Source pixels from a bad pixel beyond which it has no weight: that of a pixel falls by 0.43 with every one.
REACH = 8
BAND = 1 << 17  # target pixels whose places are held at a time, by each thread


def interpolated(
    planes: list[np.ndarray], bad: np.ndarray, grid: GridMap, cut: Window
) -> tuple[list[np.ndarray], np.ndarray]:
    """Interpolate planes of one image with a spline of order 5.

    Parameters
    ----------
    planes : list of ndarray, shape (my, mx)
        Finite everywhere.
    bad : ndarray of bool, shape (my, mx)
        Where their values only continue the good ones.
    grid : GridMap
        From the target to the source.
    cut : Window
        The part of the source that the planes hold.

    Returns
    -------
    planes : list of ndarray, shape (ny, nx)
        On the target's pixels, in the precision of each; NaN beyond the planes.
    weight : ndarray of float32, shape (ny, nx)
        Which part of the spline's weights bad pixels have: 1 beyond the planes, 0 where the nearest bad pixel
        is more than 8 source pixels away along an axis.
    """
    filters = [_coefficients(plane) for plane in planes]
    weights, near = bad, bad.view(np.uint8)
    if bad.any():
        weights = _coefficients(bad.astype(np.float32))
        near = scipy.ndimage.maximum_filter(near, 2 * REACH + 1)
    out = [np.empty(grid.window.shape, plane.dtype) for plane in planes]
    weight = np.empty(grid.window.shape, np.float32)

    def work(rows: slice) -> None:
        x, y = grid.places(rows)
        places = np.stack([y - cut.y0, x - cut.x0])
        for values, result in zip(filters, out, strict=True):
            _evaluated(values, places, result[rows])
        weight[rows] = _weight(weights, near, places)

    bands = _bands(grid.window.shape)
    if grid.is_smooth:
        with ThreadPoolExecutor(threads_at_hand()) as pool:
            list(pool.map(work, bands))
    else:
        # Projections are asked with warnings held back, which no two threads may do at a time.
        for rows in bands:
            work(rows)
    return out, weight


def _bands(shape: tuple[int, int]) -> list[slice]:
    """Cut the rows of the target into bands."""
    ny, nx = shape
    step = max(1, BAND // max(nx, 1))
    return [slice(first, first + step) for first in range(0, ny, step)]


def _coefficients(plane: np.ndarray) -> np.ndarray:
    """Return what the basis splines are to be multiplied by."""
    return scipy.ndimage.spline_filter(plane, ORDER)


def _evaluated(coefficients: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Sum the spline up at the places."""
    options = {"order": ORDER, "cval": np.nan, "prefilter": False}
    scipy.ndimage.map_coordinates(coefficients, places, output=out, **options)


def _weight(coefficients: np.ndarray, near: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the weight of the bad pixels; only near to one is there anything to be summed up."""
    kind = scipy.ndimage.map_coordinates(near, places, order=0, cval=2)  # 0 far, 1 near, 2 beyond the planes
    weight = (kind == 2).astype(np.float32)
    some = kind == 1
    found = np.empty(int(some.sum()), np.float32)
    if found.size:
        _evaluated(coefficients, places[:, some], found)
        weight[some] = np.where(np.isfinite(found), np.abs(found), 1)
    return weight
