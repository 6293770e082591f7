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
from astroreg.estimators.equations import Equations, Fit, curvature, make_fit, products
from astroreg.estimators.fourier import FourierGrid, fourier_grid, power_of
from astroreg.estimators.template import Spectra, filter_on

_ITERATIONS = 30
_TOLERANCE = 0.01  # of the shift's error: where the iteration stops
_LEFT = 1 / 50  # of a step along the true slope: what is to come where the overlap is wide
_OVERSHOT = 0.5  # of the step before, back: the steps are too long
_ACCEPTED = 0.05  # of the error: a last step this short counts as converged
_ALIGNED = 0.1  # pixels: nearer than this the filter and the slope are those of the solution
_GAP_STEP = 0.01  # pixels: the bias of gaps is as smooth as the low-pass
_SCALE_STEP = 1e-4  # in log scale: a smaller one changes no weight that matters
_LEAST_SLOPE = 0.1  # of the apparent one, that is left where the filter is hardly more than noise
# Of the sky's information passes the filter: what it is wrong by then hardly counts.
_CLEAR = 0.9
_GAP_REACH = 32  # pixels: side of half the canvas on which the kernels of a gap are laid out
# Nothing is found closer than this by rounding: pixels, in single and in double precision.
_ROUNDING = {4: 3e-7, 8: 1e-9}


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
        self.set_noise()

    def set_noise(self):
        """Set the weight of each pixel and the share of the image in the mean sky, at the present scale."""
        overlap, kind = self.aligner.overlap, self.aligner.grid.dtype.type
        self._noise_scale, self._weighted = self.aligner.scale, (None, None)
        reference = kind(self.aligner.scale**2) * overlap.reference_variance
        total = reference + overlap.image_variance
        if np.ndim(total):
            # Two noiseless pixels: any finite weight gives the same answer.
            none = total <= 0
            safe = np.where(none, 1, total).astype(kind, copy=False)
            self.share = np.where(none, kind(0.5), reference / safe)
            self.weight = np.where(overlap.usable, 1 / safe, 0)
            # V_A V_B / (V_A + V_B)^2, nothing where there is no noise.
            self.pair_weight = np.where(none, 0, self.share * (1 - self.share))
            count = max(overlap.n_pixels, 1)
            self.mean_share = float((self.share * overlap.usable).sum(dtype=float) / count)
            self.mean_pair = float((self.pair_weight * overlap.usable).sum(dtype=float) / count)
        else:
            self.share = kind(reference / total if total > 0 else 0.5)
            self.weight = overlap.usable.astype(kind)
            self.weight *= kind(1 / total if total > 0 else 1)
            self.mean_share = float(self.share)
            self.mean_pair = self.pair_weight = self.mean_share * (1 - self.mean_share) if total > 0 else 0.0
        self.total_weight = float(self.weight.sum(dtype=float))

    def sky(self, aligned: Aligned) -> np.ndarray:
        """Return the inverse-variance mean of the aligned images."""
        return aligned.a + self.share * aligned.residual

    def centred(self, aligned: Aligned, centre: float | None) -> tuple[float, np.ndarray]:
        """Return the level of the sky (the canvas' mean where not given) and the transform of the rest."""
        grid, uniform = self.aligner.grid, not np.ndim(self.share)
        spectrum = aligned.mean_spectrum(self.share) if uniform else grid.forward(self.sky(aligned))
        if centre is None:
            centre = float(spectrum[0, 0].real) / (grid.shape[0] * grid.shape[1])
        spectrum[0, 0] -= centre * grid.shape[0] * grid.shape[1]
        return centre, spectrum

    def weighted_residual(self, aligned: Aligned) -> np.ndarray:
        """Return the transform of the residual times its weight."""
        if self._weighted[0] is not aligned:
            self._weighted = (aligned, self.aligner.grid.forward(self.weight * aligned.residual))
        return self._weighted[1]

    def equations(self, aligned: Aligned, spectrum: np.ndarray, centre: float) -> Equations:
        """Return the equations at the present state, without their values.

        Parameters
        ----------
        aligned : Aligned
            Both images.
        spectrum : `numpy.ndarray`
            Transform of their mean less its level.
        centre : float
            That level.
        """
        grid, weight = self.aligner.grid, self.weight
        low = spectrum * self.aligner.filter
        templates = [*grid.gradient(low), grid.inverse(low, keep=False)]
        scatter = np.zeros((4, 4))
        for i in range(3):
            part, templates[i] = templates[i], weight * templates[i]
            # The others further on have no weight yet.
            scatter[i, i:3] = products([templates[i]], [part, *templates[i + 1 :]])
        scatter += np.triu(scatter, 1).T
        scatter[3] = scatter[:, 3] = [float(t.sum(dtype=float)) for t in (*templates, weight)]
        if self.aligner.overlap.wide and self.aligner.clarity > _CLEAR:
            slope = self._slope_of_scatter(scatter, self.aligner.background - centre)
        else:
            slope = self._slope_of_pixels(aligned, spectrum, templates)
        slope[:, 3] = -scatter[3]
        return Equations(np.zeros(4), slope, scatter, (*templates, weight), aligned, weight, self.free)

    def _slope_of_pixels(self, aligned, spectrum, templates):
        """Return the slope but for its last column.

        It is that of the mean sky less what the noise of the mean adds: the residual's own curvature, times
        the ratio of their variances.
        """
        grid, slope = self.aligner.grid, np.zeros((4, 4))
        changes = [*grid.gradient(spectrum), grid.dtype.type(self.aligner.background) - self.sky(aligned)]
        slope[:, :3] = products([*templates, self.weight], changes)
        noise = power_of(grid.forward(np.sqrt(self.weight) * aligned.residual))
        gradients, value = curvature(grid, self.mean_pair * noise * self.aligner.filter)
        slope[:2, :2] -= gradients
        slope[2, 2] += value
        return slope

    def _slope_of_scatter(self, scatter, level):
        """Return the slope where the low-pass is a good Wiener filter and lets nearly all through.

        The mean of ``d(h S) dS`` less noise is ``h P``, that of ``d(h S) d(h S)`` is ``h^2 (P + N)``: with
        ``h = P / (P + N)`` they are the same. `level` is the background less the mean sky's level.
        """
        slope = scatter.copy()
        slope[:, 2] = level * scatter[3] - scatter[2]
        return slope

    def _first_equations(self, aligned: Aligned, spectra: Spectra, centre: float) -> Equations:
        """Return equations whose slope is that of a sky alike everywhere: a start without any template."""
        gradients, value = spectra.curvature(*self.aligner.profile)
        slope = np.zeros((4, 4))
        slope[:2, :2] = gradients
        slope[2, 2], slope[3, 2], slope[3, 3] = -value, self.aligner.background - centre, -1
        slope *= self.total_weight
        scatter = np.diag([*np.diag(slope)[:2], *np.abs(np.diag(slope)[2:])])
        return Equations(np.zeros(4), slope, scatter, (), aligned, self.weight, self.free)

    def _gap_bias(self) -> np.ndarray:
        """Return the expectation of the shift's equations that the gaps alone cause.

        The noise of S and r is uncorrelated only where both images have their pixels. The noise that a
        missing pixel h does not have would, interpolated by a fraction f, have stood at y with the
        amplitude u(y - h), u the sinc moved by f/2; summed over all y it cancels against the low-pass'
        gradient, but the pixels y of no weight leave the sum:
        ``-sum_h sum_y (V_A V_B / (V_A + V_B)) w(y) u(y - h) dh(y - h)``, and mirrored for the image.
        """
        aligner = self.aligner
        if aligner.overlap.complete:
            return np.zeros(2)
        at, profile, bias = self._known_bias
        if profile is aligner.profile and np.abs(at - aligner.fraction).max() < _GAP_STEP:
            return bias
        pairs, grid = self._gap_pairs
        phase = grid.phase(aligner.fraction / 2)
        spread = pairs * grid.inverse(phase)
        kernel = grid.gradient(filter_on(grid, *aligner.profile) * phase)
        bias = np.array([-float(np.einsum("ij,ij->", spread, k)) for k in kernel])
        self._known_bias = (aligner.fraction, aligner.profile, bias)
        return bias

    @cached_property
    def _gap_pairs(self) -> tuple[np.ndarray, FourierGrid]:
        """Return the pairs of a gap and an idle pixel at each short lag, reversed for the image's."""
        overlap, grid = self.aligner.overlap, self.aligner.grid
        sides = [min(n, 2 * _GAP_REACH) for n in grid.shape]
        lags = [np.concatenate([np.arange(n - n // 2), np.arange(-(n // 2), 0)]) for n in sides]
        if not (overlap.has_holes or np.ndim(self.pair_weight)):
            pairs = sum(self._gap_pairs_of_rectangles(lags))
        else:
            idle = grid.forward((~overlap.usable * np.asarray(self.pair_weight)).astype(grid.dtype))
            gaps_a, gaps_b = (grid.forward(gap.astype(grid.dtype)) for gap in overlap.gaps)
            pairs = grid.inverse(idle * gaps_a.conj() + (idle * gaps_b.conj()).conj())[np.ix_(*lags)]
        return pairs.astype(grid.dtype), fourier_grid(sides, grid.dtype)

    def _gap_pairs_of_rectangles(self, lags):
        """Return the pairs with the gaps of either image where all that is not a gap is a rectangle."""
        overlap = self.aligner.overlap
        usable = _sides_of(overlap.usable)
        for sign, has in ((1, overlap.has_reference), (-1, overlap.has_image)):
            inside = _sides_of(has)
            both = np.outer(
                *(
                    np.fft.ifft(np.fft.fft(u) * np.fft.fft(h).conj()).real[sign * lag]
                    for u, h, lag in zip(usable, inside, lags, strict=True)
                )
            )
            # Neither idle nor a gap, by inclusion and exclusion.
            counts = [float(rows.sum() * columns.sum()) for rows, columns in (usable, inside)]
            yield self.pair_weight * (overlap.usable.size - sum(counts) + both)

    def solve(self, shortest: float = 0.0) -> tuple[Equations, bool]:
        """Iterate to the solution; return the equations there and whether it was reached.

        `shortest` (pixels), where only a start is wanted, ends the iteration at a step that is shorter; the
        first slope serves.

        The first step takes the slope of a sky alike everywhere; the true one hardly changes any more where
        that has led, and later steps need only the left sides.
        """
        aligner = self.aligner
        last, before, share_of_step = np.inf, np.zeros(2), 1.0
        equations, known_at, error, centre, guess = None, np.full(2, np.inf), None, None, False
        floor = _ROUNDING[aligner.grid.dtype.itemsize] / _TOLERANCE
        for iteration in range(_ITERATIONS):
            aligned = aligner.align()
            centre, spectrum = self.centred(aligned, centre)
            astray = np.abs(aligner.fraction - known_at).max() > _ALIGNED
            # The first guess of a hole is the same in both images, with its noise: to the filter that is sky.
            astray = astray or (iteration == 1 and guess and aligner.overlap.has_holes)
            guess = not aligner.learnt
            if guess or (iteration and astray):
                spectra = aligner.learn_filter(aligned, self.mean_share)
            if guess:
                equations = self._first_equations(aligned, spectra, centre)
            elif not shortest and (equations is None or not equations.templates or astray):
                equations = self.equations(aligned, spectrum, centre)
            if equations.aligned is aligned:
                known_at = aligner.fraction
                error = np.sqrt(np.abs(np.diag(equations.covariance(equations.scatter))[:2]))
            equations = replace(equations, value=self.left_sides(aligned, spectrum), aligned=aligned)
            if not np.isfinite(equations.value).all():
                break
            step = equations.step()
            last = float((np.abs(step[:2]) / np.maximum(error, floor)).max())
            if step[:2] @ before < 0 and np.hypot(*step[:2]) > _OVERSHOT * np.hypot(*before):
                # The predicted pixels follow a step late: to and fro by full steps need not settle.
                share_of_step /= 2
            # The first slope is a guess: that its step goes too far says nothing of the others.
            before = step[:2] if iteration else before
            self._move(share_of_step * step, centre)
            if iteration and aligner.overlap.wide and equations.templates:
                last *= _LEFT
            if iteration and (last <= _TOLERANCE or np.abs(step[:2]).max() < shortest):
                break
            if not (iteration and aligner.overlap.wide):
                sky = self.sky(aligned) if aligner.overlap.has_holes else None
                aligner.predict(sky, centre, spectrum)
        return equations, last <= _ACCEPTED

    def left_sides(self, aligned: Aligned, spectrum: np.ndarray) -> np.ndarray:
        """Return the equations' values from the transform of the mean sky, without its templates."""
        grid, weighted = self.aligner.grid, self.weighted_residual(aligned)
        cross = weighted.conj()
        cross *= self.aligner.filter
        cross *= spectrum
        product, (across, along) = grid.sums(cross)
        x, y = np.array([across, along]) - self._gap_bias()
        return np.array([x, y, product, weighted[0, 0].real])

    def _move(self, step, centre):
        """Apply a step of (x, y, log scale, background)."""
        aligner, growth = self.aligner, float(np.exp(step[2]))
        aligner.fraction = aligner.fraction + step[:2]
        aligner.scale *= growth
        if self.free[3]:
            # The scale grows about the mean sky, whose level moves by what the step says of both: a swap of
            # the images mirrors that exactly.
            level = centre - aligner.background
            aligner.background += float(step[3]) + level * (1 + float(step[2]) - growth)
        if abs(np.log(aligner.scale / self._noise_scale)) > _SCALE_STEP:
            self.set_noise()

    def fit(self, *, empirical: bool) -> Fit:
        """Solve, and return the shift with its errors from the attached noise or from the residuals."""
        equations, converged = self.solve()
        fit = make_fit(self.aligner, equations, converged=converged, empirical=empirical)
        # The low-pass follows the shift, and what it owes to noise is no slope.
        learning = self.aligner.learning
        growth = np.array([1, 1, 0, 0]) / max(1 - learning, _LEAST_SLOPE) + [0, 0, 1, 1]
        return replace(fit, parameters=fit.parameters * np.outer(growth, growth), learning=learning)


def _sides_of(rectangle):
    """Return the rows and the columns, as 0 and 1, of which a rectangle is the product."""
    return rectangle.any(1).astype(float), rectangle.any(0).astype(float)
