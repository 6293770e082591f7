"""Which source of one image is which of the other, and the shift that this gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import spatial, special

__all__ = ["Match", "common_shift", "match_sources"]

FEWEST = 3  # sources in common: two may agree by chance, and their scatter says nothing
_RADIUS = 1.0  # pixels within which shifts of two pairs count as the same
_FALSE_ALARM = 1e-3
_CLIP = 4.0  # sigmas
_ROUNDS = 10


@dataclass(frozen=True)
class Match:
    """Sources that both images show.

    Attributes
    ----------
    first, second : ndarray of int
        Their rows in the two lists.
    chance : float
        Probability that unrelated lists would have as many pairs of one shift.
    """

    first: np.ndarray
    second: np.ndarray
    chance: float


def match_sources(
    first: np.ndarray, second: np.ndarray, *, max_shift: float | None, area: float, radius: float = _RADIUS
) -> Match | None:
    """Match two lists of positions that differ by an unknown shift.

    Parameters
    ----------
    first, second : ndarray, shape (n, 2)
        Positions (x, y), pixels.
    max_shift : float or None
        Longest shift, pixels.
    area : float
        Area of shifts, in pixel^2, that is searched where `max_shift` does not bound it.
    radius : float, optional
        Pixels within which two shifts count as the same (default 1).

    Returns
    -------
    Match or None
        None where fewer than three pairs agree, or so many agree by chance.

    Notes
    -----
    Every pair of sources votes for its shift. The votes within `radius` of the fullest place are compared
    with what votes spread evenly over the area would give (Poisson), times the number of places.
    """
    if min(len(first), len(second)) < FEWEST:
        return None
    shifts = second[None] - first[:, None]
    allowed = np.ones(shifts.shape[:2], bool)
    if max_shift is not None:
        allowed = np.hypot(shifts[..., 0], shifts[..., 1]) <= max_shift + radius
        area = min(area, np.pi * (max_shift + radius) ** 2)
    votes = shifts[allowed]
    if len(votes) < FEWEST:
        return None
    tree = spatial.cKDTree(votes)
    counts = tree.query_ball_point(votes, radius, return_length=True)
    centre = votes[tree.query_ball_point(votes[np.argmax(counts)], radius)].mean(axis=0)
    one, two = _mutual(first + centre, second, radius)
    expected = len(votes) * np.pi * radius**2 / max(area, np.pi * radius**2)
    chance = min(1.0, float(special.pdtrc(one.size - 1, expected)) * max(1.0, area / (np.pi * radius**2)))
    return None if one.size < FEWEST or chance > _FALSE_ALARM else Match(one, two, chance)


def _mutual(first: np.ndarray, second: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of which each is the other's nearest, within a radius."""
    distance, there = spatial.cKDTree(second).query(first, distance_upper_bound=radius)
    _, back = spatial.cKDTree(first).query(second, distance_upper_bound=radius)
    one = np.flatnonzero(np.isfinite(distance))
    one = one[back[there[one]] == one]
    return one, there[one]


def common_shift(
    shifts: np.ndarray, covariances: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return the shift that pairs of sources have in common, leaving out those that do not fit.

    Parameters
    ----------
    shifts : ndarray, shape (n, 2)
        Of each pair, pixels.
    covariances : ndarray, shape (n, 2, 2)
        Of each pair, from its centroids, pixel^2.

    Returns
    -------
    shift : ndarray, shape (2,)
        The weighted mean.
    covariance : ndarray, shape (2, 2)
        From the errors of the centroids and the scatter of the pairs beyond them.
    used : ndarray of bool
        Which pairs count.
    scatter : float
        Standard deviation, per axis, that the pairs have beyond the errors of their centroids, pixels.
    """
    used = np.ones(len(shifts), bool)
    for _ in range(_ROUNDS):
        start = np.median(shifts[used], axis=0)
        scatter = _extra_scatter(shifts[used], covariances[used], start)
        shift, covariance = _mean(shifts[used], covariances[used], scatter)
        distance = _distance(shifts - shift, covariances, scatter)
        keep = distance <= _CLIP**2
        if keep.sum() < FEWEST or (keep == used).all():
            break
        used = keep
    return shift, covariance, used, scatter


def _mean(shifts, covariances, scatter):
    weights = np.linalg.inv(covariances + scatter**2 * np.eye(2))
    covariance = np.linalg.inv(weights.sum(axis=0))
    return covariance @ np.einsum("nij,nj->i", weights, shifts), covariance


def _distance(offsets, covariances, scatter):
    """Return the squared distance of each pair in sigmas."""
    inverse = np.linalg.inv(covariances + scatter**2 * np.eye(2))
    return np.einsum("ni,nij,nj->n", offsets, inverse, offsets)


def _extra_scatter(shifts, covariances, start) -> float:
    """Return the scatter that makes the pairs' chi-squared what it should be; 0 where it is not too large."""

    def excess(scatter):
        mean, _ = _mean(shifts, covariances, scatter)
        return _distance(shifts - mean, covariances, scatter).sum() - 2 * (len(shifts) - 1)

    # One standard deviation of a chi-squared: what is taken for scatter by chance would enlarge the errors.
    if excess(0.0) <= np.sqrt(4 * (len(shifts) - 1)):
        return 0.0
    from scipy.optimize import brentq  # here: it takes long to load

    largest = max(1e-6, 2 * float(np.abs(shifts - start).max()))
    while excess(largest) > 0:
        largest *= 2
    return float(brentq(excess, 0.0, largest))
