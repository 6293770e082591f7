"""Small exposures of one simulated sky with known pointing errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData

from astroreg.simulation import SphericalSky, tan_wcs

SKY = SphericalSky(radius=1.6 * u.arcmin, smallest=3 * u.arcsec, rng=5)
SHAPE = (44, 48)


@dataclass(frozen=True)
class Exposures:
    """Images, and what must be added to the coordinates of each, (lon, lat) in arcsec."""

    images: list[CCDData]
    errors: np.ndarray

    def pulls(self, result, zero):
        """Return (found - true) / quoted of every image; `zero` is the offset that stays."""
        found = np.array([[one.correction.lon.value, one.correction.lat.value] for one in result])
        quoted = np.array([one.correction.error.value for one in result])
        with np.errstate(invalid="ignore", divide="ignore"):  # the reference itself is quoted without error
            return (found - (self.errors[: len(found)] - zero)) / quoted


def expose(count, *, seed=3, spread=7.0, noise=0.05, errors=None):
    """Take exposures of 1 arcsec pixels around the middle of the sky."""
    rng = np.random.default_rng(seed)
    errors = rng.normal(size=(count, 2)) if errors is None else np.array(errors)
    images = []
    for number, error in enumerate(errors):
        centre = SKY.centre.spherical_offsets_by(*(rng.uniform(-spread, spread, 2) * u.arcsec))
        wcs = tan_wcs(SHAPE, centre=centre)
        claimed = wcs.deepcopy()
        wrong = centre.spherical_offsets_by(*(-error * u.arcsec))
        claimed.wcs.crval = [wrong.ra.deg, wrong.dec.deg]
        images.append(SKY.observe(wcs, fwhm=3 * u.arcsec, noise=noise, claimed_wcs=claimed, rng=number))
    return Exposures(images, errors)


@pytest.fixture(scope="session")
def four():
    """Four exposures, which no test changes."""
    return expose(4)


@pytest.fixture(scope="session")
def grouped():
    """Four exposures of which the second and the third have the same error."""
    return expose(4, errors=[[0.5, -0.3], [-1.2, 0.4], [-1.2, 0.4], [0.1, 0.9]])


@pytest.fixture
def four_files(four, tmp_path):
    """The same as files."""
    paths = []
    for number, image in enumerate(four.images):
        paths.append(tmp_path / f"exposure{number}.fits")
        image.write(paths[-1])
    return paths
