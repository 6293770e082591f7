"""The peak of a correlation by its second-order Taylor expansion, with exact derivatives."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.fourier import FourierGrid, in_one_thread


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
