"""The Wiener filter against spectra that are known, and the tapers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.template import filter_on, taper, wiener_profile

SHAPE = (128, 120)


def two_images(sigma, seed, *, radius=0.06):
    """Two noisy images of a periodic sky with power proportional to exp(-(k / radius)^2), of rms 1."""
    rng = np.random.default_rng(seed)
    grid = FourierGrid(SHAPE)
    power = np.exp(-grid.k2 / radius**2)
    # The power in the units of |rfft2|^2 of noise of unit variance, which is the number of pixels.
    power *= SHAPE[0] * SHAPE[1] / (grid.multiplicity * power).sum()
    sky = grid.inverse(grid.forward(rng.standard_normal(SHAPE)) * np.sqrt(power))
    a, b = sky + sigma * rng.standard_normal((2, *SHAPE))
    return a, b, power, grid


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_the_filter_of_a_known_spectrum(sigma):
    """h = P / (P + N) of the mean, whose noise has half the variance; averaged over rings and 4 draws."""
    profiles = []
    for seed in range(4):
        a, b, power, grid = two_images(sigma, seed)
        profiles.append(filter_on(grid, *wiener_profile(a, b, (a + b) / 2)))
    k = np.sqrt(grid.k2)
    expected = power / (power + sigma**2 / 2)
    # A ring of n modes gives a power to 1 / sqrt(n): 4 draws of rings of more than 100 modes to 5 %, three
    # times that for the largest of many rings; the taper blurs the spectrum by a mode or two besides,
    # which moves the steep flank. Beyond the sky's reach the cross-power of some 300 modes scatters by 0.1,
    # of which what is positive is left: 0.04 on average.
    error = np.abs(np.mean(profiles, axis=0) - expected)
    assert error[k < 0.4].max() < 0.2
    assert error[k < 0.4].mean() < 0.06


def test_the_filter_falls_from_one_to_zero():
    a, b, _, _ = two_images(0.5, 1)
    k, h = wiener_profile(a, b, (a + b) / 2)
    assert (np.diff(k) > 0).all()
    assert (np.diff(h) <= 0).all()
    assert h[0] > 0.95
    assert h[-1] < 0.1
    assert ((h >= 0) & (h <= 1)).all()


def test_the_filter_does_not_depend_on_units_or_background():
    a, b, _, _ = two_images(0.5, 1)
    k, h = wiener_profile(a, b, (a + b) / 2)
    k2, h2 = wiener_profile(7 * a + 300, 7 * b + 300, 7 * (a + b) / 2 + 300)
    assert_allclose(h2, h, atol=1e-9)
    assert_array_equal(k2, k)


def test_equal_images_are_not_filtered():
    a, _, _, _ = two_images(0.5, 1)
    assert_allclose(wiener_profile(a, a, a)[1], 1)


def test_two_constants():
    flat = np.full((20, 20), 3.0)
    k, h = wiener_profile(flat, flat, flat)
    assert np.isfinite(k).all()
    assert ((h >= 0) & (h <= 1)).all()


def test_profile_on_frequencies():
    grid = FourierGrid((10, 12))
    filt = filter_on(grid, np.array([0.1, 0.3]), np.array([1.0, 0.0]))
    expected = [1.0 if k <= 0.1 else 0.0 if k >= 0.3 else (0.3 - k) / 0.2 for k in np.sqrt(grid.k2).ravel()]
    assert_allclose(filt.ravel(), expected)


@pytest.mark.parametrize("shape", [(20, 30), (21, 33)])
def test_taper(shape):
    window = taper(shape)
    assert window.shape == shape
    assert_allclose(window, window[::-1, ::-1])
    # It rises over a tenth on either side and is 1 between.
    assert_allclose(window[shape[0] // 4 : -shape[0] // 4, shape[1] // 4 : -shape[1] // 4], 1)
    assert (window > 0).all()
    assert window[0, shape[1] // 2] < 0.5
    assert (np.diff(window[: shape[0] // 2, shape[1] // 2]) >= 0).all()
