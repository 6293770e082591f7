"""Spectra of random emission lines, seen with a known shift, and the limit of its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from astropy.nddata import NDData, StdDevUncertainty
from astropy.wcs import WCS
from scipy import ndimage


@dataclass(frozen=True)
class Lines:
    """Gaussian lines, exact at any shift."""

    position: np.ndarray
    peak: np.ndarray
    width: np.ndarray

    @classmethod
    def draw(cls, n, number, rng, width=(2.0, 4.0)):
        return cls(rng.uniform(-30, n + 30, number), rng.uniform(0.3, 1, number), rng.uniform(*width, number))

    def __call__(self, x, derivative=False):
        t = (np.asarray(x)[None] - self.position[:, None]) / self.width[:, None]
        g = self.peak[:, None] * np.exp(-0.5 * t**2)
        return (-g * t / self.width[:, None]).sum(0) if derivative else g.sum(0)


def spectrum(values, sigma, rng, *, wcs=None, mask=None, unit=None, noise=None):
    noise = rng.standard_normal(values.size) if noise is None else noise
    sigma = np.broadcast_to(sigma, values.shape).copy()
    data = values + sigma * noise
    if mask is not None:
        data = np.where(mask, 1e6, data)  # a masked channel that is used shows
    return NDData(data, uncertainty=StdDevUncertainty(sigma), mask=mask, wcs=wcs, unit=unit)


def axis_wcs(ctype="WAVE", crval=500e-9, cdelt=1e-10, cunit="m", *, crpix=1.0, restfrq=0.0):
    wcs = WCS(naxis=1)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt, wcs.wcs.cunit = [ctype], [crval], [cdelt], [cunit]
    wcs.wcs.crpix = [crpix]
    wcs.wcs.restfrq = restfrq
    wcs.wcs.set()
    return wcs


def limit(derivative, sky, variance_image, variance_reference, good):
    """The Cramer-Rao limit of a shift along one axis, scale and background unknown, times Hannan & Thomson.

    F = sum w g g^T with g = (dB/dx, sky, 1); a mode of power P, its part in the learnt sky, counts
    P / (P + Na Nb / (Na + Nb)).
    """
    n = sky.size
    root = 1 / np.sqrt((variance_image + variance_reference)[good])
    columns = np.array([derivative, sky, np.ones(n)])[:, good] * root
    known = np.sqrt(np.linalg.inv(columns @ columns.T)[0, 0])
    window = np.hanning(n)
    k = np.fft.rfftfreq(n)[1:]
    of_gradient = ndimage.gaussian_filter1d(np.abs(np.fft.rfft(derivative * window)) ** 2, 3)[1:]
    power = of_gradient / (2 * np.pi * k) ** 2 / (window**2).sum()
    one, two = variance_image[good].mean(), variance_reference[good].mean()
    gain = power / (power + one * two / (one + two))
    return known * np.sqrt(of_gradient.sum() / (of_gradient * gain).sum())


@pytest.fixture
def lines():
    return Lines.draw(400, 25, np.random.default_rng(1))
