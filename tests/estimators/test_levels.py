"""Images at several resolutions against loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.levels import Flux, block_average, standardised
from astroreg.estimators.overlap import Plane


def make(shape, bad, seed):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal(shape) + 5 * np.linspace(0, 1, shape[1])
    return Plane(data, 1.0, None if bad == 0 else rng.random(shape) > bad)


@pytest.mark.parametrize("block", [1, 2, 3])
@pytest.mark.parametrize("bad", [0.0, 0.3])
def test_block_averages_by_loops(block, bad):
    rng = np.random.default_rng(4)
    plane = make((11, 13), bad, 6)
    plane = Plane(plane.data, rng.uniform(1, 2, plane.shape), plane.good)
    small = block_average(plane, block)
    assert small.shape == (11 // block, 13 // block)
    for (j, i), value in np.ndenumerate(small.data):
        cell = (slice(j * block, (j + 1) * block), slice(i * block, (i + 1) * block))
        good = np.ones((block, block), bool) if plane.good is None else plane.good[cell]
        assert (small.good is None) or small.good[j, i] == (good.mean() >= 0.5)
        if good.any() and (small.good is None or small.good[j, i]):
            assert_allclose(value, plane.data[cell][good].mean())
            assert_allclose(small.variance[j, i], plane.variance[cell][good].sum() / good.sum() ** 2)


@pytest.mark.parametrize("needed", [0.5, 1.0])
def test_how_many_good_pixels_a_block_needs(needed):
    plane = make((12, 12), 0.3, 6)
    share = plane.good.reshape(4, 3, 4, 3).mean((1, 3))
    assert_array_equal(block_average(plane, 3, needed=needed).good, share >= needed)


def test_one_variance_for_all():
    assert block_average(Plane(np.ones((6, 6)), 9.0), 3).variance == 1.0


def test_bands_of_rows_join(monkeypatch):
    """Read a few rows at a time: the same to the last bit."""
    plane = make((23, 17), 0.2, 1)
    whole = block_average(plane, 2)
    monkeypatch.setattr("astroreg.estimators.levels._BAND", 100)
    parts = block_average(plane, 2)
    assert_array_equal(parts.data, whole.data)
    assert_array_equal(parts.good, whole.good)
    assert_array_equal(parts.variance, whole.variance)


def test_standard_units():
    plane = Plane(np.array([[10.0, 30.0], [50.0, 70.0]], ">f4"), np.full((2, 2), 16.0))
    standard = standardised(plane, Flux(offset=10.0, factor=20.0), np.dtype(np.float64))
    assert_allclose(standard.data, [[0, 1], [2, 3]])
    assert_allclose(standard.variance, 0.04)
    assert plane.data[0, 0] == 10
