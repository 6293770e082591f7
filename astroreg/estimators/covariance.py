"""Errors of any estimating equation ``sum w q r = 0``: the sandwich, with known or with learnt noise."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.fourier import FourierGrid, good_length

# A correlation of the residuals below this many of its standard errors counts as none.
_SIGNIFICANT = 2.0
_SHORTEST, _LONGEST = 2, 24  # pixels: bounds of the correlation length that is looked for


def sandwich(slope: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """Return ``slope^-1 scatter slope^-T``, the covariance of the parameters.

    Parameters
    ----------
    slope : `numpy.ndarray`
        Expected derivatives of the equations (rows) with respect to the parameters (columns).
    scatter : `numpy.ndarray`
        Covariance of the equations.

    Returns
    -------
    `numpy.ndarray`
        NaN everywhere where `slope` cannot be inverted.
    """
    try:
        inverse = np.linalg.inv(slope)
    except np.linalg.LinAlgError:
        return np.full_like(slope, np.nan)
    return inverse @ scatter @ inverse.T


def _autocovariance(values: np.ndarray, reach: int) -> np.ndarray:
    """Return sum over pixels of v(x) v(x + lag) for lags up to `reach`, shape (2 reach + 1,) * 2."""
    grid = FourierGrid(tuple(good_length(n + reach) for n in values.shape), values.dtype)
    padded = np.zeros(grid.shape, values.dtype)
    padded[: values.shape[0], : values.shape[1]] = values
    full = grid.inverse(np.abs(grid.forward(padded)) ** 2)
    lags = np.arange(-reach, reach + 1)
    return full[np.ix_(lags, lags)]


def correlation_length(residual: np.ndarray, weight: np.ndarray) -> int:
    """Return the lag (pixels) beyond which weighted residuals are no longer correlated.

    Parameters
    ----------
    residual : `numpy.ndarray`
        Residuals, any value where `weight` is 0.
    weight : `numpy.ndarray`
        Inverse variances, 0 where a pixel does not count.

    Returns
    -------
    int
        The first lag at which the ring of correlations is insignificant, between 1 and 24 pixels: the
        rule of Politis (2003, doi:10.1080/10485250310001604659) on rings.
    """
    reach = int(min(_LONGEST, min(residual.shape) // 4))
    if reach < _SHORTEST:
        return 1
    normalised = residual * np.sqrt(weight)
    pairs = _autocovariance((weight > 0).astype(residual.dtype), reach)
    rho = _autocovariance(normalised, reach) / np.maximum(pairs, 1)
    if not rho[reach, reach] > 0:
        return 1
    rho /= rho[reach, reach]
    lag = np.arange(-reach, reach + 1)
    ring = np.rint(np.hypot(lag[:, None], lag)).astype(int)
    for length in range(1, reach):
        here = ring == length
        # Half of the lags repeat the other half.
        error = np.sqrt(2.0 / here.sum() / max(pairs[here].mean(), 1))
        if rho[here].mean() < _SIGNIFICANT * error:
            return length
    return reach


def empirical_scatter(terms: list[np.ndarray], length: int) -> np.ndarray:
    """Return the covariance of ``sum terms`` from the terms themselves, correlated over `length` pixels.

    Parameters
    ----------
    terms : list of `numpy.ndarray`
        What each pixel adds to each equation, ``w q r``; their sums are zero at the solution.
    length : int
        Lag beyond which the noise is not correlated.

    Returns
    -------
    `numpy.ndarray`
        ``M_ij = sum over pixels and lags of K(lag) t_i(x) t_j(x + lag)`` with a flat-topped kernel K,
        1 up to `length` and falling to 0 at twice that, on each axis (spatial HAC, Conley 1999,
        doi:10.1016/S0304-4076(98)00084-0). A flat top leaves correlations inside it unweighted.
    """
    grid = FourierGrid(tuple(good_length(n + 2 * length + 1) for n in terms[0].shape), np.float64)
    ny, nx = grid.shape
    kernel = np.outer(*(np.clip(2 - np.abs(np.fft.fftfreq(n, 1 / n)) / length, 0, 1) for n in (ny, nx)))
    transfer = grid.forward(kernel).real
    spectra = []
    for term in terms:
        padded = np.zeros(grid.shape)
        padded[: term.shape[0], : term.shape[1]] = term
        spectra.append(grid.forward(padded))
    scatter = np.array([[grid.dot(a * transfer, b) for b in spectra] for a in spectra])
    return _positive(scatter, terms)


def _positive(scatter, terms):
    """Return `scatter` with directions that the flat-topped kernel made negative set to their white value."""
    white = np.array([[np.vdot(a, b) for b in terms] for a in terms])
    scale = np.sqrt(np.maximum(np.diag(white), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(scatter / np.outer(scale, scale))
    if values.min() > 0:
        return scatter
    plain = np.einsum("ji,jk,ki->i", vectors, white / np.outer(scale, scale), vectors)
    values = np.where(values > 0, values, plain)
    return (vectors * values) @ vectors.T * np.outer(scale, scale)
