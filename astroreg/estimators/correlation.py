"""The coarse shift: masked correlation, normalised by the overlap, without wrap-around.

Padfield (2012, doi:10.1109/TIP.2011.2181402): the sums over the overlap at every shift are six
zero-padded transforms. The shift is chosen by likelihood, not by the correlation coefficient rho,
which alone prefers the smallest overlaps.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.estimators.fixed_pattern import has_spike, without_zero_lag
from astroreg.estimators.overlap import Plane
from astroreg.estimators.overlap_sums import overlap_sums

_HALF = 0.5
_CHANCE = 0.3  # of the best score: what a small overlap may reach by chance
_APART_FROM_PATTERN = 2  # pixels: nearer to 0 a peak cannot be told from the pattern's
_AROUND = 16  # pixels beyond the longest shift: what a summit and a pattern are compared with
_APART = 4  # pixels: summits of one massif this far apart are two


@dataclass(frozen=True)
class Peak:
    """A maximum of the likelihood over shifts.

    Attributes
    ----------
    shift : `numpy.ndarray`
        (x, y), pixels.
    score : float
        Log-likelihood ratio of this shift against no relation, ``-(n/2) ln(1 - rho^2)``.
    correlation : float
        rho, the correlation coefficient over the overlap.
    overlap : float
        Pixels that overlap, as a fraction of the smaller image's good ones.
    """

    shift: np.ndarray
    score: float
    correlation: float
    overlap: float


@dataclass(frozen=True)
class Coarse:
    """What the search found.

    Attributes
    ----------
    peak : Peak or None
        The best shift; None where no shift is allowed or the images do not vary.
    rival : Peak or None
        The best separate maximum besides.
    at_bound : bool
        The best shift lies on the edge of what was searched.
    fixed_pattern : bool
        The correlation has a spike one pixel wide at shift 0.
    set_aside : bool
        The spike was set aside, the peak lying elsewhere.
    trials : int
        Number of whole-pixel shifts searched.
    surface : Surface
        The likelihood and the correlation at every shift searched.
    block : int
        Pixels a side of the blocks on which the search was made; 1 where the peak is at a whole pixel.
    """

    peak: Peak | None
    rival: Peak | None = None
    at_bound: bool = False
    fixed_pattern: bool = False
    set_aside: bool = False
    trials: int = 0
    surface: Surface | None = field(default=None, repr=False)
    block: int = 1


@dataclass(frozen=True)
class Surface:
    """Correlation `rho`, likelihood `score` and `overlap` over shifts, (ny, nx); axes `x`, `y` in pixels."""

    x: np.ndarray
    y: np.ndarray
    rho: np.ndarray
    score: np.ndarray
    overlap: np.ndarray


def search_block(shapes, longest: int, *, periodic: bool = False) -> int:
    """Return the smallest block of which no side has more than `longest`; they tile a periodic image."""
    block = max(1, -(-max(max(shape) for shape in shapes) // longest))
    if not periodic:
        return block
    tiling = [b for b in range(block, 2 * block + 1) if not any(n % b for n in shapes[1])]
    return tiling[0] if tiling else 1


def summit(coarse: Coarse) -> np.ndarray:
    """Return where the paraboloid through the highest correlation and its neighbours peaks.

    Parameters
    ----------
    coarse : Coarse
        A search that found a peak at a whole pixel.

    Returns
    -------
    `numpy.ndarray`
        (x, y), within a pixel of the peak; the peak itself at the border of what was searched.
    """
    surface, peak = coarse.surface, coarse.peak
    i, j = (
        int(np.flatnonzero(axis == c)[0]) for axis, c in zip((surface.x, surface.y), peak.shift, strict=True)
    )
    near = surface.rho[max(j - 1, 0) : j + 2, max(i - 1, 0) : i + 2]
    if near.shape != (3, 3) or not np.isfinite(near).all():
        return peak.shift
    gradient = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    mixed = (near[2, 2] - near[2, 0] - near[0, 2] + near[0, 0]) / 4
    across, along = near[1, 2] - 2 * near[1, 1] + near[1, 0], near[2, 1] - 2 * near[1, 1] + near[0, 1]
    curvature = np.array([[across, mixed], [mixed, along]])
    if not np.linalg.eigvalsh(curvature).max() < 0:
        return peak.shift
    return peak.shift + np.clip(-np.linalg.solve(curvature, gradient), -0.5, 0.5)


def correlation_surface(
    reference: Plane, image: Plane, *, periodic: bool = False, reach: int | None = None
) -> Surface:
    """Return the correlation of the two images at every whole-pixel shift.

    Parameters
    ----------
    reference, image : Plane
        The images, of any shapes (equal ones if `periodic`).
    periodic : bool
        Whether both wrap around.
    reach : int, optional
        Longest shift along either axis that is wanted; all by default, and if `periodic`.

    Returns
    -------
    Surface
        NaN where fewer than 3 pixels overlap or one image does not vary there.
    """
    sums = overlap_sums(reference, image, periodic=periodic, reach=reach)
    safe = np.maximum(sums.n, 1)
    va = sums.a2 - sums.a**2 / safe
    vb = sums.b2 - sums.b**2 / safe
    covariance = sums.ab - sums.a * sums.b / safe
    # Both images have unit variance: less than this is the rounding of the sums.
    varies = (sums.n > 2) & (va > 1e-9 * safe) & (vb > 1e-9 * safe)
    rho = np.full(sums.n.shape, np.nan)
    np.divide(covariance, np.sqrt(np.where(varies, va * vb, 1)), out=rho, where=varies)
    np.clip(rho, -1, 1, out=rho)
    smaller = max(1, min(reference.count, image.count))
    return Surface(sums.x, sums.y, rho, _score(rho, sums.n), sums.n / smaller)


def _score(rho, n):
    """Return -(n/2) ln(1 - rho^2) where rho > 0, else -inf; rho = 1 is kept finite by rounding."""
    positive = np.nan_to_num(rho, nan=-1.0) > 0
    safe = np.where(positive, np.minimum(np.nan_to_num(rho) ** 2, 1 - 1e-12), 0)
    return np.where(positive, -0.5 * n * np.log1p(-safe), -np.inf)


def coarse_shift(
    reference: Plane,
    image: Plane,
    *,
    max_shift: float | None = None,
    min_overlap: float = 0.1,
    periodic: bool = False,
    prior=(0.0, 0.0),
) -> Coarse:
    """Find the whole-pixel shift of highest likelihood.

    Parameters
    ----------
    reference, image : Plane
        The images.
    max_shift : float, optional
        Longest shift searched, in pixels; every shift by default.
    min_overlap : float
        Least overlap, as a fraction of the smaller image's good pixels.
    periodic : bool
        Whether both images wrap around.
    prior : (float, float)
        (x, y) around which `max_shift` counts.

    Returns
    -------
    Coarse
        Without a peak where nothing is allowed or nothing varies.
    """
    reach = None if max_shift is None else int(max_shift + np.abs(prior).max()) + _AROUND
    surface = correlation_surface(reference, image, periodic=periodic, reach=reach)
    distance = np.hypot(surface.x - prior[0], (surface.y - prior[1])[:, None])
    allowed = surface.overlap >= min_overlap
    if max_shift is not None:
        allowed &= distance <= max_shift
    score = np.where(allowed, surface.score, -np.inf)
    trials = int(allowed.sum())
    first, best, pattern = _best_of_the_sky(score, surface)
    if best is None:
        return Coarse(None, trials=trials, surface=surface)
    moved = max(abs(best[0] - first[0]), abs(best[1] - first[1])) > 1
    # A sky of sharp stars that has hardly moved has a spike of its own there; nothing tells the two apart.
    aside = (pattern or moved) and np.hypot(surface.x[best[1]], surface.y[best[0]]) > _APART_FROM_PATTERN
    best = best if aside else first
    score = without_zero_lag(score, surface) if aside else score
    return Coarse(
        peak_at(surface, score, best),
        rival_of(surface, score, best),
        at_bound=climbs_out(surface, allowed, best) and not periodic,
        fixed_pattern=bool(pattern or aside),
        set_aside=bool(aside),
        trials=trials,
        surface=surface,
    )


def climbs_out(surface: Surface, allowed: np.ndarray, best) -> bool:
    """Return whether the score may go on rising from the best shift to one that is not allowed."""
    j, i = best
    near = np.s_[max(0, j - 1) : j + 2, max(0, i - 1) : i + 2]
    score, out = surface.score[near], ~allowed[near]
    return bool(score.size < 9 or np.any(score[out] > surface.score[best]))


def _best_of_the_sky(score, surface):
    """Return the index of the highest score, that without a spike at shift 0, and whether one is seen."""
    first = _largest(score, surface)
    if first is None:
        return None, None, False
    return first, _largest(without_zero_lag(score, surface), surface), has_spike(surface)


def _largest(score, surface):
    """Return the index of the largest score, the shortest shift of equals; None where there is none."""
    top = score.max() if score.size else -np.inf
    if not np.isfinite(top):
        return None
    candidates = np.argwhere(score == top)
    length = [surface.y[j] ** 2 + surface.x[i] ** 2 for j, i in candidates]
    return tuple(candidates[int(np.argmin(length))])


def peak_at(surface: Surface, score: np.ndarray, index) -> Peak:
    """Return the record of the shift at one index (row, column) of a surface."""
    j, i = index
    return Peak(
        np.array([surface.x[i], surface.y[j]], float),
        float(score[j, i]),
        float(surface.rho[j, i]),
        float(surface.overlap[j, i]),
    )


def rival_of(surface: Surface, score: np.ndarray, best) -> Peak | None:
    """Return the local maximum that explains the images nearly as well as the best, pixel for pixel.

    Scores grow with the overlap, so that a repeated pattern's other periods, just as good, have lower
    ones: summits are compared over equal numbers of pixels, and those of far lower scores, which a small
    overlap gives by chance, are left out.
    """
    finite = np.where(np.isfinite(score), score, -1.0)
    summits = (finite == scipy.ndimage.maximum_filter(finite, 5)) & (finite > _CHANCE * finite[best])
    summits[best] = False
    if not summits.any():
        return None
    # What hangs together with the peak above half its height is the peak, unless it lies apart.
    labels, _ = scipy.ndimage.label(finite > _HALF * finite[best])
    distance = np.hypot(surface.x - surface.x[best[1]], (surface.y - surface.y[best[0]])[:, None])
    summits &= (labels != labels[best]) | (distance > _APART)
    if not summits.any():
        return None
    candidates = [peak_at(surface, score, tuple(index)) for index in np.argwhere(summits)]
    peak = peak_at(surface, score, best)
    return min(candidates, key=lambda rival: delta_chi2_of(peak, rival))


def delta_chi2_of(peak: Peak, rival: Peak) -> float:
    """Return by how much chi-squared at `rival` exceeds that at `peak`, over the smaller of their overlaps.

    Parameters
    ----------
    peak, rival : Peak
        The best shift and another.

    Returns
    -------
    float
        ``n ln((1 - rho_rival^2) / (1 - rho_peak^2))`` with n the smaller number of pixels.
    """
    per_overlap = peak.score / peak.overlap - rival.score / rival.overlap
    return float(2 * per_overlap * min(peak.overlap, rival.overlap))
