"""The detector: noise, bad and hot pixels, and a pixel-to-pixel pattern that both frames share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from astroreg.checks import parse_number, parse_rng
from astroreg.memory import require_memory
from astroreg.simulation._checks import check_fraction, check_mask, check_number, check_shape

__all__ = ["BAD_VALUE", "Detector", "correlated_noise", "detector_pattern", "vignetted"]

# What a bad pixel holds, in units of the sky's rms: wild, so that an estimator which uses it shows.
BAD_VALUE = 1e3


def correlated_noise(
    shape: tuple[int, int],
    *,
    correlation: float = 0.0,
    rng: int | ArrayLike | np.random.Generator | None = None,
) -> np.ndarray:
    """Draw Gaussian noise of unit variance, white or smoothed.

    Parameters
    ----------
    shape : tuple of int
        Shape (ny, nx).
    correlation : float, optional
        Standard deviation, in pixels, of the Gaussian that white noise is smoothed with (as by a
        resampling or a matched filter); the noise of two pixels at distance r is then correlated
        by ``exp(-r**2 / (4 correlation**2))``. 0 is white noise.
    rng : int, array-like, numpy.random.Generator or None, optional
        Seed or generator of the random numbers.

    Returns
    -------
    numpy.ndarray
        Noise with expected mean 0 and variance 1.

    Raises
    ------
    ValueError
        If `shape` is not two integers or `correlation` is negative.
    """
    shape = check_shape(shape)
    correlation = check_number(parse_number(correlation, "correlation", low=0), "correlation")
    wide = np.array(shape) + 10 * correlation
    require_memory(32 * wide[0] * wide[1], f"a `correlation` of {correlation:g} pixels", "give a smaller one")
    rng = parse_rng(rng)
    if correlation == 0:
        return rng.standard_normal(shape)
    pad = int(np.ceil(5 * correlation))
    x = np.arange(-pad, pad + 1)
    kernel = np.exp(-0.5 * (x / correlation) ** 2)
    kernel /= np.sqrt((kernel**2).sum())  # unit variance out, exactly, for white noise in
    noise = rng.standard_normal((shape[0] + 2 * pad, shape[1] + 2 * pad))
    for axis in (0, 1):
        noise = ndimage.convolve1d(noise, kernel, axis=axis)
    return noise[pad:-pad, pad:-pad]


def vignetted(shape, vignetting):
    """Return ``1 + vignetting * r**2`` with r = 1 in the corners: how the noise grows outwards."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    check_number(parse_number(vignetting, "vignetting", low=0), "vignetting")
    return 1 + vignetting * (x[None, :] ** 2 + y[:, None] ** 2) / 2


@dataclass(frozen=True)
class Detector:
    """What belongs to the pixels of one frame and not to the sky.

    Attributes
    ----------
    sigma : numpy.ndarray
        Standard deviation of the noise of every pixel.
    mask : numpy.ndarray
        True where a pixel is bad.
    pattern : numpy.ndarray
        Added to every frame at the same pixel: hot pixels and a pixel-to-pixel pattern.
    correlation : float
        Correlation of the noise, as in `correlated_noise`.
    """

    sigma: np.ndarray
    mask: np.ndarray
    pattern: np.ndarray
    correlation: float

    @classmethod
    def make(cls, sigma, *, pattern=0.0, bad_fraction, mask, correlation, rng):
        """Return a detector with `bad_fraction` of bad pixels at random, and those of `mask`."""
        check_fraction(bad_fraction, "bad_fraction")
        correlation = parse_number(correlation, "correlation", low=0)
        bad = rng.random(sigma.shape) < bad_fraction
        if mask is not None:
            bad = bad | check_mask(mask, sigma.shape)
        return cls(sigma, bad, np.broadcast_to(pattern, sigma.shape), float(correlation))

    def expose(self, sky, rng):
        """Return a frame: `sky` with this detector's pattern, noise and bad pixels."""
        noise = correlated_noise(sky.shape, correlation=self.correlation, rng=rng)
        frame = sky + self.pattern + self.sigma * noise
        return np.where(self.mask, BAD_VALUE, frame)


def detector_pattern(shape, *, fixed_pattern, hot_pixels, hot_level, rng):
    """Return what a detector adds to every frame: a white pattern and exponential hot pixels."""
    check_fraction(hot_pixels, "hot_pixels")
    parse_number(fixed_pattern, "fixed_pattern", low=0)
    parse_number(hot_level, "hot_level")
    pattern = fixed_pattern * rng.standard_normal(shape)
    hot = rng.random(shape) < hot_pixels
    return np.where(hot, pattern + hot_level * (1 + rng.standard_exponential(shape)), pattern)
