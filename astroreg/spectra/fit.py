"""The chi-squared step on one axis: the same equations as for images, on a canvas of one row.

A canvas of one row has no frequencies along y: its y equations are empty and not fitted. What one axis
has of its own is the filter, which is learnt mode by mode because there are few, and the correlation of
the residuals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from astroreg.estimators.alignment import Aligned, Aligner
from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.covariance import empirical_scatter
from astroreg.estimators.equations import Fit, make_fit
from astroreg.estimators.fourier import FourierGrid, good_length
from astroreg.estimators.overlap import MARGIN, Overlap, Plane, overlap_extent
from astroreg.estimators.template import Spectra, taper, tapered_spectra

_EDGE = 1  # channels at either end of the overlap that carry no weight: what is beyond is only predicted
_FEWEST = 8  # usable channels: fewer determine nothing
_RECENTRE = 0.55  # beyond this fraction of a channel the whole shift is chosen anew
_RECENTRINGS = 5
_FARTHEST = 12  # channels: a fit that walks this far from where it began follows noise
_SIGNIFICANT = 2.5  # standard errors of a correlation of the residuals that counts
_LONGEST = 24  # channels: bound of the correlation length that is looked for
_HIGH = 0.25  # cycles a channel: beyond it a resolved spectrum has little but noise
_BINS_A_DECADE = 12  # of frequency
_TAIL = 0.2  # prior width of the index of the power law
_NOISELESS = 1e-12  # of the mean power
_REACH, _SAMPLES = 4.0, 81  # sigmas to either side, and samples, of the Delta chi-squared curve


class SpectralAligner(Aligner):
    """Two spectra in a common frame, with the filter of one axis."""

    def __init__(self, overlap: Overlap, *, fit_scale: bool = True, fit_background: bool = True):
        super().__init__(overlap, fit_scale=fit_scale, fit_background=fit_background)
        self.free = np.array([True, False, fit_scale, fit_background])

    def learn_filter(self, aligned: Aligned, share: float) -> Spectra:
        """Take the Wiener filter of the mean, with `share` of the image, from the aligned spectra."""
        box = self.overlap.box
        sky = aligned.a + share * aligned.residual
        self.set_profile(*wiener_modes(aligned.a[box], aligned.b[box], sky[box]))
        return tapered_spectra(aligned.a, aligned.b, share, box, self.grid)


def wiener_modes(a: np.ndarray, b: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the Wiener filter of the mean spectrum as a function of frequency.

    Parameters
    ----------
    a, b : `numpy.ndarray`
        The two aligned spectra, shape (1, n), in the same units.
    mean : `numpy.ndarray`
        Their weighted mean, whose filter is wanted.

    Returns
    -------
    k, h : `numpy.ndarray`
        Frequencies (cycles per channel, ascending) and the filter there.

    Notes
    -----
    ``h = P / (P + N)`` with white noise N, told by the difference of the two, and a power law seen through
    a Gaussian profile, ``P = exp(c0 + c1 log k + c2 k^2)``, of greatest (Whittle) likelihood. One axis has
    few modes: a filter with more freedom would follow the noise, and the errors come out too small. For
    the same reason c1 is drawn towards 0, what lines have, unless the data say more.
    """
    window = taper(mean.shape)
    centre = (window * mean).sum() / window.sum()
    grid = FourierGrid(mean.shape, np.float64)
    fr, fm = (grid.forward(x * window).ravel()[1:] for x in (b - a, mean - centre))
    k, power = grid.kx.ravel()[1:].astype(float), np.abs(fm) ** 2
    total = power.mean() if power.size else 0.0
    difference = (b - a) * window
    if not total > 0:
        return np.array([0.0]), np.array([1.0])
    # The mean is a + share (b - a), of noise share (1 - share) times that of the difference.
    share = ((mean - a) * window * difference).sum() / max((difference**2).sum(), np.finfo(float).tiny)
    share = float(np.clip(share, 0, 1))
    noise = max(share * (1 - share) * (np.abs(fr) ** 2).mean() / total, _NOISELESS)
    signal = _whittle(k, power / total, noise)
    return k, signal / (signal + noise)


def _whittle(k: np.ndarray, power: np.ndarray, noise: float) -> np.ndarray:
    """Return the power law through a Gaussian profile that makes `power`, noise included, most likely."""
    from scipy import optimize

    bins = np.unique(np.rint(_BINS_A_DECADE * np.log10(k / k[0])).astype(int), return_inverse=True)[1]
    count = np.bincount(bins)
    mean_k, mean_power = (np.bincount(bins, x) / count for x in (k, power))
    # In terms of which the coefficients are of order one.
    basis = np.array([np.ones(mean_k.size), np.log(mean_k), (mean_k / _HIGH) ** 2])

    def cost(c):
        expected = np.exp(np.clip(c @ basis, -60, 60)) + noise
        return (count * (np.log(expected) + mean_power / expected)).sum() + 0.5 * (c[1] / _TAIL) ** 2

    def slope(c):
        signal = np.exp(np.clip(c @ basis, -60, 60))
        expected = signal + noise
        gradient = basis @ (count * signal / expected * (1 - mean_power / expected))
        return gradient + np.array([0, c[1] / _TAIL**2, 0])

    first = [np.log(max(mean_power[0], noise)), 0.0, -1.0]
    bounds = [(None, None), (-6, 0), (None, 0)]
    found = optimize.minimize(cost, first, jac=slope, bounds=bounds, method="L-BFGS-B")
    return np.exp(np.clip(found.x @ [np.ones(k.size), np.log(k), (k / _HIGH) ** 2], -60, 60))


def spectral_overlap(reference: Plane, image: Plane, whole: int, *, periodic: bool = False) -> Overlap:
    """Lay two spectra of one row each on one canvas, the reference moved by `whole` channels.

    Parameters
    ----------
    reference, image : Plane
        Shape (1, n) each, with a variance for every channel.
    whole : int
        Whole-channel shift of the image relative to the reference.
    periodic : bool
        Whether both wrap around.

    Returns
    -------
    Overlap
        Of one row.
    """
    if periodic:
        low, high, margin, length = 0, image.shape[1], 0, image.shape[1]
        rows = [np.roll(x, whole) for x in _rows(reference)] + _rows(image)
        edge = 0
    else:
        low, high = overlap_extent(reference.shape, image.shape, (whole, 0))[1]
        high = max(low, high)
        margin, edge = MARGIN, _EDGE
        length = good_length(high - low + 2 * margin)
        rows = [_cut(x, low - margin - whole, length) for x in _rows(reference)]
        rows += [_cut(x, low - margin, length) for x in _rows(image)]
    a, has_a, variance_a, b, has_b, variance_b = rows
    box = slice(margin, margin + high - low)
    inside = np.zeros(length, bool)
    inside[box.start + edge : max(box.start + edge, box.stop - edge)] = True
    both = has_a & has_b
    return Overlap(
        (int(whole), 0),
        np.where(has_a, a, 0)[None],
        np.where(has_b, b, 0)[None],
        has_a[None],
        has_b[None],
        _typical_where_unknown(variance_a, has_a)[None],
        _typical_where_unknown(variance_b, has_b)[None],
        usable=(both & inside)[None],
        hole=(inside & ~both)[None],
        box=(slice(0, 1), box),
        origin=(low - margin, 0),
        periodic=periodic,
        grid=FourierGrid((1, length), np.float64),
    )


def _rows(plane: Plane) -> list[np.ndarray]:
    good = np.ones(plane.shape, bool) if plane.good is None else plane.good
    variance = np.broadcast_to(plane.variance, plane.shape)
    return [plane.data[0].astype(float), good[0], variance[0].astype(float)]


def _cut(row: np.ndarray, start: int, length: int) -> np.ndarray:
    """Return `length` values from `start` on; 0 or False where there are none."""
    out = np.zeros(length, row.dtype)
    low, high = max(0, start), max(0, min(row.size, start + length))
    if high > low:
        out[low - start : high - start] = row[low:high]
    return out


def _typical_where_unknown(variance: np.ndarray, has: np.ndarray) -> np.ndarray:
    return np.where(has, variance, variance[has].mean() if has.any() else 0)


@dataclass(frozen=True)
class SpectralFit:
    """A fit, its canvas, and the errors as they are for one axis.

    Attributes
    ----------
    fit : Fit
        With the covariance of the noise that was asked for.
    overlap : Overlap
        The canvas.
    profile : tuple of `numpy.ndarray`
        Frequencies (cycles per channel) and the Wiener filter there.
    """

    fit: Fit
    overlap: Overlap
    profile: tuple[np.ndarray, np.ndarray]


def fit_at(
    reference: Plane,
    image: Plane,
    start: int,
    *,
    periodic: bool,
    fit_scale: bool,
    fit_background: bool,
    empirical: bool,
) -> SpectralFit | None:
    """Return the fit that starts at a whole-channel shift; None where it leads nowhere.

    Parameters
    ----------
    reference, image : Plane
        The spectra, one row each.
    start : int
        Whole-channel shift to start from.
    periodic, fit_scale, fit_background : bool
        See `chi2_shift`.
    empirical : bool
        Whether the errors come from the residuals.

    Returns
    -------
    SpectralFit or None
        Converged or not, see ``fit.converged``.
    """
    whole = int(start)
    for _ in range(_RECENTRINGS):
        overlap = spectral_overlap(reference, image, whole, periodic=periodic)
        if overlap.n_pixels < _FEWEST or not _varies(overlap):
            return None
        aligner = SpectralAligner(overlap, fit_scale=fit_scale, fit_background=fit_background)
        equations, converged = ChiSquaredStep(aligner).solve()
        shift = whole + aligner.fraction[0]
        if not np.isfinite(shift) or abs(shift - start) > _FARTHEST:
            return None
        if abs(aligner.fraction[0]) <= _RECENTRE:
            break
        whole = int(np.rint(shift))
    fit = make_fit(aligner, equations, converged=converged, empirical=False)
    return SpectralFit(_with_learnt_noise(fit, overlap, empirical=empirical), overlap, aligner.profile)


def _varies(overlap: Overlap) -> bool:
    return all(float(np.ptp(x[overlap.usable])) > 0 for x in (overlap.reference, overlap.image))


def _with_learnt_noise(fit: Fit, overlap: Overlap, *, empirical: bool) -> Fit:
    """Return the fit with the scatter of its residuals along the one axis."""
    equations = fit.equations
    box = overlap.box
    residual, weight = equations.residual[box][0], equations.weight[box][0]
    rho, length = autocorrelation(residual * np.sqrt(weight), weight > 0)
    terms = [t * equations.residual for t in equations.templates]
    # The fitted parameters have taken their share of the residuals.
    share = fit.n_pixels / max(fit.n_pixels - fit.n_parameters, 1)
    learnt = share * empirical_scatter(terms, length, overlap.grid, box)
    # The scatter of a few dozen lines' worth of channels says little; all residuals together say more.
    ratio = float(
        (1 + 2 * np.maximum(rho[1:length], 0).sum()) * fit.chi2 / max(fit.n_pixels - fit.n_parameters, 1)
    )
    parameters = equations.covariance(learnt) if empirical else fit.parameters
    return replace(fit, parameters=parameters, scatter_ratio=ratio)


def autocorrelation(normalised: np.ndarray, usable: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the autocorrelation of residuals, and the lag (channels) from which on there is none.

    Parameters
    ----------
    normalised : `numpy.ndarray`
        Residuals over their sigmas, shape (n,), 0 where a channel does not count.
    usable : `numpy.ndarray` of bool
        Which channels count.

    Returns
    -------
    rho : `numpy.ndarray`
        Correlation at lags 0, 1, 2...
    length : int
        The first lag of three in a row without significant correlation, at least 1.
    """
    reach = min(_LONGEST, normalised.size // 4)
    ends = [(lag, normalised.size - lag) for lag in range(reach + 3)]
    pairs = np.array([np.count_nonzero(usable[lag:] & usable[:end]) for lag, end in ends])
    rho = np.array([normalised[lag:] @ normalised[:end] for lag, end in ends]) / np.maximum(pairs, 1)
    if not rho[0] > 0:
        return np.zeros(reach + 3), 1
    rho = rho / rho[0]
    quiet = np.abs(rho) < _SIGNIFICANT / np.sqrt(np.maximum(pairs, 1))
    length = next((lag for lag in range(1, reach + 1) if quiet[lag : lag + 3].all()), max(1, reach))
    return rho, length


def delta_chi2_curve(found: SpectralFit) -> tuple[np.ndarray, np.ndarray] | None:
    """Return Delta chi-squared on shifts around the solution.

    Parameters
    ----------
    found : SpectralFit
        The solution.

    Returns
    -------
    offset, delta : `numpy.ndarray` or None
        Distances from the solution (channels), four sigmas to either side, and the curve; None where the
        variance is not positive.

    Notes
    -----
    As for images: the shift's equation at every distance, scale and background solved for, divided by its
    slope and by the error.
    """
    fit, grid = found.fit, found.overlap.grid
    variance = fit.parameters[0, 0]
    if not (np.isfinite(variance) and variance > 0):
        return None
    equations, aligned = fit.equations, fit.equations.aligned
    template = _profiled(equations)
    slope = sum(
        0.5 * (template * grid.gradient(s)[0]).sum() for s in (aligned.spectrum_a, aligned.spectrum_b)
    )
    offset = np.linspace(-_REACH, _REACH, _SAMPLES) * np.sqrt(variance)
    values = np.empty(_SAMPLES)
    for i, distance in enumerate(offset):
        phase = grid.phase((distance / 2, 0))
        values[i] = (
            template * grid.inverse(aligned.spectrum_b * phase.conj() - aligned.spectrum_a * phase)
        ).sum()
    values -= values[_SAMPLES // 2]
    return offset, (values / slope) ** 2 / variance


def _profiled(equations) -> np.ndarray:
    """Return the shift's template less what scale and background take of it."""
    nuisance = 2 + np.flatnonzero(equations.free[2:])
    template = equations.templates[0].astype(float)
    if nuisance.size:
        inner = equations.slope[np.ix_(nuisance, nuisance)]
        mix = np.linalg.lstsq(inner.T, equations.slope[0, nuisance], rcond=None)[0]
        template = template - sum(m * equations.templates[n] for m, n in zip(mix, nuisance, strict=True))
    return template
