"""The peak of a correlation by its second-order Taylor expansion, with exact derivatives."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.fourier import FourierGrid, in_one_thread

_LEAST_SHARE, _LARGEST_SHARE = 0.002, 0.7  # of a step that a taper holds back


def taylor_peak(cross: np.ndarray, grid: FourierGrid) -> np.ndarray:
    """Return the (x, y) of the summit of the paraboloid that touches the correlation at zero.

    Parameters
    ----------
    cross : `numpy.ndarray`
        Cross-spectrum conj(A) B on the half-plane.
    grid : FourierGrid
        Its frequencies.

    Returns
    -------
    `numpy.ndarray`
        Where the correlation is not curved like a summit at zero: the highest of a grid of points, a
        quarter of a pixel apart, within a pixel.

    Notes
    -----
    Gradient and curvature are sums over the spectrum, not differences of neighbouring samples: repeated
    about the new point this is Newton's method, without the bias of a single expansion.
    """
    kx, ky = (k.ravel().astype(float) for k in grid.odd_angular)
    terms = cross * grid.multiplicity
    columns, rows = terms.sum(0, dtype=complex), terms.sum(1, dtype=complex)
    mixed = ky @ in_one_thread(terms.real, kx)
    gradient = -np.array([kx @ columns.imag, ky @ rows.imag])
    curvature = -np.array([[kx**2 @ columns.real, mixed], [mixed, ky**2 @ rows.real]])
    if np.linalg.eigvalsh(curvature).max() < 0:
        step = -np.linalg.solve(curvature, gradient)
        if np.abs(step).max() <= 1:
            return step
    points = np.arange(-4, 5) / 4
    surface = grid.sample(cross, points, points)
    j, i = np.unravel_index(int(surface.argmax()), surface.shape)
    return np.array([points[i], points[j]])


def released(step: np.ndarray, bend: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, float]:
    """Return how far the sky has moved where a taper, which has not, holds its peak back.

    Parameters
    ----------
    step : `numpy.ndarray`
        (x, y) of the peak of the tapered images' correlation.
    bend : `numpy.ndarray`
        The correlation's curvature, shape (2, 2).
    held : `numpy.ndarray`
        What of it along x and along y is the taper's.

    Returns
    -------
    whole : `numpy.ndarray`
        ``(bend - held)^-1 bend step``; the step itself where the taper holds back most of it.
    share : float
        The largest share that is held back, between 0.002 and 1.
    """
    rest = bend - np.diag(held)
    if not (np.linalg.eigvalsh(bend)[0] > 0 and np.linalg.eigvalsh(rest)[0] > 0):
        return step, 1.0
    share = float(np.abs(np.linalg.solve(bend, np.diag(held))).max())
    if share > _LARGEST_SHARE:
        return step, 1.0
    return np.linalg.solve(rest, bend @ step), max(share, _LEAST_SHARE)
