"""Power-law skies on a pixel grid that can be shifted and differentiated exactly."""

from __future__ import annotations

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.typing import ArrayLike
from scipy import fft

from astroreg.checks import parse_flag, parse_rng
from astroreg.simulation._checks import check_index, check_number, check_positive, check_shape

__all__ = ["PowerLawField", "extended_sky", "field_power", "power_law"]


def power_law(k, index, fwhm):
    """Return the power spectrum at spatial frequency `k` (cycles per pixel), up to a factor.

    A power law ``k**-index`` seen through a Gaussian beam; no power at ``k = 0``.
    """
    index, fwhm = check_index(index), check_number(fwhm, "fwhm")
    k = np.asarray(k, dtype=float)
    positive = np.where(k > 0, k, 1.0)
    sigma = fwhm * gaussian_fwhm_to_sigma
    return np.where(k > 0, positive**-index * np.exp(-((2 * np.pi * sigma * k) ** 2)), 0.0)


def field_power(shape, index, fwhm):
    """Return `power_law` on the frequencies of ``scipy.fft.fft2`` of an image of that shape."""
    return power_law(np.hypot(fft.fftfreq(shape[0])[:, None], fft.fftfreq(shape[1])), index, fwhm)


class PowerLawField:
    """A band-limited random field of which a window is looked at.

    The field lives as a spectrum, so that a sub-pixel shift and a derivative are exact: they
    multiply the spectrum and never interpolate.

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the window.
    index : float
        Power-law index of the power spectrum.
    fwhm : float
        Full width at half maximum of the Gaussian beam, in pixels.
    periodic : bool
        Whether the window is the whole (periodic) field; otherwise it is the middle of a field
        three times as wide, so that nothing wraps around.
    rng : numpy.random.Generator
        Source of the random phases.
    """

    def __init__(self, shape, *, index, fwhm, periodic, rng):
        self.shape = tuple(shape)
        wide = tuple(fft.next_fast_len(3 * n, real=True) for n in shape)
        self.field_shape = self.shape if periodic else wide
        self._ky = fft.fftfreq(self.field_shape[0])[:, None]
        self._kx = fft.rfftfreq(self.field_shape[1])[None, :]
        white = fft.rfft2(rng.standard_normal(self.field_shape))
        self._spectrum = white * np.sqrt(power_law(np.hypot(self._kx, self._ky), index, fwhm))
        # The Nyquist terms of an even grid have no well-defined sub-pixel shift.
        self._spectrum[(np.abs(self._ky) >= 0.5) | (self._kx >= 0.5)] = 0
        self._mean, self._rms = 0.0, 1.0
        window = self.window()
        self._mean, self._rms = window.mean(), window.std()

    def window(self, shift=(0.0, 0.0), *, derivative=None):
        """Return the window on the field moved by `shift` (x, y), or its derivative along an axis.

        The values are those of a field whose unmoved window has mean 0 and rms 1.

        Parameters
        ----------
        shift : tuple of float, optional
            (x, y) in pixels; the content moves by +shift.
        derivative : {None, "x", "y"}, optional
            Axis along which to differentiate, per pixel.

        Returns
        -------
        numpy.ndarray
            Array of shape `shape`.
        """
        # The columns first, of which only the rows of the window are then transformed.
        columns = self._factor(self._ky, shift[1], derivative == "y")
        rows = fft.ifft(self._spectrum * columns, axis=0)[self._slice(0)]
        rows *= self._factor(self._kx, shift[0], derivative == "x")
        cut = fft.irfft(rows, n=self.field_shape[1], axis=1)[:, self._slice(1)]
        return (cut - (self._mean if derivative is None else 0.0)) / self._rms

    @staticmethod
    def _factor(k, shift, derive):
        """Return what a shift along one axis, and a derivative, do to the spectrum."""
        return np.exp(-2j * np.pi * k * shift) * (2j * np.pi * k if derive else 1.0)

    def _slice(self, axis):
        start = (self.field_shape[axis] - self.shape[axis]) // 2
        return slice(start, start + self.shape[axis])


def extended_sky(
    shape: tuple[int, int],
    *,
    index: float = 3.0,
    fwhm: float = 2.5,
    rms: float = 1.0,
    periodic: bool = False,
    rng: int | ArrayLike | np.random.Generator | None = None,
) -> np.ndarray:
    """Make an extended sky: a Gaussian random field with a power-law spectrum, seen through a beam.

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx) of the image.
    index : float, optional
        Index of the power spectrum, ``P(k) ~ k**-index``. Interstellar emission has about 3;
        2 has much and 4 little small-scale structure.
    fwhm : float, optional
        Full width at half maximum of the Gaussian beam, in pixels. Below about 2 the sky is
        undersampled and no sub-pixel shift of it is exact.
    rms : float, optional
        Standard deviation of the returned image, whose mean is 0.
    periodic : bool, optional
        If True the image wraps around; by default it is a window on a field three times as wide,
        as every real image is.
    rng : int, array-like, numpy.random.Generator or None, optional
        Seed or generator of the random numbers.

    Returns
    -------
    numpy.ndarray
        The sky, of shape `shape`.

    Raises
    ------
    ValueError
        If `shape` is not two positive numbers, or `rms` or `fwhm` is negative.

    Examples
    --------
    >>> from astroreg.simulation import extended_sky
    >>> sky = extended_sky((64, 80), rms=2.0, rng=1)
    >>> sky.shape, round(float(sky.std()), 6)
    ((64, 80), 2.0)
    """
    shape = check_shape(shape)
    check_positive(rms, "rms")
    check_positive(fwhm, "fwhm", zero=True)
    parse_flag(periodic, "periodic")
    field = PowerLawField(shape, index=index, fwhm=fwhm, periodic=periodic, rng=parse_rng(rng))
    return rms * field.window()
