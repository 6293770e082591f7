"""Errors of any estimating equation ``sum w q r = 0``: the sandwich, with known or with learnt noise."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.fourier import FourierGrid, fourier_grid, good_length, power_of

# A correlation of the residuals below this many of its standard errors counts as none.
_SIGNIFICANT = 2.0
_SHORTEST, _LONGEST = 2, 24  # pixels: bounds of the correlation length that is looked for
_SAMPLE, _SAMPLES = 128, 2  # pixels a side of the parts of a wide overlap, and their number


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


def _autocovariance(spectrum, grid, reach):
    """Return sum over pixels of v(x) v(x + lag) for lags up to `reach`, shape (2 reach + 1,) * 2."""
    full = grid.inverse(power_of(spectrum).astype(spectrum.dtype))
    lags = np.arange(-reach, reach + 1)
    return full[np.ix_(lags, lags)].astype(float)


def correlation_length(spectrum: np.ndarray, usable: np.ndarray, grid: FourierGrid, box) -> int:
    """Return the lag (pixels) beyond which weighted residuals are no longer correlated.

    Parameters
    ----------
    spectrum : `numpy.ndarray`
        Transform of the residuals in units of their errors, 0 where a pixel does not count.
    usable : `numpy.ndarray` of bool
        The pixels that count, on the canvas.
    grid : FourierGrid
        Frequencies of the canvas.
    box : tuple of slice
        Where the overlap is on the canvas.

    Returns
    -------
    int
        The first lag at which the ring of correlations is insignificant, between 1 and 24 pixels: the
        rule of Politis (2003, doi:10.1080/10485250310001604659) on rings.

    Notes
    -----
    The standard error of a correlation grows with those at shorter lags (Bartlett 1946,
    doi:10.2307/2983611).
    """
    shape = usable[box].shape
    reach = int(min(_LONGEST, min(shape) // 4))
    if reach < _SHORTEST:
        return 1
    rho = _autocovariance(spectrum, grid, reach)
    if not rho[reach, reach] > 0:
        return 1
    lag = np.arange(-reach, reach + 1)
    pairs = np.outer(*(1 - np.abs(lag) / n for n in shape))
    rho /= rho[reach, reach] * pairs
    pairs *= np.count_nonzero(usable)
    ring = np.rint(np.hypot(lag[:, None], lag)).astype(int).ravel()
    count, sums, squares = (np.bincount(ring, w) for w in (np.ones(ring.size), rho.ravel(), rho.ravel() ** 2))
    mean_pairs = np.bincount(ring, pairs.ravel()) / count
    # Half of the lags repeat the other half.
    error = np.sqrt(2 / count / np.maximum(mean_pairs, 1) * np.concatenate([[1], np.cumsum(squares)[:-1]]))
    none = np.flatnonzero(sums[1:reach] / count[1:reach] < _SIGNIFICANT * error[1:reach])
    return int(none[0]) + 1 if none.size else reach


def empirical_scatter(terms: list[np.ndarray], length: int, grid: FourierGrid, box) -> np.ndarray:
    """Return the covariance of ``sum terms`` from the terms themselves, correlated over `length` pixels.

    Parameters
    ----------
    terms : list of `numpy.ndarray`
        What each pixel adds to each equation, ``w q r``, on the canvas; their sums are zero at the solution.
    length : int
        Lag beyond which the noise is not correlated.
    grid : FourierGrid
        Frequencies of the canvas.
    box : tuple of slice
        Outside of it the terms are 0.

    Returns
    -------
    `numpy.ndarray`
        ``M_ij = sum over pixels and lags of K(lag) t_i(x) t_j(x + lag)`` with a flat-topped kernel K,
        1 up to `length` and falling to 0 at twice that, on each axis (spatial HAC, Conley 1999,
        doi:10.1016/S0304-4076(98)00084-0). A flat top leaves correlations inside it unweighted.
    """
    shape = terms[0][box].shape
    if terms[0].shape != shape and any(
        n - m < 2 * length for n, m in zip(terms[0].shape, shape, strict=True)
    ):
        # A periodic canvas this tight would join one edge to the other.
        grid = FourierGrid(tuple(good_length(n + 2 * length) for n in shape), grid.dtype)
        padded = np.zeros((len(terms), *grid.shape), grid.dtype)
        for out, term in zip(padded, terms, strict=True):
            out[: shape[0], : shape[1]] = term[box]
        terms = list(padded)
    # The kernel is a product of one a axis, and its transform too.
    across, along = (
        np.fft.fft(np.clip(2 - np.abs(np.fft.fftfreq(n, 1 / n)) / length, 0, 1)).real.astype(grid.dtype)
        for n in grid.shape
    )
    transfer = across[:, None] * along[: grid.kx.size]
    spectra = [grid.forward(term) for term in terms]
    scatter = np.empty((len(terms), len(terms)))
    for i, first in enumerate(spectra):
        weighted = first * transfer
        for j, second in enumerate(spectra[: i + 1]):
            scatter[i, j] = scatter[j, i] = grid.dot(weighted, second)
    return _positive(scatter, terms)


def samples(box) -> list[tuple[slice, slice]]:
    """Return parts along the diagonal of a wide overlap, in which its residuals are looked at."""
    starts = [np.linspace(s.start, s.stop - _SAMPLE, _SAMPLES + 2)[1:-1].astype(int) for s in box]
    return [tuple(slice(n, n + _SAMPLE) for n in corner) for corner in zip(*starts, strict=True)]


def scatter_of_parts(
    terms: list[list[np.ndarray]], noise: list[np.ndarray], usable: list[np.ndarray]
) -> np.ndarray:
    """Return the covariance of ``sum terms`` over parts of an overlap, from the terms themselves.

    Parameters
    ----------
    terms : list of list of `numpy.ndarray`
        What each pixel adds to each equation, see `empirical_scatter`: for every equation, the parts, all of
        one shape.
    noise : list of `numpy.ndarray`
        Residuals in units of their errors, 0 where a pixel does not count, part by part.
    usable : list of `numpy.ndarray` of bool
        The pixels that count, part by part.
    """
    shape, width = noise[0].shape, noise[0].shape[1] + 2 * _LONGEST
    # Zeros around each part: nothing joins one to the other, or its own edges on a periodic canvas.
    sides = shape[0] + 2 * _LONGEST, len(noise) * width
    grid = fourier_grid([good_length(n) for n in sides], noise[0].dtype)

    def laid_out(parts):
        out = np.zeros(grid.shape, parts[0].dtype)
        for i, part in enumerate(parts):
            out[: shape[0], i * width : i * width + shape[1]] = part
        return out

    # That of the first part, whose shape counts; the zeros around it are enough for any length.
    box = tuple(slice(0, n) for n in shape)
    length = correlation_length(grid.forward(laid_out(noise)), laid_out(usable), grid, box)
    return empirical_scatter([laid_out(t) for t in terms], length, grid, box)


def _positive(scatter, terms):
    """Return `scatter` with directions that the flat-topped kernel made negative set to their white value."""
    white = np.array([[float(np.einsum("ij,ij->", a, b)) for b in terms] for a in terms])
    scale = np.sqrt(np.maximum(np.diag(white), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(scatter / np.outer(scale, scale))
    if values.min() > 0:
        return scatter
    plain = np.einsum("ji,jk,ki->i", vectors, white / np.outer(scale, scale), vectors)
    values = np.where(values > 0, values, plain)
    return (vectors * values) @ vectors.T * np.outer(scale, scale)
