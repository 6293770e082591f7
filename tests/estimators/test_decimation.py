"""Coarser pixels: the low-pass written out as a matrix, noise that stays white, tiles that join."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators import decimation
from astroreg.estimators.decimation import (
    DROPPED,
    Flux,
    amplitude,
    block_sums,
    decimated,
    fill_bad,
    in_standard_units,
    low_passed,
)
from astroreg.estimators.overlap import Plane


def weights_of_one(n, block):
    """Weights of n periodic pixels in the first coarser pixel, a sum of cosines about its centre."""
    k = np.fft.fftfreq(n)
    # 1 up to 0.35 of the coarser sampling frequency, a cosine down to 0 at 0.65 of it.
    height = np.cos(0.5 * np.pi * np.clip((np.abs(k) * block - 0.35) / 0.3, 0, 1))
    distance = np.arange(n) - (block - 1) / 2
    return np.cos(2 * np.pi * distance[:, None] * k) @ height / n


def by_matrix(n, block):
    """Rows: weights of n periodic pixels in each coarser pixel."""
    first = weights_of_one(n, block)
    return np.array([np.roll(first, i * block) for i in range(n // block)])


def tail(block, reach):
    """By how much of its noise a coarser pixel is wrong with something else beyond `reach` coarser pixels.

    What belongs there is missing and something else stands there, on either axis: twice the variance each.
    """
    row = np.roll(weights_of_one(200 * block, block), 100 * block)
    away = np.abs(np.arange(200 * block) - 100 * block) > reach * block
    return np.sqrt(4 * (row[away] ** 2).sum() / (row**2).sum())


@pytest.mark.parametrize("block", [2, 3, 4, 5])
@pytest.mark.parametrize("coarse", [(6, 8), (10, 4)])
def test_low_pass_by_matrix(block, coarse):
    """Blocks even and odd: every coarser pixel stands at the centre of its block."""
    ny, nx = (n * block for n in coarse)
    tile = np.random.default_rng(1).standard_normal((ny, nx))
    expected = by_matrix(ny, block) @ tile @ by_matrix(nx, block).T
    assert_allclose(low_passed(tile, block), expected, atol=1e-13)
    single = low_passed(tile.astype(np.float32), block)
    assert single.dtype == np.float32
    assert_allclose(single, expected, atol=1e-5)


@pytest.mark.parametrize("block", [2, 3, 5])
def test_white_noise_stays_white(block):
    """Any two coarser pixels' weights are orthogonal, and the squares of each sum to 1 / block^2."""
    ny, nx = 4 * block, 6 * block
    weights = []
    for at in range(ny * nx):
        impulse = np.zeros(ny * nx)
        impulse[at] = 1
        weights.append(low_passed(impulse.reshape(ny, nx), block).ravel())
    weights = np.array(weights).T
    assert_allclose(weights @ weights.T, np.eye(24) / block**2, atol=1e-14)


@pytest.mark.parametrize("block", [2, 3, 4])
def test_waves_that_coarser_pixels_can_hold_are_kept(block):
    """Up to 0.35 of their sampling frequency exactly, beyond 0.65 not at all, and constants to rounding."""
    n = 40 * block
    y, x = np.indices((n, n))
    wave = 3 + np.cos(2 * np.pi * (14 * x - 9 * y) / n + 0.4)  # 14 / 40 is 0.35
    centre = np.arange(40) * block + (block - 1) / 2
    expected = 3 + np.cos(2 * np.pi * (14 * centre - 9 * centre[:, None]) / n + 0.4)
    assert_allclose(low_passed(wave, block), expected, atol=1e-12)
    fine = np.cos(2 * np.pi * (27 * x + 3 * y) / n)  # 0.675
    assert_allclose(low_passed(fine, block), 0, atol=1e-12)
    assert_allclose(low_passed(np.full((n, n), 7.0), block), 7, rtol=1e-14)


@pytest.mark.parametrize("block", [2, 5, 16])
def test_squares_of_the_amplitude_fold_to_one(block):
    k = np.linspace(0, 1 / block, 200)
    assert_allclose(amplitude(k, block) ** 2 + amplitude(1 / block - k, block) ** 2, 1)
    assert_array_equal(amplitude(-k, block), amplitude(k, block))


@pytest.mark.parametrize("block", [1, 2, 3])
def test_block_sums_by_loops(block):
    array = np.random.default_rng(2).standard_normal((11, 13)).astype(np.float32)
    sums = block_sums(array, block)
    assert sums.shape == (11 // block, 13 // block)
    assert sums.dtype == float
    for (j, i), value in np.ndenumerate(sums):
        cell = array[j * block : (j + 1) * block, i * block : (i + 1) * block]
        assert_allclose(value, cell.sum(dtype=float), atol=1e-14)
    assert block_sums(array > 0, block).sum() <= (array > 0).sum()


@pytest.mark.parametrize("block", [2, 3])
def test_the_image_on_coarser_pixels(block):
    """Away from its edges each is what the matrix of a long axis says, in standard units."""
    ny, nx = 60 * block + 1, 64 * block
    data = np.random.default_rng(3).standard_normal((ny, nx))
    plane = decimated(Plane(10 + 4 * data, 16.0), block, Flux(10.0, 4.0), np.float64)
    assert plane.shape == (60 - 2 * DROPPED, 64 - 2 * DROPPED)
    assert plane.good is None
    assert_allclose(plane.variance, 1 / block**2)
    expected = by_matrix(60 * block, block) @ data[: 60 * block] @ by_matrix(nx, block).T
    inner = slice(16, -16)
    # The kernel's tail beyond 16 coarser pixels, mirrored here and wrapped there, of noise of 1 / block: five
    # sigma for the largest of some hundreds.
    difference = plane.data[inner, inner] - expected[2:-2, 2:-2][inner, inner]
    assert np.abs(difference).max() < 5 * tail(block, 16) / block


def test_smooth_structure_stands_at_the_centres_of_the_blocks():
    """Waves of 25 pixels and more, to the thousandth to which the kernel has fallen at a tile's edge."""

    def sky(y, x):
        return np.cos(2 * np.pi * (x - 0.4 * y) / 60) + 0.5 * np.sin(2 * np.pi * (y + 3) / 25) + 0.01 * x

    block = 4
    y, x = np.indices((240, 320), dtype=float)
    plane = decimated(Plane(sky(y, x), 1.0), block, Flux(), np.float64)
    row, column = (np.arange(DROPPED, n // block - DROPPED) * block + 1.5 for n in (240, 320))
    # Of contrasts of about 4.
    inner = slice(6, -6)
    assert np.abs(plane.data - sky(row[:, None], column))[inner, inner].max() < 4e-3


@pytest.mark.parametrize("block", [2, 3])
@pytest.mark.parametrize("periodic", [False, True])
def test_tiles_join(monkeypatch, block, periodic):
    """The whole image as one tile, and many small ones: the same but for the kernel's tail of a tile."""
    data = np.random.default_rng(4).standard_normal((90 * block, 78 * block))
    monkeypatch.setattr(decimation, "_TILE", 1000)
    whole = decimated(Plane(data, 1.0), block, Flux(), np.float64, periodic=periodic)
    monkeypatch.setattr(decimation, "_TILE", 20 * block)
    parts = decimated(Plane(data, 1.0), block, Flux(), np.float64, periodic=periodic)
    # The tail beyond the eight coarser pixels that a tile has around it, of noise of 1 / block: five sigma
    # for the largest of some thousand at the borders.
    assert np.abs(parts.data - whole.data).max() < 5 * tail(block, 8) / block
    assert tail(block, 8) < 0.02
    constant = decimated(Plane(np.full(data.shape, 3.0), 1.0), block, Flux(), np.float64, periodic=periodic)
    assert_allclose(constant.data, 3, rtol=1e-13)


def test_a_periodic_image_wraps():
    """As if it were one tile, up to the kernel's tail; no edge is dropped."""
    data = np.random.default_rng(5).standard_normal((60, 80))
    plane = decimated(Plane(data, 1.0), 2, Flux(), np.float64, periodic=True)
    assert plane.shape == (30, 40)
    # The tail beyond 8 coarser pixels as above, to five sigma of noise of 0.5.
    assert np.abs(plane.data - low_passed(data, 2)).max() < 5 * tail(2, 8) / 2
    rolled = decimated(Plane(np.roll(data, (14, -6), (0, 1)), 1.0), 2, Flux(), np.float64, periodic=True)
    assert np.abs(rolled.data - np.roll(low_passed(data, 2), (7, -3), (0, 1))).max() < 5 * tail(2, 8) / 2


def test_edges_are_mirrored_and_dropped():
    """What is beyond an edge is not 0: a constant stays one up to the last pixel that is kept."""
    plane = decimated(Plane(np.full((43, 61), 5.0), 1.0), 3, Flux(), np.float64)
    assert plane.shape == (14 - 4, 20 - 4)
    assert_allclose(plane.data, 5, rtol=1e-13)


@pytest.mark.parametrize("variance", ["number", "array"])
@pytest.mark.parametrize("masked", [False, True])
def test_noise_of_coarser_pixels_by_loops(variance, masked):
    rng = np.random.default_rng(6)
    shape, block, factor = (36, 41), 3, 2.5
    v = 4.0 if variance == "number" else rng.uniform(1, 2, shape)
    good = rng.random(shape) > 0.2 if masked else None
    found = decimated(Plane(rng.standard_normal(shape), v, good), block, Flux(1.0, factor), np.float64)
    for j in range(12 - 2 * DROPPED):
        for i in range(13 - 2 * DROPPED):
            cell = tuple(slice((n + DROPPED) * block, (n + DROPPED + 1) * block) for n in (j, i))
            usable = good[cell] if masked else np.ones((block, block), bool)
            if masked:
                assert found.good[j, i] == (usable.sum() >= 0.75 * block**2)
            if usable.any():
                # The mean variance of its good pixels, over their number if all were good.
                expected = np.broadcast_to(v, shape)[cell][usable].mean() / block**2 / factor**2
                got = found.variance if np.ndim(found.variance) == 0 else found.variance[j, i]
                assert_allclose(got, expected)
    assert (found.good is None) != masked
    assert (np.ndim(found.variance) == 0) == (variance == "number")


def test_bad_pixels_are_filled_before_they_spread():
    rng = np.random.default_rng(7)
    y, x = np.indices((80, 88), dtype=float)
    smooth, good = np.cos(2 * np.pi * x / 44) + 0.02 * y, rng.random((80, 88)) > 0.02
    wild = np.where(good, smooth, 1e6)
    found = decimated(Plane(wild, 1.0, good), 2, Flux(), np.float64).data
    clean = decimated(Plane(smooth, 1.0), 2, Flux(), np.float64).data
    # A neighbours' mean of a wave of 44 pixels errs by its curvature, (2 pi / 44)^2 * 2 / 3 = 0.014, with a
    # neighbour missing by a slope of 0.14 / 8 besides; of which a coarser pixel takes a quarter or so.
    assert np.abs(found - clean).max() < 0.02
    kept = wild.copy()
    decimated(Plane(wild, 1.0, good), 2, Flux(), np.float64)
    assert_array_equal(wild, kept)


def test_fill_bad_by_loops():
    rng = np.random.default_rng(8)
    values, bad = rng.standard_normal((14, 17)), rng.random((14, 17)) < 0.25
    filled = values.copy()
    fill_bad(filled, bad)
    assert_array_equal(filled[~bad], values[~bad])
    found = 0
    for y, x in np.argwhere(bad[1:-1, 1:-1]) + 1:
        near = (slice(y - 1, y + 2), slice(x - 1, x + 2))
        if not bad[near].all():
            assert_allclose(filled[y, x], values[near][~bad[near]].mean())
            found += 1
    assert found > 20
    assert np.isfinite(filled).all()


def test_a_cluster_of_bad_pixels_takes_the_nearest():
    values, bad = np.zeros((20, 20)), np.zeros((20, 20), bool)
    values[:, :10], values[:, 10:] = 1.0, 2.0
    bad[5:15, 5:15] = True
    values[bad] = np.nan
    fill_bad(values, bad)
    assert np.isfinite(values).all()
    # The nearest to the middle of its rows are to the left and to the right.
    assert_array_equal(values[9:11, 6:9], 1)
    assert_array_equal(values[9:11, 11:14], 2)


def test_nothing_bad_or_nothing_good():
    values = np.random.default_rng(9).standard_normal((5, 6))
    for bad in (np.zeros((5, 6), bool), np.ones((5, 6), bool)):
        out = values.copy()
        fill_bad(out, bad)
        assert_array_equal(out, values)


@pytest.mark.parametrize("kind", [">f4", "<f4", "f8", "i2", "u1", ">i4"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_units_of_any_kind(kind, dtype):
    values = np.array([[10, 30], [50, 70]], kind)
    found = in_standard_units(values, Flux(10.0, 20.0), np.dtype(dtype))
    assert_allclose(found, [[0, 1], [2, 3]], rtol=1e-6)
    assert found.dtype == dtype
    assert_array_equal(values, [[10, 30], [50, 70]])


def test_a_large_offset_is_taken_away_before_precision_is():
    """Structure of 1 on a level of 1e6, in double precision: single would hold it to 0.06 only."""
    values = 1e6 + np.random.default_rng(10).standard_normal((8, 8))
    found = in_standard_units(values, Flux(1e6, 1.0), np.dtype(np.float32))
    assert_allclose(found, values - 1e6, rtol=1e-6, atol=1e-6)
