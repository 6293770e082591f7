"""The Delta chi-squared map around a solution, calibrated to its covariance."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev

from astroreg.estimators.equations import Equations
from astroreg.estimators.fourier import FourierGrid

_REACH = 4.0  # sigmas to either side
_SAMPLES = 41  # of the map along each axis: five to a sigma
_NODES = 7  # exact evaluations along each axis, joined by a polynomial
# Pixels: over so short a reach r the equation of a wave of frequency k, sin(k r) / k, is a straight line to
# (k r)^2 / 6, which is 3e-3 for waves as short as two pixels.
_STRAIGHT = 0.04


def delta_chi2_map(equations: Equations, covariance: np.ndarray, grid: FourierGrid):
    """Return Delta chi-squared on a grid of shifts around the solution.

    Parameters
    ----------
    equations : Equations
        The equations at the solution.
    covariance : `numpy.ndarray`
        2 x 2 covariance of the shift, pixel^2.
    grid : FourierGrid
        The canvas' frequencies.

    Returns
    -------
    delta, x, y : `numpy.ndarray` or None
        The map (41, 41) and its axes: distances from the solution in pixels, four sigmas to either side.
        None where the covariance is not positive.

    Notes
    -----
    The equations g(d), with scale and background solved for at every d, are evaluated on the data as
    they are. Their slope J at the solution turns them into a distance ``e = J^-1 g``, and
    ``Delta chi2 = e^T C^-1 e``: near the minimum exactly the quoted covariance, farther out as far from
    a parabola as the data are. Where four sigmas are less than 0.04 pixel that is no difference, and the map
    is the parabola. (The raw sum of squares of two noisy images is steeper than its own error: the gradients
    of the noise add to its curvature.)
    """
    if not (np.isfinite(covariance).all() and np.linalg.eigvalsh(covariance).min() > 0):
        return None
    sigma = np.sqrt(np.diag(covariance))
    # Beyond a pixel or two the equations describe another summit.
    reach = np.minimum(_REACH * sigma, np.maximum(3.5 * sigma, 1.5))
    x, y = (np.linspace(-r, r, _SAMPLES) for r in reach)
    distance = np.stack(np.meshgrid(x, y)) if reach.max() < _STRAIGHT else _distance(equations, grid, reach)
    if distance is None:
        return None
    return np.einsum("iyx,ij,jyx->yx", distance, np.linalg.inv(covariance), distance), x, y


def _distance(equations, grid, reach):
    """Return the equations on the map in units of the shift, ``J^-1 g``; None where J has no inverse."""
    spectra = [grid.forward(t) for t in _profiled(equations)]
    values, slope = _evaluate(spectra, equations.aligned, grid, reach)
    try:
        return np.einsum("ij,jyx->iyx", np.linalg.inv(slope), values)
    except np.linalg.LinAlgError:
        return None


def _profiled(equations):
    """Return the shift's two templates less what scale and background take of them."""
    nuisance = 2 + np.flatnonzero(equations.free[2:])
    templates = list(equations.templates[:2])
    if nuisance.size:
        inner = equations.slope[np.ix_(nuisance, nuisance)]
        mix = np.linalg.lstsq(inner.T, equations.slope[:2, nuisance].T, rcond=None)[0].T
        for i, row in enumerate(mix):
            for factor, n in zip(row, nuisance, strict=True):
                templates[i] = templates[i] - templates[i].dtype.type(factor) * equations.templates[n]
    return templates


@lru_cache(maxsize=1)
def _polynomial():
    """Return nodes between -1 and 1, the matrix from values there to the samples, the derivative at zero."""
    nodes = chebyshev.chebpts1(_NODES)
    inverse = np.linalg.inv(chebyshev.chebvander(nodes, _NODES - 1))
    derivative = np.array([chebyshev.chebval(0, chebyshev.chebder(c)) for c in inverse.T])
    return nodes, chebyshev.chebvander(np.linspace(-1, 1, _SAMPLES), _NODES - 1) @ inverse, derivative


def _evaluate(spectra, aligned, grid, reach):
    """Return sum t (b - a) with the images moved apart by every shift of the map, less its value at zero.

    And its slope there, (equation, axis).
    """
    nodes, to_samples, derivative = _polynomial()
    x, y = (nodes * r for r in reach)
    out, slope = [], []
    for template in spectra:
        spectrum = template.conj()
        exact = grid.sample(spectrum * aligned.spectrum_b, x / 2, y / 2)
        exact -= grid.sample(spectrum * aligned.spectrum_a, -x / 2, -y / 2)
        # The node in the middle is zero.
        exact -= exact[_NODES // 2, _NODES // 2]
        slope.append(
            [derivative @ exact[_NODES // 2] / reach[0], derivative @ exact[:, _NODES // 2] / reach[1]]
        )
        out.append(to_samples @ exact @ to_samples.T)
    return np.array(out), np.array(slope)
