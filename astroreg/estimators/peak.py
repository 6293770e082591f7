"""Shifts from the peak of the correlation: what the Taylor and the upsampling method share.

Both images are brought to the common frame, tapered, and correlated; the peak's distance from zero is
the correction of the shift, and the images are brought together again, until the peak stands at zero.
There, and only there, neither the taper nor the finite window pulls the peak: the correlation of two
windows that show the same sky is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from astroreg.estimators.alignment import Aligned, Aligner, carried_on
from astroreg.estimators.equations import Equations, Fit, curvature, make_fit, products, squares
from astroreg.estimators.fourier import FourierGrid, power_of
from astroreg.estimators.taylor import released
from astroreg.estimators.template import raised_edges

_ITERATIONS = 30
_TAPER = 0.1  # of each side of the overlap: less leaks at the edges, more throws information away
_ACCEPTED = 0.1  # of the error: a last step this short counts as converged
_DENIED = 2.0  # times the variance that the attached noise promises: it is not the residuals'
_ENOUGH = 0.01  # of the error: where the iteration stops
_ENOUGH_TO_COME = 0.04  # of the rough error, where what is to come is known
# Of what is to come, known and gone at once, this much may be wrong: so much for a step of a pixel, the more
# the square of its length, and not less; twice of what was seen. All of it where noise at the highest
# frequencies, which a taper folds over, is not cleaned away.
_KNOWN, _BENT = 0.02, 60.0
_ALONG = ("ij,ij->j", "ij,ij->i")  # the axes over which sums along x and along y are taken
_LEAST_TO_COME = 0.25  # of a step, whatever the ratio of two of them says
# Of the step before, and of the error: a series that falls so fast has nearly come to its end.
_FALLEN, _SMALL = 0.05, 0.2
_CUBIC = 4.0  # times the third power of a step, pixels: how wrong a step to a peak that is no parabola may be
_CLOSE = 5.0  # errors: images no farther apart have the residuals of the peak, and predict it
_ADDED = 5e-4  # to chi-squared, a pixel: less does not show
_SAME = 20.0  # tolerances, where the noise is next to nothing
_ALIGNED = 0.1  # pixels: nearer than this the filter, which serves the prediction of gaps here, stays

# (cross-spectrum, grid) -> (x, y) of the correlation's peak
PeakFinder = Callable[[np.ndarray, FourierGrid], np.ndarray]


class Tapered(NamedTuple):
    """Both images, tapered, without their means: transforms, and sums of their product along each axis.

    The noises of the images are independent, so that the product has the power of the sky alone.
    """

    a: np.ndarray
    b: np.ndarray
    powers: tuple[np.ndarray, np.ndarray]


class Edge(NamedTuple):
    """A taper along one axis: where it is not 0, its slope and its bend there as shares of itself."""

    inside: np.ndarray
    steep: np.ndarray
    bend: np.ndarray


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
        slopes = [_derivative(side) for side in sides]
        self.edges = [_edge_of_taper(*side) for side in zip(sides[::-1], slopes[::-1], strict=True)]
        (rows, down), (columns, across) = (
            (x.astype(grid.dtype) for x in y) for y in zip(sides, slopes, strict=True)
        )
        self.window, self.window_slopes = np.outer(rows, columns), ((rows, across), (down, columns))
        # The taper makes little of the rows at an edge: only the outermost are left out besides.
        inner = [side > 0 for side in sides]
        for side in () if overlap.periodic else inner:
            side[1:-1] &= side[:-2] & side[2:]
        # The taper does away with the edges, and few small holes are filled with what moves with the sky.
        self.wide = overlap.wide and overlap.has_small_holes
        if self.wide:
            aligner.fill_apart()
        self.usable = overlap.has_reference & overlap.has_image
        self.usable &= inner[0][:, None] & inner[1]
        self.square = self.window**2
        self.total = float(np.prod([side @ side for side in sides]))

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

    def solve(self) -> tuple[Aligned, Tapered, float]:
        """Iterate until the peak stands at zero; return the images there and how far it may still be.

        The images are those before the last step, a few errors at most. Where the overlap is wide the taper
        makes nothing of what is beyond its edges: the first guess serves.
        """
        aligner, grid = self.aligner, self.aligner.grid
        known_at = np.full(2, np.inf)
        before, to_come, steps = np.zeros(2), 1.0, [np.full(2, np.inf)]
        for _ in range(_ITERATIONS):
            aligned, fraction = aligner.align(), aligner.fraction
            share = self._noise()[2]
            tapered = self._tapered(aligned.a, aligned.b)
            cross = tapered.a.conj()
            cross *= tapered.b
            self.aligner.clean(cross)
            bend, _ = curvature(grid, cross.real.copy())
            step = np.clip(self.find_peak(cross, grid), -1, 1)
            # The taper stays where it is: what it holds back of a step is known, and gone at once.
            whole, pull = released(step, bend, self._held(tapered.powers))
            error = self._rough_error(bend)
            if self.wide:
                to_come = self._to_come_of_wide(pull, float(np.abs(step).max()))
            else:
                fallen = self._fallen(whole, before, error)
                longer, before = carried_on(whole, before)
                whole = longer * whole
                to_come = _LEAST_TO_COME if fallen else self._to_come(longer, to_come)
            self._move_flux(aligned, share)
            aligner.fraction = aligner.fraction + whole
            steps.append(step)
            last = 0.0 if self._to_and_fro(*steps[-2:]) else to_come * float(np.abs(step).max())
            enough = _ENOUGH_TO_COME if self.wide else _ENOUGH
            if last < max(self.tolerance, enough * error) and self._near(steps, error):
                break
            if not self.wide:
                if np.abs(fraction - known_at).max() > _ALIGNED:
                    aligner.learn_filter(aligned, share)
                    known_at = fraction
                sky = aligned.a + grid.dtype.type(share) * aligned.residual
                aligner.predict(sky, *self._centred(aligned, sky, share))
        aligner.fraction = self._on_samples(aligner.fraction)
        return aligned, tapered, last

    def _to_come_of_wide(self, pull, length):
        """Return what share of a step of some length may be wrong; the taper holds `pull` of it."""
        wrong = min(max(_KNOWN, _BENT * length**2), 1.0) if self.aligner.highest else 1.0
        return min(pull * wrong + _CUBIC * length**2, 1.0)

    def _to_come(self, longer, before):
        """Return what share of a step the steps after it may be, from that by which it was lengthened."""
        if self.resolution:
            # Steps of few samples tell nothing of those to come: the end is where there is none.
            return 1.0
        return min(max(longer - 1, _LEAST_TO_COME), 1.0) if longer > 1 else before

    def _fallen(self, step, before, error):
        """Return whether a step is so small beside the last, and the error, that next to nothing follows."""
        length = np.abs(step).max()
        few = length < _FALLEN * np.abs(before).max() and length < _SMALL * error
        return few and not self.aligner.overlap.has_holes

    def _to_and_fro(self, before, step):
        """Return whether the peak is between two samples, to which the steps lead in turn."""
        one = 1.01 * self.resolution
        return np.abs(before).max() <= one and np.abs(step).max() <= one and float(before @ step) < 0

    def _near(self, steps, error):
        """Return whether the images, or what was predicted from them, stood a few errors from the peak."""
        # Equal images have nothing to be predicted better; on samples any step may be none.
        before, length = (float(np.abs(step).max()) for step in steps[-2:])
        close = _CLOSE
        if self.wide:
            # A step of so many errors adds their square to chi-squared.
            close = max(close, np.sqrt(_ADDED * self.aligner.overlap.n_pixels))
        elif self.resolution or length > self.tolerance:
            length = before
        return bool(length < max(_SAME * self.tolerance, close * error))

    def _centred(self, aligned, sky, share):
        """Return the level of the sky and the transform of the rest."""
        grid, centre = self.aligner.grid, self._mean(sky)
        spectrum = aligned.mean_spectrum(share)
        spectrum[0, 0] -= centre * grid.shape[0] * grid.shape[1]
        return centre, spectrum

    def _rough_error(self, bend):
        """Return the shift's error as that of noise of the mean variance on the correlation's curvature."""
        reference, image, _ = self._noise()
        variance = float(np.mean(reference) + np.mean(image))
        least = bend.diagonal().min()
        return np.sqrt(variance / least) if least > 0 else 0.0

    def _mean(self, values):
        return float(np.einsum("ij,ij->", self.square, values)) / self.total

    def _tapered(self, a, b):
        """Return both images, tapered, without their means."""
        grid, parts = self.aligner.grid, []
        for x in (a, b):
            part = x - grid.dtype.type(self._mean(x))
            part *= self.window
            parts.append(part)
        powers = tuple(np.einsum(along, *parts) for along in _ALONG)
        return Tapered(*(grid.forward(part) for part in parts), powers)

    def _held(self, powers):
        """Return how much of the correlation's curvature along x and y is due to the taper staying in place.

        With v = T S the tapered sky, the peak moves by ``1 - D / sum (dv/dx)^2`` of what S moves, and
        ``D = sum v^2 ((dT)^2 / T^2 - d2T / T) / 2``.
        """
        return np.array(
            [0.5 * (e.steep**2 - e.bend) @ p[e.inside] for e, p in zip(self.edges, powers, strict=True)]
        )

    def _move_flux(self, aligned, share):
        """Improve scale and background from the aligned images, whose mean has this share of the image."""
        aligner, residual = self.aligner, aligned.residual
        change, level = self._mean(residual), self._mean(aligned.a)
        if self.free[3]:
            aligner.background += change
        if self.free[2]:
            offset = level + share * change if self.free[3] else aligner.background
            centred = aligned.a - aligned.a.dtype.type(offset)
            weighted = self.square * centred
            square, mixed = (float(np.einsum("ij,ij->", weighted, x)) for x in (centred, residual))
            np.multiply(self.square, residual, out=weighted)
            own = float(np.einsum("ij,ij->", weighted, residual))
            # The image is the reference and the residual, and so is their mean, by its share.
            lever = square + mixed
            slope = (mixed + share * own) / lever if lever > 0 else 0.0
            factor = float(np.exp(np.clip(slope, -0.5, 0.5)))
            if self.free[3]:
                aligner.background += (1 - factor) * (level - aligner.background)
            aligner.scale *= factor

    def equations(self, aligned: Aligned, tapered: Tapered) -> Equations:
        """Return the equations that the peak at zero solves, for its errors.

        The derivative of the correlation of the tapered images T a and T b at zero is
        ``sum d(T S)/dx T (b - a)``, with S any mean of a and b: the derivative of the residual times the
        residual sums to nothing. The inverse-variance mean has the noise that the residual has not.

        The slope is that of products of the one image with the other: the squares of either image's noise are
        far larger than the sky's at high frequencies. With S of share s, ``(1 - s) a b + s b a`` is
        ``S S + (1 - 2 s) S r - s (1 - s) r r``; in a wide overlap S r is nothing, which is how s is chosen.
        """
        kind = self.aligner.grid.dtype.type
        reference, image, share = self._noise()
        templates, slope = (self._slope_of_waves if self.wide else self._slope_of_pixels)(
            aligned, tapered, share
        )
        variance = reference + image
        scatter = squares(templates, variance)
        scatter[:2, :2] -= self._common_noise(share * image - (1 - share) * reference)
        inverse = np.divide(1, variance, out=np.ones(np.shape(variance), kind), where=np.greater(variance, 0))
        weight = self.usable * inverse.astype(kind, copy=False)
        # The values are nothing at the peak.
        return Equations(np.zeros(4), slope, scatter, tuple(templates), aligned, weight, self.free)

    def _slope_of_pixels(self, aligned, tapered, share):
        """Return the templates and their slope."""
        grid, kind = self.aligner.grid, self.aligner.grid.dtype.type
        mean = self.aligner.clean(aligned.mean_spectrum(share))
        sky, derivatives = grid.inverse(mean), grid.gradient(mean)
        templates, slope = self._templates(sky, derivatives), np.zeros((4, 4))
        slope[:, :3] = products(templates, [*derivatives, kind(self.aligner.background) - sky])
        slope[:, :3] += self._products_apart(aligned, (sky, *derivatives), share)
        slope[:, 3] = [-float(t.sum(dtype=float)) for t in templates]
        return templates, slope

    def _slope_of_waves(self, aligned, tapered, share):
        """Return the same from the transforms of the tapered images, where nothing but edges is missing.

        By parts, with S less its mean: ``sum d(T S) T dS`` is ``sum d(T S)^2 - sum S^2 (dT^2 - T d2T) / 2``,
        ``sum T^2 S dS`` is ``-sum S^2 T dT``. The taper is a product of one a side: what it has to do with
        are sums over rows and columns.
        """
        aligner, grid = self.aligner, self.aligner.grid
        difference, kind = tapered.b - tapered.a, grid.dtype.type
        mean = kind(share) * difference
        mean += tapered.a
        level = self._mean(aligned.a) + share * self._mean(aligned.residual)
        values = kind(share) * aligned.residual
        values += aligned.a - kind(level)
        values *= self.window
        templates = self._templates_of_waves(aligner.clean(mean), values)
        noise, power = power_of(aligner.clean(difference)), power_of(mean)
        noise *= kind(share * (1 - share))
        power -= noise
        slope = np.zeros((4, 4))
        slope[:2, :2], square = curvature(grid, power)
        slope[:2, :2] -= np.diag(self._held(tapered.powers))
        slope[2, 2] = -square
        for i, (edge, powers) in enumerate(zip(self.edges, tapered.powers, strict=True)):
            slope[2, i] = -edge.steep @ powers[edge.inside]
            slope[3, i] = -2 * edge.steep @ templates[2].sum(i, dtype=float)[edge.inside]
        sums = np.array([float(t.sum()) for t in templates])
        # Few pixels are not used.
        slope *= sums[3] / self.total
        slope[:, 2] += (aligner.background - level) * sums
        slope[:, 3] = -sums
        return templates, slope

    def _templates_of_waves(self, mean, values):
        """Return the templates from the tapered mean sky, as a transform and as it is."""
        inside, derivatives = self.window * self.usable, self.aligner.grid.gradient(mean)
        for derivative in derivatives:
            derivative *= inside
        return [*derivatives, values * inside, inside * self.window]

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


def _edge_of_taper(side, slope):
    """Return the shares of a taper by which it changes."""
    inside = side > 0
    return Edge(inside, *(x[inside] / side[inside] for x in (slope, _derivative(slope))))


def _derivative(side):
    """Return the band-limited derivative of one period of a periodic function of one axis."""
    k = np.fft.rfftfreq(side.size)
    spectrum = np.fft.rfft(side) * np.where(k == 0.5, 0, 2j * np.pi * k)
    return np.fft.irfft(spectrum, n=side.size)
