"""From two planes to a fit: blocks, recentring, and what is not there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from astroreg.estimators.alignment import Aligner
from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.correlation import Coarse, Peak
from astroreg.estimators.overlap import Plane, make_overlap
from astroreg.estimators.registration import Search, register, search
from astroreg.simulation import simulate_pair


def planes(pair):
    return [Plane(f.data, f.uncertainty.array**2, ~f.mask) for f in (pair.reference, pair.image)]


def test_large_images_are_searched_in_blocks():
    """More than 256 pixels a side: found to a pixel all the same, with bounds and axes in pixels."""
    pair = simulate_pair((300, 520), shift=(-37.4, 21.7), snr=2, rng=1)
    coarse = search(*planes(pair), Search())
    assert np.abs(coarse.peak.shift - pair.shift.value).max() < 1
    step = coarse.surface.x[1] - coarse.surface.x[0]
    assert step == 3  # 520 / 256, rounded up
    assert coarse.surface.x[-1] > 500
    bounded = search(*planes(pair), Search(max_shift=30))
    assert np.hypot(*bounded.peak.shift) < 30 + 2 * step


@pytest.mark.parametrize("off", [(1, 0), (-1, 1), (2, -2)])
def test_the_fine_step_mends_a_coarse_shift_that_is_off(off):
    pair = simulate_pair((64, 64), shift=(3.37, -5.81), snr=20, rng=5)
    right = register(*planes(pair), ChiSquaredStep, Search())
    start = Coarse(Peak(right.coarse.peak.shift + off, 1.0, 0.9, 1.0), trials=1)
    mended = register(*planes(pair), ChiSquaredStep, Search(), coarse=start)
    # The canvas may begin elsewhere; the answer is the same to a small part of its error.
    error = np.sqrt(np.diag(right.fit.covariance))
    assert (np.abs(mended.fit.shift - right.fit.shift) < 0.05 * error).all()


def test_what_is_fixed_has_no_error():
    pair = simulate_pair((64, 64), snr=20, rng=5)
    fit = register(*planes(pair), ChiSquaredStep, Search(fit_scale=False, fit_background=False)).fit
    assert (fit.scale, fit.background) == (1, 0)
    assert (fit.parameters[2:] == 0).all()
    assert (fit.parameters[:, 2:] == 0).all()
    assert fit.n_parameters == 2


def test_chi2_by_hand():
    """At the solution, from the aligned images themselves."""
    pair = simulate_pair((64, 64), snr=20, scale=2.0, rng=5)
    outcome = register(*planes(pair), ChiSquaredStep, Search())
    fit, overlap = outcome.fit, outcome.overlap
    aligned = fit.equations.aligned
    variance = fit.scale**2 * overlap.reference_variance + overlap.image_variance
    residual = (aligned.b - aligned.a)[overlap.usable]
    assert_allclose(fit.chi2, (residual**2 / variance[overlap.usable]).sum(), rtol=1e-6)
    assert fit.n_pixels == residual.size
    # Interpolation by part of a pixel keeps white noise white; 3 sigma of a chi-squared, and 2 % besides.
    assert abs(fit.chi2 / (fit.n_pixels - 4) - 1) < 3 * np.sqrt(2 / fit.n_pixels) + 0.02


def test_nothing_varies():
    flat = Plane(np.full((20, 20), 3.0), 1.0)
    outcome = register(flat, flat, ChiSquaredStep, Search())
    assert outcome.fit is None
    assert np.isnan(outcome.false_alarm)


def test_equations_at_the_solution_are_zero():
    pair = simulate_pair((64, 64), snr=20, bad_fraction=0.02, rng=5)
    equations = register(*planes(pair), ChiSquaredStep, Search()).fit.equations
    # In units of their own scatter: far less than the error.
    assert (np.abs(equations.value) / np.sqrt(np.diag(equations.scatter)) < 0.02).all()


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
