"""Bring both images to a common frame half-way between them, and predict what is missing in either.

The common frame makes every method treat the two images alike, so that swapping them negates the
shift to rounding; it also halves the fraction of a pixel by which each is interpolated. The
interpolation is the exact band-limited one (a phase ramp on the canvas). What it needs beyond an edge
or under a bad pixel is the sky predicted from both images, low-passed as the template is: the
prediction of a bad pixel leaves out that pixel itself. Both images are given the same prediction, so
that a gap pulls the shift nowhere.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from astroreg.estimators.decimation import fill_bad
from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.overlap import Overlap
from astroreg.estimators.template import Spectra, filter_on, tapered_spectra

# A hole's own share of its smoothed value that is taken out at once. In a cluster of holes a pattern that the
# low-pass removes is multiplied by -c / (1 - c): from one half on it would grow.
_LARGEST_OWN = 0.45
# Scales, in pixels, at which the first guess of a hole is tried; the smallest that reaches it is taken.
_GAP_SCALES = (1.0, 2.5, 6.0, 16.0, 40.0)
_TO_AND_FRO = 0.2  # of the step before, back: the steps are too long
_LONGEST = 8.0  # times a step: how far steps that only shrink slowly are carried on
_SIDE_FOR_FLUX = 256  # pixels a side from which the first flux is taken: of longer ones every other, or less
_EDGE_ROWS = 3  # of the overlap, whose mean is carried on beyond its edge as the first guess


def fill_gaps(grid: FourierGrid, values: np.ndarray, known: np.ndarray, todo: np.ndarray) -> None:
    """Fill `values` in place with local averages of what is `known`, where `todo` says so."""
    todo = todo.copy()
    if not todo.any():
        return
    seen = known.astype(values.dtype)
    numerator, weight = grid.forward(values * seen), grid.forward(seen)
    for scale in _GAP_SCALES:
        kernel = np.exp(-2 * np.pi**2 * scale**2 * grid.k2)
        reach = grid.inverse(weight * kernel)
        reached = todo & (reach > 0.05)
        if reached.any():
            values[reached] = grid.inverse(numerator * kernel)[reached] / reach[reached]
            todo &= ~reached
        if not todo.any():
            return
    values[todo] = values[known].mean() if known.any() else 0


def continue_beyond(values: np.ndarray, box) -> None:
    """Fill what lies outside of `box` in place, from its edges, so that the canvas closes on itself."""
    for axis, inside in enumerate(box):
        # Both axes in turn: the first within the columns of the box only, the second everywhere.
        part = values[:, box[1]] if axis == 0 else values.T
        length = part.shape[0]
        first, last, _ = inside.indices(length)
        if last - first == length:
            continue
        rows = min(_EDGE_ROWS, last - first)
        low, high = part[first : first + rows].mean(0), part[last - rows : last].mean(0)
        gap = length - (last - first)
        position = np.arange(1, gap + 1, dtype=values.dtype)[:, None] / values.dtype.type(gap + 1)
        bridge = high + position * (low - high)
        part[last:] = bridge[: length - last]
        part[:first] = bridge[length - last :]


class Aligned:
    """Both images in the common frame, in the image's flux units; made into arrays where those are needed.

    Parameters
    ----------
    grid : FourierGrid
        Frequencies of the canvas.
    spectrum_a, spectrum_b : `numpy.ndarray`
        Transforms of the reference (scaled, with background) and of the image.
    """

    def __init__(self, grid: FourierGrid, spectrum_a: np.ndarray, spectrum_b: np.ndarray):
        self.grid, self.spectrum_a, self.spectrum_b = grid, spectrum_a, spectrum_b

    @cached_property
    def a(self) -> np.ndarray:
        """The reference."""
        return self.grid.inverse(self.spectrum_a)

    @cached_property
    def b(self) -> np.ndarray:
        """The image."""
        if "a" in self.__dict__ and "residual" in self.__dict__:
            return self.a + self.residual
        return self.grid.inverse(self.spectrum_b)

    @cached_property
    def residual(self) -> np.ndarray:
        """The image less the reference."""
        if "a" in self.__dict__ and "b" in self.__dict__:
            return self.b - self.a
        return self.grid.inverse(self.spectrum_b - self.spectrum_a, keep=False)

    def mean_spectrum(self, share: float) -> np.ndarray:
        """Return the transform of the mean with `share` of the image."""
        mean = self.spectrum_b - self.spectrum_a
        mean *= self.grid.dtype.type(share)
        mean += self.spectrum_a
        return mean


class Aligner:
    """The state of a fine step: fraction of a pixel, flux scale, background, filter and predictions.

    Parameters
    ----------
    overlap : Overlap
        The two images on one canvas.
    fit_scale, fit_background : bool
        Whether the flux scale and the background are free (else 1 and 0).

    Attributes
    ----------
    fraction : `numpy.ndarray`
        (x, y) shift of the image relative to the reference beyond the whole pixels.
    free : `numpy.ndarray` of bool
        Which of (x, y, log scale, background) are fitted.
    scale, background : float
        ``image = scale * reference + background``.
    profile : tuple of `numpy.ndarray`
        Low-pass of the template: frequencies and values.
    learnt : bool
        Whether the low-pass was learnt from the images; at first it lets everything pass.
    highest : float or None
        Frequency (cycles a pixel, on either axis) from which on the pixels hold what has folded over.
    learning : float
        Share of the filtered correlation's curvature that the low-pass owes to the noise it was learnt from.
    clarity : float
        Mean of the low-pass where the filtered correlation's curvature is; 0 where that is not known.
    """

    def __init__(self, overlap: Overlap, *, fit_scale: bool = True, fit_background: bool = True):
        self.overlap = overlap
        self.grid = overlap.grid
        self.fraction = np.zeros(2)
        self.free = np.array([True, True, fit_scale, fit_background])
        self.scale, self.background = _first_flux(overlap, fit_scale, fit_background)
        self.profile = (np.array([0.0]), np.array([1.0]))
        self.learnt, self.learning, self.clarity = False, 0.0, 0.0
        self.highest = None
        self._gap_a, self._gap_b = overlap.gaps
        self._a, self._b = overlap.reference, overlap.image
        self._transforms = None
        # Scale and background of the last alignment, in whose units its mean sky is.
        self._flux = (self.scale, self.background)
        if not overlap.complete:
            self._guess()

    def _guess(self):
        """Fill both images where they have no pixel that is used with a first guess of the sky."""
        overlap = self.overlap
        sky = overlap.image.copy()
        only = overlap.has_reference & ~overlap.has_image
        kind = sky.dtype.type
        sky[only] = overlap.reference[only] * kind(self.scale) + kind(self.background)
        # Where both have a pixel neither is preferred: the answer is that of the swapped pair.
        for strip in self._both_strips():
            mean = overlap.reference[strip] * kind(self.scale) + kind(self.background)
            mean += overlap.image[strip]
            mean *= kind(0.5)
            np.copyto(sky[strip], mean, where=overlap.has_reference[strip] & overlap.has_image[strip])
        unknown = ~(overlap.has_reference | overlap.has_image)
        inside = np.zeros_like(unknown)
        inside[overlap.box] = unknown[overlap.box]
        if inside.any():
            fill_gaps(self.grid, sky, ~unknown, inside)
        if not overlap.periodic:
            beyond = sky.copy()
            continue_beyond(beyond, overlap.box)
            unknown &= ~inside
            np.copyto(sky, beyond, where=unknown)
        self._fill(sky, sky)

    def fill_apart(self) -> None:
        """Fill the holes of either image from its own neighbours, so that they move with the sky."""
        overlap = self.overlap
        if not overlap.has_holes:
            return
        for values, own, has in (
            (self._a, overlap.reference, overlap.has_reference),
            (self._b, overlap.image, overlap.has_image),
        ):
            np.copyto(values, own, where=has & overlap.hole)
            fill_bad(values[overlap.box], ~has[overlap.box])
        self._transforms = None

    def _both_strips(self):
        """Return the parts of the canvas whose mean sky is the first guess of something."""
        if self.overlap.has_holes or self.overlap.periodic:
            return [(slice(None), slice(None))]
        rows, columns = self.overlap.box
        ends = [
            [slice(s.start, s.start + _EDGE_ROWS), slice(s.stop - _EDGE_ROWS, s.stop)]
            for s in (rows, columns)
        ]
        return [(edge, columns) for edge in ends[0]] + [
            (slice(rows.start + _EDGE_ROWS, rows.stop - _EDGE_ROWS), edge) for edge in ends[1]
        ]

    def _fill(self, predicted_a, predicted_b):
        """Put predictions, in the image's flux units, where an image has no pixel of its own."""
        kind = self.grid.dtype.type
        scale, background = self._flux
        if self._a is self.overlap.reference:
            self._a, self._b = self.overlap.reference.copy(), self.overlap.image.copy()
        values = predicted_a - kind(background)
        values /= kind(scale)
        np.copyto(self._a, values, where=self._gap_a)
        np.copyto(self._b, predicted_b, where=self._gap_b)
        self._transforms = None

    def align(self) -> Aligned:
        """Return both images in the common frame at the present fraction, scale and background."""
        grid = self.grid
        self._flux = (self.scale, self.background)
        if self._transforms is None:
            self._transforms = grid.forward(self._a), grid.forward(self._b)
        phase = grid.phase(self.fraction / 2)
        spectrum_a = self._transforms[0] * phase
        spectrum_a *= grid.dtype.type(self.scale)
        spectrum_a[0, 0] += self.background * grid.shape[0] * grid.shape[1]
        np.conjugate(phase, out=phase)
        phase *= self._transforms[1]
        return Aligned(grid, spectrum_a, phase)

    def learn_filter(self, aligned: Aligned, share: float) -> Spectra:
        """Take the Wiener filter of the mean sky, with `share` of the image, from the aligned images."""
        spectra = tapered_spectra(aligned.a, aligned.b, share, self.overlap.box, self.grid)
        self.set_profile(*spectra.rings()[:2], spectra.clarity)
        self.learning = spectra.learning
        return spectra

    def set_profile(self, k: np.ndarray, h: np.ndarray, clarity: float = 0.0) -> None:
        """Take (k, h) as the low-pass of the template; `clarity` is its mean where the information is."""
        self.profile, self.learnt, self.clarity = (k, h), True, clarity
        self.__dict__.pop("filter", None)

    @cached_property
    def filter(self) -> np.ndarray:
        """Low-pass of the template on the half-plane of frequencies."""
        return self.clean(filter_on(self.grid, *self.profile))

    @cached_property
    def used(self) -> tuple[np.ndarray, np.ndarray]:
        """Which frequencies are used, along x and along y.

        What has folded over into coarser pixels does not move with the rest: it would pull the shift.
        """
        highest = 0.5 if self.highest is None else self.highest
        return tuple(np.abs(k.ravel()) <= highest for k in (self.grid.kx, self.grid.ky))

    def clean(self, values: np.ndarray) -> np.ndarray:
        """Set to 0, in place, what `values` has at frequencies that are not used; return them."""
        if self.highest is not None:
            # Frequencies ascend along x; along y the negative ones follow the positive ones.
            across, down = (np.count_nonzero(used) for used in self.used)
            values[:, across:] = 0
            values[down // 2 + 1 : values.shape[0] - down // 2, :across] = 0
        return values

    def predict(self, sky: np.ndarray | None, centre: float, spectrum: np.ndarray) -> None:
        """Predict what is missing in either image from the mean sky in the common frame.

        In a hole of the overlap the prediction leaves out what stands there itself: with the
        low-pass' own central value c, ``(h * S - c S) / (1 - c)`` is the smoother's value without
        that pixel. `spectrum` is the transform of ``sky - centre``; the sky itself is needed for holes only.
        """
        if self.overlap.complete:
            return
        grid, kind = self.grid, self.grid.dtype.type
        spectrum = spectrum * self.filter
        hole = self.overlap.hole
        if self.overlap.has_holes:
            low = grid.inverse(spectrum)
            own = min(float((self.filter * grid.multiplicity).sum()) / low.size, _LARGEST_OWN)
            correction = np.zeros_like(low)
            correction[hole] = own / (1 - own) * (low[hole] - (sky[hole] - kind(centre)))
            spectrum += grid.forward(correction)
        phase = grid.phase(self.fraction / 2)
        predicted_b = grid.inverse(spectrum * phase, keep=False)
        np.conjugate(phase, out=phase)
        phase *= spectrum
        predicted_a = grid.inverse(phase, keep=False)
        predicted_a += kind(centre)
        predicted_b += kind(centre)
        self._fill(predicted_a, predicted_b)


def _first_flux(overlap, fit_scale, fit_background):
    """Return a first flux scale and background; both are symmetric under a swap of the images."""
    step = 1 if overlap.has_holes else max(1, max(overlap.image.shape) // _SIDE_FOR_FLUX)
    rows, columns = (slice(s.start, s.stop, step) for s in overlap.box)
    a, b = (x[rows, columns] for x in (overlap.reference, overlap.image))
    if overlap.has_holes:
        usable = overlap.usable[rows, columns]
        a, b = a[usable], b[usable]
    scale = 1.0
    if fit_scale and a.size:
        spread_a, spread_b = (
            float(np.std(x) if fit_background else np.sqrt(np.mean(np.square(x), dtype=float)))
            for x in (a, b)
        )
        scale = spread_b / spread_a if spread_a > 0 and spread_b > 0 else 1.0
    free = fit_background and a.size
    background = float(b.mean(dtype=float) - scale * a.mean(dtype=float)) if free else 0.0
    return scale, background


def carried_on(step: np.ndarray, before: np.ndarray) -> tuple[float, np.ndarray]:
    """Return by how much to lengthen a step, and what the next one is compared with.

    What stands in the gaps of both images agrees at no shift: it holds back a share of every step, so that
    steps are a geometric series, whose sum is known from two of them. A peak sharper than a parabola is
    stepped over, to and fro.
    """
    length = float(before @ before)
    ratio = float(step @ before) / length if length else 0.0
    if ratio > 0:
        return min(1 / (1 - min(ratio, 0.99)), _LONGEST), np.zeros(2)
    return 0.5 if ratio < -_TO_AND_FRO else 1.0, step
