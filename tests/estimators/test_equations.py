"""What the fine steps share: the algebra of the equations, by hand and by sums over pixels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.alignment import Aligned
from astroreg.estimators.equations import Equations, curvature, products
from astroreg.estimators.fourier import FourierGrid, power_of
from astroreg.estimators.template import filter_on


@pytest.mark.parametrize("shape", [(30, 34), (31, 33), (30, 33)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_curvature_by_sums_over_pixels(shape, dtype):
    """Gradients by a matrix of derivatives of the interpolation, the low-pass by a plain transform."""
    noise, grid = np.random.default_rng(1).standard_normal(shape).astype(dtype), FourierGrid(shape, dtype)
    profile = filter_on(grid, np.array([0.05, 0.4]), np.array([1.0, 0.1]))
    matrix, value = curvature(grid, power_of(grid.forward(noise)) * profile)
    low = np.fft.irfft2(np.fft.rfft2(noise) * profile, s=shape)
    fine, smooth = ([image @ slopes(shape[1]).T, slopes(shape[0]) @ image] for image in (noise, low))
    expected = np.array([[(s * f).sum() for f in fine] for s in smooth])
    # Rounding of a sum of a thousand terms.
    rtol = 1e-4 if dtype == np.float32 else 1e-11
    assert_allclose(matrix, expected, rtol=rtol, atol=rtol * expected.max())
    assert_allclose(value, (low * noise).sum(), rtol=rtol)


def slopes(n):
    """Matrix of the derivative of the band-limited interpolation of n periodic samples, at the samples."""
    m = np.arange(n)[:, None] - np.arange(n)
    safe = np.where(m == 0, 1, m)
    under = np.sin(np.pi * safe / n) if n % 2 else np.tan(np.pi * safe / n)
    return np.where(m == 0, 0.0, np.pi / n * (-1.0) ** m / under)


def test_products_by_hand():
    a, b, c = np.random.default_rng(2).standard_normal((3, 7, 9))
    assert_allclose(products([a, b], [a, b, c]), [[(x * y).sum() for y in (a, b, c)] for x in (a, b)])


def equations(value=(1.0, -0.5, 0.1, 3.0), free=(True,) * 4, slope=None, images=None, weight=None):
    grid = FourierGrid((4, 5))
    spectra = [grid.forward(x) for x in (np.ones((2, 4, 5)) if images is None else images)]
    return Equations(
        np.array(value),
        np.diag([4.0, 2.0, 8.0, 5.0]) if slope is None else slope,
        np.diag([2.0, 3.0, 5.0, 7.0]),
        (),
        Aligned(grid, *spectra),
        np.ones((4, 5)) if weight is None else weight,
        np.array(free),
    )


def test_a_newton_step_solves_linear_equations():
    slope = np.diag([4.0, 2.0, 8.0, 5.0])
    slope[0, 1], slope[3, 2] = 1.0, -2.0
    step = equations(slope=slope).step()
    assert_allclose(slope @ step, [-1.0, 0.5, -0.1, -3.0])


def test_what_is_not_fitted_does_not_move():
    slope = np.full((4, 4), 100.0)
    slope[:2, :2] = [[4.0, 1.0], [1.0, 2.0]]
    some = equations(free=(True, True, False, False), slope=slope)
    step = some.step()
    assert_allclose(slope[:2, :2] @ step[:2], [-1.0, 0.5])
    assert_array_equal(step[2:], 0)
    covariance = some.covariance(some.scatter)
    inverse = np.linalg.inv(slope[:2, :2])
    assert_allclose(covariance[:2, :2], inverse @ np.diag([2.0, 3.0]) @ inverse.T)
    assert_array_equal(covariance[2:], 0)


@pytest.mark.parametrize(
    ("value", "longest"), [((40.0, 0.0, 0.0, 0.0), 1.0), ((0.0, 0.0, 40.0, 0.0), 0.5)], ids=["pixel", "log"]
)
def test_no_step_is_longer_than_a_pixel_or_half_in_log_scale(value, longest):
    assert_allclose(np.abs(equations(value=value).step()).max(), longest)


def test_no_step_where_there_is_no_slope():
    assert_array_equal(equations(slope=np.zeros((4, 4))).step(), 0)
    assert_array_equal(equations(value=(np.nan, 0.0, 0.0, 0.0)).step(), 0)


def test_weighted_correlation_by_hand():
    rng = np.random.default_rng(3)
    a = rng.standard_normal((4, 5))
    images, count = (a, 2 * a + rng.standard_normal((4, 5))), rng.integers(0, 4, (4, 5))
    # A pixel of weight n is a pixel that is there n times.
    repeated = [np.repeat(x.ravel(), count.ravel()) for x in images]
    found = equations(images=images, weight=count.astype(float)).correlation()
    assert_allclose(found, np.corrcoef(*repeated)[0, 1])
    assert np.isnan(equations().correlation())
