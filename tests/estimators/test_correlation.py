"""The coarse search against loops over every shift and every pixel."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.correlation import (
    Coarse,
    Peak,
    Surface,
    coarse_shift,
    correlation_surface,
    delta_chi2_of,
    search_block,
    summit,
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


@pytest.mark.parametrize("reach", [0, 1, 4, 30])
@pytest.mark.parametrize("bad", [0.0, 0.15])
@pytest.mark.parametrize("shapes", [((17, 19), (18, 16)), ((9, 30), (24, 11))])
def test_correlation_at_short_shifts_only(shapes, bad, reach):
    """On a smaller canvas, of which nothing that wraps around is seen: the middle of the whole surface."""
    reference, image = make(shapes[0], bad, 1), make(shapes[1], bad, 2)
    whole, part = (correlation_surface(reference, image, reach=n) for n in (None, reach))
    near = np.ix_(np.abs(whole.y) <= reach, np.abs(whole.x) <= reach)
    assert_array_equal(part.y, whole.y[np.abs(whole.y) <= reach])
    assert_array_equal(part.x, whole.x[np.abs(whole.x) <= reach])
    assert_allclose(part.rho, whole.rho[near], atol=1e-10)
    assert_allclose(part.overlap, whole.overlap[near], atol=1e-12)


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


@pytest.mark.parametrize(
    ("shapes", "longest", "block"),
    [
        (((100, 256), (30, 40)), 256, 1),
        (((100, 257), (30, 40)), 256, 2),
        (((2000, 100), (30, 40)), 256, 8),
        (((30, 40), (2000, 100)), 128, 16),
        (((2048, 2048), (2048, 2048)), 128, 16),
        (((5, 5), (5, 5)), 128, 1),
    ],
)
def test_block_size(shapes, longest, block):
    assert search_block(shapes, longest) == block
    # No side has more blocks than asked for, and with one pixel less a block one would have.
    sides = [max(max(shape) for shape in shapes) / b for b in (block, max(1, block - 1))]
    assert sides[0] <= longest
    assert block == 1 or sides[1] > longest


@pytest.mark.parametrize(
    ("shape", "block"), [((300, 520), 5), ((300, 516), 6), ((512, 512), 4), ((521, 521), 1), ((128, 60), 1)]
)
def test_blocks_tile_a_periodic_image(shape, block):
    """The smallest, up to twice as large as need be, that divides both sides; each pixel where none does."""
    assert search_block((shape, shape), 128, periodic=True) == block
    assert shape[0] % block == shape[1] % block == 0


def found_at(rho, at):
    """A search whose correlation is `rho` and whose peak is the sample `at` (row, column)."""
    y, x = (np.arange(n) - n // 2 for n in rho.shape)
    surface = Surface(x, y, rho, rho, np.ones_like(rho))
    return Coarse(Peak(np.array([x[at[1]], y[at[0]]], float), 1.0, 0.9, 1.0), surface=surface)


@pytest.mark.parametrize("centre", [(0.3, -0.2), (-0.45, 0.4), (0.0, 0.0)])
def test_summit_of_a_paraboloid(centre):
    """Exact on a slanted paraboloid, x first."""
    y, x = np.indices((9, 11)) - np.array([4, 5])[:, None, None]
    u, v = x - 2 - centre[0], y + 1 - centre[1]
    rho = 0.9 - 0.02 * u**2 - 0.01 * v**2 + 0.008 * u * v
    assert_allclose(summit(found_at(rho, (3, 7))), [2 + centre[0], -1 + centre[1]], atol=1e-12)


def test_a_summit_stays_within_half_a_pixel():
    """A ridge whose paraboloid peaks far away: no farther than half-way to the next sample."""
    y, x = np.indices((7, 7)) - 3
    rho = 0.9 - 0.02 * (x - 0.8) ** 2 - 0.01 * y**2
    assert_allclose(summit(found_at(rho, (3, 3))), [0.5, 0])


@pytest.mark.parametrize("at", [(0, 3), (6, 3), (3, 0), (3, 6), (0, 0)])
def test_no_summit_at_the_border(at):
    y, x = np.indices((7, 7)) - 3
    rho = 0.9 - 0.01 * (x - at[1] + 3.2) ** 2 - 0.01 * (y - at[0] + 3.2) ** 2
    assert_array_equal(summit(found_at(rho, at)), [at[1] - 3, at[0] - 3])


def test_no_summit_without_one():
    """A saddle, a plane, and neighbours that are not known."""
    y, x = np.indices((7, 7)) - 3
    unknown = 0.9 - 0.01 * (x**2 + y**2)
    unknown[2, 3] = np.nan
    for rho in (0.5 + 0.01 * (x**2 - y**2), np.full((7, 7), 0.5), unknown):
        assert_array_equal(summit(found_at(rho, (3, 3))), [0, 0])


def test_summit_of_two_windows(sky):
    """White noise seen through 3 x 3 pixels, moved by half a pixel by averaging neighbours."""
    half = (sky + np.roll(sky, 1, 1)) / 2
    found = coarse_shift(window(sky, 20, 20), window(half, 16, 23))
    # Moved by (4.5, -3); both neighbouring samples correlate alike, but for what stands at the edges.
    assert np.abs(summit(found) - [4.5, -3]).max() < 0.05
