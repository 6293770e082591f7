"""Fourier tools against closed forms: the periodic cardinal function and its derivative."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import fft

from astroreg.estimators.fourier import FourierGrid, good_length, workers_for

SHAPES = [(8, 12), (9, 12), (8, 15), (9, 15), (10, 10)]


def cardinal(n, at):
    """Matrix that interpolates n periodic samples at the positions `at`: the Dirichlet kernel.

    For even n the Nyquist term is taken as a cosine, which makes it sin(pi u) / (n tan(pi u / n)).
    """
    u = np.asarray(at, float)[:, None] - np.arange(n)
    near = np.abs(np.sin(np.pi * u / n)) < 1e-12
    safe = np.where(near, 0.25, u)
    under = np.sin(np.pi * safe / n) if n % 2 else np.tan(np.pi * safe / n)
    return np.where(near, 1.0, np.sin(np.pi * safe) / (n * under))


def slopes(n):
    """Matrix of the derivative of that interpolation at the samples themselves."""
    m = np.arange(n)[:, None] - np.arange(n)
    safe = np.where(m == 0, 1, m)
    under = np.sin(np.pi * safe / n) if n % 2 else np.tan(np.pi * safe / n)
    return np.where(m == 0, 0.0, np.pi / n * (-1.0) ** m / under)


@pytest.fixture(params=SHAPES, ids=str)
def noise(request):
    """White noise, which has all frequencies, the highest included, on its grid."""
    return np.random.default_rng(3).standard_normal(request.param), FourierGrid(request.param)


def test_sampling_anywhere(noise):
    array, grid = noise
    y, x = np.array([-1.3, 0.0, 2.5, 3.77]), np.array([0.25, 4.0, 7.9])
    expected = cardinal(array.shape[0], y) @ array @ cardinal(array.shape[1], x).T
    # Rounding of sums over some 100 terms of order 1.
    assert_allclose(grid.sample(grid.forward(array), x, y), expected, atol=1e-13)


@pytest.mark.parametrize("reach", [0.3, 1.5, 4.0])
def test_a_patch_is_sampled_anywhere(noise, reach):
    """White noise, with waves of two pixels: the polynomial is the content itself."""
    array, grid = noise
    y, x = reach * np.array([-1.0, -0.87, 0.0, 0.31, 1.0]), reach * np.array([-0.99, 0.12, 0.5])
    expected = cardinal(array.shape[0], y) @ array @ cardinal(array.shape[1], x).T
    # Twelve digits, as promised, of values of a few.
    assert_allclose(grid.patch(grid.forward(array), reach)(x, y), expected, atol=1e-11)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (1.0, -2.0), (0.3, 0.0), (0.0, 0.3), (-2.6, 0.45)])
def test_moving_by_part_of_a_pixel(noise, shift):
    """Content moved by +shift is what stood at -shift."""
    array, grid = noise
    ny, nx = array.shape
    expected = cardinal(ny, np.arange(ny) - shift[1]) @ array @ cardinal(nx, np.arange(nx) - shift[0]).T
    assert_allclose(grid.inverse(grid.forward(array) * grid.phase(shift)), expected, atol=1e-13)


def test_gradient(noise):
    array, grid = noise
    gx, gy = grid.gradient(grid.forward(array))
    assert_allclose(gx, array @ slopes(array.shape[1]).T, atol=1e-12)
    assert_allclose(gy, slopes(array.shape[0]) @ array, atol=1e-12)


def test_sum_of_a_product(noise):
    array, grid = noise
    other = np.random.default_rng(4).standard_normal(array.shape)
    assert_allclose(grid.dot(grid.forward(array), grid.forward(other)), (array * other).sum(), atol=1e-12)


def test_sums_of_products_with_a_gradient(noise):
    array, grid = noise
    other = np.random.default_rng(5).standard_normal(array.shape)
    product, gradient = grid.sums(grid.forward(array).conj() * grid.forward(other))
    expected = [
        (array * slope).sum() for slope in (other @ slopes(array.shape[1]).T, slopes(array.shape[0]) @ other)
    ]
    assert_allclose(product, (array * other).sum(), atol=1e-12)
    assert_allclose(gradient, expected, atol=1e-11)


@pytest.mark.parametrize("shape", [(40, 31), (480, 450)])
@pytest.mark.parametrize("keep", [True, False])
def test_inverse_keeps_what_it_is_told_to(shape, keep):
    array, grid = np.random.default_rng(6).standard_normal(shape), FourierGrid(shape)
    spectrum = grid.forward(array)
    before = spectrum.copy()
    assert_allclose(grid.inverse(spectrum, keep=keep), array, atol=1e-13)
    if keep:
        assert np.array_equal(spectrum, before)


def test_half_plane_counts_the_whole_plane(noise):
    array, grid = noise
    power = (grid.multiplicity * np.abs(grid.forward(array)) ** 2).sum()
    assert_allclose(power, (np.abs(fft.fft2(array)) ** 2).sum())
    assert_allclose((grid.multiplicity * np.ones(grid.k2.shape)).sum(), array.size)


def test_frequencies():
    grid = FourierGrid((6, 8))
    assert_allclose(grid.k2[2, 3], (2 / 6) ** 2 + (3 / 8) ** 2)
    assert_allclose(grid.k2[4, 1], (2 / 6) ** 2 + (1 / 8) ** 2)


def test_single_precision_stays_single():
    grid = FourierGrid((16, 15), np.float32)
    array = np.random.default_rng(1).standard_normal((16, 15)).astype(np.float32)
    spectrum = grid.forward(array) * grid.phase((0.3, 0.1))
    assert spectrum.dtype == np.complex64
    assert grid.inverse(spectrum).dtype == np.float32
    assert all(g.dtype == np.float32 for g in grid.gradient(spectrum))


@pytest.mark.parametrize("n", [1, 7, 11, 13, 17, 97, 101, 1009])
def test_lengths_that_transform_fast(n):
    """Not shorter, not longer than the next power of two, and of small prime factors alone."""
    length = good_length(n)
    assert n <= length < 2 * n + 1
    for prime in (2, 3, 5, 7, 11):
        while length % prime == 0:
            length //= prime
    assert length == 1


def test_threads_only_where_they_pay():
    assert workers_for((64, 64)) == 1
    assert workers_for((4096, 4096)) >= 1
