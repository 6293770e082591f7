"""Pairs of images of one sky that differ by any smooth map of the plane, and by noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty
from scipy import ndimage

from astroreg.simulation import extended_sky


def similarity(degrees, scale=1.0):
    """A: the step in the image for a step in the reference, turned from x towards y."""
    cosine, sine = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cosine, -sine], [sine, cosine]])


@dataclass(frozen=True)
class Scene:
    """A sky, and two noiseless windows on it: the second is seen through a map.

    What stands at p of the image stands at ``q(p)`` of the reference, with
    ``q - c = A^-1 (p - c) - shift - distortion(p)`` and c the middle of the image.
    """

    reference: np.ndarray
    image: np.ndarray

    def pair(self, rng, snr=20.0, *, bad=None):
        """Both with fresh noise; the rms of the sky is 1."""
        rng = np.random.default_rng(rng)
        return tuple(self._noisy(plane, rng, snr, bad) for plane in (self.reference, self.image))

    @staticmethod
    def _noisy(plane, rng, snr, bad):
        noise = rng.standard_normal(plane.shape) / snr
        sigma = StdDevUncertainty(np.full(plane.shape, 1 / snr))
        return CCDData(plane + noise, uncertainty=sigma, unit="adu", mask=bad)


def make_scene(size, *, matrix=None, shift=(0.0, 0.0), distortion=None, seed=1, index=3.0):
    """A scene of `size` x `size` pixels.

    The sky has a beam of 4 pixels: a spline of order 5 moves it to better than 1e-4 pixel.
    """
    matrix = np.eye(2) if matrix is None else np.asarray(matrix)
    wide = 2 * size
    sky = extended_sky((wide, wide), index=index, fwhm=4, rng=np.random.default_rng(seed))
    origin = (wide - size) // 2
    reference = sky[origin : origin + size, origin : origin + size]
    mean, spread = reference.mean(), reference.std()
    middle = (size - 1) / 2
    y, x = np.mgrid[:size, :size] - middle
    places = np.stack([x, y])
    seen = np.tensordot(np.linalg.inv(matrix), places, axes=1) - np.asarray(shift)[:, None, None]
    if distortion is not None:
        seen = seen - np.asarray(distortion(x, y))
    image = ndimage.map_coordinates(sky, seen[::-1] + middle + origin, order=5)
    return Scene((reference - mean) / spread, (image - mean) / spread)


@pytest.fixture(scope="session")
def scenes():
    """What makes scenes."""
    return make_scene
