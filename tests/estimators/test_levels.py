"""Images at several resolutions against loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.decimation import Flux, decimated_rows
from astroreg.estimators.levels import Pyramid, block_average, standardised
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
    # That of a typical pixel, over the number in a block.
    assert (np.ndim(small.variance) > 0) == (block == 1)
    assert_allclose(np.mean(small.variance), plane.variance.mean() / block**2)


def test_a_block_half_good_is_good():
    plane = make((12, 12), 0.4, 6)
    share = plane.good.reshape(6, 2, 6, 2).mean((1, 3))
    assert {0.25, 0.5, 0.75} <= set(share.ravel())
    assert_array_equal(block_average(plane, 2).good, share >= 0.5)


def test_one_variance_for_all():
    assert block_average(Plane(np.ones((6, 6)), 9.0), 3).variance == 1.0
    good = np.ones((6, 6), bool)
    good[0, :2] = False
    assert block_average(Plane(np.ones((6, 6)), 9.0, good), 3).variance == 1.0
    # Variances that are not finite stand under bad pixels.
    variance = np.where(good, 9.0, np.inf)
    assert block_average(Plane(np.ones((6, 6)), variance, good), 3).variance == 1.0
    assert block_average(Plane(np.ones((6, 6)), np.full((6, 6), np.nan), good), 3).variance == 0.0


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


@pytest.fixture
def pyramid():
    rng = np.random.default_rng(3)
    plane = Plane(
        10 + 4 * rng.standard_normal((48, 50)), rng.uniform(1, 2, (48, 50)), rng.random((48, 50)) > 0.1
    )
    return Pyramid(plane, Flux(10.0, 4.0))


def test_a_pyramid_makes_each_level_once(pyramid):
    for level in (pyramid.fine, pyramid.coarse):
        for block in (1, 2):
            assert level(block) is level(block)
    assert pyramid.coarse(1) is pyramid.fine(1)


def test_levels_of_a_pyramid(pyramid):
    """Averages for the search, decimated pixels for the fit, both in standard units."""
    assert pyramid.shape == pyramid.fine(1).shape == (48, 50)
    assert_allclose(pyramid.fine(1).data, (pyramid.plane.data - 10) / 4, rtol=1e-5, atol=1e-6)
    assert_allclose(pyramid.fine(1).variance, pyramid.plane.variance / 16, rtol=1e-6)
    average = block_average(pyramid.plane, 3)
    assert_allclose(pyramid.coarse(3).data, (average.data - 10) / 4, rtol=1e-5, atol=1e-6)
    assert_allclose(pyramid.coarse(3).variance, average.variance / 16, rtol=1e-6)
    assert pyramid.fine(2).shape == (24, 25)


def test_a_periodic_pyramid_keeps_its_edges():
    data = np.random.default_rng(4).standard_normal((40, 48))
    fine = Pyramid(Plane(data, 1.0), Flux(), periodic=True).fine(2)
    assert fine.shape == (20, 24)
    # Sixteen and thirty-two coarser pixels and ten around them of the image repeated.
    wrapped = np.pad(np.pad(data, 20, mode="wrap"), ((0, 0), (0, 16)))
    # Noise of 1 needs no double precision.
    assert fine.data.dtype == np.float32
    assert_allclose(fine.data[:16], decimated_rows(decimated_rows(wrapped[:72], 2).T, 2).T[:, :24], atol=2e-6)


def test_a_window_of_a_pyramid(pyramid):
    window, whole = pyramid.window(slice(5, 25), slice(30, 42)), pyramid.fine(1)
    for name in ("data", "variance", "good"):
        assert_array_equal(getattr(window, name), getattr(whole, name)[5:25, 30:42])
    plain = Pyramid(Plane(np.ones((9, 9)), 4.0), Flux(0.0, 2.0)).window(slice(0, 3), slice(2, 9))
    assert (plain.shape, plain.variance, plain.good) == ((3, 7), 1.0, None)


@pytest.mark.parametrize(
    ("kind", "sigma", "expected"),
    [
        ("f8", 0.01, np.float32),
        ("f8", 1e-4, np.float64),
        ("f8", 0.0, np.float64),
        ("f4", 1e-4, np.float32),
        ("i2", 0.01, np.float32),
        ("i2", 1e-4, np.float64),
    ],
)
@pytest.mark.parametrize("varying", [False, True])
def test_single_precision_where_the_noise_allows(kind, sigma, expected, varying):
    """Noise of more than a thousandth of the spread hides the rounding of single precision, 1e-7."""
    factor = 20.0
    variance = (sigma * factor) ** 2
    if varying:
        # The quietest pixels count, those said to be noiseless aside.
        variance = np.full((40, 40), 100 * variance)
        variance[::4] = (sigma * factor) ** 2
        variance[0, 0] = 0
    pyramid = Pyramid(Plane(np.arange(1600).reshape(40, 40).astype(kind), variance), Flux(0.0, factor))
    assert_allclose(pyramid.noise, sigma)
    assert pyramid.dtype == expected
    for plane in (pyramid.fine(1), pyramid.fine(2), pyramid.window(slice(5), slice(5))):
        assert plane.data.dtype == expected
    assert pyramid.coarse(2).data.dtype == np.float32
