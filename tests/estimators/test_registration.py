"""The chi-squared step on one overlap, and the shared search: blocks, recentring, what is not there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astroreg import chi2_shift
from astroreg.estimators.alignment import Aligner
from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.overlap import Plane, make_overlap
from astroreg.prepared import prepare
from astroreg.simulation import simulate_pair


def planes(pair):
    return [Plane(f.data, f.uncertainty.array**2, ~f.mask) for f in (pair.reference, pair.image)]


def stepped(pair, **free):
    """Return the overlap of a pair at its whole pixels, and the fit there."""
    overlap = make_overlap(*planes(pair), np.rint(pair.shift.value).astype(int))
    return overlap, ChiSquaredStep(Aligner(overlap, **free)).fit(empirical=False)


def coarse(pair, max_shift=None):
    return prepare(
        pair.reference,
        pair.image,
        max_shift=max_shift,
        min_overlap=0.1,
        boundary="overlap",
        fit_scale=True,
        fit_background=True,
        uncertainty="attached",
    ).coarse


def test_large_images_are_searched_in_blocks():
    """More than 256 pixels a side: found to a pixel all the same, with bounds and axes in pixels."""
    pair = simulate_pair((300, 520), shift=(-37.4, 21.7), snr=2, rng=1)
    found = coarse(pair)
    assert np.abs(found.peak.shift - pair.shift.value).max() < 1
    step = found.surface.x[1] - found.surface.x[0]
    assert step == 3  # 520 / 256, rounded up
    assert found.surface.x[-1] > 500
    assert np.hypot(*coarse(pair, max_shift=30).peak.shift) < 30 + 2 * step


def test_large_images_in_full():
    pair = simulate_pair((300, 520), shift=(-37.4, 21.7), snr=2, bad_fraction=0.01, rng=1)
    result = chi2_shift(pair.reference, pair.image)
    assert np.abs(((result.shift - pair.shift) / result.shift_error).value).max() < 5
    # At the limit, whatever was averaged on the way.
    assert (result.shift_error < 1.1 * pair.limit).all()
    assert result.flags == 0


@pytest.mark.parametrize("off", [(1, 0), (-1, 1)])
def test_the_step_mends_a_whole_shift_that_is_off(off):
    pair = simulate_pair((64, 64), shift=(3.37, -5.81), snr=20, rng=5)
    _, right = stepped(pair)
    whole = np.rint(pair.shift.value).astype(int) + off
    mended = ChiSquaredStep(Aligner(make_overlap(*planes(pair), whole))).fit(empirical=False)
    # The canvas begins elsewhere, and loses a row; the answer is the same to a part of its error.
    error = np.sqrt(np.diag(right.covariance))
    assert (np.abs(mended.shift - right.shift) < 0.5 * error).all()


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
    assert_allclose(fit.chi2, (residual**2 / variance[overlap.usable]).sum(), rtol=1e-6)
    assert fit.n_pixels == residual.size
    # Interpolation by part of a pixel keeps white noise white; 3 sigma of a chi-squared, and 2 % besides.
    assert abs(fit.chi2 / (fit.n_pixels - 4) - 1) < 3 * np.sqrt(2 / fit.n_pixels) + 0.02


def test_equations_at_the_solution_are_zero():
    _, fit = stepped(simulate_pair((64, 64), snr=20, bad_fraction=0.02, rng=5))
    # In units of their own scatter: far less than the error.
    assert (np.abs(fit.equations.value) / np.sqrt(np.diag(fit.equations.scatter)) < 0.02).all()


def test_slope_is_the_derivative_of_the_equations():
    """Moved by a tenth of a pixel on a deep pair: the left sides change as the slope says."""
    pair = simulate_pair((64, 64), shift=(0.2, -0.3), periodic=True, snr=200, rng=5)
    aligner = Aligner(make_overlap(*planes(pair), (0, 0), periodic=True))
    aligner.fraction = np.array([0.2, -0.3])
    step = ChiSquaredStep(aligner)
    before = step.equations(aligner.align())
    for k in range(2):
        moved = np.zeros(2)
        moved[k] = 0.01
        sides = []
        for sign in (1, -1):
            aligner.fraction = np.array([0.2, -0.3]) + sign * moved
            sides.append(step.equations(aligner.align()).value)
        numeric = (sides[0] - sides[1]) / 0.02
        # Expected and actual slope differ by the noise, 1/200 a pixel, and the gradients' noise.
        scale = np.sqrt(np.abs(np.diag(before.slope)) * np.abs(before.slope[k, k]))
        assert np.abs((numeric - before.slope[:, k]) / scale).max() < 0.05


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
