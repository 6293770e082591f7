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
from astroreg.estimators.equations import Equations, Fit, curvature, make_fit, power_of, products
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.template import raised_edges

_ITERATIONS = 30
_TAPER = 0.1  # of each side of the overlap: less leaks at the edges, more throws information away
_ACCEPTED = 0.1  # of the error: a last step this short counts as converged
_DENIED = 2.0  # times the variance that the attached noise promises: it is not the residuals'
_ENOUGH = 0.01  # of the error: where the iteration stops
_ENOUGH_TO_COME = 0.1  # of the rough error, where what is to come is known from two steps
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
        sides = [self._side(n, inside) for n, inside in zip(grid.shape, overlap.box, strict=True)]
        rows, columns = (side.astype(grid.dtype) for side in sides)
        down, across = (_derivative(side).astype(grid.dtype) for side in sides)
        self.window, self.window_slopes = np.outer(rows, columns), ((rows, across), (down, columns))
        # The taper makes little of the rows at an edge: only the outermost are left out besides.
        inner = self.window > 0
        if not overlap.periodic:
            inner[1:-1, 1:-1] &= inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        # The taper does away with the edges, and few small holes are filled with what moves with the sky.
        self.wide = overlap.wide and overlap.has_small_holes
        if self.wide:
            aligner.fill_apart()
        self.usable = overlap.has_reference & overlap.has_image & inner
        self.square = self.window**2
        self.total = float(self.square.sum(dtype=float))
        aligner.fraction = self._on_samples(aligner.fraction)

    def _side(self, n, inside):
        """Return the taper along one axis of the canvas, 0 outside of the overlap."""
        side = np.zeros(n)
        side[inside] = 1 if self.aligner.overlap.periodic else raised_edges(side[inside].size, _TAPER)
        return side

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

    def solve(self) -> tuple[Aligned, list[np.ndarray], float]:
        """Iterate until the peak stands at zero; return the images there and how far it may still be.

        The images aligned, and the transforms of both when tapered.

        Where the overlap is wide the taper makes nothing of what is beyond its edges: the first guess serves,
        and the second pass ends what the first began.
        """
        aligner, grid = self.aligner, self.aligner.grid
        known_at = np.full(2, np.inf)
        before = self._approach() if self.wide else np.zeros(2)
        length = float(np.abs(before).max())
        for _ in range(_ITERATIONS):
            aligned, fraction = aligner.align(), aligner.fraction
            share = self._noise()[2]
            sky = aligned.a + grid.dtype.type(share) * aligned.residual
            tapered = self._tapered(aligned.a, aligned.b)
            cross = tapered[0].conj()
            cross *= tapered[1]
            self.aligner.clean(cross)
            step = np.clip(self.find_peak(cross, grid), -1, 1)
            last = float(np.abs(step).max())
            # Of steps that shrink by a ratio so much is still to come.
            last, length = last * min(1.0, last / length) if self.wide and length > 0 else last, last
            longer, before = carried_on(step, before)
            self._move_flux(aligned, sky)
            aligner.fraction = self._on_samples(aligner.fraction + longer * step)
            enough = _ENOUGH_TO_COME if self.wide else _ENOUGH
            if last < max(self.tolerance, enough * self._rough_error(cross)):
                break
            if not self.wide:
                if np.abs(fraction - known_at).max() > _ALIGNED:
                    aligner.learn_filter(aligned, share)
                    known_at = fraction
                aligner.predict(sky, *self._centred(aligned, sky, share))
        return aligned, tapered, last

    def _centred(self, aligned, sky, share):
        """Return the level of the sky and the transform of the rest."""
        grid, centre = self.aligner.grid, self._mean(sky)
        spectrum = aligned.mean_spectrum(share)
        spectrum[0, 0] -= centre * grid.shape[0] * grid.shape[1]
        return centre, spectrum

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

    def _approach(self):
        """Move to the peak of the correlation of the images as they stand; return how far that is."""
        aligner, grid = self.aligner, self.aligner.grid
        first, second = self._tapered(*aligner.images)
        second *= grid.phase(-aligner.fraction)
        second *= first.conj()
        self.aligner.clean(second)
        step = np.clip(self.find_peak(second, grid), -1, 1)
        aligner.fraction = self._on_samples(aligner.fraction + step)
        return aligner.fraction

    def _tapered(self, a, b):
        """Return the transforms of both tapered images without their means."""
        grid, out = self.aligner.grid, []
        for x in (a, b):
            part = x - grid.dtype.type(self._mean(x))
            part *= self.window
            out.append(grid.forward(part))
        return out

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

    def equations(self, aligned: Aligned, tapered: list[np.ndarray]) -> Equations:
        """Return the equations that the peak at zero solves, for its errors.

        The derivative of the correlation of the tapered images T a and T b at zero is
        ``sum d(T S)/dx T (b - a)``, with S any mean of a and b: the derivative of the residual times the
        residual sums to nothing. The inverse-variance mean has the noise that the residual has not.

        The slope is that of products of the one image with the other: the squares of either image's noise are
        far larger than the sky's at high frequencies. With S of share s, ``(1 - s) a b + s b a`` is
        ``S S + (1 - 2 s) S r - s (1 - s) r r``; in a wide overlap S r is nothing, which is how s is chosen.
        """
        grid, kind = self.aligner.grid, self.aligner.grid.dtype.type
        reference, image, share = self._noise()
        mean = self.aligner.clean(aligned.mean_spectrum(share))
        sky, derivatives = grid.inverse(mean), grid.gradient(mean)
        templates = self._templates(sky, derivatives)
        slope = np.zeros((4, 4))
        slope[:, :3] = products(templates, [*derivatives, kind(self.aligner.background) - sky])
        slope[:, 3] = [-float(t.sum(dtype=float)) for t in templates]
        variance = reference + image
        uniform = not np.ndim(variance)
        if self.wide:
            slope[:3, :3] -= share * (1 - share) * self._noise_products(tapered[1] - tapered[0])
        else:
            slope[:, :3] += self._products_apart(aligned, (sky, *derivatives), share)
        weighted = templates if uniform else [t * variance.astype(grid.dtype) for t in templates]
        scatter = products(weighted, templates) * (variance if uniform else 1)
        scatter[:2, :2] -= self._common_noise(share * image - (1 - share) * reference)
        inverse = np.divide(1, variance, out=np.ones(np.shape(variance), kind), where=np.greater(variance, 0))
        weight = self.usable * inverse.astype(kind, copy=False)
        value = products(templates, [aligned.residual])[:, 0]
        return Equations(value, slope, scatter, tuple(templates), aligned, weight, self.free)

    def _templates(self, sky, derivatives):
        """Return T d(T S)/dx, T d(T S)/dy, T^2 S and T^2 on the pixels that count; S is less its mean."""
        inside = self.window * self.usable
        values = sky - sky.dtype.type(self._mean(sky))
        values *= inside
        out = []
        for derivative, sides in zip(derivatives, self.window_slopes, strict=True):
            template = np.outer(*sides)
            template *= values
            derivative = derivative * self.window
            derivative *= inside
            template += derivative
            out.append(template)
        return [*out, values * self.window, inside * self.window]

    def _noise_products(self, residual):
        """Return what r r is expected to be from the transform of the tapered residual."""
        gradients, square = curvature(self.aligner.grid, power_of(self.aligner.clean(residual)))
        of_taper = [np.prod([float(side @ side) for side in sides]) for sides in self.window_slopes]
        out = np.diag([0.0, 0.0, -square])
        out[:2, :2] = gradients - np.diag(of_taper) * square / self.total
        return out

    def _products_apart(self, aligned, sky, share):
        """Return ``(1 - 2 s) S r - s (1 - s) r r``; `sky` is S and its derivatives."""
        grid, kind, odd = self.aligner.grid, self.aligner.grid.dtype.type, 1 - 2 * share
        difference = self.aligner.clean(aligned.spectrum_b - aligned.spectrum_a)
        residual, derivatives = grid.inverse(difference), grid.gradient(difference)
        both = zip(sky, (residual, *derivatives), strict=True)
        mixed, *slopes = (kind(odd) * x - kind(share * (1 - share)) * y for x, y in both)
        out = products(self._templates(mixed, slopes), [*derivatives, -residual])
        out[3] *= odd
        return out

    def _common_noise(self, covariance):
        """Return what the noise that template and residual share adds to the product of their variances.

        In the correlation the two images' noises stand as V_a V_b; the template's variance times the
        residual's exceeds that by the square of their covariance.
        """
        common = self.square * self.usable
        common *= np.asarray(covariance, common.dtype)
        return self._mean_over_plane(2) * float(np.einsum("ij,ij->", common, common))

    def _mean_over_plane(self, power):
        """Return the means over the plane of a power of either component of what is used, on a diagonal."""
        x, y = (k.ravel().astype(float) ** power for k in self.aligner.grid.odd_angular)
        share = self.aligner.grid.multiplicity.ravel() / self.aligner.grid.multiplicity.sum()
        (across, down), n = self.aligner.used, y.size
        return np.diag([(x * across) @ share * down.sum() / n, (y @ down) / n * (across @ share)])

    def fit(self, *, empirical: bool) -> Fit:
        """Solve, and return the shift with its errors from the attached noise or from the residuals."""
        aligned, tapered, last = self.solve()
        fit = make_fit(self.aligner, self.equations(aligned, tapered), converged=True, empirical=empirical)
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
        reference, image, _ = self._noise()
        square = self.square * self.usable
        power = float(np.einsum("ij,ij->", square * np.asarray(reference * image, square.dtype), square))
        if empirical:
            power *= (fit.chi2 / max(fit.n_pixels, 1)) ** 2
        signal, fourth = np.diag(fit.equations.slope)[:2], np.diag(self._mean_over_plane(4))
        return float((signal / np.sqrt(power * fourth)).min()) if power > 0 else float("inf")


def _derivative(side):
    """Return the band-limited derivative of one period of a periodic function of one axis."""
    k = np.fft.rfftfreq(side.size)
    spectrum = np.fft.rfft(side) * np.where(k == 0.5, 0, 2j * np.pi * k)
    return np.fft.irfft(spectrum, n=side.size)
