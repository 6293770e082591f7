"""The Wiener filter against spectra that are known, and the tapers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from astroreg.estimators.fourier import FourierGrid
from astroreg.estimators.template import filter_on, taper, tapered_spectra

SHAPE = (128, 120)


def two_images(sigma, seed, *, radius=0.06):
    """Two noisy images of a periodic sky with power proportional to exp(-(k / radius)^2), of rms 1."""
    rng = np.random.default_rng(seed)
    grid = FourierGrid(SHAPE)
    power = np.exp(-grid.k2 / radius**2)
    # The power in the units of |rfft2|^2 of noise of unit variance, which is the number of pixels.
    power *= SHAPE[0] * SHAPE[1] / (grid.multiplicity * power).sum()
    sky = grid.inverse(grid.forward(rng.standard_normal(SHAPE)) * np.sqrt(power))
    a, b = sky + sigma * rng.standard_normal((2, *SHAPE))
    return a, b, power, grid


WHOLE = (slice(None), slice(None))


def profile(a, b, share=0.5, box=WHOLE):
    """Frequency and Wiener filter of two images."""
    return tapered_spectra(a, b, share, box, FourierGrid(a.shape, a.dtype)).rings()[:2]


@pytest.mark.parametrize("sigma", [0.1, 1.0])
def test_the_filter_of_a_known_spectrum(sigma):
    """h = P / (P + N) of the mean, whose noise has half the variance; averaged over rings and 4 draws."""
    profiles = []
    for seed in range(4):
        a, b, power, grid = two_images(sigma, seed)
        profiles.append(filter_on(grid, *profile(a, b)))
    k = np.sqrt(grid.k2)
    expected = power / (power + sigma**2 / 2)
    # A ring of n modes gives a power to 1 / sqrt(n): 4 draws of rings of more than 100 modes to 5 %, three
    # times that for the largest of many rings; the taper blurs the spectrum by a mode or two besides,
    # which moves the steep flank. Beyond the sky's reach next to nothing is left.
    error = np.abs(np.mean(profiles, axis=0) - expected)
    assert error[k < 0.4].max() < 0.2
    assert error[k < 0.4].mean() < 0.03


def test_the_filter_falls_from_one_to_zero():
    a, b, _, _ = two_images(0.5, 1)
    k, h = profile(a, b)
    assert (np.diff(k) > 0).all()
    assert (np.diff(h) <= 0).all()
    assert h[0] > 0.95
    assert h[-1] < 0.1
    assert ((h >= 0) & (h <= 1)).all()


def test_the_filter_does_not_depend_on_units_or_background():
    a, b, _, _ = two_images(0.5, 1)
    k, h = profile(a, b)
    k2, h2 = profile(7 * a + 300, 7 * b + 300)
    assert_allclose(h2, h, atol=1e-9)
    assert_array_equal(k2, k)


def test_equal_images_are_not_filtered():
    a, _, _, _ = two_images(0.5, 1)
    assert_allclose(profile(a, a)[1], 1)


def test_two_constants():
    flat = np.full((20, 20), 3.0)
    k, h = profile(flat, flat)
    assert np.isfinite(k).all()
    assert ((h >= 0) & (h <= 1)).all()


def full_plane(array, grid):
    """Transform and angular frequencies (x, y) of the whole plane; Nyquist terms have no derivative."""
    ky, kx = (np.where(np.abs(k) == 0.5, 0, 2 * np.pi * k) for k in map(np.fft.fftfreq, grid.shape))
    return np.fft.fft2(array), kx[None, :], ky[:, None]


def test_spectra_by_hand():
    """The image's share in the mean, the taper, and the mean under it taken away, on the box alone."""
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 50, 60)) + 7
    box, share = (slice(6, 41), slice(10, 52)), 0.3
    outside = np.ones((50, 60), bool)
    outside[box] = False
    a[outside], b[outside] = 1e5, -1e5
    found = tapered_spectra(a, b, share, box, FourierGrid((50, 60)))
    window = np.zeros((50, 60))
    window[box] = taper((35, 42))
    mean = (1 - share) * a + share * b
    centre = (window * mean).sum() / window.sum()
    fa, fb, fm = (np.fft.rfft2(window * (x - centre)) for x in (a, b, mean))
    assert_allclose(found.cross, fa.conj() * fb, atol=1e-8)
    assert_allclose(found.power, np.abs(fm) ** 2, atol=1e-8)
    # The mean of white noise has the variances' harmonic mean, by half: f (1 - f) of the difference's.
    assert_allclose(found.noise, 0.3 * 0.7 * np.abs(fb - fa) ** 2, atol=1e-8)
    assert_allclose(found.weight, (window**2).sum())


@pytest.mark.parametrize("shape", [(230, 700), (410, 401)])
def test_large_overlaps_are_seen_through_windows(shape):
    """At most 240 pixels a side, three a side, from edge to edge: the sum of their spectra."""
    rng = np.random.default_rng(6)
    canvas = (shape[0] + 20, shape[1] + 20)
    a, b = rng.standard_normal((2, *canvas)) + 3
    box = (slice(7, 7 + shape[0]), slice(9, 9 + shape[1]))
    found = tapered_spectra(a, b, 0.5, box, FourierGrid(canvas))
    side = (min(240, shape[0]), 240)
    window = taper(side)
    first = [sorted({f + (n - m) * i // 2 for i in range(3)}) for f, n, m in zip((7, 9), shape, side)]
    cross, power = 0, 0
    for j in first[0]:
        for i in first[1]:
            parts = [x[j : j + side[0], i : i + 240] for x in (a, b)]
            centre = (window * (parts[0] + parts[1])).sum() / window.sum() / 2
            fa, fb = (np.fft.rfft2(window * (p - centre)) for p in parts)
            cross, power = cross + fa.conj() * fb, power + np.abs(fa + fb) ** 2 / 4
    count = len(first[0]) * len(first[1])
    assert count == (3 if shape[0] < 240 else 9)
    assert found.grid.shape == side
    assert_allclose(found.cross, cross, atol=1e-7)
    assert_allclose(found.power, power, atol=1e-7)
    assert_allclose(found.weight, count * (window**2).sum())


def test_windows_and_the_whole_see_one_sky():
    """The filter of a large image, through windows, is that of its known spectrum."""
    rng, shape = np.random.default_rng(7), (500, 480)
    grid = FourierGrid(shape)
    power = np.exp(-grid.k2 / 0.06**2)
    power *= shape[0] * shape[1] / (grid.multiplicity * power).sum()
    sky = grid.inverse(grid.forward(rng.standard_normal(shape)) * np.sqrt(power))
    a, b = sky + 0.3 * rng.standard_normal((2, *shape))
    k, h = profile(a, b)
    expected = np.interp(k, np.sqrt(grid.k2[0]), power[0] / (power[0] + 0.3**2 / 2))
    # Rings of more than 100 modes, in nine windows that share a part of their pixels: some 5 % each, three
    # times that for the largest of many, where it scatters at all; the taper moves the steep flank.
    assert np.abs(h - expected)[k > 0.02].max() < 0.2
    assert np.abs(h - expected).mean() < 0.03


def test_rings_hold_all_the_power():
    """Parseval: the powers of the rings sum to the tapered mean's squares, times the number of pixels."""
    a, b, _, grid = two_images(0.5, 1)
    spectra = tapered_spectra(a, b, 0.5, WHOLE, grid)
    k, h, power = spectra.rings()
    mean, window = (a + b) / 2, taper(SHAPE)
    tapered = window * (mean - (window * mean).sum() / window.sum())
    assert_allclose(power.sum(), a.size * (tapered**2).sum())
    assert len(k) == len(h) == len(power)


@pytest.mark.parametrize("shape", [(31, 35), (40, 36)])
def test_curvature_against_sums_over_pixels(shape):
    """Gradients of the tapered sky and of the low-passed one, multiplied pixel by pixel."""
    rng = np.random.default_rng(8)
    sky = np.cumsum(np.cumsum(rng.standard_normal(shape), 0), 1)
    grid = FourierGrid(shape)
    k, h = np.array([0.05, 0.25]), np.array([1.0, 0.2])
    matrix, value = tapered_spectra(sky, sky, 0.5, WHOLE, grid).curvature(k, h)
    window = taper(shape)
    tapered = window * (sky - (window * sky).sum() / window.sum())
    transform, kx, ky = full_plane(tapered, grid)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(shape[1]), np.fft.fftfreq(shape[0])))
    low = transform * np.interp(frequency, k, h)
    fine, smooth = ([np.fft.ifft2(1j * q * x).real for q in (kx, ky)] for x in (transform, low))
    expected = np.array([[(s * f).sum() for f in fine] for s in smooth]) / (window**2).sum()
    # The filter is looked up to half a bin of frequency: slope 4 times 0.35e-3 is 1.4e-3 of at least 0.2.
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert np.abs((matrix - expected) / scale).max() < 7e-3
    assert_allclose(value, (np.fft.ifft2(low).real * tapered).sum() / (window**2).sum(), rtol=7e-3)
    assert_array_equal(matrix, matrix.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_profile_on_frequencies(dtype):
    grid = FourierGrid((10, 12), dtype)
    filt = filter_on(grid, np.array([0.1, 0.3]), np.array([1.0, 0.0]))
    k = np.hypot(np.fft.rfftfreq(12)[None, :], np.fft.fftfreq(10)[:, None])
    expected = np.clip((0.3 - k) / 0.2, 0, 1)
    # A slope of 5, looked up to half of one of 1024 bins up to sqrt(1/2).
    assert np.abs(filt - expected).max() < 5 * np.sqrt(0.5) / 2048 + 1e-6
    assert filt.dtype == dtype


def test_a_profile_of_one_is_no_filter():
    assert_array_equal(filter_on(FourierGrid((10, 12)), np.array([0.0]), np.array([1.0])), 1)


@pytest.mark.parametrize("shape", [(20, 30), (21, 33)])
def test_taper(shape):
    window = taper(shape)
    assert window.shape == shape
    assert_allclose(window, window[::-1, ::-1])
    # It rises over a tenth on either side and is 1 between.
    assert_allclose(window[shape[0] // 4 : -shape[0] // 4, shape[1] // 4 : -shape[1] // 4], 1)
    assert (window > 0).all()
    assert window[0, shape[1] // 2] < 0.5
    assert (np.diff(window[: shape[0] // 2, shape[1] // 2]) >= 0).all()
