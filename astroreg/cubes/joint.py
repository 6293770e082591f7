"""One shift for several pairs of images: the equations of all pairs added up.

Every pair j has its own sky, low-pass and background, and the equations that `chi2_shift` solves; their left
sides for (x, y, log scale) are added, which is the sum of the log-likelihoods. A pair without signal has a
low-pass of nothing: it adds nothing to the left sides, nor to their noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from astroreg.estimators.alignment import Aligner
from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.correlation import Peak, Surface, climbs_out, correlation_surface, peak_at, rival_of
from astroreg.estimators.covariance import correlation_length, empirical_scatter, sandwich
from astroreg.estimators.equations import Equations
from astroreg.estimators.overlap import Overlap, Plane, make_overlap

__all__ = ["JointFit", "JointPeaks", "fit_jointly", "joint_search"]

_ITERATIONS = 30
_FILTER_STEPS = (0, 1)
_TOLERANCE = 2e-3  # of the shift's error
_ACCEPTED = 0.05  # of the error: a last step this short counts as converged
_FEWEST = 16  # pixels
_RECENTRE, _RECENTRINGS, _FARTHEST = 0.55, 5, 12


@dataclass(frozen=True)
class JointPeaks:
    """What the search over whole-pixel shifts found.

    Attributes
    ----------
    peak, rival : Peak or None
        The best shift and the best separate one.
    at_bound : bool
        Whether the best lies on the edge of what was searched.
    trials : int
        Number of shifts searched.
    """

    peak: Peak | None
    rival: Peak | None
    at_bound: bool
    trials: int


def joint_search(
    references: list[Plane],
    images: list[Plane],
    *,
    max_shift: float | None,
    min_overlap: float,
    periodic: bool,
    either_sign: bool = False,
) -> JointPeaks:
    """Find the whole-pixel shift at which the likelihoods of all pairs together are highest.

    Parameters
    ----------
    references, images : list of Plane
        The pairs.
    max_shift : float or None
        Longest shift, pixels.
    min_overlap : float
        Least overlap, as a fraction of the smaller image's good pixels.
    periodic : bool
        Whether all wrap around.
    either_sign : bool, optional
        Whether a negative correlation counts as well.

    Returns
    -------
    JointPeaks
        Without a peak where nothing is allowed or nothing varies.
    """
    surfaces = [correlation_surface(a, b, periodic=periodic) for a, b in zip(references, images, strict=True)]
    first = surfaces[0]
    rho = [np.nan_to_num(s.rho) for s in surfaces]
    number = [s.overlap * max(1, min(a.count, b.count)) for s, a, b in zip(surfaces, references, images)]
    score = np.zeros(first.rho.shape)
    for r, n in zip(rho, number, strict=True):
        r = np.abs(r) if either_sign else np.maximum(r, 0)
        score -= 0.5 * n * np.log1p(-np.minimum(r**2, 1 - 1e-12))
    allowed = first.overlap >= min_overlap
    if max_shift is not None:
        allowed &= np.hypot(first.x, first.y[:, None]) <= max_shift
    # For the peaks' records; a correlation coefficient of all pairs together has no use.
    joint = Surface(first.x, first.y, rho[0], score, first.overlap)
    score = np.where(allowed & (score > 0), score, -np.inf)
    trials = int(allowed.sum())
    if not np.isfinite(score.max(initial=-np.inf)):
        return JointPeaks(None, None, False, trials)
    best = np.unravel_index(int(np.argmax(score)), score.shape)
    at_bound = climbs_out(joint, allowed, best) and not periodic
    return JointPeaks(peak_at(joint, score, best), rival_of(joint, score, best), at_bound, trials)


@dataclass(frozen=True)
class JointFit:
    """One shift of all pairs, and what belongs to it.

    Attributes
    ----------
    shift : ndarray, shape (2,)
        (x, y), pixels.
    parameters : ndarray
        Covariance of (x, y, log scale, backgrounds); 0 for what is not fitted.
    scale : float
        Common flux scale.
    chi2 : ndarray
        Of each pair.
    n_pixels : ndarray of int
        Of each pair.
    n_parameters : int
        Fitted in all.
    converged : bool
        Whether the iteration stopped by itself.
    scatter_ratio : float
        Variance of the shift's equations as the residuals show it, over what the attached noise promises.
    correlations : ndarray
        Of each pair.
    equations : list of Equations
        Of each pair, at the solution.
    """

    shift: np.ndarray
    parameters: np.ndarray
    scale: float
    chi2: np.ndarray
    n_pixels: np.ndarray
    n_parameters: int
    converged: bool
    scatter_ratio: float
    correlations: np.ndarray
    equations: list[Equations]

    @property
    def covariance(self) -> np.ndarray:
        """2 x 2 covariance of the shift, pixel^2."""
        return self.parameters[:2, :2]


class _Joint:
    """All pairs at one whole-pixel shift, solved together."""

    def __init__(self, references, images, whole, *, periodic, fit_scale, fit_background):
        overlaps = [
            make_overlap(a, b, whole, periodic=periodic) for a, b in zip(references, images, strict=True)
        ]
        self.usable = min(overlap.n_pixels for overlap in overlaps) >= _FEWEST
        self.whole = np.asarray(overlaps[0].whole, float)
        self.fit_background = fit_background
        self.free = np.array([True, True, fit_scale] + [fit_background] * len(overlaps))
        self.aligners = [Aligner(o, fit_scale=fit_scale, fit_background=fit_background) for o in overlaps]
        self.steps = [self._started(aligner) for aligner in self.aligners]
        self.centres = [0.0] * len(overlaps)

    def _started(self, aligner: Aligner) -> ChiSquaredStep:
        """The scale of each pair's own would be that of its noise."""
        a, b = (x[aligner.overlap.usable] for x in (aligner.overlap.reference, aligner.overlap.image))
        aligner.scale = 1.0
        aligner.background = float(b.mean() - a.mean()) if self.fit_background and a.size else 0.0
        return ChiSquaredStep(aligner)

    @property
    def fraction(self) -> np.ndarray:
        return self.aligners[0].fraction

    def equations(self, iteration: int | None = None) -> list[Equations]:
        """Return the equations of every pair; learn its low-pass at the first iterations."""
        out = []
        for aligner, step in zip(self.aligners, self.steps, strict=True):
            aligned = aligner.align()
            if iteration in _FILTER_STEPS:
                aligner.learn_filter(aligned, step.mean_share)
            centre, spectrum = step.centred(aligned, None)
            equations = step.equations(aligned, spectrum, centre)
            out.append(replace(equations, value=step.left_sides(aligned, spectrum)))
        return out

    def move(self, step: np.ndarray) -> None:
        """Apply a step of (x, y, log scale, backgrounds)."""
        for j, (aligner, one) in enumerate(zip(self.aligners, self.steps, strict=True)):
            aligned = aligner.align()
            centre, spectrum = one.centred(aligned, None)
            sky = one.sky(aligned)
            aligner.fraction = aligner.fraction + step[:2]
            aligner.scale *= float(np.exp(step[2]))
            aligner.background += float(step[3 + j])
            if step[2]:
                one.set_noise()
            aligner.predict(sky, centre, spectrum)

    def solve(self) -> tuple[list[Equations], bool]:
        """Iterate to the solution; return the equations there and whether it was reached."""
        before, share, last = np.zeros(2), 1.0, np.inf
        for iteration in range(_ITERATIONS):
            equations = self.equations(iteration)
            value, slope, scatter = combined(equations)
            if not (np.isfinite(value).all() and np.isfinite(slope).all()):
                break
            covariance = restricted(slope, scatter, self.free)
            error = np.sqrt(np.abs(np.diag(covariance)[:2]))
            step = self._step(value, slope)
            if step[:2] @ before < 0 and np.hypot(*step[:2]) > 0.5 * np.hypot(*before):
                share /= 2  # predicted pixels follow a step late: to and fro need not settle
            before = step[:2]
            self.move(share * step)
            last = float((np.abs(step[:2]) / np.maximum(np.nan_to_num(error), 1e-9 / _TOLERANCE)).max())
            if last <= _TOLERANCE and iteration > max(_FILTER_STEPS):
                break
        return self.equations(), last <= _ACCEPTED

    def _step(self, value, slope) -> np.ndarray:
        """Return the Newton step, no longer than a pixel."""
        free = np.flatnonzero(self.free)
        step = np.zeros(len(value))
        try:
            step[free] = -np.linalg.solve(slope[np.ix_(free, free)], value[free])
        except np.linalg.LinAlgError:
            return step
        if not np.isfinite(step).all():
            return np.zeros(len(value))
        return step / max(1.0, np.abs(step[:2]).max(), 2 * abs(step[2]))


def combined(equations: list[Equations]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return value, slope and scatter of (x, y, log scale, background of each pair).

    Parameters
    ----------
    equations : list of Equations
        Of each pair: (x, y, log scale, background).

    Returns
    -------
    value, slope, scatter : ndarray
        Of 3 + n parameters.
    """
    number = 3 + len(equations)
    value, slope, scatter = np.zeros(number), np.zeros((number, number)), np.zeros((number, number))
    for j, one in enumerate(equations):
        index = np.array([0, 1, 2, 3 + j])
        value[index] += one.value
        slope[np.ix_(index, index)] += one.slope
        scatter[np.ix_(index, index)] += one.scatter
    return value, slope, scatter


def restricted(slope: np.ndarray, scatter: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Return the covariance of the parameters, 0 for those that are not fitted.

    Parameters
    ----------
    slope, scatter : ndarray
        Of all parameters.
    free : ndarray of bool
        Which are fitted.

    Returns
    -------
    ndarray
        NaN where the slope cannot be inverted.
    """
    index = np.flatnonzero(free)
    out = np.zeros(slope.shape)
    out[np.ix_(index, index)] = sandwich(slope[np.ix_(index, index)], scatter[np.ix_(index, index)])
    return out


def fit_jointly(
    references: list[Plane],
    images: list[Plane],
    start: np.ndarray,
    *,
    periodic: bool,
    fit_scale: bool,
    fit_background: bool,
    empirical: bool,
) -> tuple[JointFit | None, _Joint]:
    """Return the fit of all pairs that starts at a whole-pixel shift; no fit where it leads nowhere.

    Parameters
    ----------
    references, images : list of Plane
        The pairs, with one flux scale near 1 in common.
    start : ndarray, shape (2,)
        Whole-pixel shift (x, y).
    periodic, fit_scale, fit_background : bool
        As for `chi2_shift`.
    empirical : bool
        Whether the errors come from the residuals.

    Returns
    -------
    fit : JointFit or None
        The solution.
    joint : _Joint
        The pairs on their canvas.
    """
    whole = np.rint(start).astype(int)
    options = {"periodic": periodic, "fit_scale": fit_scale, "fit_background": fit_background}
    for _ in range(_RECENTRINGS):
        joint = _Joint(references, images, whole, **options)
        if not joint.usable:
            return None, joint
        equations, converged = joint.solve()
        shift = joint.whole + joint.fraction
        if not np.isfinite(shift).all() or np.abs(shift - start).max() > _FARTHEST:
            return None, joint
        if np.abs(joint.fraction).max() <= _RECENTRE:
            break
        whole = np.rint(shift).astype(int)
    return _finished(joint, equations, converged, empirical), joint


def _finished(joint: _Joint, equations: list[Equations], converged: bool, empirical: bool) -> JointFit:
    _, slope, scatter = combined(equations)
    learnt = _learnt_scatter(equations, joint.aligners[0].overlap)
    promised = float(np.trace(scatter[:2, :2]))
    return JointFit(
        shift=joint.whole + joint.fraction,
        parameters=restricted(slope, learnt if empirical else scatter, joint.free),
        scale=joint.aligners[0].scale,
        chi2=np.array([float((e.weight * e.residual**2).sum()) for e in equations]),
        n_pixels=np.array([a.overlap.n_pixels for a in joint.aligners]),
        n_parameters=int(joint.free.sum()),
        converged=converged,
        scatter_ratio=float(np.trace(learnt[:2, :2])) / promised if promised > 0 else np.nan,
        correlations=np.array([e.correlation() for e in equations]),
        equations=equations,
    )


def _learnt_scatter(equations: list[Equations], overlap: Overlap) -> np.ndarray:
    """Return the covariance of the equations from the residuals, whatever correlates them.

    What a pixel adds to the equations of the shift is summed over the pairs first: the noise that they share,
    as that of neighbouring channels, is then part of it.
    """
    grid, box = overlap.grid, overlap.box
    length = max(
        correlation_length(grid.forward(np.sqrt(e.weight) * e.residual), e.weight > 0, grid, box)
        for e in equations[:3]
    )
    terms = [sum(e.templates[i] * e.residual for e in equations) for i in range(3)]
    terms += [e.templates[3] * e.residual for e in equations]
    return empirical_scatter(terms, length, grid, box)
