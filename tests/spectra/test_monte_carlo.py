"""The error of a spectral shift: near the limit, and quoted as it is."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.nddata import NDData, StdDevUncertainty
from scipy import ndimage

from astroreg import AstroregWarning, chi2_shift
from tests.spectra.conftest import Lines, limit, spectrum

DRAWS = 300
# The rms of 300 draws is known to 1 / sqrt(2 * 300) = 4.1 per cent: 0.9 to 1.1 is -+ 2.4 of that about 1.
QUOTED = (0.9, 1.1)
# The limit itself, 10 per cent, with the same scatter twice.
WORST = 1.10 + 2 * 0.041

SCENES = {
    "plain": {},
    "faint": {"snr": 2.0},
    "noisy reference": {"snr_reference": 3.0},
    "deep reference": {"snr_reference": 200.0},
    "bright": {"snr": 1000.0},
    "masks": {"bad": 0.05},
    "noisy ends": {"ends": 3.0},
    "far": {"shift": 60.4},
    "sharp": {"width": (1.0, 1.5)},
    "short": {"n": 120, "number": 10},
}


def scene(*, n=400, number=25, snr=10.0, snr_reference=None, shift=3.37, bad=0.0, ends=0.0, width=(2.0, 4.0)):
    """Return a function that draws a pair, and the limit of its shift."""
    scale, background = 1.7, 0.4
    rng = np.random.default_rng(1)
    x, lines = np.arange(float(n)), Lines.draw(n, number, rng, width)
    sigma_a = np.full(n, 1 / (snr_reference or snr))
    sigma_b = scale / snr * (1 + ends * ((x - n / 2) / (n / 2)) ** 2)
    mask_a, mask_b = (rng.random(n) < bad for _ in range(2))
    good = (x >= shift) & ~mask_b & ~np.roll(mask_a, round(shift))
    lowest = limit(
        scale * lines(x - shift, derivative=True),
        scale * lines(x - shift),
        sigma_b**2,
        scale**2 * sigma_a**2,
        good,
    )

    def draw(seed):
        noise = np.random.default_rng(seed)
        image = scale * lines(x - shift) + background
        return (
            spectrum(lines(x), sigma_a, noise, mask=mask_a if bad else None),
            spectrum(image, sigma_b, noise, mask=mask_b if bad else None),
        )

    return draw, lowest


def many(draw, truth, **options):
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        for seed in range(DRAWS):
            result = chi2_shift(*draw(seed), max_shift=80, **options)
            if result.determined:
                found.append((result.shift.value - truth, result.shift_error.value))
    difference, error = np.array(found).T
    return difference, error


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_attached(name, record_property):
    settings = SCENES[name]
    truth = settings.get("shift", 3.37)
    draw, lowest = scene(**settings)
    difference, error = many(draw, truth)
    record_property("draws", DRAWS)
    assert difference.size >= 0.98 * DRAWS
    assert np.abs(difference).max() < 6 * error.max()  # no gross failure
    rms = difference.std()
    assert QUOTED[0] < np.sqrt(np.mean(error**2)) / rms < QUOTED[1]
    assert rms / lowest < WORST
    # The mean of 300 has an error of 0.058 rms.
    assert abs(difference.mean()) < 0.2 * rms


@pytest.mark.slow
@pytest.mark.parametrize("smooth", [0.0, 1.5])
def test_empirical(smooth, record_property):
    """Uncertainties wrong by a factor of two, and noise correlated over 1.5 channels."""
    n = 1000
    x, lines = np.arange(float(n)), Lines.draw(n, 60, np.random.default_rng(1))

    def draw(seed):
        rng = np.random.default_rng(seed)
        pair = []
        for shift in (0.0, 3.37):
            noise = rng.standard_normal(n)
            if smooth:
                noise = ndimage.gaussian_filter1d(noise, smooth, mode="wrap") * np.sqrt(
                    2 * np.sqrt(np.pi) * smooth
                )
            data = lines(x - shift) + 0.1 * noise
            pair.append(NDData(data, uncertainty=StdDevUncertainty(np.full(n, 0.05))))
        return pair

    difference, error = many(draw, 3.37, uncertainty="empirical")
    record_property("draws", DRAWS)
    assert QUOTED[0] < np.sqrt(np.mean(error**2)) / difference.std() < QUOTED[1]


@pytest.mark.slow
def test_false_alarms(record_property):
    """Noise without lines: a shift is given at most as often as promised, 1 in 1000."""
    rng, n = np.random.default_rng(8), 200
    wrong = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        for _ in range(DRAWS):
            wrong += chi2_shift(*(spectrum(np.zeros(n), 1.0, rng) for _ in range(2))).ok
    record_property("draws", DRAWS)
    # 0.3 are expected of 300; more than 3 have a chance of 3e-4.
    assert wrong <= 3
