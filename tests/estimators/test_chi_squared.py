"""The chi-squared step on one overlap: its solution, its slope, and what gaps do to it."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.alignment import Aligner
from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.overlap import Plane, make_overlap
from astroreg.simulation import simulate_pair


def planes(pair):
    return [Plane(f.data, f.uncertainty.array**2, ~f.mask) for f in (pair.reference, pair.image)]


def stepped(pair, **free):
    """Return the overlap of a pair at its whole pixels, and the fit there."""
    overlap = make_overlap(*planes(pair), np.rint(pair.shift.value).astype(int))
    return overlap, ChiSquaredStep(Aligner(overlap, **free)).fit(empirical=False)


@pytest.mark.parametrize("off", [(1, 0), (-1, 1)])
def test_the_step_mends_a_whole_shift_that_is_off(off):
    pair = simulate_pair((64, 64), shift=(3.37, -5.81), snr=20, rng=5)
    _, right = stepped(pair)
    whole = np.rint(pair.shift.value).astype(int) + off
    mended = ChiSquaredStep(Aligner(make_overlap(*planes(pair), whole))).fit(empirical=False)
    # The canvas begins elsewhere, and loses a row; the answer is the same to a part of its error.
    error = np.sqrt(np.diag(right.covariance))
    assert (np.abs(mended.shift - right.shift) < 0.5 * error).all()


@pytest.mark.parametrize("bad_fraction", [0.0, 0.02])
def test_swapping_the_images_negates_the_shift(bad_fraction):
    """Every step is mirrored, so that both stop at the same place."""
    pair = simulate_pair((60, 64), shift=(3.37, -5.81), snr=10, scale=1.5, bad_fraction=bad_fraction, rng=5)
    both, whole = planes(pair), np.array([3, -6])
    there = ChiSquaredStep(Aligner(make_overlap(*both, whole))).fit(empirical=False)
    back = ChiSquaredStep(Aligner(make_overlap(*both[::-1], -whole))).fit(empirical=False)
    # In units of the errors, some hundredths of a pixel; where the iteration stops is a hundredth of one.
    error = np.sqrt(np.diag(there.parameters))
    assert_allclose(back.shift, -there.shift, atol=1e-4 * error.min())
    assert_allclose(back.covariance, there.covariance, rtol=1e-4, atol=1e-4 * error.min() ** 2)
    assert_allclose(back.scale * there.scale, 1, atol=1e-4 * error[2])
    assert_allclose(back.background, -there.background / there.scale, atol=1e-4 * error[3])


def test_what_is_fixed_has_no_error():
    _, fit = stepped(simulate_pair((64, 64), snr=20, rng=5), fit_scale=False, fit_background=False)
    assert (fit.scale, fit.background) == (1, 0)
    assert (fit.parameters[2:] == 0).all()
    assert (fit.parameters[:, 2:] == 0).all()
    assert fit.n_parameters == 2


def test_chi2_by_hand():
    """At the solution, from the aligned images themselves."""
    overlap, fit = stepped(simulate_pair((64, 64), snr=20, scale=2.0, rng=5))
    aligned = fit.equations.aligned
    variance = fit.scale**2 * overlap.reference_variance + overlap.image_variance
    residual = (aligned.b - aligned.a)[overlap.usable]
    # The weights are those of a scale that is not more than 1e-4 away in its logarithm: 2e-4 in variance.
    assert_allclose(fit.chi2, (residual**2 / variance[overlap.usable]).sum(), rtol=2e-4)
    assert fit.n_pixels == residual.size
    # Interpolation by part of a pixel keeps white noise white; 3 sigma of a chi-squared, and 2 % besides.
    assert abs(fit.chi2 / (fit.n_pixels - 4) - 1) < 3 * np.sqrt(2 / fit.n_pixels) + 0.02


def test_equations_at_the_solution_are_zero():
    _, fit = stepped(simulate_pair((64, 64), snr=20, bad_fraction=0.02, rng=5))
    # In units of their own scatter: far less than the error.
    assert (np.abs(fit.equations.value) / np.sqrt(np.diag(fit.equations.scatter)) < 0.02).all()


def test_one_variance_for_all_is_that_of_every_pixel():
    """A number and an array of it: other code, one answer to rounding."""
    pair = simulate_pair((56, 60), shift=(2.4, 1.3), snr=10, rng=6)
    fits = []
    for kind in (float, lambda v: np.full((56, 60), v)):
        frames = [Plane(f.data, kind(v)) for f, v in zip((pair.reference, pair.image), (0.01, 0.03))]
        fits.append(ChiSquaredStep(Aligner(make_overlap(*frames, (2, 1)))).fit(empirical=False))
    assert_allclose(fits[0].shift, fits[1].shift, atol=1e-9)
    assert_allclose(fits[0].parameters, fits[1].parameters, rtol=1e-6, atol=1e-12)
    assert_allclose(fits[0].chi2, fits[1].chi2, rtol=1e-9)


def test_weights_and_shares_by_hand():
    rng = np.random.default_rng(7)
    variances = rng.uniform(1, 2, (2, 20, 24))
    variances[:, 8:12, 8:12] = 0  # noiseless in both: any finite weight
    frames = [Plane(rng.standard_normal((20, 24)), v) for v in variances]
    overlap = make_overlap(*frames, (0, 0), periodic=True)
    aligner = Aligner(overlap)
    aligner.scale = 1.5
    step = ChiSquaredStep(aligner)
    noisy = variances[1] > 0
    first, second = 1.5**2 * variances[0][noisy], variances[1][noisy]
    assert_allclose(step.weight[noisy], 1 / (first + second))
    assert_allclose(step.share[noisy], first / (first + second))
    assert_allclose(step.pair_weight[noisy], first * second / (first + second) ** 2)
    assert np.isfinite(step.weight).all()
    assert_array_equal(step.pair_weight[~noisy], 0)
    # The weighted mean of two images, pixel by pixel.
    aligned = aligner.align()
    expected = (aligned.a[noisy] * second + aligned.b[noisy] * first) / (first + second)
    assert_allclose(step.sky(aligned)[noisy], expected)


def test_a_start_ends_sooner_and_near():
    pair = simulate_pair((64, 64), shift=(0.4, -0.3), snr=20, rng=8)
    found = []
    for shortest in (0.0, 0.03):
        aligner = Aligner(make_overlap(*planes(pair), (0, 0)))
        ChiSquaredStep(aligner).solve(shortest=shortest)
        found.append(aligner.fraction)
    # A last step of less than 0.03 pixel with a slope good to some ten per cent.
    assert 0 < np.abs(found[1] - found[0]).max() < 0.03


def state(step):
    """The left sides at the aligner's present state, and the equations there without them."""
    aligned = step.aligner.align()
    centre, spectrum = step.centred(aligned, None)
    return step.left_sides(aligned, spectrum), lambda: step.equations(aligned, spectrum, centre)


def derivatives(step):
    """Central differences of the left sides with respect to (x, y, log scale, background)."""
    aligner = step.aligner
    fraction, scale, background = aligner.fraction, aligner.scale, aligner.background
    columns = []
    for k in range(4):
        sides = []
        for move in (0.01, -0.01):
            aligner.fraction = fraction + move * np.array([k == 0, k == 1])
            aligner.scale = scale * np.exp(move * (k == 2))
            aligner.background = background + move * (k == 3)
            # The noise of the reference, and with it the shares and weights, has its scale.
            step.set_noise()
            sides.append(state(step)[0])
        columns.append((sides[0] - sides[1]) / 0.02)
        aligner.fraction, aligner.scale, aligner.background = fraction, scale, background
    step.set_noise()
    return np.array(columns).T


def at_the_truth(snr, seed):
    """A step whose aligner stands at the true shift, with the filter learnt there."""
    pair = simulate_pair((64, 64), shift=(0.2, -0.3), periodic=True, snr=snr, rng=seed)
    aligner = Aligner(make_overlap(*planes(pair), (0, 0), periodic=True))
    aligner.fraction, aligner.scale, aligner.background = np.array([0.2, -0.3]), 1.0, 0.0
    aligner.learn_filter(aligner.align(), 0.5)
    return ChiSquaredStep(aligner)


def relative(difference, slope):
    """In units of the diagonal of the slope."""
    size = np.sqrt(np.abs(np.diag(slope)))
    return np.abs(difference) / np.outer(size, size)


@pytest.mark.parametrize("snr", [2, 200])
def test_slope_is_the_derivative_of_the_left_sides(snr):
    """Of deep images, and of noisy ones, whose products of noise are taken out of the slope."""
    step = at_the_truth(snr, 5)
    slope = state(step)[1]().slope
    difference = relative(derivatives(step) - slope, slope)
    # The slope of the background's equation with the scale is that where the mean residual is zero, which
    # at the truth it is to the noise of the mean: sqrt(2) / (64 S/N) of the sky's spread.
    assert difference[3, 2] < 5 * np.sqrt(2) / 64 / snr
    difference[3, 2] = 0
    # Third order in the steps of 0.01 and below: 1e-4.
    assert difference.max() < 3e-4


@pytest.mark.parametrize("snr", [2, 20])
def test_slope_of_a_wide_overlap(snr):
    """Where the filter lets nearly all through its scatter is its slope; where it does not, pixels tell."""
    pair = simulate_pair((420, 430), shift=(0.2, -0.3), snr=snr, index=2.5, rng=7)
    aligner = Aligner(make_overlap(*planes(pair), (0, 0)))
    aligner.fraction = np.array([0.2, -0.3])
    aligned = aligner.align()
    aligner.learn_filter(aligned, 0.5)
    step = ChiSquaredStep(aligner)
    centre, spectrum = step.centred(aligned, None)
    equations = step.equations(aligned, spectrum, centre)
    expected = step._slope_of_pixels(aligned, spectrum, equations.templates[:3])
    expected[:, 3] = -equations.scatter[3]
    if snr < 10:
        assert aligner.clarity < 0.9
        assert_array_equal(equations.slope, expected)
    else:
        assert aligner.clarity > 0.9
        # Less than a tenth of the slope rests on the filter, which is good to some ten per cent.
        assert relative(equations.slope - expected, expected).max() < 0.01
        assert not np.array_equal(equations.slope, expected)


def gaps_of(kind, shape=(30, 31), last=0.1):
    """A step on an overlap in its margins: rectangles alone, with noise that varies, with holes."""
    rng, pair = np.random.default_rng(3), simulate_pair(shape, rng=3, shift=(3.37, -5.81))
    frames = [Plane(f.data, v) for f, v in zip((pair.reference, pair.image), (0.01, 0.02))]
    if kind == "noise":
        frames = [replace(f, variance=f.variance * rng.uniform(1, 2, f.shape)) for f in frames]
    if kind == "holes":
        frames = [replace(f, good=rng.random(f.shape) > 0.02) for f in frames]
    aligner = Aligner(make_overlap(*frames, (3, -6)))
    aligner.fraction = np.array([0.37, 0.19])
    aligner.set_profile(np.array([0.05, 0.3]), np.array([1.0, last]))
    return ChiSquaredStep(aligner)


@pytest.mark.parametrize("shape", [(30, 31), (41, 60)], ids=["small", "larger than the kernel"])
@pytest.mark.parametrize("kind", ["rectangles", "noise", "holes"])
def test_pairs_of_gaps_by_sums_over_pixels(kind, shape):
    step = gaps_of(kind, shape)
    pairs, grid = step._gap_pairs
    overlap = step.aligner.overlap
    idle = ~overlap.usable * step.pair_weight
    assert (kind == "rectangles") == (np.ndim(step.pair_weight) == 0 and not overlap.has_holes)
    rng = np.random.default_rng(1)
    lags = [(0, 0), (1, 0), (0, -1), *rng.integers(-14, 15, (30, 2))]
    for y, x in lags:
        # An idle pixel `lag` beyond a gap of the reference, and `lag` short of one of the image.
        gap_a, gap_b = (
            np.roll(gap, (sign * y, sign * x), (0, 1)) for sign, gap in zip((1, -1), overlap.gaps)
        )
        expected = (idle * gap_a).sum() + (idle * gap_b).sum()
        # Rounding of transforms of some thousand terms.
        assert_allclose(pairs[y, x], expected, rtol=1e-9, atol=1e-8)
    assert pairs.shape == grid.shape == tuple(min(n, 64) for n in overlap.grid.shape)


@pytest.mark.parametrize(("shape", "last"), [((30, 31), 0.1), ((90, 80), 0.0)], ids=["small", "large"])
@pytest.mark.parametrize("kind", ["rectangles", "noise", "holes"])
def test_bias_of_gaps_against_the_expectation_over_noise(kind, shape, last):
    """E[sum w r d(h S)] of noise where an image has pixels and none where it has gaps, written out.

    A pixel h of unit noise stands at y, aligned, with u(y - h), and in the gradient of the low-passed with
    g(y - h): in the image's residual and sky both, in the reference's with the other sign. The noise of
    gaps that idle pixels see, which the equations take, is the rest. On a canvas larger than that of the
    kernel a low-pass that falls to nothing leaves no tail to be missed.
    """
    step = gaps_of(kind, shape, last)
    overlap, grid = step.aligner.overlap, step.aligner.grid
    bias = step._gap_bias()
    ny, nx = grid.shape
    kx, ky = np.fft.fftfreq(nx), np.fft.fftfreq(ny)[:, None]
    low = np.interp(np.hypot(kx, ky), *step.aligner.profile)
    fx, fy = step.aligner.fraction / 2
    expected = np.zeros(2)
    images = (
        (-1, overlap.gaps[0], 1 - step.share, overlap.reference_variance, step.aligner.scale**2),
        (1, overlap.gaps[1], step.share, overlap.image_variance, 1.0),
    )
    for sign, gap, share, variance, factor in images:
        # A wave of two pixels, whose phase is not known, moves as a cosine and has no gradient.
        moved = np.where(np.abs(kx) == 0.5, np.cos(2 * np.pi * kx * fx), np.exp(2j * np.pi * sign * kx * fx))
        moved = moved * np.where(
            np.abs(ky) == 0.5, np.cos(2 * np.pi * ky * fy), np.exp(2j * np.pi * sign * ky * fy)
        )
        spread = np.fft.ifft2(moved).real
        # Of a pixel of the same weight as its own: the variance where it stands is that of the pair there.
        own = np.asarray(share * variance * factor * step.weight)
        for n, k in enumerate(np.where(np.abs(q) == 0.5, 0, q) for q in (kx, ky)):
            kernel = np.fft.fft2(spread * np.fft.ifft2(2j * np.pi * k * low * moved).real)
            reached = np.fft.ifft2(np.fft.fft2((~gap).astype(float)) * kernel).real
            expected[n] += sign * (own * reached).sum()
    # Rounding, and a low-pass that is looked up in bins; noise that varies is taken as that of the pixel
    # where it is seen, which is true on average.
    assert_allclose(bias, expected, rtol=0.1 if kind == "noise" else 2e-3)
    if last:
        # It matters: of the size of some per cent of the equations' own scatter.
        scatter = np.sqrt(np.diag(state(step)[1]().scatter)[:2])
        assert (np.abs(bias) / scatter).max() > 0.01


def test_the_bias_is_kept_until_the_state_moves():
    step = gaps_of("rectangles")
    first = step._gap_bias()
    step.aligner.fraction = step.aligner.fraction + 0.005
    assert step._gap_bias() is first
    step.aligner.fraction = step.aligner.fraction + 0.02
    assert step._gap_bias() is not first
    kept = step._gap_bias()
    step.aligner.set_profile(np.array([0.1, 0.2]), np.array([1.0, 0.0]))
    assert step._gap_bias() is not kept


def test_complete_images_have_no_bias_of_gaps():
    pair = simulate_pair((32, 32), periodic=True, rng=1)
    step = ChiSquaredStep(Aligner(make_overlap(*planes(pair), (3, -6), periodic=True)))
    assert_array_equal(step._gap_bias(), 0)
