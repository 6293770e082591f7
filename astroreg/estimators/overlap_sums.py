"""Sums over the overlap of two images at every whole-pixel shift: what the normalised correlation needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroreg.estimators.fourier import FourierGrid, good_length
from astroreg.estimators.overlap import Plane


@dataclass(frozen=True)
class OverlapSums:
    """Sums over the overlap, each of shape (len(y), len(x)), with the shifts `y`, `x` of the image.

    Attributes
    ----------
    x, y : `numpy.ndarray`
        Shifts, pixels.
    n : `numpy.ndarray`
        Number of pixels good in both.
    a, a2, b, b2, ab : `numpy.ndarray`
        Sums of the standardised reference, its square, the image, its square, and the product.
    """

    x: np.ndarray
    y: np.ndarray
    n: np.ndarray
    a: np.ndarray
    a2: np.ndarray
    b: np.ndarray
    b2: np.ndarray
    ab: np.ndarray


def standardised(plane: Plane) -> np.ndarray:
    """Return the data with mean 0 and spread 1 over the good pixels, 0 on bad ones, in double precision."""
    if plane.good is None:
        values, data = plane.data, plane.data.astype(float)
    else:
        values, data = plane.data[plane.good], np.where(plane.good, plane.data, 0).astype(float)
    if values.size == 0:
        return np.zeros(plane.shape)
    mean, spread = float(values.mean(dtype=float)), float(values.std(dtype=float))
    data -= mean
    data /= spread if spread > 0 else 1
    if plane.good is not None:
        data[~plane.good] = 0
    return data


def overlap_sums(
    reference: Plane, image: Plane, *, periodic: bool = False, reach: int | None = None
) -> OverlapSums:
    """Return the sums over the overlap at every whole-pixel shift.

    Parameters
    ----------
    reference, image : Plane
        The images, of any shapes (equal ones if `periodic`).
    periodic : bool
        Whether both wrap around.
    reach : int, optional
        Longest shift along either axis that is wanted; all by default.

    Returns
    -------
    OverlapSums
        For every shift at which at least one pixel of each could overlap.

    Notes
    -----
    Only the product needs a correlation where neither image has bad pixels: the other sums are over
    rectangles, which a table of cumulative sums gives. With bad pixels all six are correlations (Padfield
    2012, doi:10.1109/TIP.2011.2181402).
    """
    (ny, nx), (my, mx) = image.shape, reference.shape
    if periodic:
        size, low, high = (ny, nx), (-(ny // 2), -(nx // 2)), (ny - ny // 2, nx - nx // 2)
    else:
        low, high = (1 - my, 1 - mx), (ny, nx)
        if reach is not None:
            low, high = [max(n, -reach) for n in low], [min(n, reach + 1) for n in high]
        # So large that what wraps around is beyond the shifts that are wanted.
        longest = zip((ny, nx), (my, mx), low, high, strict=True)
        size = tuple(good_length(max(n - first, m + last - 1)) for n, m, first, last in longest)
    y, x = (np.arange(lo, hi) for lo, hi in zip(low, high, strict=True))
    grid, take = FourierGrid(size, np.float64), np.ix_(y, x)
    first, second = standardised(reference), standardised(image)

    def correlate(a, b):
        return grid.inverse(b * a.conj(), keep=False)[take]

    fa, fb = (_transform(grid, d) for d in (first, second))
    product = correlate(fa, fb)
    if periodic or reference.good is not None or image.good is not None:
        ga, gb = (
            _transform(grid, np.ones(p.shape) if p.good is None else p.good.astype(float))
            for p in (reference, image)
        )
        fa2, fb2 = (_transform(grid, d**2) for d in (first, second))
        n = np.rint(correlate(ga, gb))
        return OverlapSums(
            x, y, n, correlate(fa, gb), correlate(fa2, gb), correlate(ga, fb), correlate(ga, fb2), product
        )
    rows, columns = _spans(y, my, ny), _spans(x, mx, nx)
    n = np.outer(rows[1] - rows[0], columns[1] - columns[0]).astype(float)
    moved = (rows[0] - y, rows[1] - y), (columns[0] - x, columns[1] - x)
    sums_a = (_rectangles(d, *moved) for d in (first, first**2))
    sums_b = (_rectangles(d, rows, columns) for d in (second, second**2))
    return OverlapSums(x, y, n, *sums_a, *sums_b, product)


def _transform(grid, array):
    """Return the transform of an array in the corner of the padded canvas."""
    padded = np.zeros(grid.shape)
    padded[: array.shape[0], : array.shape[1]] = array
    return grid.forward(padded)


def _spans(shift, reference_length, image_length):
    """Return first and last + 1 image pixel of the overlap at every shift along one axis."""
    return np.maximum(0, shift), np.minimum(image_length, reference_length + shift)


def _rectangles(values, rows, columns):
    """Return the sums of `values` over every rectangle rows x columns."""
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(values, axis=0, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    across = table[rows[1]] - table[rows[0]]
    return across[:, columns[1]] - across[:, columns[0]]
