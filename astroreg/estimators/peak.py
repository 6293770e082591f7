"""Shifts from the peak of the correlation: what the Taylor and the upsampling method share.

Both images are brought to the common frame, tapered, and correlated; the peak's distance from zero is
the correction of the shift, and the images are brought together again, until the peak stands at zero.
There, and only there, neither the taper nor the finite window pulls the peak: the correlation of two
windows that show the same sky is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from astroreg.estimators.alignment import Aligned, Aligner, carried_on
from astroreg.estimators.equations import Equations, Fit, make_fit, products
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.template import taper

_ITERATIONS = 30
_TAPER = 0.1  # of each side of the overlap: less leaks at the edges, more throws information away
_ACCEPTED = 0.05  # of the error: a last step this short counts as converged
_DENIED = 2.0  # times the variance that the attached noise promises: it is not the residuals'
_ENOUGH = 3e-3  # of the error: where the iteration stops
_ALIGNED = 0.1  # pixels: nearer than this the filter, which serves the prediction of gaps here, stays

# (cross-spectrum, grid) -> (x, y) of the correlation's peak
PeakFinder = Callable[[np.ndarray, FourierGrid], np.ndarray]


class PeakStep:
    """One overlap, solved for the peak of its unweighted correlation.

    Parameters
    ----------
    aligner : Aligner
        The two images and the state to improve.
    find_peak : callable
        The method's own way from a cross-spectrum to the position of the peak.
    tolerance : float
        Distance of the peak from zero, in pixels, at which the iteration stops.
    resolution : float
        Spacing of the shifts that `find_peak` can give, in pixels; 0 where it is continuous.
    """

    def __init__(self, aligner: Aligner, find_peak: PeakFinder, *, tolerance: float, resolution: float = 0.0):
        self.aligner = aligner
        self.resolution = resolution
        self.find_peak = find_peak
        self.tolerance = tolerance
        self.free = aligner.free
        overlap, grid = aligner.overlap, aligner.grid
        self.window = np.zeros(grid.shape, grid.dtype)
        box = overlap.box
        self.window[box] = 1 if overlap.periodic else taper(self.window[box].shape, _TAPER)
        # The taper makes little of the rows at an edge: only the outermost are left out besides.
        inner = self.window > 0
        if not overlap.periodic:
            inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        self.usable = overlap.has_reference & overlap.has_image & inner
        self.square = self.window**2
        self.total = float(self.square.sum(dtype=float))
        aligner.fraction = self._on_samples(aligner.fraction)

    def _on_samples(self, shift):
        """Return the nearest shift that the method's samples can give."""
        return np.round(shift / self.resolution) * self.resolution if self.resolution else shift

    def _noise(self):
        """Return the variances of both images at the present scale and the image's mean share in the sky."""
        overlap = self.aligner.overlap
        reference = self.aligner.scale**2 * overlap.reference_variance
        image = overlap.image_variance
        mean_reference, mean_image = (
            float(v[self.usable].mean(dtype=float)) if np.ndim(v) else float(v) for v in (reference, image)
        )
        total = mean_reference + mean_image
        return reference, image, mean_reference / total if total > 0 else 0.5

    def solve(self) -> tuple[Aligned, float]:
        """Iterate until the peak stands at zero; return the images there and the last step's length."""
        aligner, grid = self.aligner, self.aligner.grid
        last, before, known_at = np.inf, np.zeros(2), aligner.fraction
        for iteration in range(_ITERATIONS):
            aligned = aligner.align()
            share = self._noise()[2]
            sky = aligned.a + grid.dtype.type(share) * aligned.residual
            if not aligner.learnt or np.abs(aligner.fraction - known_at).max() > _ALIGNED:
                aligner.learn_filter(aligned, share)
                known_at = aligner.fraction
            cross = self._cross_spectrum(aligned)
            step = np.clip(self.find_peak(cross, grid), -1, 1)
            last = float(np.abs(step).max())
            longer, before = carried_on(step, before)
            self._move_flux(aligned, sky)
            aligner.fraction = self._on_samples(aligner.fraction + longer * step)
            if last < max(self.tolerance, _ENOUGH * self._rough_error(cross)):
                break
            if iteration and aligner.overlap.wide:
                continue
            centre = self._mean(sky)
            aligner.predict(sky, centre, grid.forward(sky - grid.dtype.type(centre)))
        return aligned, last

    def _rough_error(self, cross):
        """Return the shift's error as that of noise of the mean variance on the correlation's curvature."""
        grid = self.aligner.grid
        reference, image, _ = self._noise()
        variance = float(np.mean(reference) + np.mean(image))
        real = grid.multiplicity * cross.real
        columns, rows = real.sum(0, dtype=float), real.sum(1, dtype=float)
        kx, ky = (k.ravel().astype(float) for k in grid.odd_angular)
        curvature = min(kx**2 @ columns, ky**2 @ rows) / (grid.shape[0] * grid.shape[1])
        return np.sqrt(variance / curvature) if curvature > 0 else 0.0

    def _mean(self, values):
        return float(np.einsum("ij,ij->", self.square, values)) / self.total

    def _cross_spectrum(self, aligned):
        """Return conj(A) B of the tapered images without their means."""
        grid = self.aligner.grid
        a, b = (
            grid.forward(self.window * (x - grid.dtype.type(self._mean(x)))) for x in (aligned.a, aligned.b)
        )
        return a.conj() * b

    def _move_flux(self, aligned, sky):
        """Improve scale and background from the aligned images."""
        residual = aligned.residual
        if self.free[3]:
            self.aligner.background += self._mean(residual)
        if self.free[2]:
            offset = self._mean(sky) if self.free[3] else self.aligner.background
            lever = self._mean((aligned.a - offset) * (aligned.b - offset))
            slope = self._mean((sky - offset) * residual) / lever if lever > 0 else 0.0
            factor = float(np.exp(np.clip(slope, -0.5, 0.5)))
            if self.free[3]:
                self.aligner.background += (1 - factor) * (self._mean(aligned.a) - self.aligner.background)
            self.aligner.scale *= factor

    def equations(self, aligned: Aligned) -> Equations:
        """Return the equations that the peak at zero solves, for its errors.

        The derivative of the correlation of the tapered images T a and T b at zero is
        ``sum d(T S)/dx T (b - a)``, with S any mean of a and b: the derivative of the residual times the
        residual sums to nothing. The inverse-variance mean has the noise that the residual has not.
        """
        grid, usable = self.aligner.grid, self.usable
        reference, image, share = self._noise()
        residual = aligned.residual
        sky = aligned.a + grid.dtype.type(share) * residual
        part = sky - grid.dtype.type(self._mean(sky))
        inside = self.window * usable
        gradients = grid.gradient(grid.forward(self.window * part))
        templates = [*(inside * g for g in gradients), inside * self.window * part, inside * self.window]
        slope = self._slope(aligned, inside, share)
        variance = np.where(usable, reference + image, 0).astype(grid.dtype)
        scatter = products([t * variance for t in templates], templates)
        covariance = np.where(usable, share * image - (1 - share) * reference, 0).astype(grid.dtype)
        scatter[:2, :2] -= self._common_noise(covariance)
        weight = np.where(usable, 1 / np.where(variance > 0, variance, 1), 0).astype(grid.dtype)
        value = products(templates, [residual])[:, 0]
        return Equations(value, slope, scatter, tuple(templates), aligned, weight, self.free)

    def _slope(self, aligned, inside, share):
        """Return the expected derivatives of the equations, from products of the one image with the other.

        The squares of either image's noise are far larger than the sky's at high frequencies; there are none
        in it.
        """
        grid, kind = self.aligner.grid, self.aligner.grid.dtype.type
        background, slope = kind(self.aligner.background), np.zeros((4, 4))
        pairs = (
            (1 - share, aligned.a, aligned.b, aligned.spectrum_b),
            (share, aligned.b, aligned.a, aligned.spectrum_a),
        )
        for factor, own, other, spectrum in pairs:
            part = self.window * (own - kind(self._mean(own)))
            templates = [inside * g for g in grid.gradient(grid.forward(part))]
            templates += [inside * part, inside * self.window]
            changes = [*grid.gradient(spectrum), background - other, np.full_like(other, -1)]
            slope += factor * products(templates, changes)
        return slope

    def _common_noise(self, covariance):
        """Return what the noise that template and residual share adds to the product of their variances.

        In the correlation the two images' noises stand as V_a V_b; the template's variance times the
        residual's exceeds that by the square of their covariance.
        """
        grid = self.aligner.grid
        mean_square = [_mean_over_plane(grid, k**2) for k in grid.odd_angular]
        return np.diag(mean_square) * float(np.sum((self.square * covariance) ** 2, dtype=float))

    def fit(self, *, empirical: bool) -> Fit:
        """Solve, and return the shift with its errors from the attached noise or from the residuals."""
        aligned, last = self.solve()
        fit = make_fit(self.aligner, self.equations(aligned), converged=True, empirical=empirical)
        if fit.scatter_ratio > _DENIED and not empirical:
            # The noise is not what was promised, and the method made no other use of the promise.
            fit = make_fit(self.aligner, fit.equations, converged=True, empirical=True)
        parameters = fit.parameters.copy()
        # Rounding to the nearest sample: a uniform error of this variance on each axis.
        parameters[[0, 1], [0, 1]] += self.resolution**2 / 12
        error = np.sqrt(np.abs(np.diag(parameters)[:2])).min()

        return replace(
            fit,
            parameters=parameters,
            converged=bool(last < max(self.tolerance, _ACCEPTED * error)),
            curvature_significance=self._curvature_significance(fit, empirical=fit.empirical),
        )

    def _curvature_significance(self, fit: Fit, *, empirical: bool) -> float:
        """Return by how much the peak's curvature stands out of that of the product of the two noises.

        The noise of the curvature is ``sum T^4 V_A V_B (2 pi k)^4``; where it is not far smaller than the
        curvature, the correlation has many peaks.
        """
        grid = self.aligner.grid
        reference, image, _ = self._noise()
        product = np.where(self.usable, reference * image, 0)
        power = float(np.sum(self.square**2 * product, dtype=float))
        fourth = np.array([_mean_over_plane(grid, k**4) for k in grid.odd_angular])
        if empirical:
            power *= (fit.chi2 / max(fit.n_pixels, 1)) ** 2
        signal = np.diag(fit.equations.slope)[:2]
        return float((signal / np.sqrt(power * fourth)).min()) if power > 0 else float("inf")


def _mean_over_plane(grid, function):
    """Return the mean over all frequencies of a function of one of their components."""
    values = np.broadcast_to(function.astype(float), grid.k2.shape)
    return float((grid.multiplicity * values).sum() / grid.multiplicity.sum() / grid.k2.shape[0])
