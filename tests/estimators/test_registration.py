"""The search in blocks of several sizes, and the fit on the coarsest pixels that hold the sky."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astroreg import chi2_shift
from astroreg.estimators import registration
from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.correlation import Coarse, Peak
from astroreg.estimators.overlap import Plane
from astroreg.estimators.registration import register, without_shared_outliers
from astroreg.prepared import prepare
from astroreg.simulation import simulate_pair


def prepared(pair, max_shift=None, boundary="overlap"):
    return prepare(
        pair.reference,
        pair.image,
        max_shift=max_shift,
        min_overlap=0.1,
        boundary=boundary,
        fit_scale=True,
        fit_background=True,
        uncertainty="attached",
    )


def registered(pair, **options):
    """The outcome of the chi-squared fit, with its block."""
    both = prepared(pair, **options)
    return register(*both.pyramids, ChiSquaredStep, both.options.search)


def step_of(surface):
    return surface.x[1] - surface.x[0]


def test_large_images_are_searched_in_blocks():
    """More pixels a side than blocks are looked at: found all the same, bounds and axes in pixels."""
    pair = simulate_pair((300, 520), shift=(-37.4, 21.7), snr=2, rng=1)
    found = prepared(pair).coarse
    assert found.block > 1
    assert step_of(found.surface) == found.block
    # A paraboloid through the correlations of neighbouring blocks is good to a part of one.
    assert np.abs(found.peak.shift - pair.shift.value).max() < 0.5 * found.block
    assert found.surface.x[-1] > 500
    near = prepared(pair, max_shift=30).coarse
    assert np.hypot(*near.peak.shift) < 30 + 2 * near.block


def test_a_search_ends_at_the_coarsest_blocks_that_leave_no_doubt(monkeypatch):
    """A clear pair on the largest blocks; one that hardly shows in blocks on the smallest."""
    monkeypatch.setattr(registration, "_SIDES", (60, 150, 300))
    blocks = []
    for snr in (20, 0.01):
        pair = simulate_pair((300, 290), shift=(-7.4, 11.7), snr=snr, rng=1)
        blocks.append(prepared(pair).coarse.block)
    assert blocks == [5, 1]


def test_blocks_of_a_periodic_search_tile_the_image(monkeypatch):
    monkeypatch.setattr(registration, "_SIDES", (100,))
    pair = simulate_pair((300, 520), shift=(-37.4, 21.7), snr=5, periodic=True, rng=1)
    found = prepared(pair, boundary="wrap").coarse
    # 6 would give 520 / 6 < 100 blocks, 10 is the first that divides both sides.
    assert found.block == 10
    assert np.abs(found.peak.shift - pair.shift.value).max() < 5


def peak(shift, rho, pixels=1000, overlap=1.0):
    return Peak(np.array(shift, float), -0.5 * pixels * overlap * np.log(1 - rho**2), rho, overlap)


def test_a_clear_peak_has_no_rival_and_no_pattern():
    clear = Coarse(peak((3, 4), 0.95))
    assert registration._clear(clear)
    assert not registration._clear(Coarse(None))
    assert not registration._clear(replace(clear, at_bound=True))
    assert not registration._clear(replace(clear, fixed_pattern=True))
    assert not registration._clear(replace(clear, peak=peak((3, 4), 0.3)))
    # 1000 ln((1 - 0.95^2) / (1 - rho^2)) with opposite sign: 39 at 0.948, 1900 at 0.5.
    assert not registration._clear(replace(clear, rival=peak((20, 4), 0.948)))
    assert registration._clear(replace(clear, rival=peak((20, 4), 0.5)))


def test_frames_of_one_detector_are_searched_finely():
    """Averaged in blocks a pattern of single pixels drowns: it is looked for first."""
    pair = simulate_pair((560, 560), shift=(12.3, -7.8), snr=5, fixed_pattern=0.4, rng=3)
    found = prepared(pair).coarse
    assert found.fixed_pattern
    assert found.block <= 3
    assert np.abs(found.peak.shift - pair.shift.value).max() < 1.5 * found.block


def test_coarser_pixels_tell_the_same(monkeypatch):
    """One pair on coarser pixels and on its own: the same shift, to a part of the same error."""
    pair = simulate_pair((560, 600), shift=(7.4, -3.3), fwhm=10, snr=5, rng=4)
    coarser = registered(pair)
    monkeypatch.setattr(registration, "_LARGE", 10_000)
    own = registered(pair)
    assert own.block == 1
    assert coarser.block > 1
    fits = [(o.block * o.fit.shift, o.block * np.sqrt(np.diag(o.fit.covariance))) for o in (coarser, own)]
    assert np.abs((fits[0][0] - pair.shift.value) / fits[0][1]).max() < 5
    # At most 4 % of the information is not held by coarser pixels, and what is left over of one, of at least
    # 128, at an edge on either axis is dropped: 1.6 %. What one has and the other has not moves the shift by
    # sqrt(0.056) of its error, to three sigma.
    assert np.abs((fits[0][0] - fits[1][0]) / fits[1][1]).max() < 0.71
    ratio = fits[0][1] / fits[1][1]
    assert (ratio < 1.03).all()
    assert (ratio > 0.98).all()


def test_a_sharp_sky_is_fitted_on_its_own_pixels():
    assert registered(simulate_pair((420, 430), shift=(7.4, -3.3), fwhm=2, snr=200, rng=4)).block == 1


@pytest.mark.parametrize("rng", [70, 71, 72])
def test_a_star_at_the_edge_is_not_guessed(rng):
    """What is continued beyond an edge is not half of a bright star: its sky needs all pixels."""
    pair = simulate_pair((600, 600), shift=(2.2, -1.3), fwhm=5, snr=5, rng=rng)
    y, x = np.indices((600, 600))
    for frame, (dx, dy) in ((pair.reference, (0, 0)), (pair.image, pair.shift.value)):
        square = (x - 310.3 - dx) ** 2 + (y - 0.6 - dy) ** 2
        frame.data += 100 * np.exp(-4 * np.log(2) * square / 5**2)
    result = chi2_shift(pair.reference, pair.image)
    # Pulls of 10 to 26 errors where half of a star of S/N 500 is continued on coarser pixels.
    assert (np.abs(result.shift - pair.shift) < 4 * result.shift_error).all()
    assert result.ok


def test_coarser_pixels_tile_a_periodic_image():
    """450 has 1.5, 2, 2.5, 3 and 5 among its divisors, 434 2, 3.5 and 7: only 2 both."""
    for shape, allowed in (((450, 450), (2, 2.5, 3)), ((450, 434), (2,))):
        pair = simulate_pair(shape, shift=(7.4, -3.3), fwhm=10, snr=5, periodic=True, rng=4)
        outcome = registered(pair, boundary="wrap")
        assert outcome.block in allowed
        found = outcome.block * outcome.fit.shift
        error = outcome.block * np.sqrt(np.diag(outcome.fit.covariance))
        assert np.abs((found - pair.shift.value) / error).max() < 5


def test_swapping_large_images_negates_the_shift():
    """Survey, blocks and all: to a small part of the error."""
    pair = simulate_pair((450, 480), shift=(7.4, -3.3), fwhm=6, snr=5, rng=5)
    there, back = chi2_shift(pair.reference, pair.image), chi2_shift(pair.image, pair.reference)
    assert (np.abs(there.shift + back.shift) < 0.1 * there.shift_error).all()
    assert_allclose(back.shift_error, there.shift_error, rtol=0.05)


def test_shared_outliers_are_marked_in_both():
    rng = np.random.default_rng(6)
    data = rng.standard_normal((2, 40, 40))
    data[:, 10, 12] = 50
    data[0, 20, 20] = 50  # in one image alone: not of the detector
    good = np.ones((40, 40), bool)
    good[30, 30] = False
    first, second = without_shared_outliers(Plane(data[0], 1.0, good), Plane(data[1], 1.0))
    assert np.argwhere(~first.good).tolist() == [[10, 12], [30, 30]]
    assert np.argwhere(~second.good).tolist() == [[10, 12]]
    other = Plane(data[0, :30], 1.0)
    assert without_shared_outliers(other, second) == (other, second)


def test_large_images_in_full():
    pair = simulate_pair((300, 520), shift=(-37.4, 21.7), snr=2, bad_fraction=0.01, rng=1)
    result = chi2_shift(pair.reference, pair.image)
    assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5
    # At the limit, whatever was averaged on the way.
    assert (result.shift_error < 1.1 * pair.limit).all()
    assert result.flags == 0


@pytest.mark.parametrize(
    "sizes", [((560, 620), (560, 620)), ((561, 623), (560, 550))], ids=["equal", "unequal"]
)
def test_a_wide_beam_on_large_images(sizes):
    """A beam of 16 pixels, which block averages hold as well: the same answer, in pixels, at the limit.

    Blocks have their centres half a block off the pixels' own, in both images alike, unless their shift is
    not one of whole blocks; all conventions show in a few tenths of a pixel, at an error of a hundredth.
    """
    wide = simulate_pair((561, 623), shift=(17.37, -8.61), fwhm=16, snr=5, bad_fraction=0.002, rng=2)
    frames = [f[:ny, :nx] for f, (ny, nx) in zip((wide.reference, wide.image), sizes)]
    result = chi2_shift(*frames)
    assert np.abs(((result.shift - wide.shift) / result.shift_error).value).max() < 5
    # The limit is that of all 561 x 623 pixels; the smaller pair has 0.88 of them.
    assert (result.shift_error < 1.2 * wide.limit).all()
    assert (result.shift_error > 0.9 * wide.limit).all()
    assert result.shift_error.max().value < 0.05
    assert abs(result.scale - 1) < 5 * result.scale_error
    assert result.flags == 0
