"""The chi-squared shift: an estimating equation with a low-passed template, at the statistical limit.

With the noise variances V_A (of the scaled reference) and V_B, the best sky is the inverse-variance mean
``S = (V_B a + V_A b) / (V_A + V_B)``; its noise is uncorrelated with the residual ``r = b - a``. The
shift, the flux scale and the background solve ``sum w q r = 0`` with ``w = 1 / (V_A + V_B)`` and the
templates q = (d(h S)/dx, d(h S)/dy, h S, 1), h the Wiener filter of S. That is the weighting of Hannan &
Thomson (1973, doi:10.1093/biomet/60.2.241), with the weight of every pixel and any mask besides.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from astroreg.estimators.alignment import Aligned, Aligner
from astroreg.estimators.equations import Equations, Fit, make_fit

_ITERATIONS = 30
_FILTER_STEPS = (0, 1)  # iterations at which the filter is learnt anew; then it stays, to converge
_TOLERANCE = 2e-3  # of the shift's error: where the iteration stops
_ACCEPTED = 0.05  # of the error: a last step this short counts as converged
_OVERSHOT = 0.5  # of the step before, back: the steps are too long
_FIRST_SMOOTHING = 1.0  # pixels: while the images are still up to half a pixel apart


class ChiSquaredStep:
    """One overlap, solved for shift, scale and background with the noise as weight.

    Parameters
    ----------
    aligner : Aligner
        The two images and the state to improve.
    """

    def __init__(self, aligner: Aligner):
        self.aligner = aligner
        self.free = aligner.free
        self._known_bias = (np.full(2, np.inf), None, np.zeros(2))
        self._set_noise()

    def _set_noise(self):
        """Set the weight of each pixel and the share of the image in the mean sky, at the present scale."""
        overlap = self.aligner.overlap
        reference = self.aligner.scale**2 * overlap.reference_variance
        image = overlap.image_variance
        total = reference + image
        # Two noiseless images: any finite weight gives the same answer.
        safe = np.where(total > 0, total, 1)
        self.share = np.where(total > 0, reference / safe, 0.5)
        self.weight = np.where(overlap.usable, 1 / safe, 0)
        # V_A V_B / (V_A + V_B)^2, nothing where there is no noise.
        self.pair_weight = np.where(total > 0, self.share * (1 - self.share), 0)

    def sky(self, aligned: Aligned) -> np.ndarray:
        """Return the inverse-variance mean of the aligned images."""
        return aligned.a + self.share * (aligned.b - aligned.a)

    def equations(self, aligned: Aligned) -> Equations:
        """Return the equations at the present state."""
        grid, filt = self.aligner.grid, self.aligner.filter
        sky, residual = self.sky(aligned), aligned.b - aligned.a
        centre = (self.weight * sky).sum() / self.weight.sum()
        # The template's two parts, from either image: their cross products carry no noise bias.
        from_a = self._templates((1 - self.share) * (aligned.a - centre), filt, 0.0)
        from_b = self._templates(self.share * (aligned.b - centre), filt, 1.0)
        from_a *= self.weight
        from_b *= self.weight
        n = grid.shape[0] * grid.shape[1]
        slope = self.aligner.slope(from_a, from_b, aligned)
        templates = from_a + from_b
        value = templates.reshape(4, n) @ residual.ravel()
        value[:2] -= self._gap_bias()
        scaled = templates / np.sqrt(np.where(self.weight > 0, self.weight, 1))
        scatter = scaled.reshape(4, n) @ scaled.reshape(4, n).T
        return Equations(value, slope, scatter, templates, aligned, self.weight, self.free)

    def _templates(self, part, filt, constant):
        """Return the gradients of the low-passed part, the part itself and a constant, shape (4, ny, nx)."""
        grid = self.aligner.grid
        spectrum = grid.forward(part.astype(grid.dtype, copy=False)) * filt
        return np.stack(
            [*grid.gradient(spectrum), grid.inverse(spectrum), np.full(grid.shape, constant, grid.dtype)]
        )

    def _gap_bias(self) -> np.ndarray:
        """Return the expectation of the shift's equations that the gaps alone cause.

        The noise of S and r is uncorrelated only where both images have their pixels. The noise that a
        missing pixel h does not have would, interpolated by a fraction f, have stood at y with the
        amplitude u(y - h), u the sinc moved by f/2; summed over all y it cancels against the low-pass'
        gradient, but the pixels y of no weight leave the sum:
        ``-sum_h sum_y (V_A V_B / (V_A + V_B)) w(y) u(y - h) dh(y - h)``, and mirrored for the image.
        """
        if self.aligner.overlap.usable.all():
            return np.zeros(2)
        grid, fraction = self.aligner.grid, self.aligner.fraction
        at, filt, bias = self._known_bias
        # A thousandth of a pixel changes it by less than a hundredth of any error.
        if filt is self.aligner.filter and np.abs(at - fraction).max() < 1e-3:
            return bias
        phase = grid.phase(fraction / 2)
        spread = grid.inverse(phase)
        kernel = grid.gradient(self.aligner.filter * phase)
        bias = np.array([-(self._gap_pairs * spread * k).sum() for k in kernel])
        self._known_bias = (fraction, self.aligner.filter, bias)
        return bias

    @cached_property
    def _gap_pairs(self) -> np.ndarray:
        """Return the pairs of a gap and an idle pixel at each lag; the image's with the lag reversed."""
        overlap, grid = self.aligner.overlap, self.aligner.grid
        idle = grid.forward(np.where(overlap.usable, 0, self.pair_weight).astype(grid.dtype))
        gaps_a, gaps_b = (
            grid.forward((overlap.hole | ~has).astype(grid.dtype))
            for has in (overlap.has_reference, overlap.has_image)
        )
        return grid.inverse(idle * gaps_a.conj() + (idle * gaps_b.conj()).conj())

    def solve(self) -> tuple[Equations, bool]:
        """Iterate to the solution; return the equations there and whether it was reached.

        The slope hardly changes once the filter stays: later steps need only the left sides.
        """
        aligner = self.aligner
        last, equations, error = np.inf, None, None
        before, share_of_step = np.zeros(2), 1.0
        for iteration in range(_ITERATIONS):
            aligned = aligner.align()
            sky = self.sky(aligned)
            centre = float((self.weight * sky).sum() / self.weight.sum())
            if iteration in _FILTER_STEPS:
                aligner.learn_filter(aligned, sky, smooth=0 if iteration else _FIRST_SMOOTHING)
                equations = self.equations(aligned)
                error = np.sqrt(np.abs(np.diag(equations.covariance(equations.scatter))[:2]))
            spectrum = aligner.grid.forward(sky - aligner.grid.dtype.type(centre))
            if iteration not in _FILTER_STEPS:
                equations = replace(equations, value=self._left_sides(aligned, spectrum))
            if not np.isfinite(equations.value).all():
                break
            step = equations.step()
            if step[:2] @ before < 0 and np.hypot(*step[:2]) > _OVERSHOT * np.hypot(*before):
                # The predicted pixels follow a step late: to and fro by full steps need not settle.
                share_of_step /= 2
            before = step[:2]
            self._move(share_of_step * step)
            aligner.predict(sky, centre, spectrum)
            last = float((np.abs(step[:2]) / np.maximum(error, 1e-9 / _TOLERANCE)).max())
            if last <= _TOLERANCE and iteration > max(_FILTER_STEPS):
                break
        return self.equations(aligner.align()), last <= _ACCEPTED

    def _left_sides(self, aligned: Aligned, spectrum: np.ndarray) -> np.ndarray:
        """Return the equations' values from the transform of the mean sky, without its templates."""
        grid = self.aligner.grid
        weighted = self.weight * (aligned.b - aligned.a)
        residual = grid.forward(weighted.astype(grid.dtype, copy=False))
        low = spectrum * self.aligner.filter
        shift = [grid.dot(residual, g) for g in grid.gradient_spectra(low)]
        return np.array([*(shift - self._gap_bias()), grid.dot(residual, low), weighted.sum(dtype=float)])

    def _move(self, step):
        """Apply a step of (x, y, log scale, background)."""
        aligner = self.aligner
        aligner.fraction = aligner.fraction + step[:2]
        aligner.scale *= float(np.exp(step[2]))
        aligner.background += float(step[3])
        if step[2]:
            self._set_noise()

    def fit(self, *, empirical: bool) -> Fit:
        """Solve, and return the shift with its errors from the attached noise or from the residuals."""
        equations, converged = self.solve()
        return make_fit(self.aligner, equations, converged=converged, empirical=empirical)
