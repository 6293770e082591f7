"""One contract for the three methods: every test of this folder runs over all of them."""

import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from astroreg import chi2_shift, cross_correlation_shift, register_images
from astroreg.simulation import simulate_pair

METHODS = (chi2_shift, register_images, cross_correlation_shift)


@pytest.fixture(params=METHODS, ids=lambda method: method.__name__)
def method(request):
    """One of the three methods."""
    return request.param


@pytest.fixture(scope="session")
def pair():
    """Two windows on a sky, even and square, with all pixels good; nobody may change it."""
    return simulate_pair((64, 64), shift=(3.37, -5.81), snr=10, rng=5)


@pytest.fixture(scope="session")
def altered():
    """Function that makes a CCDData from another: new data, factor, offset, mask, any array function."""

    def alter(frame, *, data=None, factor=1.0, offset=0.0, mask=None, on_arrays=lambda a: a):
        values = frame.data if data is None else data
        return CCDData(
            on_arrays(values * factor + offset),
            uncertainty=StdDevUncertainty(on_arrays(frame.uncertainty.array * factor)),
            mask=mask,
            unit=frame.unit,
        )

    return alter
