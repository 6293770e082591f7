"""What the three fine steps have in common: the estimating equations at one state, and the final fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroreg.estimators.alignment import Aligned
from astroreg.estimators.covariance import correlation_length, empirical_scatter, sandwich


@dataclass(frozen=True)
class Equations:
    """Estimating equations ``sum t r = 0`` of (x, y, log scale, background) at one state.

    Attributes
    ----------
    value : `numpy.ndarray`
        Left sides, shape (4,).
    slope : `numpy.ndarray`
        Their expected derivatives, shape (4, 4), free of the bias that noise products give.
    scatter : `numpy.ndarray`
        Their covariance from the attached noise, shape (4, 4).
    templates : `numpy.ndarray`
        t, weight included, shape (4, ny, nx); 0 on pixels that do not count.
    aligned : Aligned
        Both images in the common frame.
    weight : `numpy.ndarray`
        Inverse variance of the residual; 0 on pixels that do not count.
    free : `numpy.ndarray` of bool
        Which of the four parameters are fitted.
    """

    value: np.ndarray
    slope: np.ndarray
    scatter: np.ndarray
    templates: np.ndarray
    aligned: Aligned
    weight: np.ndarray
    free: np.ndarray

    @property
    def residual(self) -> np.ndarray:
        """The image less the reference, in the common frame."""
        return self.aligned.b - self.aligned.a

    def covariance(self, scatter: np.ndarray) -> np.ndarray:
        """Return the covariance of the parameters, 0 for those that are not fitted."""
        free = np.flatnonzero(self.free)
        out = np.zeros((4, 4))
        out[np.ix_(free, free)] = sandwich(self.slope[np.ix_(free, free)], scatter[np.ix_(free, free)])
        return out

    def step(self) -> np.ndarray:
        """Return the Newton step, no longer than a pixel; 0 where the slope cannot be inverted."""
        free = np.flatnonzero(self.free)
        step = np.zeros(4)
        try:
            step[free] = -np.linalg.solve(self.slope[np.ix_(free, free)], self.value[free])
        except np.linalg.LinAlgError:
            return np.zeros(4)
        if not np.isfinite(step).all():
            return np.zeros(4)
        return step / max(1.0, np.abs(step[:2]).max(), 2 * abs(step[2]))

    def learnt_scatter(self) -> np.ndarray:
        """Return the covariance of the equations from the residuals, whatever their correlation."""
        length = correlation_length(self.residual, self.weight)
        return empirical_scatter([t * self.residual for t in self.templates], length)

    def correlation(self) -> float:
        """Return the weighted correlation coefficient of the aligned images."""
        w = self.weight / self.weight.sum()
        a, b = (x - (w * x).sum() for x in (self.aligned.a, self.aligned.b))
        product = float((w * a * a).sum() * (w * b * b).sum())
        return float((w * a * b).sum() / np.sqrt(product)) if product > 0 else float("nan")


@dataclass(frozen=True)
class Fit:
    """A shift and all that came with it, in the arrays' own units.

    Attributes
    ----------
    shift : `numpy.ndarray`
        (x, y), pixels.
    parameters : `numpy.ndarray`
        4 x 4 covariance of (x, y, log scale, background); 0 for what is not fitted.
    scale, background : float
        ``image = scale * reference(x - shift) + background``.
    chi2 : float
        Sum of the squared residuals over their variances.
    n_pixels, n_parameters : int
        Pixels that counted; parameters fitted.
    correlation : float
        Weighted correlation coefficient of the aligned images.
    converged : bool
        Whether the iteration stopped by itself.
    scatter_ratio : float
        Variance of the shift's equations as the residuals show it, over what the attached noise promises.
    equations : Equations
        The last state.
    curvature_significance : float
        How many times the correlation's curvature exceeds its noise's; infinite where noise is filtered.
    """

    shift: np.ndarray
    parameters: np.ndarray
    scale: float
    background: float
    chi2: float
    n_pixels: int
    n_parameters: int
    correlation: float
    converged: bool
    scatter_ratio: float
    equations: Equations
    curvature_significance: float = float("inf")

    @property
    def covariance(self) -> np.ndarray:
        """2 x 2 covariance of the shift (x, y), pixel^2."""
        return self.parameters[:2, :2]


def make_fit(aligner, equations: Equations, *, converged: bool, empirical: bool) -> Fit:
    """Return the fit at a solution, its errors from the attached noise or from the residuals."""
    learnt = equations.learnt_scatter()
    covariance = equations.covariance(learnt if empirical else equations.scatter)
    promised = np.trace(equations.scatter[:2, :2])
    return Fit(
        shift=np.array(aligner.overlap.whole) + aligner.fraction,
        parameters=covariance,
        scale=aligner.scale,
        background=aligner.background,
        chi2=float((equations.weight * equations.residual**2).sum()),
        n_pixels=aligner.overlap.n_pixels,
        n_parameters=int(equations.free.sum()),
        correlation=equations.correlation(),
        converged=converged,
        scatter_ratio=float(np.trace(learnt[:2, :2]) / promised) if promised > 0 else float("nan"),
        equations=equations,
    )
