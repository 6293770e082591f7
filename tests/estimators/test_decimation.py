"""Coarser pixels: the low-pass written out as a matrix, noise that stays white, tiles that join."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators import decimation
from astroreg.estimators.decimation import (
    Flux,
    amplitude,
    block_sums,
    decimated,
    decimated_rows,
    fill_bad,
    in_standard_units,
)
from astroreg.estimators.overlap import Plane


def low_passed(tile, block):
    """Coarser pixels along both axes."""
    return decimated_rows(decimated_rows(tile, block).T, block).T


REACH = 10  # coarser pixels beyond its own that one looks at


def weights_at(distance, block):
    """Weights in a coarser pixel of the pixels at a distance in pixels, as a sum of cosines."""
    n = int(2000 * block)
    k = np.fft.fftfreq(n)
    # 1 up to 0.42 of the coarser sampling frequency, falling to 0 at 0.58 of it.
    flank = np.clip((np.abs(k) * block - 0.42) / 0.16, 0, 1)
    height = np.cos(0.5 * np.pi * (3 * flank**2 - 2 * flank**3))
    return np.cos(2 * np.pi * distance[:, None] * k) @ height / n


def weights_of_one(block, reach=REACH):
    """Weights in one coarser pixel of the pixels up to `reach` coarser ones from it."""
    n = (1 + 2 * reach) * block
    return weights_at(np.arange(n) - (n - 1) / 2, block)


def by_matrix(n, block):
    """Rows: weights of pixels, ten coarser ones more than n at either end, in each of n coarser pixels."""
    out = np.zeros((n, int((n + 2 * REACH) * block)))
    for i, row in enumerate(out):
        # Its middle, counted from the middle of the first pixel.
        distance = np.arange(row.size) - ((REACH + i + 0.5) * block - 0.5)
        near = np.abs(distance) < (REACH + 0.5) * block
        row[near] = weights_at(distance[near], block)
        row /= row.sum()
    return out


def exact(block):
    """How well the weights are known: to what the sum of cosines repeats, 1e-9 at 2000 coarser pixels.

    A kernel between the pixels is cut off unevenly, and what then keeps a slope in its place is not cosines:
    of the order of what is missing.
    """
    return 1e-8 if isinstance(block, int) else 2 * np.sqrt(missing(block, 2))


def missing(block, power):
    """Sum of what the kernel has beyond its reach, to a power, beside all of it."""
    row = np.abs(weights_of_one(block, 200)) ** power
    beyond = int((200 - REACH) * block)
    return 1 - row[beyond:-beyond].sum() / row.sum()


@pytest.mark.parametrize("block", [1.5, 2, 2.5, 3, 4, 5, 16])
@pytest.mark.parametrize("coarse", [(16, 32), (48, 16)])
def test_low_pass_by_matrix(block, coarse):
    """Blocks even and odd: every coarser pixel stands at the centre of its block."""
    ny, nx = coarse
    tile = np.random.default_rng(1).standard_normal([int((n + 2 * REACH) * block) for n in coarse])
    expected = by_matrix(ny, block) @ tile @ by_matrix(nx, block).T
    double, single = (low_passed(tile.astype(kind), block) for kind in (np.float64, np.float32))
    assert_allclose(double, expected, atol=exact(block))
    assert single.dtype == np.float32
    assert_allclose(single, double, atol=1e-5)


@pytest.mark.parametrize("block", [1.5, 2, 2.5, 3, 5])
def test_white_noise_stays_white(block):
    """Any two coarser pixels' weights are orthogonal, their squares sum to 1 / block^2, but for the tail."""
    one = by_matrix(16, block)
    impulse = np.zeros([int(36 * block)] * 2)
    y, x = int(15 * block), int(17 * block)
    impulse[y, x] = 1
    assert_allclose(low_passed(impulse, block), np.outer(one[:, y], one[:, x]), atol=exact(block))
    # What is missing of either of two kernels, times the other: by Cauchy and Schwarz.
    assert_allclose(block * one @ one.T, np.eye(16), atol=2 * np.sqrt(missing(block, 2)))
    assert missing(block, 2) < 2e-5


@pytest.mark.parametrize("block", [2, 3, 4])
def test_waves_that_coarser_pixels_can_hold_are_kept(block):
    """Up to 0.42 of their sampling frequency, beyond 0.58 not at all, and constants to rounding."""
    n = 68 * block
    y, x = np.indices((n, n))
    wave = 3 + np.cos(2 * np.pi * (28 * x - 13 * y) / n + 0.4)  # 28 / 68 is 0.41
    centre = (np.arange(48) + REACH) * block + (block - 1) / 2
    expected = 3 + np.cos(2 * np.pi * (28 * centre - 13 * centre[:, None]) / n + 0.4)
    # The most that the kernel's tail can do, on either axis: it and the sum of the rest miss it.
    most = 4 * missing(block, 1) * np.abs(weights_of_one(block, 200)).sum()
    assert_allclose(low_passed(wave, block), expected, atol=most)
    fine = np.cos(2 * np.pi * (40 * x + 4 * y) / n)  # 0.588
    assert_allclose(low_passed(fine, block), 0, atol=most)
    assert most < 0.07
    assert_allclose(low_passed(np.full((n, n), 7.0), block), 7, rtol=1e-14)


@pytest.mark.parametrize("block", [1.5, 2, 5, 16])
def test_squares_of_the_amplitude_fold_to_one(block):
    k = np.linspace(0, 1 / block, 200)
    assert_allclose(amplitude(k, block) ** 2 + amplitude(1 / block - k, block) ** 2, 1)
    assert_array_equal(amplitude(-k, block), amplitude(k, block))


@pytest.mark.parametrize("block", [1, 2, 3])
def test_block_sums_by_loops(block):
    array = np.random.default_rng(2).standard_normal((11, 13)).astype(np.float32)
    sums = block_sums(array, block)
    # Sums over one axis, of values up to 5, are in single precision.
    rounding = 5 * block**2 * np.finfo(np.float32).eps
    assert sums.shape == (11 // block, 13 // block)
    assert sums.dtype == float
    for (j, i), value in np.ndenumerate(sums):
        cell = array[j * block : (j + 1) * block, i * block : (i + 1) * block]
        assert_allclose(value, cell.sum(dtype=float), atol=rounding)
        assert_allclose(block_sums(array.astype(float), block)[j, i], cell.sum(dtype=float), atol=1e-14)
    assert block_sums(array > 0, block).sum() <= (array > 0).sum()


@pytest.mark.parametrize("block", [1.5, 2.5])
def test_sums_over_parts_of_pixels(block):
    """A pixel between two blocks is shared by them."""
    array = np.random.default_rng(2).standard_normal((12, 13))
    shares = [
        [
            [max(0, min(j + 1, (i + 1) * block) - max(j, i * block)) for j in range(n)]
            for i in range(int(n // block))
        ]
        for n in array.shape
    ]
    assert_allclose(block_sums(array, block), np.array(shares[0]) @ array @ np.array(shares[1]).T, atol=1e-13)


def continued(values, n, block):
    """Rows with n more at either end, which mirror the deviations from the mean of the outermost block."""
    own = int(np.ceil(block))
    out = list(values)
    for i in range(n):
        out.append(2 * values[-own:].mean(0) - values[-own - 1 - i])
        out.insert(0, 2 * values[:own].mean(0) - values[own + i])
    return np.array(out)


@pytest.mark.parametrize("block", [2, 2.5, 3])
def test_the_image_on_coarser_pixels(block):
    """What the matrix says of the image, continued beyond its edges, in standard units."""
    ny, nx = int(60 * block) + 1, int(64 * block)
    data = np.random.default_rng(3).standard_normal((ny, nx))
    plane = decimated(Plane(10 + 4 * data, 16.0), block, Flux(10.0, 4.0), np.float64)
    assert plane.shape == (60, 64)
    assert plane.good is None
    assert_allclose(plane.variance, 1 / block**2)
    wide = continued(continued(data, int(REACH * block), block).T, int(REACH * block), block).T
    wide = wide[: int((60 + 2 * REACH) * block)]
    assert_allclose(plane.data, by_matrix(60, block) @ wide @ by_matrix(64, block).T, atol=exact(block))


def test_smooth_structure_stands_at_the_centres_of_the_blocks():
    """Waves of 25 pixels and more, to the thousandths that are missing of the kernel."""

    def sky(y, x):
        return np.cos(2 * np.pi * (x - 0.4 * y) / 60) + 0.5 * np.sin(2 * np.pi * (y + 3) / 25) + 0.01 * x

    block = 4
    y, x = np.indices((240, 320), dtype=float)
    plane = decimated(Plane(sky(y, x), 1.0), block, Flux(), np.float64)
    row, column = (np.arange(n // block) * block + 1.5 for n in (240, 320))
    # The most that the tail can do on either axis to a contrast of 3, were its lobes not of both signs: a
    # quarter of that, where they follow each other in less than a tenth of a wave.
    most = 2 * 1.5 * missing(block, 1) * np.abs(weights_of_one(block, 200)).sum()
    inner = slice(6, -6)
    assert np.abs(plane.data - sky(row[:, None], column))[inner, inner].max() < 0.25 * most
    # Beyond the edges it is guessed: of waves of six coarser pixels not well, but no jump.
    assert np.abs(plane.data - sky(row[:, None], column)).max() < 0.3


@pytest.mark.parametrize("block", [2, 3])
@pytest.mark.parametrize("periodic", [False, True])
def test_tiles_join(monkeypatch, block, periodic):
    """The whole image as one tile, and many small ones: the same to rounding."""
    data = np.random.default_rng(4).standard_normal((90 * block, 78 * block))
    monkeypatch.setattr(decimation, "_TILE", (1000, 1000))
    whole = decimated(Plane(data, 1.0), block, Flux(), np.float64, periodic=periodic)
    monkeypatch.setattr(decimation, "_TILE", (7, 20))
    parts = decimated(Plane(data, 1.0), block, Flux(), np.float64, periodic=periodic)
    assert_allclose(parts.data, whole.data, atol=1e-13)
    constant = decimated(Plane(np.full(data.shape, 3.0), 1.0), block, Flux(), np.float64, periodic=periodic)
    assert_allclose(constant.data, 3, rtol=1e-13)


def test_a_periodic_image_wraps():
    """As if it were repeated for ever; no edge is dropped."""
    data = np.random.default_rng(5).standard_normal((60, 80))
    plane = decimated(Plane(data, 1.0), 2, Flux(), np.float64, periodic=True)
    wrapped = np.pad(data, 2 * REACH, mode="wrap")
    assert_allclose(plane.data, by_matrix(30, 2) @ wrapped @ by_matrix(40, 2).T, atol=1e-8)
    rolled = decimated(Plane(np.roll(data, (14, -6), (0, 1)), 1.0), 2, Flux(), np.float64, periodic=True)
    assert_allclose(rolled.data, np.roll(plane.data, (7, -3), (0, 1)), atol=1e-13)


@pytest.mark.parametrize("block", [1.5, 2, 2.5, 3])
def test_a_slope_goes_on_beyond_the_edges(block):
    """Coarser pixels of a plane are its values at their centres, up to the outermost."""
    y, x = np.indices((int(14 * block) + 1, int(20 * block)), dtype=float)
    plane = decimated(Plane(5 + 0.3 * x - 0.7 * y, 1.0), block, Flux(), np.float64)
    row, column = ((np.arange(n) + 0.5) * block - 0.5 for n in (14, 20))
    assert_allclose(plane.data, 5 + 0.3 * column - 0.7 * row[:, None], atol=1e-12)


@pytest.mark.parametrize("variance", ["number", "array"])
@pytest.mark.parametrize("masked", [False, True])
def test_noise_of_coarser_pixels_by_loops(variance, masked):
    rng = np.random.default_rng(6)
    shape, block, factor = (36, 41), 3, 2.5
    v = 4.0 if variance == "number" else rng.uniform(1, 2, shape)
    good = rng.random(shape) > 0.2 if masked else None
    found = decimated(Plane(rng.standard_normal(shape), v, good), block, Flux(1.0, factor), np.float64)
    for j in range(12):
        for i in range(13):
            cell = tuple(slice(n * block, (n + 1) * block) for n in (j, i))
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


def test_infinite_values_where_nothing_is_good():
    """Several tiles of bad pixels: no warning, and the rest as if they were NaN."""
    data = np.random.default_rng(7).standard_normal((330, 60))
    good = np.ones(data.shape, bool)
    good[:200] = False
    found = [
        decimated(Plane(np.where(good, data, wild), 1.0, good), 2, Flux(), np.float64)
        for wild in (np.inf, np.nan, 0.0)
    ]
    for plane in found:
        assert np.isfinite(plane.data[101:]).all()
        assert_array_equal(plane.good, found[0].good)
        assert_array_equal(plane.data[110:], found[0].data[110:])


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


def test_a_cluster_of_bad_pixels_takes_what_is_near():
    values, bad = np.zeros((64, 64)), np.zeros((64, 64), bool)
    values[:, :32], values[:, 32:] = 1.0, 2.0
    bad[20:44, 4:60] = True
    values[bad] = np.nan
    fill_bad(values, bad)
    # Beside good ones their neighbours' mean; farther off that of the smallest block that holds any.
    assert_array_equal(values[20:44, 4:8], 1)
    assert_array_equal(values[20:44, 56:60], 2)
    assert_array_equal(values[21:24, 17:28], 1)
    # A block of 16 beside the border of the two holds the means of three pixels across it, a ninth or so.
    assert_allclose(values[20:44, 8:32], 1, atol=0.34)
    assert_allclose(values[20:44, 32:56], 2, atol=0.34)
    # No good pixel in the block: one of 64 takes in both halves.
    values, bad = np.full((64, 64), 3.0), np.ones((64, 64), bool)
    bad[63, 63] = False
    values[bad] = np.nan
    fill_bad(values, bad)
    assert_array_equal(values, 3)


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
    found = np.empty(values.shape, dtype)
    in_standard_units(values, Flux(10.0, 20.0), found)
    assert_allclose(found, [[0, 1], [2, 3]], rtol=1e-6)
    assert found.dtype == dtype
    assert_array_equal(values, [[10, 30], [50, 70]])


def test_a_large_offset_is_taken_away_before_precision_is():
    """Structure of 1 on a level of 1e6, in double precision: single would hold it to 0.06 only."""
    values = 1e6 + np.random.default_rng(10).standard_normal((8, 8))
    found = np.empty(values.shape, np.float32)
    in_standard_units(values, Flux(1e6, 1.0), found)
    assert_allclose(found, values - 1e6, rtol=1e-6, atol=1e-6)
