"""Errors against covariances that are written out."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import ndimage

from astroreg.estimators.covariance import correlation_length, empirical_scatter, sandwich

SHAPE = (96, 90)


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
    found = np.mean([empirical_scatter([t * e for t in templates], length) for e in draws], axis=0)
    # Each draw knows the variance from about (96 * 90) / (4 length)^2 patches, 6 at the longest length: a
    # standard error of sqrt(2 / 6 / 60) = 7 % at most. The covariance is measured against the variances.
    scale = np.sqrt(np.outer(np.diag(truth), np.diag(truth)))
    assert np.abs((found - truth) / scale).max() < 0.2


def test_a_single_draw_is_positive(templates):
    """A flat-topped kernel may make a variance negative; it must be mended."""
    for seed in range(5):
        e = noise(np.random.default_rng(seed), 0.0)
        scatter = empirical_scatter([t * e for t in [*templates, np.ones(SHAPE)]], 20)
        assert np.linalg.eigvalsh(scatter).min() > 0
        assert_allclose(scatter, scatter.T)


def test_white_noise_has_no_correlation_length():
    """A ring of chance at lag 1 or 2 is insignificant 97 times in 100."""
    lengths = [correlation_length(noise(np.random.default_rng(s), 0.0), np.ones(SHAPE)) for s in range(10)]
    assert max(lengths) <= 4
    assert np.median(lengths) == 1


@pytest.mark.parametrize("smoothing", [1.0, 1.5, 2.5])
def test_correlation_length(smoothing):
    """Noise smoothed by s is correlated by exp(-r^2 / 4 s^2): 21 % at r = 2.5 s, which none may miss.

    Chance correlations of correlated noise are larger than those of white noise: it may be taken for
    longer than it is, which costs precision and no honesty.
    """
    lengths = [
        correlation_length(noise(np.random.default_rng(seed), smoothing), np.ones(SHAPE)) for seed in range(5)
    ]
    assert 2.5 * smoothing < min(lengths)
    assert max(lengths) <= 24


def test_weights_count():
    """Pixels without weight may hold anything, and unequal noise is normalised before."""
    rng = np.random.default_rng(4)
    sigma = np.where(np.arange(SHAPE[1]) < 45, 1.0, 30.0)
    weight = np.broadcast_to(1 / sigma**2, SHAPE).copy()
    residual = sigma * noise(rng, 0.0)
    weight[20:40, 20:40] = 0
    wild = residual.copy()
    wild[20:40, 20:40] = 1e6
    assert correlation_length(wild, weight) == correlation_length(residual, weight) <= 4


def test_no_residuals_are_not_correlated():
    assert correlation_length(np.zeros(SHAPE), np.ones(SHAPE)) == 1


def test_very_small_overlaps():
    assert correlation_length(np.random.default_rng(1).standard_normal((5, 5)), np.ones((5, 5))) == 1
