"""The Wiener filter of a mean image from the power of the mean and of the difference, in rings of frequency.

A filter that follows every ring follows the noise: it lets pass what by chance agrees, and the errors come
out too small. With few frequencies a ring that is no small effect. The ratio of signal to noise is a smooth
function of frequency, and is fitted as one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BEND = 1.0  # rms change of the power law's exponent over a factor e of frequency, besides the beam's
_ITERATIONS, _TOLERANCE = 40, 1e-3
_LONGEST_STEP = 2.0  # in the logarithm of the signal to noise ratio
_UNLIKELY = 0.02  # of h: where the iteration starts, at the least
_NOISELESS = 1e-10  # of the power: less is rounding
_LARGEST = 30.0  # logarithm of a ratio that is as good as infinite
_LEAST_KNOWN = 1e-8  # information on the beam: its width is not known to 1e4 pixels
_FEWEST = 3  # rings that have a curvature
_FAINT = 1e-6  # information of what is not known at all


@dataclass(frozen=True)
class Wiener:
    """A smooth Wiener filter.

    Attributes
    ----------
    h : `numpy.ndarray`
        The filter in each ring, falling.
    learning : float
        Share of the curvature of the filtered correlation that the filter owes to the noise it was learnt
        from: by so much is the slope of the shift's equations less when the filter follows the shift.
    """

    h: np.ndarray
    learning: float


def smooth_filter(k: np.ndarray, power: np.ndarray, noise: np.ndarray, modes: np.ndarray) -> Wiener:
    """Return the Wiener filter of the mean of two images.

    Parameters
    ----------
    k : `numpy.ndarray`
        Frequency of each ring, ascending, not negative.
    power, noise : `numpy.ndarray`
        Summed power of the mean, and of the difference in units of the mean's noise.
    modes : `numpy.ndarray`
        Number of independent frequencies in each ring, a mode and its mirror image counted as two.

    Returns
    -------
    Wiener
        Filter, and what it owes to noise.

    Notes
    -----
    With signal power P and noise N of the mean, ``h = P / (P + N)``. The powers of the mean and of the
    difference are independent sums of n = modes / 2 exponential deviates of means P + N and N: given their
    ratio R, the log-likelihood of ``x = N / (P + N)`` is ``n log x - 2 n log(1 + x R)``. The log of P / N is
    that of a power law whose exponent wanders with log k (a prior on second differences), seen through a
    Gaussian beam, ``-c k^2`` with c >= 0; Fisher scoring finds both.

    Following the noise: the rings' cross-powers change with the shift by c', to which the noise gives a
    variance, and the filter by ``c' dh/dc``; the equations ``sum h c' = 0`` then have the slope
    ``-sum h k^2 c + sum dh/dc c'^2``, whose second sum over the first is `learning`. The leverage L of a
    ring, its share in the fit of its own value, gives ``dh/dc = L (1 + x) / (2 power)``.
    """
    from scipy.optimize import isotonic_regression

    def falling(h):
        return isotonic_regression(h, weights=modes, increasing=False).x

    ratio = power / np.maximum(noise, _NOISELESS * power)
    h = np.clip(falling(1 - 1 / np.maximum(ratio, 1e-3)), _UNLIKELY, 1 - _NOISELESS)
    if h.size < _FEWEST:
        return Wiener(h, 0.0)
    n = modes / 2
    log_ratio, variance = _most_likely(k, ratio, n, np.log(h / (1 - h)))
    x = 1 / (1 + np.exp(log_ratio))
    h = 1 - x
    leverage = variance * h**2 * n / 2
    curvature = float((k**2 * h**2 * power).sum())
    learnt = float((k**2 * leverage * x * (1 + x) * power / n).sum())
    return Wiener(falling(h), learnt / curvature if curvature > 0 else 1.0)


def _most_likely(k, ratio, n, start):
    """Return the most probable logarithm of P / N in each ring, and its variance."""
    prior, beam = _prior(k), -(k**2)
    wander, width, log_ratio = start, 0.0, start
    for _ in range(_ITERATIONS):
        x = 1 / (1 + np.exp(log_ratio))
        h, y = 1 - x, x * ratio
        score = -h * n * (1 - y) / (1 + y)
        # The expected information, or that of the data where it is more: no step is too long.
        information = h * n * np.maximum(h / 2, 2 * h * y / (1 + y) ** 2 + x * (1 - y) / (1 + y))
        sides = np.stack([score - _times(prior, wander), information * beam], axis=1)
        free, tied = _solved(prior, information, sides).T
        own = max(float(beam @ (information * (beam - tied))), _LEAST_KNOWN)
        # No beam is sharper than none.
        change = max(float(beam @ (score - information * free)) / own, -width)
        free = free - change * tied
        step = free + change * beam
        # Where there is nothing it does not matter how far down a step leads.
        largest = np.abs(step[(step > 0) | (h > _UNLIKELY)]).max(initial=0)
        share = min(1.0, _LONGEST_STEP / max(largest, _FAINT))
        wander, width = wander + share * free, width + share * change
        log_ratio = np.clip(wander + width * beam, -_LARGEST, _LARGEST)
        if (h * x * np.abs(step)).max() < _TOLERANCE:
            break
    information = n / 2 / (1 + np.exp(-log_ratio)) ** 2
    inverse = _solved(prior, information, np.eye(k.size))
    if width > 0:
        known = information * beam
        rest = beam - inverse @ known
        inverse = inverse + np.outer(rest, rest) / max(float(known @ rest), _LEAST_KNOWN)
    return log_ratio, np.diag(inverse)


def _solved(prior, information, sides):
    """Return the solution with the prior's precision and the information of each ring."""
    # What solveh_banded calls, whose checks take longer than the solution.
    from scipy.linalg.lapack import dpbsv

    banded = prior.copy()
    banded[-1] += information + _FAINT
    _, solution, failed = dpbsv(banded, sides)
    if failed:
        raise np.linalg.LinAlgError("the precision of the filter is not positive definite")
    return solution


def _prior(k):
    """Return the precision of the log ratio, as upper bands of a matrix: a straight line in log k is free."""
    step = np.diff(np.log(np.maximum(k, 0.5 * k[1])))
    weight = 1 / (_BEND * np.sqrt(0.5 * (step[:-1] + step[1:])))
    first, last = weight / step[:-1], weight / step[1:]
    middle = -first - last
    bands = np.zeros((3, k.size))
    bands[2, :-2] += first**2
    bands[2, 1:-1] += middle**2
    bands[2, 2:] += last**2
    bands[1, 1:-1] += first * middle
    bands[1, 2:] += middle * last
    bands[0, 2:] = first * last
    return bands


def _times(bands, values):
    """Return the product of a symmetric matrix, given by its upper bands, and a vector."""
    out = bands[2] * values
    for distance, band in ((1, bands[1]), (2, bands[0])):
        out[:-distance] += band[distance:] * values[distance:]
        out[distance:] += band[distance:] * values[:-distance]
    return out
