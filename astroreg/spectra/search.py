"""The whole-channel shift of two spectra, its rival, and the noise of a spectrum that has no uncertainty."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.correlation import Coarse, Peak, Surface, correlation_surface, delta_chi2_of
from astroreg.estimators.overlap import Plane

__all__ = ["coarse_lag", "filtered", "spectral_noise_variance"]

_NOISY = 25.0  # median variances: channels noisier than that do not take part in the search
_HALF = 0.5  # of the best score: what hangs together above it is one summit
_CHANCE = 0.3  # of the best score: what a small overlap may reach by chance
_APART = 4  # channels: summits of one massif this far apart are two
_MAD_TO_SIGMA = 1.482602218505602
_FOURTH_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / np.sqrt(70.0)  # of unit noise
_ENOUGH = 8


def coarse_lag(
    reference: Plane, image: Plane, *, max_shift: float | None, min_overlap: float, periodic: bool
) -> Coarse:
    """Find the whole-channel shift of highest likelihood.

    Parameters
    ----------
    reference, image : Plane
        The spectra, shape (1, n) each.
    max_shift : float or None
        Longest shift searched, in channels.
    min_overlap : float
        Least overlap, as a fraction of the smaller one's good channels.
    periodic : bool
        Whether both wrap around.

    Returns
    -------
    Coarse
        As for images, with shifts (x, 0); without a peak where nothing is allowed or nothing varies.
    """
    surface = correlation_surface(_without_noisy(reference), _without_noisy(image), periodic=periodic)
    allowed = surface.overlap[0] >= min_overlap
    if max_shift is not None:
        allowed &= np.abs(surface.x) <= max_shift
    score = np.where(allowed, surface.score[0], -np.inf)
    trials = int(allowed.sum())
    if not np.isfinite(score.max(initial=-np.inf)):
        return Coarse(None, trials=trials, surface=surface)
    tops = np.flatnonzero(score == score.max())
    best = int(tops[np.argmin(np.abs(surface.x[tops]))])
    inside = 0 < best < score.size - 1 and allowed[best - 1] and allowed[best + 1]
    return Coarse(
        _peak(surface, score, best),
        _rival(surface, score, best),
        at_bound=not inside and not periodic,
        trials=trials,
        surface=surface,
    )


def filtered(plane: Plane, profile: tuple[np.ndarray, np.ndarray]) -> Plane:
    """Return a spectrum low-passed, its bad channels bridged.

    Parameters
    ----------
    plane : Plane
        The spectrum, shape (1, n).
    profile : tuple of `numpy.ndarray`
        Frequencies (cycles per channel) and the filter there.

    Returns
    -------
    Plane
        With the same bad channels.
    """
    row, channel = plane.data[0].astype(float), np.arange(plane.shape[1])
    good = np.ones(row.size, bool) if plane.good is None else plane.good[0]
    bridged = np.interp(channel, channel[good], row[good])
    # Mirrored at the ends, where a jump would ring.
    mirrored = np.concatenate([bridged, bridged[::-1]])
    low = np.fft.irfft(
        np.fft.rfft(mirrored) * np.interp(np.fft.rfftfreq(mirrored.size), *profile), mirrored.size
    )
    return Plane(low[None, : row.size], plane.variance, plane.good)


def _without_noisy(plane: Plane) -> Plane:
    """Return the spectrum without channels that hold hardly more than noise, as at the ends of an order."""
    variance = np.broadcast_to(plane.variance, plane.shape)
    good = np.ones(plane.shape, bool) if plane.good is None else plane.good
    clean = good & (variance <= _NOISY * np.median(variance[good]))
    return Plane(plane.data, variance, clean)


def _peak(surface: Surface, score: np.ndarray, index: int) -> Peak:
    return Peak(
        np.array([surface.x[index], 0.0]),
        float(score[index]),
        float(surface.rho[0, index]),
        float(surface.overlap[0, index]),
    )


def _rival(surface: Surface, score: np.ndarray, best: int) -> Peak | None:
    """Return the separate summit that explains the spectra nearly as well, channel for channel."""
    finite = np.where(np.isfinite(score), score, -1.0)
    around = np.maximum(np.r_[finite[1:], -1.0], np.r_[-1.0, finite[:-1]])
    summits = (finite >= around) & (finite > _CHANCE * finite[best])
    valley = np.flatnonzero(finite <= _HALF * finite[best])
    left, right = valley[valley < best].max(initial=-1), valley[valley > best].min(initial=finite.size)
    same = np.zeros(finite.size, bool)
    same[max(left + 1, best - _APART) : min(right, best + _APART + 1)] = True
    candidates = [_peak(surface, score, index) for index in np.flatnonzero(summits & ~same)]
    peak = _peak(surface, score, best)
    return min(candidates, key=lambda rival: delta_chi2_of(peak, rival), default=None)


def spectral_noise_variance(data: np.ndarray, good: np.ndarray) -> float:
    """Return the variance of white noise in a smooth spectrum.

    Parameters
    ----------
    data : `numpy.ndarray`
        The values, shape (n,).
    good : `numpy.ndarray` of bool
        True where a channel is good.

    Returns
    -------
    float
        From the median absolute fourth difference, which no cubic adds to; an upper limit where lines are
        unresolved. NaN where there are too few channels.
    """
    if data.size < _FOURTH_DIFFERENCE.size + _ENOUGH:
        return float("nan")
    high = np.convolve(np.where(good, data, 0).astype(float), _FOURTH_DIFFERENCE, mode="valid")
    clean = np.convolve(~good, np.ones(_FOURTH_DIFFERENCE.size), mode="valid") < 0.5
    if np.count_nonzero(clean) < _ENOUGH:
        return float("nan")
    return float((_MAD_TO_SIGMA * np.median(np.abs(high[clean]))) ** 2)
