"""Is there anything common to both images? The false-alarm probability of an alignment."""

from __future__ import annotations

import numpy as np
from scipy.special import erfc

from astroreg.estimators.equations import Equations, Fit
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.template import taper

_RINGS = 24
_BANDS = (1.0, 0.5, 0.25, 0.125)  # upper ends of the bands tried, as fractions of the largest frequency
# A continuous peak is higher than the highest of independent samples: about three of them a pixel.
_OVERSAMPLING = 3.0


# Residuals whose scatter and size are within this factor of the noise's are noise and nothing else.
_WHITE = 2.0


def false_alarm_probability(fit: Fit, box, trials: int) -> float:
    """Return the probability that unrelated images would match as well at their best shift.

    Parameters
    ----------
    fit : Fit
        The solution.
    box : tuple of slice
        Where the overlap is on the canvas.
    trials : int
        Number of whole-pixel shifts among which the best was chosen.

    Returns
    -------
    float
        Between 0 and 1, the smaller of two; NaN where it cannot be told.

    Notes
    -----
    One test looks at the phases of all structures, however few pixels they fill (`phase_match`). The
    other serves a single smooth source, which has few phases: where the images agree to white noise, the
    significance of their correlation over n independent pixels is ``rho sqrt(n / (1 - rho^2))``.
    """
    by_phase = phase_match(fit.equations, box, trials)
    size = fit.chi2 / max(fit.n_pixels, 1)
    white = all(1 / _WHITE < x < _WHITE for x in (size, fit.scatter_ratio))
    if not (white and 0 < fit.correlation < 1):
        return by_phase
    deviate = fit.correlation * np.sqrt(fit.n_pixels / (1 - fit.correlation**2))
    return float(np.fmin(by_phase, _chance(deviate, trials)))


def _chance(deviate, count):
    """Return the probability that the highest of `count` pixels' worth of normal deviates exceeds one."""
    tail = 0.5 * erfc(deviate / np.sqrt(2))
    return float(-np.expm1(_OVERSAMPLING * max(count, 1) * np.log1p(-min(tail, 1 - 1e-16))))


def phase_match(equations: Equations, box, trials: int) -> float:
    """Return the probability that unrelated images, however red, would agree as well in their phases.

    Parameters
    ----------
    equations : Equations
        The state at the solution.
    box : tuple of slice
        Where the overlap is on the canvas.
    trials : int
        Number of whole-pixel shifts among which the best was chosen.

    Returns
    -------
    float
        Between 0 and 1; NaN where it cannot be told.

    Notes
    -----
    The cross-spectrum, each mode divided by the root mean powers of its ring (whitened), is a sum of
    independent phases if the images are unrelated, however red both are; its real part's sum, in units of
    its scatter, is then a normal deviate. The best of four bands is taken, and counted as four trials.
    """
    usable = equations.weight[box] > 0
    if np.count_nonzero(usable) < 25:
        return float("nan")
    window = taper(usable.shape, 0.5) * usable
    a, b = (_tapered(x[box], window) for x in (equations.aligned.a, equations.aligned.b))
    grid = FourierGrid(usable.shape, float)
    fa, fb = grid.forward(a), grid.forward(b)
    ring = np.minimum((np.sqrt(grid.k2 / 0.5) * _RINGS).astype(np.intp), _RINGS - 1)
    weight = np.broadcast_to(grid.multiplicity, ring.shape)
    power_a, power_b = (_ring_mean(np.abs(f) ** 2, ring, weight) for f in (fa, fb))
    power = np.sqrt(power_a * power_b)[ring]
    match = np.divide((fa * fb.conj()).real, power, out=np.zeros(power.shape), where=power > 0)
    # The taper joins neighbouring modes: so many fewer are independent.
    joined = window.size * (window**4).sum() / (window**2).sum() ** 2
    deviate = max(_band_deviate(match, ring, weight, band, joined) for band in _BANDS)
    return _chance(deviate, len(_BANDS) * max(trials, 1))


def _tapered(values, window):
    """Return the tapered values without their mean."""
    total = window.sum()
    mean = (window * values).sum() / total if total > 0 else 0
    return window * (values - mean)


def _ring_mean(power, ring, weight):
    """Return the mean power in each ring of frequency."""
    total = np.bincount(ring.ravel(), (weight * power).ravel(), _RINGS)
    count = np.bincount(ring.ravel(), weight.ravel(), _RINGS)
    return total / np.maximum(count, 1)


def _band_deviate(match, ring, weight, band, joined):
    """Return the sum of the match up to a frequency in units of its scatter without a relation."""
    inside = ring < max(2, round(band * _RINGS))
    total = (weight * match)[inside].sum()
    # A mode and its mirror image are one: the variance of the real part of a random phase is a half.
    scatter = np.sqrt((weight[inside]).sum() * joined)
    return total / scatter if scatter > 0 else 0.0
