"""The smooth Wiener filter of a few rings: against known spectra, against a minimiser, against the noise."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize

from astroreg.estimators import wiener
from astroreg.estimators.wiener import smooth_filter

K = np.arange(1, 23) * 0.03  # cycles per pixel: the rings of a frame of some 56 pixels
MODES = 2 * np.pi * K * 0.03 * 56**2


def ratio_of(k, *, level, index=3.0, width=1.3):
    """P / N of a power law through a Gaussian beam, `level` at 0.1 cycles per pixel."""
    return level * (k / 0.1) ** -index * np.exp(-4 * np.pi**2 * width**2 * (k**2 - 0.01))


def expected_rings(**sky):
    """Powers of mean and difference without scatter."""
    return MODES * (1 + ratio_of(K, **sky)), MODES


def drawn_rings(rng, **sky):
    """Powers as they scatter: sums of as many exponential deviates as a ring has pairs of modes."""
    return tuple(2 * rng.gamma(MODES / 2, p / MODES) for p in expected_rings(**sky))


@pytest.mark.parametrize(
    "sky", [{"level": 1}, {"level": 30, "width": 4}, {"level": 0.1, "index": 2, "width": 0}]
)
def test_a_power_law_through_a_beam_is_found(sky):
    ratio = ratio_of(K, **sky)
    # Where the iteration stops: a thousandth of h, and of a chain of steps a few.
    assert_allclose(smooth_filter(K, *expected_rings(**sky), MODES).h, ratio / (1 + ratio), atol=5e-3)


def test_the_most_probable_filter():
    """Likelihood of the ratios and prior, written out and minimised by another way."""
    rng = np.random.default_rng(1)
    power, noise = drawn_rings(rng, level=3)
    n, x = MODES / 2, np.log(K)

    def cost(parameters):
        log_ratio = parameters[:-1] - parameters[-1] * K**2
        share = -np.logaddexp(0, log_ratio)  # log of N / (P + N)
        likelihood = n * share - 2 * n * np.log1p(np.exp(share) * power / noise)
        bends = np.diff(np.diff(parameters[:-1]) / np.diff(x))
        return 0.5 * (bends**2 / (0.5 * (x[2:] - x[:-2]))).sum() - likelihood.sum()

    start = np.append(np.log(ratio_of(K, level=3)) + 60 * K**2, 60)
    best = optimize.minimize(cost, start, bounds=[(None, None)] * K.size + [(0, None)], method="SLSQP")
    h = 1 / (1 + np.exp(-(best.x[:-1] - best.x[-1] * K**2)))
    assert_allclose(smooth_filter(K, power, noise, MODES).h, h, atol=5e-3)


def test_noise_alone_passes_hardly():
    """Ring by ring the powers differ by their scatter, 0.1 on average; rings together know better."""
    rng = np.random.default_rng(2)
    beyond = K > 0.4
    passed = [smooth_filter(K, *drawn_rings(rng, level=1), MODES).h[beyond].mean() for _ in range(50)]
    assert np.mean(passed) < 0.01


def test_a_wave_is_no_power_law():
    """What many modes say is followed: a step in the spectrum, of 4000 modes a ring."""
    modes, ratio = np.full(K.size, 4000.0), np.where(K < 0.2, 50.0, 0.5)
    h = smooth_filter(K, modes * (1 + ratio), modes, modes).h
    # The two rings beside the step are shared by its sides.
    far = np.abs(K - 0.2) > 0.05
    assert_allclose(h[far], (ratio / (1 + ratio))[far], atol=0.06)


def test_what_the_filter_owes_to_noise():
    """`learning` from numerical derivatives: sum dh/dc var(c') over the curvature, c = power - noise."""
    power, noise = expected_rings(level=2)
    learning = smooth_filter(K, power, noise, MODES).learning
    h = 1 - noise / power
    curvature = (K**2 * h * (power - noise)).sum() / 2
    extra = 0
    for i in range(K.size):
        # With the shift the cross-power moves between mean and difference, whose sum stays.
        move = 0.05 * noise[i] * np.eye(K.size)[i]
        high, low = (smooth_filter(K, power + s * move, noise - s * move, MODES).h[i] for s in (0.25, -0.25))
        # Of Im(conj(a) b) over the modes of the ring, the gradient along one axis: k^2 / 2 of 4 M D.
        variance = K[i] ** 2 / 2 * 4 * power[i] * noise[i] / MODES[i]
        extra += (high - low) / move[i] * variance
    assert learning == pytest.approx(extra / curvature, rel=0.1)


def test_rings_without_noise_pass():
    wiener_filter = smooth_filter(K, MODES * 3, np.zeros(K.size), MODES)
    assert_allclose(wiener_filter.h, 1)
    assert wiener_filter.learning == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("rings", [1, 2, 3])
def test_few_rings(rings):
    found = smooth_filter(K[:rings], 3 * MODES[:rings], MODES[:rings], MODES[:rings])
    # Two thirds are signal in every ring.
    assert_allclose(found.h, 2 / 3, atol=5e-3)


def test_every_draw_settles(monkeypatch):
    """No draw, however faint, comes to the end of the iterations."""
    monkeypatch.setattr(wiener, "_ITERATIONS", 1000)
    rng = np.random.default_rng(3)
    rings = [drawn_rings(rng, level=level) for level in (0.1, 1, 10, 1000) for _ in range(25)]
    settled = [smooth_filter(K, *one, MODES).h for one in rings]
    monkeypatch.setattr(wiener, "_ITERATIONS", 40)
    for one, h in zip(rings, settled, strict=True):
        assert_allclose(smooth_filter(K, *one, MODES).h, h, atol=2e-3)
