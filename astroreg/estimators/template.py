"""The low-pass of the template: how much of each spatial frequency is sky rather than noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from astroreg.estimators.fourier import RADIAL_BINS, FourierGrid, fourier_grid, power_of
from astroreg.estimators.wiener import Wiener, smooth_filter

# Pixels at either end over which a taper rises, within the shares of a side in all that follow. Edges leak
# power of the largest scales: where the rise is short, that drowns the spectrum of a steep sky, and noise
# passes for sky.
_RISE = 14
_TAPERS = (0.2, 0.5)
_LONGEST_RADIUS = np.sqrt(0.5)  # of a frequency, cycles per pixel
# Overlaps with a side longer than this are seen through windows of the size below, on a grid over them (Welch
# 1967, doi:10.1109/TAU.1967.1161901): what a ring of so many frequencies tells needs no more.
_LONGEST_WHOLE = 400
_WINDOW, _WINDOWS_A_SIDE = 240, 3


def taper(shape: tuple[int, int], fraction: float | None = None) -> np.ndarray:
    """Return a window that is 1 inside and falls to 0, as a cosine, over `fraction` of each side in all."""
    return np.outer(*(raised_edges(n, fraction or np.clip(2 * _RISE / n, *_TAPERS)) for n in shape))


def raised_edges(n, fraction):
    """Return 1 with half a cosine at either end, over `fraction` of the length in all, nowhere zero."""
    edge = max(1, int(fraction * (n + 1) / 2))
    rise = 0.5 * (1 - np.cos(np.pi * np.arange(1, edge + 1) / (edge + 1)))
    window = np.ones(n)
    window[: min(edge, n)] = rise[:n]
    window[::-1][: min(edge, n)] = np.minimum(window[::-1][: min(edge, n)], rise[:n])
    return window


@dataclass(frozen=True)
class Spectra:
    """Cross-spectrum of two images, powers of their mean and difference, summed over tapered windows.

    Attributes
    ----------
    grid : FourierGrid
        Frequencies of one window.
    cross : `numpy.ndarray`
        Sum of conj(A) B, complex.
    power : `numpy.ndarray`
        Sum of the power of the mean image.
    noise : `numpy.ndarray`
        Sum of the power of the difference, in units of the mean's noise.
    weight : float
        Sum of the squared tapers: so many pixels stand in the windows.
    """

    grid: FourierGrid
    cross: np.ndarray
    power: np.ndarray
    noise: np.ndarray
    weight: float

    def rings(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return frequency, Wiener filter and summed power of the mean in rings of frequency.

        Returns
        -------
        k, h, power : `numpy.ndarray`
            One value a ring; k ascends, h falls from at most 1 to at least 0.

        Notes
        -----
        ``h = P / (P + N)`` with P + N from the power of the mean and N from that of the difference, whose
        noises are independent. No knowledge of the noise is needed.
        """
        k, power, *_ = self.powers
        return k, self._wiener.h, power

    @property
    def learning(self) -> float:
        """Share of the filtered correlation's curvature that the filter owes to noise; see `Wiener`."""
        return self._wiener.learning

    @property
    def clarity(self) -> float:
        """Mean of the Wiener filter over the filtered correlation's curvature: 1 where there is no noise."""
        k, h, power = self.rings()
        told = k**2 * h * power
        return float((told * h).sum() / told.sum()) if told.any() else 0.0

    @cached_property
    def _wiener(self) -> Wiener:
        k, power, noise, modes = self.powers
        return smooth_filter(k, power, noise, modes) if power.any() else Wiener(np.ones_like(k), 0.0)

    @cached_property
    def powers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Frequency, summed power of mean and difference, and number of independent modes of the rings."""
        wide = max(1, RADIAL_BINS // max(8, min(self.grid.shape) // 4))
        starts = np.arange(0, RADIAL_BINS, wide)
        count = self.grid.radial_counts
        radius = (np.arange(RADIAL_BINS) + 0.5) / RADIAL_BINS * _LONGEST_RADIUS
        power, noise = self.grid.radial_sums(self.power), self.grid.radial_sums(self.noise)
        power, noise, count, radius = (
            np.add.reduceat(x, starts) for x in (power, noise, count, count * radius)
        )
        filled = (count > 0) & (power > 0)
        if not filled.any():
            return (np.array([0.0]),) * 4
        power, noise, count, radius = (x[filled] for x in (power, noise, count, radius))
        # The taper joins neighbouring frequencies: so many of them are independent.
        modes = count * self.weight / (self.grid.shape[0] * self.grid.shape[1])
        return radius / count, power, noise, modes

    def curvature(self, k: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the mean a pixel of grad(h S) grad(S)^T, shape (2, 2), and of (h S) S, S the sky."""
        filtered = filter_on(self.grid, k, h) * self.cross.real * self.grid.multiplicity
        size = self.grid.shape[0] * self.grid.shape[1] * self.weight
        kx, ky = self.grid.odd_angular
        mixed = float(np.sum(filtered * kx * ky, dtype=float))
        across, along = (float(np.sum(filtered * q**2, dtype=float)) for q in (kx, ky))
        return np.array([[across, mixed], [mixed, along]]) / size, float(filtered.sum(dtype=float)) / size


def tapered_spectra(a: np.ndarray, b: np.ndarray, share: float, box, grid: FourierGrid) -> Spectra:
    """Return the spectra of two aligned images over the overlap.

    Parameters
    ----------
    a, b : `numpy.ndarray`
        The images on the canvas, in the same units.
    share : float
        That of `b` in the mean.
    box : tuple of slice
        Where the overlap is on the canvas.
    grid : FourierGrid
        Frequencies of the canvas.

    Returns
    -------
    Spectra
        Of the whole overlap, or where it is large of windows spread over it.
    """
    shape = a[box].shape
    if max(shape) <= _LONGEST_WHOLE:
        padded = np.zeros((2, *grid.shape), a.dtype)
        window = taper(shape).astype(a.dtype)
        centre = _centre(window, a[box], b[box], share)
        for out, x in zip(padded, (a, b), strict=True):
            np.multiply(x[box] - centre, window, out=out[box])
        return summed_spectra(grid, [tuple(padded)], share, float((window**2).sum()))
    side = tuple(min(_WINDOW, n) for n in shape)
    window = taper(side).astype(a.dtype)
    small = fourier_grid(side, a.dtype)
    first = [s.start or 0 for s in box]
    corners = [
        np.unique(np.linspace(f, f + n - m, _WINDOWS_A_SIDE).astype(int))
        for f, n, m in zip(first, shape, side, strict=True)
    ]
    pairs = []
    for j in corners[0]:
        for i in corners[1]:
            part = (slice(j, j + side[0]), slice(i, i + side[1]))
            centre = _centre(window, a[part], b[part], share)
            pairs.append(tuple((x[part] - centre) * window for x in (a, b)))
    return summed_spectra(small, pairs, share, len(pairs) * float((window**2).sum()))


def _centre(window, a, b, share):
    """Return the mean of the mean image under the taper."""
    mean_a, mean_b = (float(np.einsum("ij,ij->", window, x)) for x in (a, b))
    return window.dtype.type((mean_a + share * (mean_b - mean_a)) / float(window.sum(dtype=float)))


def summed_spectra(grid: FourierGrid, pairs, share: float, weight: float) -> Spectra:
    """Return the spectra of pairs of tapered windows."""
    cross, power, noise = 0, 0, 0
    for a, b in pairs:
        fa, fb = grid.forward(a), grid.forward(b)
        cross = cross + fa.conj() * fb
        difference = fb - fa
        mean = fa + fa.real.dtype.type(share) * difference
        power = power + power_of(mean)
        noise = noise + power_of(difference)
    # The variance of the mean with shares f and 1 - f is f (1 - f) times that of the difference.
    return Spectra(grid, cross, power, grid.dtype.type(share * (1 - share)) * noise, weight)


def filter_on(grid: FourierGrid, k: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Return the radial profile (k, h) on every frequency of `grid`, to a bin of their lengths."""
    centres = (np.arange(RADIAL_BINS) + 0.5) / RADIAL_BINS * _LONGEST_RADIUS
    return np.interp(centres, k, h).astype(grid.dtype)[grid.radial_bin]
