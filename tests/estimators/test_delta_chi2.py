"""The Delta chi-squared map against the quoted errors, at any signal to noise."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg import AstroregWarning, chi2_shift, cross_correlation_shift, register_images
from astroreg.estimators import delta_chi2
from astroreg.simulation import simulate_pair


@pytest.fixture(scope="module", params=[3, 10, 100, 300])
def result(request):
    pair = simulate_pair((56, 64), shift=(1.37, -2.8), snr=request.param, vignetting=1.0, rng=4)
    return chi2_shift(pair.reference, pair.image)


def half_widths(chart, axis):
    """Half width of the region Delta < 1 along one axis, the other profiled: its projection."""
    profile = chart.map.min(axis=axis)
    at = (chart.x if axis == 0 else chart.y).value
    lowest = int(profile.argmin())
    # Delta grows as the square of the distance: linear interpolation of its root.
    root = np.sqrt(np.maximum(profile, 0))
    right = np.interp(1, root[lowest:], at[lowest:])
    left = np.interp(1, root[lowest::-1], at[lowest::-1])
    return (right - left) / 2, at[lowest]


@pytest.mark.parametrize("axis", [0, 1], ids=["x", "y"])
def test_projections_of_delta_1_are_the_marginal_errors(result, axis):
    width, lowest = half_widths(result.delta_chi2, axis)
    assert_allclose(width, result.shift_error[axis].value, rtol=0.05)
    # The minimum stands at the answer, to half a sample.
    assert abs(lowest - result.shift[axis].value) < 0.15 * result.shift_error[axis].value


def test_it_reaches_three_sigma_on_all_sides(result):
    chart = result.delta_chi2
    for at, centre, error in zip((chart.x, chart.y), result.shift, result.shift_error):
        assert at[0] < centre - 3 * error
        assert at[-1] > centre + 3 * error
    for edge in (chart.map[0], chart.map[-1], chart.map[:, 0], chart.map[:, -1]):
        # 11.83 bounds the 99.7 % region: its contour must close inside the map.
        assert edge.min() > 11.83


def test_joint_region(result):
    """Delta < 2.30 covers an ellipse of area pi 2.30 sqrt(det C)."""
    chart = result.delta_chi2
    cell = (chart.x[1] - chart.x[0]) * (chart.y[1] - chart.y[0])
    area = ((chart.map < 2.30).sum() * cell).value
    expected = np.pi * 2.30 * np.sqrt(np.linalg.det(result.covariance.value))
    # Some 200 cells of five samples a sigma: counting them is good to about 3 %, the shape to 5 %.
    assert_allclose(area, expected, rtol=0.1)


def test_minimum_is_zero(result):
    assert abs(result.delta_chi2.map.min()) < 0.05
    assert result.delta_chi2.map.shape == (result.delta_chi2.y.size, result.delta_chi2.x.size)


def test_rows_are_y():
    """An elongated sky makes one axis worse: the map must know which."""
    y, x = np.indices((56, 64))
    ridge = np.exp(-0.5 * ((x - 30) / 3) ** 2 - 0.5 * ((y - 28) / 12) ** 2)
    rng = np.random.default_rng(1)
    images = [ridge + 0.02 * rng.standard_normal(ridge.shape) for _ in range(2)]
    result = chi2_shift(*images)
    chart = result.delta_chi2
    assert result.shift_error[1] > 2 * result.shift_error[0]
    assert np.ptp(chart.y) > 2 * np.ptp(chart.x)
    middle = chart.map[:, chart.x.size // 2]
    assert_allclose(
        np.interp(result.shift[1].value + 2 * result.shift_error[1].value, chart.y.value, middle), 4, rtol=0.2
    )


def test_only_chi2_shift_has_one():
    pair = simulate_pair((48, 48), rng=1)
    for method in (register_images, cross_correlation_shift):
        assert method(pair.reference, pair.image).delta_chi2 is None


def test_empirical_errors_calibrate_it_too():
    pair = simulate_pair((64, 64), correlation=1.2, rng=6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        result = chi2_shift(pair.reference, pair.image, uncertainty="empirical")
    for axis in (0, 1):
        width, _ = half_widths(result.delta_chi2, axis)
        assert_allclose(width, result.shift_error[axis].value, rtol=0.05)


def test_the_map_of_a_small_error_is_the_parabola_that_the_equations_draw(monkeypatch):
    """Four sigmas below 0.04 pixel: the equations themselves say the same as the covariance."""
    pair = simulate_pair((120, 130), shift=(1.37, -2.8), snr=80, rng=4)
    short = chi2_shift(pair.reference, pair.image)
    assert 4 * short.shift_error.value.max() < delta_chi2._STRAIGHT
    monkeypatch.setattr(delta_chi2, "_STRAIGHT", 0.0)
    whole = chi2_shift(pair.reference, pair.image)
    assert not np.array_equal(short.delta_chi2.map, whole.delta_chi2.map)
    # Of a wave of two pixels, twice (pi 0.04)^2 / 6; half a per cent.
    assert_allclose(short.delta_chi2.map, whole.delta_chi2.map, rtol=0.006, atol=1e-3)
    assert_array_equal(short.delta_chi2.x, whole.delta_chi2.x)
    c = short.covariance.value
    edge = np.array([short.delta_chi2.x[-1].value, short.delta_chi2.y[0].value]) - short.shift.value
    assert_allclose(short.delta_chi2.map[0, -1], edge @ np.linalg.solve(c, edge), rtol=1e-9)
