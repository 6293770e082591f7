"""Spectra as they come: integers, any byte order, tiny and huge numbers, gaps, hardly any channels."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.nddata import NDData, StdDevUncertainty

from astroreg import AstroregWarning, ShiftFlag, chi2_shift

X = np.arange(200.0)
SHIFT = 3.2


def two_lines(shift=0.0):
    return np.exp(-0.5 * ((X - 80 - shift) / 4) ** 2) + 0.5 * np.exp(-0.5 * ((X - 130 - shift) / 3) ** 2)


def noisy(values, rng, sigma=0.02):
    return NDData(
        values + sigma * rng.standard_normal(values.size),
        uncertainty=StdDevUncertainty(np.full(values.size, sigma)),
    )


NOISELESS = {
    "floats": (two_lines(), two_lines(SHIFT), 1e-6),
    # Rounded to a thousandth: 0.3 of that is the noise; its error is 6e-4 channel.
    "integers": ((1000 * two_lines()).astype(int), (1000 * two_lines(SHIFT)).astype(np.int16), 3e-3),
    "big endian": (two_lines().astype(">f8"), two_lines(SHIFT).astype(">f4"), 1e-5),
    "1e-17": ((1e-17 * two_lines()).astype("f4"), 1e-17 * two_lines(SHIFT), 1e-5),
    "another length": (two_lines(), two_lines(SHIFT)[20:150], 1e-6),
    "a list": (list(two_lines()), list(two_lines(SHIFT)), 1e-6),
    "uncertainties of 0": (
        NDData(two_lines(), uncertainty=StdDevUncertainty(np.zeros(200))),
        NDData(two_lines(SHIFT), uncertainty=StdDevUncertainty(np.zeros(200))),
        1e-6,
    ),
}


@pytest.mark.parametrize("name", NOISELESS)
def test_noiseless(name):
    reference, image, tolerance = NOISELESS[name]
    expected = SHIFT - (20 if name == "another length" else 0)
    assert abs(chi2_shift(reference, image).shift.value - expected) < tolerance


# What is done to the values of the reference, its uncertainty, and the image.
CHANGES = {
    "on a slope": (lambda a: a + 0.05 * X, 1.0, lambda b: b + 0.05 * (X - SHIFT)),
    "two of three channels bad": (lambda a: np.where(X % 3 == 0, a, np.nan), 1.0, lambda b: b),
    "huge": (lambda a: 1e20 * a, 1e20, lambda b: b),
    "on a large background": (lambda a: a - 1e5, 1.0, lambda b: b),
}


@pytest.mark.parametrize("name", CHANGES)
def test_noisy(name):
    of_reference, factor, of_image = CHANGES[name]
    rng = np.random.default_rng(2)
    reference, image = noisy(two_lines(), rng), noisy(two_lines(SHIFT), rng)
    reference = NDData(
        of_reference(reference.data), uncertainty=StdDevUncertainty(factor * reference.uncertainty.array)
    )
    image = NDData(of_image(image.data), uncertainty=StdDevUncertainty(image.uncertainty.array))
    found = chi2_shift(reference, image)
    assert found.ok
    assert abs(found.shift.value - SHIFT) < 4 * found.shift_error.value


@pytest.mark.parametrize(
    ("reference", "image"),
    [(np.ones(50), np.ones(50)), (np.ones(50), two_lines()), (np.arange(8.0), -np.arange(8.0))],
    ids=["two constants", "one constant", "eight channels, upside down"],
)
def test_nothing_to_measure(reference, image):
    with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
        result = chi2_shift(reference, image)
    assert np.isnan(result.shift)
    assert ShiftFlag.NO_SIGNAL in result.flags


def test_absorption_is_no_emission():
    rng = np.random.default_rng(3)
    with pytest.warns(AstroregWarning, match="NO_SIGNAL"):
        assert not chi2_shift(noisy(two_lines(), rng), noisy(-two_lines(SHIFT), rng)).determined
