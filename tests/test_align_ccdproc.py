"""Images as ccdproc makes them: calibrated and projected CCDData."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty

from astroreg import align
from astroreg.simulation import simulate_pair

ccdproc = pytest.importorskip("ccdproc")

SHIFT = (4.3, -2.6)
GAIN, READ_NOISE, BIAS = 1.5 * u.electron / u.adu, 5 * u.electron, 300.0


@pytest.fixture(scope="module")
def exposures():
    """Photons of a nebula on a bright sky, twice, through a bias, a gain and a flat field."""
    pair = simulate_pair((96, 100), shift=SHIFT, rng=1)
    rng = np.random.default_rng(2)
    flat = CCDData(1 + 0.1 * np.linspace(-1, 1, 100) * np.ones((96, 1)), unit=u.dimensionless_unscaled)
    frames = []
    for frame, sky in ((pair.reference, pair.sky_reference), (pair.image, pair.sky_image)):
        photons = rng.poisson((1500 * sky + 12000) * flat.data) + rng.normal(0, READ_NOISE.value, sky.shape)
        raw = CCDData(photons / GAIN.value + BIAS, unit="adu", wcs=frame.wcs, meta={"OBJECT": "nebula"})
        one = ccdproc.subtract_bias(raw, CCDData(np.full(sky.shape, BIAS), unit="adu"))
        one = ccdproc.create_deviation(one, gain=GAIN, readnoise=READ_NOISE)
        frames.append(ccdproc.flat_correct(ccdproc.gain_correct(one, GAIN), flat))
    return frames


def found_within_errors(found):
    pull = (found.shift.value - SHIFT) / found.shift_error.value
    return np.abs(pull).max() < 4.3  # of two Gaussian numbers: once in 30,000


def test_calibrated_frames(exposures):
    found = align(*exposures, max_shift=10)
    assert found.ok and found_within_errors(found)
    # The deviation that ccdproc made is that of the photons.
    assert found.reduced_chi2 == pytest.approx(1, abs=0.06)
    assert type(found.corrected) is CCDData and found.corrected.unit == u.electron
    assert isinstance(found.corrected.uncertainty, StdDevUncertainty)
    assert found.corrected.meta["OBJECT"] == "nebula"
    assert (found.corrected.data == exposures[1].data).all()


def test_a_projected_reference(exposures):
    reference, image = exposures
    turned = image.wcs.deepcopy()
    turned.wcs.crpix = turned.wcs.crpix + 0.37
    projected = ccdproc.wcs_project(reference, turned)
    found = align(projected, image, max_shift=10)
    # It has no uncertainty any more, and pixels whose noise is correlated: the error is empirical.
    assert found.ok and found.uncertainty == "empirical"
    assert found_within_errors(found)
