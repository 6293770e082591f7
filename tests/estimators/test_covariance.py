"""Errors against covariances that are written out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import ndimage

from astroreg.estimators.covariance import (
    correlation_length,
    empirical_scatter,
    sandwich,
    scatter_of_parts,
)
from astroreg.estimators.fourier import FourierGrid

SHAPE = (96, 90)
GRID, WHOLE = FourierGrid(SHAPE), (slice(None), slice(None))


def length_of(weighted, usable=None):
    """Correlation length of residuals in units of their errors over a whole canvas."""
    usable = np.ones(weighted.shape, bool) if usable is None else usable
    grid = FourierGrid(weighted.shape)
    return correlation_length(grid.forward(weighted * usable), usable, grid, WHOLE)


def noise(rng, smoothing):
    white = rng.standard_normal(SHAPE)
    return ndimage.gaussian_filter(white, smoothing, mode="wrap") if smoothing else white


@pytest.fixture(scope="module")
def templates():
    """Two smooth templates, which vary over some ten pixels."""
    rng = np.random.default_rng(8)
    return [ndimage.gaussian_filter(rng.standard_normal(SHAPE), 4, mode="wrap") for _ in range(2)]


def true_scatter(templates, smoothing):
    """Covariance of sum t e for e = K w, w white: sum (K^T t_i) (K^T t_j), K symmetric."""
    smooth = [ndimage.gaussian_filter(t, smoothing, mode="wrap") if smoothing else t for t in templates]
    return np.array([[(a * b).sum() for b in smooth] for a in smooth])


def test_sandwich_by_hand():
    slope, scatter = np.array([[2.0, 1.0], [0.0, 4.0]]), np.array([[3.0, 0.5], [0.5, 1.0]])
    inverse = np.array([[0.5, -0.125], [0.0, 0.25]])
    assert_allclose(sandwich(slope, scatter), inverse @ scatter @ inverse.T)


def test_sandwich_without_an_inverse_is_unknown():
    assert np.isnan(sandwich(np.ones((2, 2)), np.eye(2))).all()


@pytest.mark.parametrize(("smoothing", "length"), [(0.0, 1), (0.0, 4), (1.0, 5), (2.0, 9)])
def test_scatter_of_known_noise(templates, smoothing, length):
    """The mean over draws is the true covariance of the sums, white or correlated."""
    rng = np.random.default_rng(3)
    truth = true_scatter(templates, smoothing)
    n = 60
    draws = [noise(rng, smoothing) for _ in range(n)]
    found = np.mean(
        [empirical_scatter([t * e for t in templates], length, GRID, WHOLE) for e in draws], axis=0
    )
    # Each draw knows the variance from about (96 * 90) / (4 length)^2 patches, 6 at the longest length: a
    # standard error of sqrt(2 / 6 / 60) = 7 % at most. The covariance is measured against the variances.
    scale = np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
    assert np.abs((found - truth) / scale).max() < 0.2


def test_a_single_draw_is_positive(templates):
    """A flat-topped kernel may make a variance negative; it must be mended."""
    for seed in range(5):
        e = noise(np.random.default_rng(seed), 0.0)
        scatter = empirical_scatter([t * e for t in [*templates, np.ones(SHAPE)]], 20, GRID, WHOLE)
        assert np.linalg.eigvalsh(scatter).min() > 0
        assert_allclose(scatter, scatter.T)


def test_white_noise_has_no_correlation_length():
    """A ring of chance at lag 1 or 2 is insignificant 97 times in 100."""
    lengths = [length_of(noise(np.random.default_rng(s), 0.0)) for s in range(10)]
    assert max(lengths) <= 4
    assert np.median(lengths) == 1


@pytest.mark.parametrize("smoothing", [1.0, 1.5, 2.5])
def test_correlation_length(smoothing):
    """Noise smoothed by s is correlated by exp(-r^2 / 4 s^2): 21 % at r = 2.5 s, which none may miss.

    Chance correlations of correlated noise are larger than those of white noise: it may be taken for
    longer than it is, which costs precision and no honesty.
    """
    lengths = [length_of(noise(np.random.default_rng(seed), smoothing)) for seed in range(5)]
    assert 2.5 * smoothing < min(lengths)
    assert max(lengths) <= 24


@pytest.mark.parametrize("smoothing", [0.0, 1.5])
def test_length_does_not_depend_on_the_canvas(smoothing):
    """The overlap somewhere on a larger canvas: the same, as nothing else stands there."""
    part = noise(np.random.default_rng(6), smoothing)[:60, :70]
    found = []
    for canvas, first in (((120, 120), (16, 16)), ((125, 108), (30, 20))):
        box = tuple(slice(f, f + n) for f, n in zip(first, part.shape))
        weighted, usable = np.zeros(canvas), np.zeros(canvas, bool)
        weighted[box], usable[box] = part, True
        grid = FourierGrid(canvas)
        found.append(correlation_length(grid.forward(weighted), usable, grid, box))
    assert found[0] == found[1]
    assert found[0] <= 4 if smoothing == 0 else found[0] > 2.5 * smoothing


def test_pixels_without_weight_do_not_correlate():
    """A third of white noise's pixels in one block that holds nothing: white as before."""
    rng = np.random.default_rng(4)
    usable = np.ones(SHAPE, bool)
    usable[20:70, 20:70] = False
    lengths = [length_of(noise(rng, 0.0), usable) for _ in range(10)]
    assert max(lengths) <= 4
    assert np.median(lengths) == 1


def test_no_residuals_are_not_correlated():
    assert length_of(np.zeros(SHAPE)) == 1


def test_very_small_overlaps():
    assert length_of(np.random.default_rng(1).standard_normal((5, 5))) == 1


def scatter_by_loops(terms, length):
    """Every pair of pixels of either axis' lag below twice the length, weighted by the flat-topped kernel."""
    ny, nx = terms[0].shape
    out = np.zeros((len(terms), len(terms)))
    for dy in range(-2 * length, 2 * length + 1):
        for dx in range(-2 * length, 2 * length + 1):
            kernel = np.prod([np.clip(2 - abs(d) / length, 0, 1) for d in (dy, dx)])
            here = (slice(max(0, -dy), ny - max(0, dy)), slice(max(0, -dx), nx - max(0, dx)))
            there = (slice(max(0, dy), ny - max(0, -dy)), slice(max(0, dx), nx - max(0, -dx)))
            out += kernel * np.array([[(a[here] * b[there]).sum() for b in terms] for a in terms])
    return out


@pytest.mark.parametrize(("canvas", "first"), [((32, 36), (5, 6)), ((16, 20), (1, 2))], ids=["wide", "tight"])
@pytest.mark.parametrize("length", [1, 3])
def test_scatter_by_loops(canvas, first, length):
    """On a canvas that keeps the edges apart, and on one that does not: no pair across the wrap."""
    rng = np.random.default_rng(9)
    # Sums that are far from white, so that no direction needs mending.
    terms = [1 + 0.3 * rng.standard_normal((14, 17)), np.linspace(-1, 1, 17) + 0.1 * rng.random((14, 17))]
    box = tuple(slice(f, f + n) for f, n in zip(first, (14, 17)))
    placed = [np.zeros(canvas) for _ in terms]
    for out, term in zip(placed, terms):
        out[box] = term
    found = empirical_scatter(placed, length, FourierGrid(canvas), box)
    assert_allclose(found, scatter_by_loops(terms, length), rtol=1e-10, atol=1e-9)


def test_parts_are_added_and_never_joined():
    """Terms that do not vary, so that every pair across a border would be seen; noise that is white."""
    rng = np.random.default_rng(12)
    parts = [1 + 0.3 * rng.standard_normal((40, 44)) for _ in range(3)]
    other = [np.linspace(-1, 1, 44) + 0.1 * rng.random((40, 44)) for _ in parts]
    noise = list(rng.standard_normal((3, 40, 44)))
    found = scatter_of_parts([parts, other], noise, [np.ones((40, 44), bool)] * 3)
    expected = sum(scatter_by_loops(list(terms), 1) for terms in zip(parts, other))
    assert_allclose(found, expected, rtol=1e-10, atol=1e-8)


def test_scatter_of_a_periodic_image_wraps():
    """Where the overlap is the canvas opposite edges are neighbours: moving all changes nothing."""
    terms = [
        ndimage.gaussian_filter(x, 2, mode="wrap")
        for x in np.random.default_rng(9).standard_normal((2, 24, 30))
    ]
    moved = [np.roll(t, (7, 11), (0, 1)) for t in terms]
    grid = FourierGrid((24, 30))
    here, there = (empirical_scatter(t, 3, grid, WHOLE) for t in (terms, moved))
    assert_allclose(there, here, rtol=1e-10)
    alone = scatter_by_loops(terms, 3)
    # The pairs across the edges are there: 6 pixels' lags on sides of 24 and 30 are a fifth of all.
    assert not np.allclose(here, alone, rtol=0.02)
