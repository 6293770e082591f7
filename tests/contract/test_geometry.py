"""Sign, axes, shapes and boundaries: the shift is that of the image relative to the reference, x first."""

import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty
from numpy.testing import assert_allclose

from astroreg import AstroregWarning, ShiftFlag
from astroreg.simulation import simulate_pair

# A seeded draw is farther than 5 quoted sigmas from the truth on one axis once in 2 million.
SIGMAS = 5.0


def deviation(result, truth):
    """Return (shift - truth) / shift_error for (x, y)."""
    return ((result.shift - u.Quantity(truth, u.pixel)) / result.shift_error).value


def blobs(shape, dx=0.0, dy=0.0):
    """A written-out sum of elongated Gaussians: an oracle that knows neither Fourier nor the package."""
    y, x = np.indices(shape)
    parts = [(1.0, 21.3, 17.9, 4.0, 2.5), (0.6, 35.8, 30.2, 3.0, 5.0), (0.8, 30.0, 12.0, 2.5, 3.0)]
    return sum(
        peak * np.exp(-0.5 * (((x - x0 - dx) / sx) ** 2 + ((y - y0 - dy) / sy) ** 2))
        for peak, x0, y0, sx, sy in parts
    )


def noisy(sky, sigma, seed):
    """A CCDData of `sky` with white noise and its uncertainty."""
    rng = np.random.default_rng(seed)
    data = sky + sigma * rng.standard_normal(sky.shape)
    return CCDData(data, uncertainty=StdDevUncertainty(np.full(sky.shape, sigma)), unit="adu")


@pytest.mark.parametrize("truth", [(4.3, 0.0), (-4.3, 0.0), (0.0, 3.6), (0.0, -3.6), (2.25, -5.4)])
def test_sign_and_axis_order(method, truth):
    """Each axis by itself, and both: a feature at p in the reference stands at p + shift in the image."""
    shape = (48, 56)
    result = method(noisy(blobs(shape), 0.01, 1), noisy(blobs(shape, *truth), 0.01, 2))
    assert np.abs(deviation(result, truth)).max() < SIGMAS
    # The blobs are 3 pixels wide at S/N 100: their centroids are known to about 3 / 100 / sqrt(30) pixel.
    # The error must say so: 0.03 pixel is far above it, and far below any confusion of signs or axes.
    assert result.shift_error.max() < 0.03 * u.pixel
    assert_allclose(result.array_shift, result.shift.value[::-1])
    assert result.flags == 0


@pytest.mark.parametrize("shape", [(64, 64), (63, 63), (64, 63), (61, 90), (90, 52)])
def test_even_odd_and_oblong(method, shape):
    pair = simulate_pair(shape, shift=(-2.63, 4.41), snr=10, rng=11)
    result = method(pair.reference, pair.image)
    assert np.abs(deviation(result, pair.shift)).max() < SIGMAS
    # 20 is far beyond what an unweighted method loses (a factor of 2), far below a gross failure.
    assert (result.shift_error < 20 * pair.limit).all()
    assert result.flags == 0


def test_images_of_different_shape(method):
    """Windows on one sky, neither inside the other: the shift counts from each one's own first pixel."""
    wide = simulate_pair((90, 100), shift=(0.4, -0.3), snr=10, rng=106)
    result = method(wide.reference[10:80, 20:90], wide.image[5:70, 8:95])
    # x: 20 - 8 + 0.4; y: 10 - 5 - 0.3.
    assert np.abs(deviation(result, (12.4, 4.7))).max() < SIGMAS
    assert result.shift_error.max() < 0.2 * u.pixel
    assert result.flags == 0


def test_an_image_inside_the_reference(method):
    wide = simulate_pair((100, 100), shift=(0.3, 0.45), snr=10, rng=8)
    result = method(wide.reference, wide.image[30:70, 22:74])
    assert np.abs(deviation(result, (0.3 - 22, 0.45 - 30))).max() < SIGMAS
    assert result.flags == 0


def test_swap_negates_the_shift(method, pair):
    there, back = method(pair.reference, pair.image), method(pair.image, pair.reference)
    assert (np.abs((there.shift + back.shift) / there.shift_error) < 1e-3).all()
    assert_allclose(back.shift_error, there.shift_error, rtol=1e-3)
    # 1e-3 sigma of the shift goes with 1e-3 sigma of the scale.
    assert abs(there.scale * back.scale - 1) < 1e-3 * there.scale_error


@pytest.mark.parametrize("shape", [(64, 64), (63, 63), (60, 71)])
def test_an_image_has_no_shift_against_itself(method, shape):
    pair = simulate_pair(shape, snr=10, rng=3)
    with warnings.catch_warnings():
        # The same noise twice leaves no residuals at all, which is not what the uncertainties promise, and
        # is a pattern that both frames share.
        warnings.filterwarnings("ignore", "BAD_CHI2", AstroregWarning)
        result = method(pair.reference, pair.reference)
    assert np.abs(result.shift.value).max() < 1e-6
    assert_allclose([result.scale.value, result.background.value], [1, 0], atol=1e-9)
    assert result.ok
    assert result.flags & ~(ShiftFlag.BAD_CHI2 | ShiftFlag.FIXED_PATTERN) == 0


def test_overlap_of_40_percent(method):
    """Shifted by 40 % of the width and 33 % of the height: 0.6 * 0.67 = 40 % is common to both."""
    pair = simulate_pair((96, 96), shift=(38.4, -32.3), snr=10, rng=14)
    result = method(pair.reference, pair.image)
    assert np.abs(deviation(result, pair.shift)).max() < SIGMAS
    # Two rows and columns are lost to the edges of the overlap.
    assert abs(result.overlap - 0.6 * 0.664) < 0.03
    assert result.flags == 0


def test_a_periodic_sky(method):
    pair = simulate_pair((60, 64), shift=(23.7, -19.2), periodic=True, snr=10, rng=2)
    result = method(pair.reference, pair.image, boundary="wrap")
    assert np.abs(deviation(result, pair.shift)).max() < SIGMAS
    assert result.overlap == 1
    assert result.flags == 0


def test_wrapping_around_needs_one_shape(method, pair):
    with pytest.raises(ValueError, match='`boundary` "wrap" needs images of one shape'):
        method(pair.reference, pair.image[:, :50], boundary="wrap")


def test_the_whole_pixels_of_a_window_are_exact(method):
    """Cutting columns off the reference moves the shift by as many, on the very same pixels in common."""
    pair = simulate_pair((64, 72), shift=(0.0, 0.0), snr=10, rng=6)
    whole = method(pair.reference[:, 8:], pair.image[:, 8:])
    cut = method(pair.reference[:, 8:], pair.image)
    # The columns beyond the overlap are only context: a tenth of a sigma.
    difference = (cut.shift - whole.shift - [8, 0] * u.pixel) / whole.shift_error
    assert np.abs(difference).max() < 0.1 + (0.3 if method.__name__ == "register_images" else 0)


@pytest.mark.parametrize("limit", [12.0, 12 * u.pixel, 12 * u.arcsec, 0.2 * u.arcmin])
def test_search_limit_in_pixels_and_angles(method, pair, limit):
    """The pixels of the pair are one arcsec wide: four ways to say the same."""
    result = method(pair.reference, pair.image, max_shift=limit)
    assert np.abs(deviation(result, pair.shift)).max() < SIGMAS
    assert result.flags == 0


def test_least_overlap_excludes_shifts(method):
    """With at least 80 % in common a shift by half the frame is out of reach, with 20 % it is found."""
    pair = simulate_pair((64, 64), shift=(30.2, 1.4), snr=10, rng=4)
    found = method(pair.reference, pair.image, min_overlap=0.2)
    assert np.abs(deviation(found, pair.shift)).max() < SIGMAS
    with pytest.warns(match="NO_SIGNAL|AT_SEARCH_BOUND|RIVAL_PEAK"):
        assert not method(pair.reference, pair.image, min_overlap=0.8).ok


def test_transposition_swaps_the_components(method, altered):
    """On canvases of odd sides, which have no Nyquist terms: to a thousandth of a sigma."""
    # 45 - 2 + 2 * 16 = 75 and 51 - 2 + 2 * 16 = 81, both lengths that transform as they are.
    pair = simulate_pair((45, 51), shift=(2.3, -1.8), snr=10, rng=21)
    frames = pair.reference, pair.image
    usual = method(*frames)
    other = method(*(altered(f, on_arrays=np.transpose) for f in frames))
    assert (np.abs((other.shift[::-1] - usual.shift) / usual.shift_error) < 1e-3).all()
    assert_allclose(other.covariance[::-1, ::-1], usual.covariance, rtol=1e-3, atol=1e-12)
