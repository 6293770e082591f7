"""Bring both images to a common frame half-way between them, and predict what is missing in either.

The common frame makes every method treat the two images alike, so that swapping them negates the
shift to rounding; it also halves the fraction of a pixel by which each is interpolated. The
interpolation is the exact band-limited one (a phase ramp on the canvas). What it needs beyond an edge
or under a bad pixel is the sky predicted from both images, low-passed as the template is: the
prediction of a bad pixel leaves out that pixel itself. Both images are given the same prediction, so
that a gap pulls the shift nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.overlap import Overlap
from astroreg.estimators.template import filter_on, wiener_profile

# Scales, in pixels, at which the first guess of a gap is tried; the smallest that reaches it is taken.
# A hole's own share of its smoothed value that is taken out at once. In a cluster of holes a pattern that the
# low-pass removes is multiplied by -c / (1 - c): from one half on it would grow.
_LARGEST_OWN = 0.45
_GAP_SCALES = (1.0, 2.5, 6.0, 16.0, 40.0)


def fill_gaps(grid: FourierGrid, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return `values` with what is not `known` filled by local averages of what is."""
    if known.all():
        return values
    todo = ~known
    out = np.where(known, values, 0)
    numerator, weight = grid.forward(out), grid.forward(known.astype(values.dtype))
    for scale in _GAP_SCALES:
        kernel = np.exp(-2 * np.pi**2 * scale**2 * grid.k2)
        reach = grid.inverse(weight * kernel)
        reached = todo & (reach > 0.05)
        if reached.any():
            out[reached] = grid.inverse(numerator * kernel)[reached] / reach[reached]
            todo &= ~reached
        if not todo.any():
            return out
    out[todo] = values[known].mean() if known.any() else 0
    return out


@dataclass(frozen=True)
class Aligned:
    """Both images in the common frame, in the image's flux units.

    Attributes
    ----------
    a, b : `numpy.ndarray`
        The reference (scaled, with background) and the image.
    spectrum_a, spectrum_b : `numpy.ndarray`
        Their transforms.
    """

    a: np.ndarray
    b: np.ndarray
    spectrum_a: np.ndarray
    spectrum_b: np.ndarray


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
    filter : `numpy.ndarray`
        Low-pass of the template, on the half-plane of frequencies.
    """

    def __init__(self, overlap: Overlap, *, fit_scale: bool = True, fit_background: bool = True):
        self.overlap = overlap
        self.grid = overlap.grid
        self.fraction = np.zeros(2)
        self.free = np.array([True, True, fit_scale, fit_background])
        a, b = overlap.reference[overlap.usable], overlap.image[overlap.usable]
        self.scale, self.background = _first_flux(a, b, fit_scale, fit_background)
        known = overlap.has_reference | overlap.has_image
        either = np.where(overlap.has_image, overlap.image, self.scale * overlap.reference + self.background)
        sky = fill_gaps(self.grid, either.astype(self.grid.dtype, copy=False), known)
        self._predicted_a = self._predicted_b = sky
        self._keep_a = overlap.has_reference & ~overlap.hole
        self._keep_b = overlap.has_image & ~overlap.hole
        self.profile = (np.array([0.0]), np.array([1.0]))
        self.filter = np.ones_like(self.grid.k2)

    def align(self) -> Aligned:
        """Return both images in the common frame at the present fraction, scale and background."""
        a = np.where(self._keep_a, self.scale * self.overlap.reference + self.background, self._predicted_a)
        b = np.where(self._keep_b, self.overlap.image, self._predicted_b)
        phase = self.grid.phase(self.fraction / 2)
        spectrum_a = self.grid.forward(a.astype(self.grid.dtype, copy=False))
        spectrum_b = self.grid.forward(b.astype(self.grid.dtype, copy=False))
        spectrum_a *= phase
        spectrum_b *= phase.conj()
        return Aligned(self.grid.inverse(spectrum_a), self.grid.inverse(spectrum_b), spectrum_a, spectrum_b)

    def slope(self, from_a: np.ndarray, from_b: np.ndarray, aligned: Aligned) -> np.ndarray:
        """Return d(equations)/d(x, y, log scale, background), shape (4, 4).

        The templates' part from either image, shape (4, ny, nx), is multiplied by the change of the residual
        as the other one sees it: their noises are independent, so that their products carry no bias.
        """
        n = aligned.a.size
        change_a, change_b = (
            self._changes(x, s) for x, s in ((aligned.a, aligned.spectrum_a), (aligned.b, aligned.spectrum_b))
        )
        return (
            from_a.reshape(4, n) @ change_b.reshape(4, n).T + from_b.reshape(4, n) @ change_a.reshape(4, n).T
        )

    def _changes(self, values, spectrum):
        """Return d(residual)/d(x, y, log scale, background) as one image sees it."""
        constant = np.full(values.shape, -1, values.dtype)
        return np.stack([*self.grid.gradient(spectrum), self.background - values, constant])

    def learn_filter(self, aligned: Aligned, sky: np.ndarray, *, smooth: float = 0.0) -> None:
        """Take the Wiener filter of `sky` from the aligned images; `smooth` (pixels) narrows it further."""
        box = self.overlap.box
        self.profile = wiener_profile(aligned.a[box], aligned.b[box], sky[box])
        self.filter = filter_on(self.grid, *self.profile)
        if smooth:
            self.filter *= np.exp(-2 * np.pi**2 * smooth**2 * self.grid.k2)

    def predict(self, sky: np.ndarray, centre: float, spectrum: np.ndarray) -> None:
        """Predict what is missing in either image from the mean sky in the common frame.

        In a hole of the overlap the prediction leaves out what stands there itself: with the
        low-pass' own central value c, ``(h * S - c S) / (1 - c)`` is the smoother's value without
        that pixel. `spectrum` is the transform of ``sky - centre``.
        """
        if self.overlap.complete:
            return
        spectrum = spectrum * self.filter
        hole = self.overlap.hole
        if hole.any():
            low = self.grid.inverse(spectrum)
            own = min(self.grid.dot(self.filter, np.ones_like(self.filter)), _LARGEST_OWN)
            correction = np.where(hole, own / (1 - own) * (low - (sky - centre)), 0)
            spectrum += self.grid.forward(correction.astype(self.grid.dtype, copy=False))
        phase = self.grid.phase(self.fraction / 2)
        self._predicted_a = self.grid.inverse(spectrum * phase.conj()) + self.grid.dtype.type(centre)
        self._predicted_b = self.grid.inverse(spectrum * phase) + self.grid.dtype.type(centre)


def _first_flux(a, b, fit_scale, fit_background):
    """Return a first flux scale and background; both are symmetric under a swap of the images."""
    scale = 1.0
    if fit_scale:
        spread_a, spread_b = (
            float(np.std(x) if fit_background else np.sqrt(np.mean(np.square(x, dtype=float))))
            for x in (a, b)
        )
        scale = spread_b / spread_a if spread_a > 0 and spread_b > 0 else 1.0
    background = float(b.mean(dtype=float) - scale * a.mean(dtype=float)) if fit_background else 0.0
    return scale, background
