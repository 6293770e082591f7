"""Impossible spectra: an error that names the argument and the mend."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData, StdDevUncertainty
from astropy.wcs import WCS

from astroreg import chi2_shift, cross_correlation_shift, measure, register_images
from astroreg.inputs.many_axes import as_spectrum

GOOD = np.random.default_rng(1).standard_normal(50)


def with_sigma(values):
    return NDData(GOOD, uncertainty=StdDevUncertainty(values))


REFUSED = {
    "too short": (GOOD[:7], ValueError, r"`image` has 7 channel\(s\); a shift needs at least 8"),
    "empty": (GOOD[:0], ValueError, "`image` is empty"),
    "complex": (GOOD + 1j, TypeError, "`image` has dtype complex128"),
    "words": (np.full(50, "a"), TypeError, "`image` has dtype <U1"),
    "nothing finite": (np.full(50, np.nan), ValueError, "`image` has no good pixel"),
    "another mask": (NDData(GOOD, mask=np.zeros(3, bool)), ValueError, "the mask of `image` has shape"),
    "negative": (with_sigma(-np.ones(50)), ValueError, "the uncertainty of `image` has negative values"),
    "another sigma": (with_sigma(np.ones(3)), ValueError, "the uncertainty of `image` has shape"),
    "two axes": (np.stack([GOOD, GOOD]), ValueError, r"`reference` has 1 dimension\(s\) .* two spectra"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    bad, error, words = REFUSED[name]
    with pytest.raises(error, match=words):
        chi2_shift(GOOD, bad)


@pytest.mark.parametrize("method", [register_images, cross_correlation_shift, measure])
def test_other_methods_name_the_one_for_spectra(method):
    with pytest.raises(ValueError, match=r"`reference` has 1 dimension.* two spectra to chi2_shift"):
        method(GOOD, GOOD)


@pytest.mark.parametrize("value", [0, -3, np.nan, "5", True, 3 * u.s, -1 * u.pixel, 5 * u.nm, 5 * u.km / u.s])
def test_max_shift(value):
    with pytest.raises((TypeError, ValueError), match="`max_shift`"):
        chi2_shift(GOOD, GOOD, max_shift=value)


@pytest.mark.parametrize(
    ("option", "value"), [("min_overlap", 0), ("boundary", "periodic"), ("uncertainty", "none")]
)
def test_options(option, value):
    with pytest.raises((TypeError, ValueError), match=f"`{option}`"):
        chi2_shift(GOOD, GOOD, **{option: value})


def test_units_without_a_scale():
    with pytest.raises(
        ValueError, match=r"`reference` is in Jy, which does not convert to s.*`fit_scale` True"
    ):
        chi2_shift(GOOD * u.Jy, GOOD * u.s, fit_scale=False)


def test_rest_value():
    result = chi2_shift(GOOD, GOOD)
    for rest in (5.0, 5 * u.s):
        with pytest.raises(ValueError, match="`rest` must be a Quantity: a wavelength"):
            result.velocity_at(rest)


def test_wcs_of_two_axes():
    wcs = WCS(naxis=2)
    with pytest.raises(ValueError, match="the WCS of `image` has 2 pixel axes, its data one"):
        as_spectrum((GOOD, wcs), argument="image")


def test_files_of_one_long_axis(tmp_path):
    header = fits.Header({"CTYPE1": "FREQ", "CRVAL1": 1e9, "CDELT1": 1e6, "CUNIT1": "Hz", "CRPIX1": 1.0})
    header.update({"CTYPE2": "RA---TAN", "CTYPE3": "DEC--TAN"})
    fits.writeto(tmp_path / "one.fits", GOOD[None, None], header)
    frame = as_spectrum(tmp_path / "one.fits", argument="image")
    assert frame.shape == (1, 50)
    assert frame.wcs.naxis == 1
    assert chi2_shift(tmp_path / "one.fits", tmp_path / "one.fits").axis_shift.value == pytest.approx(
        0, abs=1e-6
    )
    fits.PrimaryHDU().writeto(tmp_path / "none.fits")
    with pytest.raises(ValueError, match=r"none\.fits holds no image"):
        as_spectrum(tmp_path / "none.fits", argument="image")
