"""The coarse search against loops over every shift and every pixel."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.correlation import (
    Peak,
    coarse_shift,
    correlation_surface,
    delta_chi2_of,
    search_block,
)
from astroreg.estimators.overlap import Plane


def make(shape, bad, seed):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal(shape) + 5 * np.linspace(0, 1, shape[1])
    return Plane(data, 1.0, None if bad == 0 else rng.random(shape) > bad)


def pairs_at(reference, image, dx, dy, *, periodic=False):
    """Values of reference and image at the pixels in common when the image is shifted by (dx, dy)."""
    a, b = [], []
    for (y, x), value in np.ndenumerate(image.data):
        row, column = y - dy, x - dx
        if periodic:
            row, column = row % reference.shape[0], column % reference.shape[1]
        elif not (0 <= row < reference.shape[0] and 0 <= column < reference.shape[1]):
            continue
        known = reference.good is None or reference.good[row, column]
        if known and (image.good is None or image.good[y, x]):
            a.append(reference.data[row, column])
            b.append(value)
    return np.array(a), np.array(b)


@pytest.mark.parametrize("bad", [0.0, 0.15])
@pytest.mark.parametrize(("shapes", "periodic"), [(((7, 9), (8, 6)), False), (((6, 9), (6, 9)), True)])
def test_correlation_at_every_shift(shapes, periodic, bad):
    reference, image = make(shapes[0], bad, 1), make(shapes[1], bad, 2)
    surface = correlation_surface(reference, image, periodic=periodic)
    smaller = min(reference.count, image.count)
    for j, dy in enumerate(surface.y):
        for i, dx in enumerate(surface.x):
            a, b = pairs_at(reference, image, dx, dy, periodic=periodic)
            assert_allclose(surface.overlap[j, i], a.size / smaller, atol=1e-12)
            if a.size < 3:
                assert np.isnan(surface.rho[j, i])
                continue
            rho = np.corrcoef(a, b)[0, 1]
            assert_allclose(surface.rho[j, i], rho, atol=1e-10)
            if rho > 1e-9 and rho < 1 - 1e-9:
                assert_allclose(surface.score[j, i], -0.5 * a.size * np.log(1 - rho**2), rtol=1e-6)
            elif rho < -1e-9:
                assert surface.score[j, i] == -np.inf
    # Every shift at which anything overlaps is there.
    if not periodic:
        assert (surface.x[0], surface.x[-1]) == (1 - shapes[0][1], shapes[1][1] - 1)
        assert (surface.y[0], surface.y[-1]) == (1 - shapes[0][0], shapes[1][0] - 1)
    else:
        assert surface.rho.shape == shapes[0]


def test_what_stands_in_bad_pixels_does_not_matter():
    one = make((9, 9), 0.2, 1)
    other = Plane(np.where(one.good, one.data, 1e30), 1.0, one.good)
    image = make((9, 9), 0.0, 2)
    assert_array_equal(correlation_surface(one, image).rho, correlation_surface(other, image).rho)


def test_images_that_do_not_vary_have_no_peak():
    flat = Plane(np.full((9, 9), 3.0), 1.0)
    found = coarse_shift(flat, make((9, 9), 0.0, 1))
    assert found.peak is None
    assert found.rival is None
    assert found.trials > 0


def window(sky, x, y, n=24):
    return Plane(sky[y : y + n, x : x + n], 1.0)


@pytest.fixture(scope="module")
def sky():
    """Correlated over two pixels, and unlike itself elsewhere."""
    white = np.random.default_rng(5).standard_normal((60, 60))
    return sum(np.roll(white, (j, i), (0, 1)) for j in range(3) for i in range(3))


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (5, -3), (-12, 10), (14, 14)])
def test_the_shift_of_two_windows(sky, dx, dy):
    """A window that begins dx further left sees everything dx further right."""
    found = coarse_shift(window(sky, 20, 20), window(sky, 20 - dx, 20 - dy))
    assert_array_equal(found.peak.shift, [dx, dy])
    assert_allclose(found.peak.correlation, 1)
    assert_allclose(found.peak.overlap, (24 - abs(dx)) * (24 - abs(dy)) / 24**2)
    assert not found.at_bound


def test_bounds_of_the_search(sky):
    reference, image = window(sky, 20, 20), window(sky, 15, 23)  # shift (5, -3), 5.8 pixels long
    assert_array_equal(coarse_shift(reference, image, max_shift=8).peak.shift, [5, -3])
    # 8 pixels around the origin: as many lags as whole pairs with x^2 + y^2 <= 64.
    n = sum(x * x + y * y <= 64 for x in range(-8, 9) for y in range(-8, 9))
    assert coarse_shift(reference, image, max_shift=8).trials == n
    short = coarse_shift(reference, image, max_shift=4)
    assert np.hypot(*short.peak.shift) <= 4
    # 19 x 21 of 24 x 24 pixels are 69 %: allowed at 60 %, not at 80 %.
    assert_array_equal(coarse_shift(reference, image, min_overlap=0.6).peak.shift, [5, -3])
    far = coarse_shift(reference, image, min_overlap=0.8)
    assert far.peak is None or far.peak.overlap >= 0.8
    # Around a shift that is known already.
    assert_array_equal(coarse_shift(reference, image, max_shift=2, prior=(5, -3)).peak.shift, [5, -3])


def test_nothing_allowed():
    plane = make((9, 9), 0.0, 1)
    assert coarse_shift(plane, make((9, 9), 0.0, 2), min_overlap=1.1).peak is None


def test_swap_negates(sky):
    reference, image = window(sky, 20, 20), window(sky, 15, 23, n=21)
    there, back = coarse_shift(reference, image), coarse_shift(image, reference)
    assert_array_equal(there.peak.shift, -back.peak.shift)
    assert_allclose(there.peak.score, back.peak.score)


def test_rivals_are_compared_over_equal_pixels():
    """n ln((1 - rho_2^2) / (1 - rho_1^2)) with the n of the smaller overlap."""
    # n = -2 score / ln(1 - rho^2) belongs to each peak.
    best = Peak(np.zeros(2), -0.5 * 1000 * np.log(1 - 0.81), 0.9, 1.0)
    other = Peak(np.ones(2), -0.5 * 400 * np.log(1 - 0.64), 0.8, 0.4)
    assert_allclose(delta_chi2_of(best, other), 400 * np.log(0.36 / 0.19))
    same = Peak(np.ones(2), -0.5 * 400 * np.log(1 - 0.81), 0.9, 0.4)
    assert_allclose(delta_chi2_of(best, same), 0, atol=1e-9)


def test_block_size():
    assert search_block(((100, 256), (30, 40))) == 1
    assert search_block(((100, 257), (30, 40))) == 2
    assert search_block(((2000, 100), (30, 40))) == 8
