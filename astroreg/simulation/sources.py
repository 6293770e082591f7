"""Point sources of a simulated pair, drawn once and rendered at any shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma

__all__ = ["PointSources", "source_counts"]


def source_counts(number, rng):
    """Draw brightnesses >= 1 whose numbers fall as ``N(>s) ~ s**-1.5``, at most 100."""
    return np.minimum((1 - rng.random(number)) ** (-1 / 1.5), 100.0)


@dataclass(frozen=True)
class PointSources:
    """Gaussian point sources over a frame and, unless it is periodic, two frames around it.

    Attributes
    ----------
    x, y, peak : numpy.ndarray
        Pixel coordinates in the unmoved frame, and peaks.
    shape : tuple of int
        Shape (ny, nx) of the frame.
    fwhm : float
        Full width at half maximum, in pixels.
    periodic : bool
        Whether the frame wraps around.
    """

    x: np.ndarray
    y: np.ndarray
    peak: np.ndarray
    shape: tuple[int, int]
    fwhm: float
    periodic: bool

    @classmethod
    def draw(cls, shape, *, number, peak, fwhm, periodic, rng):
        """Draw on average `number` sources a frame, of least peak `peak`."""
        low, high = (0.0, 1.0) if periodic else (-2.0, 3.0)
        count = rng.poisson(number * (high - low) ** 2)
        y, x = (rng.uniform(low * n, high * n, count) - 0.5 for n in shape)
        return cls(x, y, peak * source_counts(count, rng), shape, fwhm, periodic)

    def render(self, shift=(0.0, 0.0), *, derivative=None):
        """Return the frame with all sources moved by `shift` (x, y), or a derivative along "x" or "y"."""
        ny, nx = self.shape
        out = np.zeros(self.shape)
        for x, y, peak in zip(self.x + shift[0], self.y + shift[1], self.peak, strict=True):
            column = self._profile(ny, y, derivative == "y")
            row = self._profile(nx, x, derivative == "x")
            out += peak * np.outer(column, row)
        return out

    def _profile(self, n, at, derive):
        sigma = self.fwhm * gaussian_fwhm_to_sigma
        distance = np.arange(n) - at
        if self.periodic:
            distance = (distance + n / 2) % n - n / 2
        value = np.exp(-0.5 * (distance / sigma) ** 2)
        return -distance / sigma**2 * value if derive else value
