"""The low-pass of the template: how much of each spatial frequency is sky rather than noise."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.fourier import FourierGrid

# Share of each side of the overlap over which a taper rises, so that its edges do not leak power.
_TAPER = 0.2
_LONGEST_RADIUS = np.sqrt(0.5)  # of a frequency, cycles per pixel


def taper(shape: tuple[int, int], fraction: float = _TAPER) -> np.ndarray:
    """Return a window that is 1 inside and falls to 0 at the edges, as a cosine."""
    return np.outer(*(_raised_edges(n, fraction) for n in shape))


def _raised_edges(n, fraction):
    """Return 1 with half a cosine at either end, over `fraction` of the length in all, nowhere zero."""
    edge = max(1, int(fraction * (n + 1) / 2))
    rise = 0.5 * (1 - np.cos(np.pi * np.arange(1, edge + 1) / (edge + 1)))
    window = np.ones(n)
    window[: min(edge, n)] = rise[:n]
    window[::-1][: min(edge, n)] = np.minimum(window[::-1][: min(edge, n)], rise[:n])
    return window


def _radial_sums(grid, values):
    """Return the sums of `values` (half-plane arrays) in rings of frequency."""
    rings = max(8, min(grid.shape) // 4)
    index = np.minimum((np.sqrt(grid.k2) / _LONGEST_RADIUS * rings).astype(np.intp), rings - 1).ravel()
    weight = np.broadcast_to(grid.multiplicity, grid.k2.shape)
    return [np.bincount(index, (weight * v).ravel(), rings) for v in values]


def wiener_profile(a: np.ndarray, b: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Wiener filter of the mean sky as a function of the length of the frequency.

    Parameters
    ----------
    a, b : `numpy.ndarray`
        The two aligned images of the same sky over the overlap, in the same units.
    mean : `numpy.ndarray`
        Their weighted mean, whose filter is wanted.

    Returns
    -------
    k, h : `numpy.ndarray`
        Frequencies (cycles per pixel, ascending) and the filter there, from 1 down to 0.

    Notes
    -----
    ``h = P / (P + N)``: P from the cross-power of the two images, which their independent noises leave
    alone, P + N from the power of the mean. No knowledge of the noise is needed. A filter that rises
    with frequency is noise: the profile is the closest one that falls.
    """
    k, h, _ = wiener_rings(a, b, mean)
    return k, h


def wiener_rings(a: np.ndarray, b: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequency, Wiener filter and summed power of the mean sky in rings of frequency.

    Parameters
    ----------
    a, b, mean : `numpy.ndarray`
        As for `wiener_profile`.

    Returns
    -------
    k, h, power : `numpy.ndarray`
        One value a ring.
    """
    from scipy.optimize import isotonic_regression

    window = taper(mean.shape).astype(mean.dtype)
    centre = (window * mean).sum() / window.sum()
    grid = FourierGrid(mean.shape, mean.dtype)
    fa, fb, fm = (grid.forward((x - centre) * window) for x in (a, b, mean))
    cross, power, radius, count = _radial_sums(
        grid, [(fa * fb.conj()).real, np.abs(fm) ** 2, np.sqrt(grid.k2), np.ones_like(grid.k2)]
    )
    filled = (count > 0) & (power > 0)
    if not filled.any():
        return np.array([0.0]), np.array([1.0]), np.array([0.0])
    h = np.clip(cross[filled] / power[filled], 0, 1)
    falling = isotonic_regression(h, weights=count[filled], increasing=False).x
    return radius[filled] / count[filled], np.clip(falling, 0, 1), power[filled]


def filter_on(grid: FourierGrid, k: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return the radial profile (k, h) on every frequency of `grid`."""
    return np.interp(np.sqrt(grid.k2), k, h).astype(grid.dtype)
