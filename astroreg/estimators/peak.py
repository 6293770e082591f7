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

from astroreg.estimators.alignment import Aligned, Aligner
from astroreg.estimators.equations import Equations, Fit, make_fit
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.template import taper

_ITERATIONS = 30
_TAPER = 0.1  # of each side of the overlap: less leaks at the edges, more throws information away
_ACCEPTED = 0.05  # of the error: a last step this short counts as converged
_FILTER_STEPS = (0, 1)  # the filter serves only the prediction of gaps here

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
        self.square = self.window**2

    def _noise(self):
        """Return the variances of both images at the present scale and the image's mean share in the sky."""
        overlap = self.aligner.overlap
        reference = self.aligner.scale**2 * np.broadcast_to(overlap.reference_variance, overlap.usable.shape)
        image = np.broadcast_to(overlap.image_variance, overlap.usable.shape)
        mean_reference, mean_image = (float(v[overlap.usable].mean()) for v in (reference, image))
        total = mean_reference + mean_image
        return reference, image, mean_reference / total if total > 0 else 0.5

    def solve(self) -> tuple[Aligned, float]:
        """Iterate until the peak stands at zero; return the images there and the last step's length."""
        aligner, grid = self.aligner, self.aligner.grid
        last, before, share_of_step = np.inf, np.zeros(2), 1.0
        for iteration in range(_ITERATIONS):
            aligned = aligner.align()
            share = self._noise()[2]
            sky = aligned.a + grid.dtype.type(share) * (aligned.b - aligned.a)
            if iteration in _FILTER_STEPS:
                aligner.learn_filter(aligned, sky)
            if last < self.tolerance and iteration > max(_FILTER_STEPS) + 1:
                break
            step = np.clip(self.find_peak(self._cross_spectrum(aligned), grid), -1, 1)
            if step @ before < 0:
                # A peak sharper than a parabola is stepped over, to and fro, by full steps.
                share_of_step /= 2
            before = step
            step = step * share_of_step
            self._move_flux(aligned, sky)
            aligner.fraction = aligner.fraction + step
            centre = self._mean(sky)
            aligner.predict(sky, centre, grid.forward(sky - grid.dtype.type(centre)))
            last = float(np.abs(step).max())
        return aligned, last

    def _mean(self, values):
        return float((self.square * values).sum() / self.square.sum())

    def _cross_spectrum(self, aligned):
        """Return conj(A) B of the tapered images without their means."""
        grid = self.aligner.grid
        a, b = (
            grid.forward(self.window * (x - grid.dtype.type(self._mean(x)))) for x in (aligned.a, aligned.b)
        )
        return a.conj() * b

    def _move_flux(self, aligned, sky):
        """Improve scale and background from the aligned images."""
        residual = aligned.b - aligned.a
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
        reference, image, share = self._noise()
        usable, n = self.aligner.overlap.usable, aligned.a.size
        level = self._mean(aligned.a)
        from_a = self._templates(aligned.a - level, 1 - share, 0.0)
        from_b = self._templates(aligned.b - level, share, 1.0)
        slope = self.aligner.slope(from_a, from_b, aligned)
        templates = (from_a + from_b) * usable
        variance = np.where(usable, reference + image, 0)
        scatter = (templates * variance).reshape(4, n) @ templates.reshape(4, n).T
        scatter[:2, :2] -= self._common_noise(np.where(usable, share * image - (1 - share) * reference, 0))
        weight = np.where(usable, 1 / np.where(variance > 0, variance, 1), 0)
        value = templates.reshape(4, n) @ (aligned.b - aligned.a).ravel()
        return Equations(value, slope, scatter, templates, aligned, weight, self.free)

    def _templates(self, part, share, constant):
        """Return what one image adds to the templates of shift, scale and background, shape (4, ny, nx)."""
        grid = self.aligner.grid
        spectrum = grid.forward((share * self.window * part).astype(grid.dtype, copy=False))
        gradients = [self.window * g for g in grid.gradient(spectrum)]
        return np.stack([*gradients, share * self.square * part, constant * self.square])

    def _common_noise(self, covariance):
        """Return what the noise that template and residual share adds to the product of their variances.

        In the correlation the two images' noises stand as V_a V_b; the template's variance times the
        residual's exceeds that by the square of their covariance.
        """
        grid = self.aligner.grid
        weight = np.broadcast_to(grid.multiplicity, grid.k2.shape)
        mean_square = [float((weight * k**2).sum() / weight.sum()) for k in grid.odd_angular]
        return np.diag(mean_square) * float((self.square**2 * covariance**2).sum())

    def fit(self, *, empirical: bool) -> Fit:
        """Solve, and return the shift with its errors from the attached noise or from the residuals."""
        aligned, last = self.solve()
        fit = make_fit(self.aligner, self.equations(aligned), converged=True, empirical=empirical)
        parameters = fit.parameters.copy()
        # Rounding to the nearest sample: a uniform error of this variance on each axis.
        parameters[[0, 1], [0, 1]] += self.resolution**2 / 12
        error = np.sqrt(np.abs(np.diag(parameters)[:2])).min()

        return replace(
            fit,
            parameters=parameters,
            converged=bool(last < max(self.tolerance, _ACCEPTED * error)),
            curvature_significance=self._curvature_significance(fit, empirical=empirical),
        )

    def _curvature_significance(self, fit: Fit, *, empirical: bool) -> float:
        """Return by how much the peak's curvature stands out of that of the product of the two noises.

        The noise of the curvature is ``sum T^4 V_A V_B (2 pi k)^4``; where it is not far smaller than the
        curvature, the correlation has many peaks.
        """
        grid = self.aligner.grid
        reference, image, _ = self._noise()
        usable = self.aligner.overlap.usable
        power = float((self.square**2 * reference * image)[usable].sum())
        weight = np.broadcast_to(grid.multiplicity, grid.k2.shape)
        fourth = np.array([(weight * k**4).sum() / weight.sum() for k in grid.odd_angular])
        if empirical:
            power *= (fit.chi2 / max(fit.n_pixels, 1)) ** 2
        signal = np.diag(fit.equations.slope)[:2]
        return float((signal / np.sqrt(power * fourth)).min()) if power > 0 else float("inf")
