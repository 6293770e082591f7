"""The noise level from the pixels themselves."""

import numpy as np
import pytest
from scipy import ndimage

from astroreg.estimators.noise import noise_variance

# The median of 100 x 120 absolute second differences (correlated over 3 pixels): about 1 % in sigma, so
# that 8 % in the variance are four standard errors.
TOLERANCE = 0.08


@pytest.mark.parametrize("sigma", [1e-3, 1.0, 1e6])
def test_white_noise(sigma):
    data = sigma * np.random.default_rng(1).standard_normal((100, 120))
    assert abs(noise_variance(data) / sigma**2 - 1) < TOLERANCE


def test_any_plane_and_twist_is_sky():
    """The mask takes away a + b x + c y + d x y and everything else that is linear along either axis."""
    y, x = np.indices((100, 120))
    noise = np.random.default_rng(1).standard_normal((100, 120))
    sky = 1e4 + 30 * x - 20 * y + 2.5 * x * y + 0.3 * x**2
    assert abs(noise_variance(noise + sky) / noise_variance(noise) - 1) < 1e-6


def test_smooth_sky_hardly_counts():
    """Structure of full width 6 pixels at three times the noise, second differences of both axes."""
    rng = np.random.default_rng(2)
    sky = ndimage.gaussian_filter(rng.standard_normal((100, 120)), 2.5)
    data = 3 * sky / sky.std() + rng.standard_normal((100, 120))
    assert abs(noise_variance(data) - 1) < TOLERANCE + 0.05


def test_bad_pixels_and_outliers():
    rng = np.random.default_rng(3)
    data, good = rng.standard_normal((100, 120)), rng.random((100, 120)) > 0.05
    wild = np.where(good, data, np.inf)
    with np.errstate(invalid="ignore"):
        assert abs(noise_variance(np.where(good, data, 1e9), good) - 1) < TOLERANCE
    assert np.isinf(wild[~good]).all()
    # Without a mask: 1 % of hot pixels touch 9 % of the differences, which moves the median by 12 %.
    hot = np.where(rng.random((100, 120)) < 0.01, 1e3, data)
    assert abs(noise_variance(hot) - 1) < 0.35


def test_too_few_pixels_are_unknown():
    rng = np.random.default_rng(4)
    assert np.isnan(noise_variance(rng.standard_normal((2, 50))))
    assert np.isnan(noise_variance(rng.standard_normal((6, 6))))
    assert np.isnan(noise_variance(rng.standard_normal((50, 50)), np.zeros((50, 50), bool)))


def test_single_precision_and_integers():
    data = 100 * np.random.default_rng(5).standard_normal((100, 120))
    assert abs(noise_variance(data.astype("f4")) / noise_variance(data) - 1) < 1e-4
    # Rounding adds 1/12 to 10000.
    assert abs(noise_variance(np.rint(data).astype("i4")) / noise_variance(data) - 1) < 0.02
