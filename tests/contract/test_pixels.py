"""What stands in the arrays: masks, types, memory order; and that nothing of it is changed."""

import hashlib

import numpy as np
import pytest
from astropy.nddata import CCDData, NDData, StdDevUncertainty
from numpy.testing import assert_allclose

from astroreg import ShiftFlag
from astroreg.simulation import simulate_pair


def sigmas_apart(first, second):
    """Largest difference of two shifts in units of the first one's error."""
    return np.abs(((first.shift - second.shift) / first.shift_error).value).max()


@pytest.fixture(scope="module")
def masks():
    """Isolated bad pixels and a block, different in the two images."""
    rng = np.random.default_rng(2)
    bad = rng.random((64, 64)) < 0.03
    bad[10:20, 30:45] = True
    return bad, bad.T.copy()


@pytest.mark.parametrize("sentinel", [-1e30, np.nan, np.inf])
def test_what_a_mask_hides_does_not_matter(method, pair, masks, altered, sentinel):
    plain = method(
        *(
            altered(f, data=np.where(m, 0.0, f.data), mask=m)
            for f, m in zip((pair.reference, pair.image), masks)
        )
    )
    wild = method(
        *(
            altered(f, data=np.where(m, sentinel, f.data), mask=m)
            for f, m in zip((pair.reference, pair.image), masks)
        )
    )
    # To the last bit: hidden values must not be touched by any arithmetic.
    assert (wild.shift == plain.shift).all()
    assert (wild.covariance == plain.covariance).all()
    assert wild.scale == plain.scale
    assert np.abs(((wild.shift - pair.shift) / wild.shift_error).value).max() < 5


def test_pixels_that_are_not_finite_count_as_masked(method, pair, masks, altered):
    frames = pair.reference, pair.image
    masked = method(*(altered(f, mask=m) for f, m in zip(frames, masks)))
    holes = method(*(altered(f, data=np.where(m, np.nan, f.data)) for f, m in zip(frames, masks)))
    assert (holes.shift == masked.shift).all()


def test_isolated_bad_pixels_cost_little(method):
    """2 % of bad pixels in each image leave 96 %: errors may grow by 2 %, not by blanked neighbourhoods."""
    clean = simulate_pair((80, 80), snr=10, rng=9)
    bad = simulate_pair((80, 80), snr=10, rng=9, bad_fraction=0.02)
    ratio = method(bad.reference, bad.image).shift_error / method(clean.reference, clean.image).shift_error
    # 20 %: also room for the fit's own scatter between the two draws of the masks.
    assert (ratio < 1.2).all()


def test_masking_equals_cropping(method, pair, altered):
    """Columns masked or cut away: the same pixels are left."""
    bad = np.zeros((64, 64), bool)
    bad[:, 48:] = True
    masked = method(altered(pair.reference, mask=bad), pair.image)
    cropped = method(pair.reference[:, :48], pair.image)
    # The same data with the edges treated differently: well within the error of either.
    assert sigmas_apart(cropped, masked) < 2
    assert_allclose(masked.shift_error, cropped.shift_error, rtol=0.35)
    assert masked.flags == cropped.flags == 0


@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_byte_order_does_not_matter(method, pair, altered, dtype):
    little, big = (
        method(*(altered(f, on_arrays=lambda a, t=t: a.astype(t)) for f in (pair.reference, pair.image)))
        for t in ("<" + dtype, ">" + dtype)
    )
    assert (big.shift == little.shift).all()
    assert (big.covariance == little.covariance).all()


@pytest.mark.parametrize("dtype", ["<f4"])
def test_single_precision(method, pair, altered, dtype):
    double = method(pair.reference, pair.image)
    single = method(*(altered(f, on_arrays=lambda a: a.astype(dtype)) for f in (pair.reference, pair.image)))
    # Rounding of 6e-8 of a value whose noise is a tenth: 1e-6 sigma a pixel; the sums over 64 x 64 pixels
    # round by more, far below the thousandth of an error that anyone could see.
    assert sigmas_apart(double, single) < 1e-3
    assert_allclose(single.shift_error, double.shift_error, rtol=1e-3)


def test_single_precision_on_a_high_background(method, pair, altered):
    """1e4 times the sky's rms in 24 bits: rounded to 1e-3, a hundredth of the noise."""
    double = method(pair.reference, pair.image)
    frames = (altered(f, offset=1e4) for f in (pair.reference, pair.image))
    single = method(*(CCDData(f.data.astype("f4"), uncertainty=f.uncertainty, unit=f.unit) for f in frames))
    assert sigmas_apart(double, single) < 0.05


@pytest.mark.parametrize("dtype", ["i2", ">i4", "u2"])
def test_integers_are_numbers(method, pair, dtype):
    counts = [np.rint(1000 * f.data + 20000).astype(dtype) for f in (pair.reference, pair.image)]
    whole = method(*counts)
    real = method(*(c.astype(float) for c in counts))
    assert (whole.shift == real.shift).all()
    assert whole.flags == ShiftFlag.NOISE_ESTIMATED


def test_memory_order_does_not_matter(method, pair, altered):
    usual = method(pair.reference, pair.image)
    columns = method(*(altered(f, on_arrays=np.asfortranarray) for f in (pair.reference, pair.image)))
    assert sigmas_apart(usual, columns) < 1e-9
    strided = [np.repeat(np.repeat(f.data, 2, 0), 3, 1)[::2, ::3] for f in (pair.reference, pair.image)]
    views = method(*(altered(f, data=d) for f, d in zip((pair.reference, pair.image), strided)))
    assert sigmas_apart(usual, views) < 1e-9


def checksum(frame):
    arrays = (frame.data, frame.uncertainty.array, frame.mask)
    return [hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest() for a in arrays]


@pytest.mark.parametrize("uncertainty", ["attached", "empirical"])
def test_inputs_are_never_written_to(method, uncertainty):
    pair = simulate_pair((48, 48), snr=10, bad_fraction=0.02, rng=1)
    frames = pair.reference, pair.image
    for frame in frames:
        for array in (frame.data, frame.uncertainty.array, frame.mask):
            array.flags.writeable = False
    before = [checksum(f) for f in frames]
    header = [f.wcs.to_header_string() for f in frames]
    method(*frames, uncertainty=uncertainty)
    assert [checksum(f) for f in frames] == before
    assert [f.wcs.to_header_string() for f in frames] == header


def test_writable_inputs_are_never_written_to(method):
    pair = simulate_pair((48, 48), snr=10, bad_fraction=0.02, rng=1)
    data = pair.image.data.copy()
    data[5, 7] = np.nan
    image = NDData(data, uncertainty=StdDevUncertainty(pair.image.uncertainty.array), mask=pair.image.mask)
    before = checksum(image)
    method(pair.reference, image, fit_background=False)
    assert checksum(image) == before


def test_the_same_numbers_every_time(method, pair):
    first, second = (method(pair.reference, pair.image) for _ in range(2))
    assert (first.shift == second.shift).all()
    assert (first.covariance == second.covariance).all()
