"""Is there anything common to both images? The false-alarm probability of an alignment."""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.estimators.equations import Equations, Fit
from astroreg.estimators.fourier import fourier_grid, good_length, power_of
from astroreg.estimators.template import taper

_RINGS = 24
_ENOUGH = 128  # pixels a side: a larger overlap is judged by its middle first
_BEYOND_DOUBT = 1e-9
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
    by_phase = phase_match(fit.equations, _middle(fit.equations.weight.shape, box), trials)
    if by_phase > _BEYOND_DOUBT or np.isnan(by_phase):
        by_phase = phase_match(fit.equations, box, trials)
    size = fit.chi2 / max(fit.n_pixels, 1)
    white = all(1 / _WHITE < x < _WHITE for x in (size, fit.scatter_ratio))
    if not (white and 0 < fit.correlation < 1):
        return by_phase
    deviate = fit.correlation * np.sqrt(fit.n_pixels / (1 - fit.correlation**2))
    return float(np.fmin(by_phase, _chance(deviate, trials)))


def _chance(deviate, count):
    """Return the probability that the highest of `count` pixels' worth of normal deviates exceeds one."""
    tail = 0.5 * scipy.special.erfc(deviate / np.sqrt(2))
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
    first, kind = equations.aligned.a[box], equations.aligned.grid.dtype
    window = taper(usable.shape, 0.5).astype(kind)
    window *= usable
    grid = fourier_grid(tuple(good_length(n) for n in usable.shape), kind)
    fa, fb = (grid.forward(_tapered(x, window, grid.shape)) for x in (first, first + equations.residual[box]))
    power_a, power_b = (_ring_mean(power_of(f), grid) for f in (fa, fb))
    cross = _rings(grid.radial_sums((fa * fb.conj()).real))
    power = np.sqrt(power_a * power_b)
    match = np.divide(cross, power, out=np.zeros(_RINGS), where=power > 0)
    # The taper joins neighbouring modes: so many fewer are independent. Zeros around it add modes, not facts.
    fourth, second = (float((window**n).sum(dtype=float)) for n in (4, 2))
    joined = grid.shape[0] * grid.shape[1] * fourth / second**2
    deviate = max(_band_deviate(match, _rings(grid.radial_counts), band, joined) for band in _BANDS)
    return _chance(deviate, len(_BANDS) * max(trials, 1))


def _middle(shape, box):
    """Return the box, or its middle where it is larger than what tells a match beyond any doubt."""
    out = []
    for n, inside in zip(shape, box, strict=True):
        first, last, _ = inside.indices(n)
        spare = max(0, (last - first - _ENOUGH) // 2)
        out.append(slice(first + spare, last - spare))
    return tuple(out)


def _tapered(values, window, shape):
    """Return the tapered values without their mean in the corner of a canvas."""
    total = float(window.sum(dtype=float))
    mean = float(np.einsum("ij,ij->", window, values)) / total if total > 0 else 0.0
    out = np.zeros(shape, values.dtype)
    np.multiply(values - values.dtype.type(mean), window, out=out[: window.shape[0], : window.shape[1]])
    return out


def _rings(sums):
    """Return sums over the radial bins of a grid as sums over the rings used here."""
    index = np.minimum(np.arange(sums.size) * _RINGS // sums.size, _RINGS - 1)
    return np.bincount(index, sums, _RINGS)


def _ring_mean(power, grid):
    """Return the mean power in each ring of frequency."""
    return _rings(grid.radial_sums(power)) / np.maximum(_rings(grid.radial_counts), 1)


def _band_deviate(match, counts, band, joined):
    """Return the sum of the match up to a frequency in units of its scatter without a relation."""
    inside = slice(0, max(2, round(band * _RINGS)))
    # A mode and its mirror image are one: the variance of the real part of a random phase is a half.
    scatter = np.sqrt(counts[inside].sum() * joined)
    return match[inside].sum() / scatter if scatter > 0 else 0.0
