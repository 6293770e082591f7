"""How the errors of pairs that share an image are correlated.

To first order the error of a pair is what the noise of its two images does to it,
``e_ij = psi_ij . n_j - psi_ij . n_i``, with the influence ``psi_ij = T_ij^-1 g / V`` of a pixel where the
sky has the gradient g, and ``T_ij`` the sum of g g^T / V over the overlap. Two pairs that share image i have
in common what its noise does where both others cover it:

    Cov(e_ij, e_ik) = T_ij^-1 T_ijk T_ik^-1,    T_ijk = sum over both overlaps.

What is left, noise times noise and all that is wrong with the model, is independent from pair to pair. Its
share of the variance is measured from the redundancy of the stack. Noise times noise goes with V_i V_j where
the rest goes with V_i + V_j, so that its share is larger for pairs of fainter images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from astroreg.stack.geometry import Layout

__all__ = ["faintness", "shared_correlation", "symmetric_root"]


def symmetric_root(matrices: np.ndarray, power: float) -> np.ndarray:
    """Return a power of symmetric positive matrices, shape (..., 2, 2)."""
    values, vectors = np.linalg.eigh(matrices)
    floor = np.finfo(float).tiny
    values = np.maximum(values, np.maximum(1e-12 * values[..., -1:], floor)) ** power
    return np.einsum("...ij,...j,...kj->...ik", vectors, values, vectors)


def shared_correlation(layout: Layout, pairs: np.ndarray) -> np.ndarray:
    """Return the correlation of the errors of pairs that comes from the images they share.

    Parameters
    ----------
    layout : Layout
        The images, with the information of their cells.
    pairs : ndarray of int, shape (n, 2)
        (reference, image).

    Returns
    -------
    ndarray, shape (2 n, 2 n)
        Of errors in units of their own, ``C^-1/2 e``, in (lon, lat) at the common pivot; positive
        semi-definite, with ones on its diagonal.
    """
    n = len(pairs)
    total = np.zeros((n, 2, n, 2))
    shares = _noise_shares(layout, pairs)
    for image in np.unique(pairs):
        rows, ends = np.nonzero(pairs == image)
        others = pairs[rows, 1 - ends]
        inside = np.array([layout.covered(image, other) for other in others], float)
        cells = layout.information(image)
        inverse = symmetric_root(np.einsum("pn,nab->pab", inside, cells), -0.5)
        both = np.einsum("pn,qn,nab->pqab", inside, inside, cells, optimize=True)
        block = np.einsum("pab,pqbc,qcd->paqd", inverse, both, inverse, optimize=True)
        # The noise of the reference of a pair moves the shift the other way.
        weight = np.sqrt(shares[rows, ends]) * np.where(ends == 1, 1.0, -1.0)
        total[rows[:, None], :, rows[None, :], :] += np.einsum("p,paqd,q->pqad", weight, block, weight)
    total = total.reshape(2 * n, 2 * n)
    # Overlaps of less than a cell share nothing that is known of.
    np.fill_diagonal(total, 1.0)
    for row in range(0, 2 * n, 2):
        total[row, row + 1] = total[row + 1, row] = 0.0
    return total


def faintness(layout: Layout, pairs: np.ndarray) -> np.ndarray:
    """Return how much noise counts against structure where the images of each pair overlap.

    Parameters
    ----------
    layout : Layout
        The images, with the information of their cells.
    pairs : ndarray of int, shape (n, 2)
        (reference, image).

    Returns
    -------
    ndarray, shape (n,)
        ``V_i V_j / (V_i + V_j)`` over the mean square of the gradient, in units of that of a typical pair.
    """
    # T goes with 1/V, so that V_i V_j / (V_i + V_j) does with 1 / (T_i + T_j).
    ratio = 1 / (_information(layout, pairs, np.mean).sum(axis=1) + np.finfo(float).tiny)
    return ratio / np.median(ratio)


def _noise_shares(layout: Layout, pairs: np.ndarray) -> np.ndarray:
    """Return which part of the variance of each pair is due to the noise of each of its images, (n, 2)."""
    # T goes with 1/V: the image that tells more has the smaller noise.
    shares = _information(layout, pairs, np.sum)[:, ::-1] + np.finfo(float).tiny
    return shares / shares.sum(axis=1, keepdims=True)


def _information(layout: Layout, pairs: np.ndarray, reduce: Callable) -> np.ndarray:
    """Return the sum or the mean of what the cells of each image tell, over those that the other covers."""
    told = np.zeros(pairs.shape)
    traces = {image: np.trace(layout.information(image), axis1=1, axis2=2) for image in np.unique(pairs)}
    for row, (first, second) in enumerate(pairs):
        for end, (image, other) in enumerate(((first, second), (second, first))):
            inside = layout.covered(image, other)
            told[row, end] = reduce(traces[image][inside]) if inside.any() else 0.0
    return told
