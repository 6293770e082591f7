"""An answer that is not one: flagged, warned of once, and NaN where nothing was determined."""

import warnings
from functools import lru_cache

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from astroreg import AstroregWarning, ShiftFlag
from astroreg.simulation import extended_sky, simulate_pair


def told_once(method, *images, match, **options):
    """Return the result of a call that issues exactly one warning, an AstroregWarning, at this file."""
    with pytest.warns(AstroregWarning, match=match) as caught:
        result = method(*images, **options)
    assert len(caught) == 1
    assert not result.ok
    return result


def is_nothing(result):
    """Whether no number is given: neither shift nor error nor correction."""
    numbers = [result.shift.value, result.covariance.value, result.shift_error.value]
    return (
        all(np.isnan(n).all() for n in numbers)
        and np.isnan(result.scale)
        and result.sky_correction is None
        and result.delta_chi2 is None
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("attached", [True, False])
def test_pure_noise_has_no_shift(method, seed, attached):
    rng = np.random.default_rng(seed)
    frames = [rng.standard_normal((56, 60)) for _ in range(2)]
    if attached:
        frames = [CCDData(f, uncertainty=StdDevUncertainty(np.ones(f.shape)), unit="adu") for f in frames]
    result = told_once(method, *frames, match="NO_SIGNAL")
    assert is_nothing(result)
    assert result.false_alarm_probability > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_unrelated_skies_have_no_shift(method, seed):
    """Two red fields always match somewhere: what looks like a match must not pass for one."""
    rng = np.random.default_rng(seed)
    skies = [extended_sky((64, 64), rng=child) for child in rng.spawn(2)]
    skies = [sky + 0.1 * rng.standard_normal(sky.shape) for sky in skies]
    with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
        assert is_nothing(method(*skies))


@pytest.mark.parametrize("which", ["reference", "image", "both"])
def test_a_constant_image_has_no_shift(method, pair, which):
    flat = np.full((64, 64), 3.0)
    reference = flat if which != "image" else pair.reference.data
    image = flat if which != "reference" else pair.image.data
    assert is_nothing(told_once(method, reference, image, match="NO_SIGNAL|NO_OVERLAP"))


def test_masks_that_leave_nothing_in_common(method, pair, altered):
    left = np.zeros((64, 64), bool)
    left[:, :20] = True
    right = left[:, ::-1]
    frames = altered(pair.reference, mask=~left), altered(pair.image, mask=~right)
    result = told_once(method, *frames, match="NO_OVERLAP", max_shift=8)
    assert is_nothing(result)
    assert result.flags & ShiftFlag.NO_OVERLAP


def test_a_shift_beyond_the_bound_is_not_given_as_one(method, pair):
    result = told_once(method, pair.reference, pair.image, match="AT_SEARCH_BOUND", max_shift=4)
    assert result.flags & ShiftFlag.AT_SEARCH_BOUND


@lru_cache
def wide_pair(dx, dy):
    """Images that are searched on averages of 9 or 5 pixels first."""
    return simulate_pair((520, 520), shift=(dx, dy), snr=20, rng=3)


@pytest.mark.parametrize(("length", "bound"), [(6.4, 8), (2.6, 3.3), (0.8, 1)])
@pytest.mark.parametrize("angle", [0.7, 2.5])
def test_a_shift_within_the_bound_is_not_at_it(method, length, angle, bound):
    shift = length * np.cos(angle), length * np.sin(angle)
    pair = wide_pair(*shift)
    result = method(pair.reference, pair.image, max_shift=bound)
    # 5 sigma along two axes: a probability of 1e-6 each.
    assert result.ok and np.all(np.abs(result.shift.value - shift) < 5 * result.shift_error.value)


def test_the_nearest_whole_shift_may_be_beyond_the_bound(method):
    pair = simulate_pair((90, 90), shift=(1.55, 0.6), snr=20, rng=3)
    assert method(pair.reference, pair.image, max_shift=1.7).ok


@pytest.mark.parametrize("bound", [1, 3.3, 8])
def test_a_shift_a_little_beyond_the_bound_is_told(method, bound):
    # Along the diagonal, 1.27 times as far as allowed.
    pair = wide_pair(0.9 * bound, -0.9 * bound)
    result = told_once(method, pair.reference, pair.image, match="AT_SEARCH_BOUND", max_shift=bound)
    assert result.flags & ShiftFlag.AT_SEARCH_BOUND


def test_a_small_overlap_is_told(method):
    pair = simulate_pair((96, 96), shift=(62.3, 58.6), snr=20, rng=8)
    result = told_once(method, pair.reference, pair.image, match="SMALL_OVERLAP", min_overlap=0.13)
    assert result.flags & ShiftFlag.SMALL_OVERLAP


def test_a_second_blob_as_good_is_a_rival(method):
    """One blob in the reference, two equal ones in the image: nobody can tell which it is."""
    y, x = np.indices((64, 64))
    blob = lambda x0, y0: np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 18)  # noqa: E731
    rng = np.random.default_rng(3)
    noise = 0.02 * rng.standard_normal((2, 64, 64))
    image = blob(20, 40) + blob(44, 24)
    result = told_once(method, blob(32, 32) + noise[0], image + noise[1], match="RIVAL_PEAK")
    assert result.flags & ShiftFlag.RIVAL_PEAK
    # The two differ by (24, -16); each is the other's rival, to the pixel.
    apart = (result.shift - result.rival.shift).value
    assert np.abs(np.abs(apart) - [24, 16]).max() < 1


def test_faint_images_are_nothing_or_right(method):
    """At S/N 0.3 to 2 a pixel an answer is flagged, or within six of its errors of the truth."""
    for seed, snr in enumerate((0.3, 0.5, 0.7, 1.0, 1.4, 2.0)):
        pair = simulate_pair((64, 64), shift=(2.4, -3.7), snr=snr, rng=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstroregWarning)
            result = method(pair.reference, pair.image)
        if result.ok:
            # Errors this large are only roughly Gaussian.
            assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 6
        else:
            assert result.flags


def test_the_warning_points_at_the_caller(method):
    rng = np.random.default_rng(0)
    frames = [rng.standard_normal((40, 40)) for _ in range(2)]
    with pytest.warns(AstroregWarning, match="NO_SIGNAL") as caught:
        method(*frames)
    assert caught[0].filename == __file__


# ---- a pattern fixed to the detector ---------------------------------------------------------

FIXED = [
    {"fixed_pattern": 0.3},
    {"hot_pixels": 0.002, "hot_level": 3.0},
    {"fixed_pattern": 0.1, "hot_pixels": 0.001, "hot_level": 5.0},
]


@pytest.mark.parametrize("detector", FIXED, ids=["pattern", "hot pixels", "both"])
@pytest.mark.parametrize("attached", [True, False])
@pytest.mark.parametrize("drift", [(12.3, -7.6), (4.3, 3.6)])
def test_the_drift_of_the_sky_comes_out_of_a_fixed_pattern(method, detector, drift, attached):
    """Frames of one detector: what stays at shift 0 is not the sky."""
    pair = simulate_pair((80, 80), shift=drift, snr=10, rng=50, **detector)
    frames = (pair.reference, pair.image) if attached else (pair.reference.data, pair.image.data)
    with warnings.catch_warnings():
        # The uncertainties do not know of the pattern, which is noise to the unfiltered methods.
        warnings.filterwarnings("ignore", "BAD_CHI2|LOW_SNR", AstroregWarning)
        result = method(*frames)
    assert result.flags & ShiftFlag.FIXED_PATTERN
    # The pattern is up to three times the noise and as white: errors up to three times those of the
    # noise, 0.15 pixel for the unweighted methods on steep skies; 1 pixel is far from drift and from 0.
    assert np.abs((result.shift - pair.shift).value).max() < 1.0
    if result.uncertainty == "empirical":
        assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5


@pytest.mark.parametrize("fwhm", [2.0, 2.5, 6.0])
@pytest.mark.parametrize("drift", [(0.0, 0.0), (0.3, -0.2), (5.4, 2.2)])
def test_a_sky_is_no_fixed_pattern(method, fwhm, drift):
    """However sharp its peak, down to a critically sampled beam, and also at shift 0."""
    pair = simulate_pair((72, 72), shift=drift, fwhm=fwhm, index=2.0, snr=30, point_sources=10, rng=4)
    assert method(pair.reference, pair.image).flags == 0


# ---- rivals ----------------------------------------------------------------------------------


def lattice(shape, period, dx=0.0, dy=0.0):
    """Equal blobs on a square grid that goes on far beyond the frame."""
    y, x = np.indices(shape, dtype=float)
    x, y = ((c + period / 2) % period - period / 2 for c in (x - dx - 5, y - dy - 5))
    return np.exp(-(x**2 + y**2) / 18)


@pytest.mark.parametrize("drift", [(1.0, 2.0), (9.3, -5.2), (12.0, 2.0)])
def test_a_repeated_pattern_has_rivals(method, drift):
    """One period further the images match as well, pixel for pixel, on a smaller overlap."""
    rng = np.random.default_rng(1)
    noise = 0.05 * rng.standard_normal((2, 60, 70))
    frames = lattice((60, 70), 16) + noise[0], lattice((60, 70), 16, *drift) + noise[1]
    result = told_once(method, *frames, match="RIVAL_PEAK")
    assert result.flags & ShiftFlag.RIVAL_PEAK
    # The rival is one or more whole periods away, to the pixel.
    apart = (result.shift - result.rival.shift).value
    assert np.abs(apart - 16 * np.rint(apart / 16)).max() < 1
    assert np.abs(apart).max() > 15


def test_a_repeated_pattern_within_a_small_search_has_none(method):
    """Where the other periods are excluded there is nothing to warn of."""
    rng = np.random.default_rng(1)
    noise = 0.05 * rng.standard_normal((2, 60, 70))
    frames = lattice((60, 70), 16) + noise[0], lattice((60, 70), 16, 1.0, 2.0) + noise[1]
    result = method(*frames, max_shift=7)
    assert not result.flags & ShiftFlag.RIVAL_PEAK
    assert np.abs((result.shift.value - [1, 2]) / result.shift_error.value).max() < 5
