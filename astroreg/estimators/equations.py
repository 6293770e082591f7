"""What the three fine steps have in common: the estimating equations at one state, and the final fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroreg.estimators.alignment import Aligned, Aligner
from astroreg.estimators.covariance import (
    correlation_length,
    empirical_scatter,
    samples,
    sandwich,
    scatter_of_parts,
)
from astroreg.estimators.fourier import FourierGrid, in_one_thread


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
    templates : tuple of `numpy.ndarray`
        The four t, weight included; 0 on pixels that do not count.
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
    templates: tuple[np.ndarray, ...]
    aligned: Aligned
    weight: np.ndarray
    free: np.ndarray

    @property
    def residual(self) -> np.ndarray:
        """The image less the reference, in the common frame."""
        return self.aligned.residual

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

    def correlation(self) -> float:
        """Return the weighted correlation coefficient of the aligned images."""
        total, kind = float(self.weight.sum(dtype=float)), self.weight.dtype.type
        first, change = (
            x - kind(float(np.einsum("ij,ij->", self.weight, x)) / total)
            for x in (self.aligned.a, self.residual)
        )
        weighted = self.weight * first
        square_a, product = (float(np.einsum("ij,ij->", weighted, x)) for x in (first, change))
        # The image is the reference and what it differs by.
        square = float(np.einsum("ij,ij->", np.multiply(self.weight, change, out=weighted), change))
        square_b = square_a + 2 * product + square
        return (
            (square_a + product) / np.sqrt(square_a * square_b) if square_a * square_b > 0 else float("nan")
        )


def curvature(grid: FourierGrid, power: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the sums over pixels of grad(p) grad(q)^T, shape (2, 2), and of p q.

    `power` is Re(conj(P) Q) of the transforms of p and q; it is changed.
    """
    power *= grid.multiplicity
    size = grid.shape[0] * grid.shape[1]
    kx, ky = (k.ravel().astype(float) for k in grid.odd_angular)
    columns, rows = power.sum(0, dtype=float), power.sum(1, dtype=float)
    mixed = ky @ in_one_thread(power, kx)
    across, along = kx**2 @ columns, ky**2 @ rows
    return np.array([[across, mixed], [mixed, along]]) / size, float(columns.sum()) / size


def products(first, second) -> np.ndarray:
    """Return the sums over pixels of each of `first` times each of `second`."""
    return np.array([[float(np.einsum("ij,ij->", a, b)) for b in second] for a in first])


def squares(arrays, weight) -> np.ndarray:
    """Return the sums over pixels of each of `arrays` times each of them times `weight`, one or an array."""
    out, varies = np.empty((len(arrays), len(arrays))), bool(np.ndim(weight))
    for i, first in enumerate(arrays):
        weighted = first * weight.astype(first.dtype, copy=False) if varies else first
        out[i, i:] = out[i:, i] = products([weighted], arrays[i:])[0]
    return out if varies else out * weight


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
    empirical : bool
        Whether the errors come from the residuals.
    learning : float
        Share of the slope that the template's low-pass owes to the noise it was learnt from.
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
    empirical: bool = False
    learning: float = 0.0

    @property
    def covariance(self) -> np.ndarray:
        """2 x 2 covariance of the shift (x, y), pixel^2."""
        return self.parameters[:2, :2]


def _sampled_ratio(equations, overlap):
    """Return the variance of the shift's equations over what the noise attached promises, from parts."""
    parts, promised = samples(overlap.box), 0.0
    terms, noise, usable = ([], []), [], []
    for part in parts:
        weight, residual = equations.weight[part], equations.residual[part]
        usable.append(weight > 0)
        variance = np.divide(1, weight, out=np.zeros_like(weight), where=usable[-1])
        noise.append(residual * np.sqrt(weight))
        for template, of_one in zip(equations.templates[:2], terms, strict=True):
            promised += float(np.einsum("ij,ij->", template[part] * variance, template[part]))
            of_one.append(template[part] * residual)
    learnt = float(np.trace(scatter_of_parts(terms, noise, usable)))
    return learnt / promised if promised > 0 else float("nan")


def _learnt_scatter(equations, overlap, kept):
    """Return the covariance of the first equations as the residuals show it."""
    grid, residual = overlap.grid, equations.residual
    noise = grid.forward(residual * np.sqrt(equations.weight))
    length = correlation_length(noise, overlap.usable, grid, overlap.box)
    return empirical_scatter([t * residual for t in equations.templates[:kept]], length, grid, overlap.box)


def make_fit(aligner: Aligner, equations: Equations, *, converged: bool, empirical: bool) -> Fit:
    """Return the fit at a solution, its errors from the attached noise or from the residuals."""
    overlap, scatter = aligner.overlap, equations.scatter
    if overlap.wide and not empirical:
        ratio = _sampled_ratio(equations, overlap)
    else:
        learnt = _learnt_scatter(equations, overlap, 4 if empirical else 2)
        promised = np.trace(scatter[:2, :2])
        ratio = float(np.trace(learnt[:2, :2]) / promised) if promised > 0 else float("nan")
        scatter = learnt if empirical else scatter
    return Fit(
        shift=np.array(overlap.whole) + aligner.fraction,
        parameters=equations.covariance(scatter),
        scale=aligner.scale,
        background=aligner.background,
        chi2=float(np.einsum("ij,ij->", equations.weight * equations.residual, equations.residual)),
        n_pixels=overlap.n_pixels,
        n_parameters=int(equations.free.sum()),
        correlation=equations.correlation(),
        converged=converged,
        scatter_ratio=ratio,
        equations=equations,
        empirical=empirical,
    )
