"""Synthetic cubes of known shift: skies of power-law spectrum, each with a line profile of its own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData, StdDevUncertainty
from astropy.wcs import WCS

from astroreg.simulation.limit import shift_limit
from astroreg.simulation.sky import PowerLawField, field_power

INDEX, FWHM = 3.0, 2.5


def cube_header(shape=(20, 64, 64), **more):
    header = fits.Header()
    cards = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CTYPE3": "VRAD",
        "CRVAL1": 150.0,
        "CRVAL2": 40.0,
        "CRVAL3": 1000.0,
        "CDELT1": -1 / 3600,
        "CDELT2": 1 / 3600,
        "CDELT3": 250.0,
        "CRPIX1": 32.5,
        "CRPIX2": 32.5,
        "CRPIX3": 1.0,
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CUNIT3": "m/s",
        "RESTFRQ": 110.2e9,
    }
    header.update(cards | more)
    return header


def cube_wcs(**more):
    return WCS(cube_header(**more))


@dataclass
class CubeScene:
    """Cubes whose channels are known mixtures of a few skies."""

    profiles: np.ndarray  # (skies, channels)
    shape: tuple = (64, 64)
    shift: tuple = (3.37, -2.81)
    scale: float = 1.7
    seed: int = 1
    skies: list = field(init=False)

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        fields = [
            PowerLawField(self.shape, index=INDEX, fwhm=FWHM, periodic=False, rng=rng) for _ in self.profiles
        ]
        self.still = np.array([f.window() for f in fields])
        self.moved = np.array([f.window(self.shift) for f in fields])
        self.gradient = [np.array([f.window(self.shift, derivative=axis) for f in fields]) for axis in "xy"]

    @property
    def channels(self):
        return self.profiles.shape[1]

    def draw(self, sigma, rng, *, sigma_reference=None, wcs=None, masks=(None, None), smooth=False):
        """Return two NDData; sigma of the image's noise, one a channel or for all."""
        pair = []
        offset = np.linspace(-1, 1, self.channels)[:, None, None]
        for number, (maps, s) in enumerate(((self.still, sigma_reference), (self.moved, None))):
            level = np.broadcast_to(sigma if s is None else s, self.channels)[:, None, None]
            factor, base = (1.0, 0.0) if number == 0 else (self.scale, offset)
            noise = rng.standard_normal((self.channels, *self.shape))
            if smooth:
                noise = (noise + np.roll(noise, 1, axis=0)) / np.sqrt(2)
            data = factor * np.einsum("mk,myx->kyx", self.profiles, maps) + base + level * noise
            if masks[number] is not None:
                data[masks[number]] = 1e6
            uncertainty = StdDevUncertainty(np.broadcast_to(level, data.shape).copy())
            pair.append(NDData(data, uncertainty=uncertainty, mask=masks[number], wcs=wcs, unit=u.K))
        return pair

    def limit(self, sigma, sigma_reference=None):
        """The limit of the joint shift: the sum of the informations of the exact eigenimages."""
        sigma = np.broadcast_to(sigma, self.channels).astype(float)
        reference = sigma if sigma_reference is None else np.broadcast_to(sigma_reference, self.channels)
        total = np.sqrt(sigma**2 + self.scale**2 * reference**2)
        left, strength, _ = np.linalg.svd(self.scale * self.profiles / total, full_matrices=False)
        share = float(np.mean(self.scale**2 * reference**2 / total**2))
        y, x = np.indices(self.shape)
        seen = (x >= self.shift[0]) & (y - self.shift[1] <= self.shape[0] - 1) & (y >= self.shift[1])
        information = np.zeros(2)
        for j, s in enumerate(strength):
            mix = lambda maps: s * np.einsum("m,myx->yx", left[:, j], maps)  # noqa: B023, E731
            one = shift_limit(
                mix(self.moved),
                gradient=tuple(mix(g) for g in self.gradient),
                power=field_power(self.shape, INDEX, FWHM),
                mask=~seen,
                sigma_image=np.sqrt(1 - share),
                sigma_reference=np.sqrt(share),
            )
            information += 1 / one.to_value(u.pixel) ** 2
        return 1 / np.sqrt(information)


def line(channels, centre, width, peak=1.0):
    return peak * np.exp(-0.5 * ((np.arange(channels) - centre) / width) ** 2)


@pytest.fixture(scope="session")
def scene():
    """Two overlapping lines in 20 channels; a third of the channels are empty."""
    return CubeScene(np.array([line(20, 6, 1.5), line(20, 10, 1.5, 0.7)]))
