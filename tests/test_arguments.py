"""The arguments that the methods share: what is taken, and what every impossible value gets."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.wcs import WCS

from astroreg.inputs import (
    is_celestial,
    parse_boundary,
    parse_choice,
    parse_fraction,
    parse_max_shift,
    parse_positive,
    pixel_scale,
)

SHAPE = (40, 60)


def tangent(cd=((-1e-4, 0), (0, 1e-4)), dec=60.0, ctype=("RA---TAN", "DEC--TAN")):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = list(ctype)
    wcs.wcs.crval = [150.0, dec]
    wcs.wcs.crpix = [30.5, 20.5]
    wcs.wcs.cd = cd
    return wcs


@pytest.mark.parametrize(
    "value",
    [3, 3.0, np.float32(3), np.int16(3), np.array(3), 3 * u.pix, [3] * u.pix, u.Quantity(3), 1.08 * u.arcsec],
)
def test_max_shift_in_any_form(value):
    # 1e-4 deg a pixel is 0.36 arcsec; the finite difference over a pixel is good to (1e-4 deg)**2
    assert parse_max_shift(value, tangent(), SHAPE) == pytest.approx(3, rel=1e-9)


def test_no_max_shift():
    assert parse_max_shift(None, None, SHAPE) is None


def test_angle_on_a_rotated_grid_near_the_pole():
    turn = np.radians(33)
    cd = 1e-4 * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    assert parse_max_shift(1.08 * u.arcsec, tangent(cd, dec=89.9), SHAPE) == pytest.approx(3, rel=1e-6)


def test_angle_uses_the_geometric_mean_of_oblong_pixels():
    wcs = tangent(((-1e-4, 0), (0, 4e-4)))
    assert pixel_scale(wcs, SHAPE).to_value("deg") == pytest.approx(2e-4, rel=1e-6)


NUMBER = "give a positive number of pixels, a Quantity in pixel or an angle"


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "`max_shift` must be finite and > 0 pixel, got 0; " + NUMBER),
        (-3, ValueError, "`max_shift` must be finite and > 0 pixel, got -3; " + NUMBER),
        (-3 * u.pix, ValueError, r"must be finite and > 0 pixel, got -3\.0 pix"),
        (-3 * u.arcsec, ValueError, "must be finite and > 0 pixel"),
        (np.nan, ValueError, "must be finite and > 0 pixel, got nan"),
        (np.inf, ValueError, "must be finite and > 0 pixel, got inf"),
        (10**400, ValueError, "must be finite and > 0 pixel"),
        (True, TypeError, "`max_shift` must be a number, got True; " + NUMBER),
        ("3", TypeError, "`max_shift` must be a number, got '3'"),
        ("5arcsec", TypeError, "`max_shift` must be a number, got '5arcsec'"),
        (3j, TypeError, "`max_shift` must be a number, got 3j"),
        ([3], TypeError, r"`max_shift` must be a number, got \[3\]"),
        (np.array([3, 4]), TypeError, "`max_shift` must be a number"),
        ([3, 4] * u.pix, ValueError, "`max_shift` must be one number, got 2"),
        (3 * u.Jy, ValueError, "`max_shift` is in Jy; " + NUMBER),
    ],
)
def test_impossible_max_shift(value, error, message):
    with pytest.raises(error, match=message):
        parse_max_shift(value, tangent(), SHAPE)


@pytest.mark.parametrize("wcs", [None, WCS(naxis=2), tangent(ctype=("XPIXEL", "YPIXEL"))])
def test_angle_without_a_sky(wcs):
    with pytest.raises(
        ValueError, match=r"is an angle .* but `image` has no usable celestial WCS; give it in pixels"
    ):
        parse_max_shift(3 * u.arcsec, wcs, SHAPE)


def test_angle_with_a_wcs_that_does_not_reach_the_image():
    wcs = tangent(ctype=("RA---SIN", "DEC--SIN"))
    wcs.wcs.crpix = [1e7, 1e7]  # a thousand degrees away: outside the orthographic disc
    with pytest.raises(ValueError, match="gives no pixel size at its centre; give it in pixels"):
        parse_max_shift(3 * u.arcsec, wcs, SHAPE)


def test_singular_wcs():
    with pytest.raises(ValueError, match="no usable celestial WCS"):
        parse_max_shift(3 * u.arcsec, tangent(((0, 0), (0, 0))), SHAPE)


@pytest.mark.parametrize(("wcs", "expected"), [(None, False), (WCS(naxis=2), False), (tangent(), True)])
def test_is_celestial(wcs, expected):
    assert is_celestial(wcs) is expected


def test_choice():
    assert parse_choice("wrap", ("overlap", "wrap"), argument="boundary") == "wrap"


@pytest.mark.parametrize("value", ["Wrap", "", None, 1, ["wrap"]])
def test_impossible_choice(value):
    with pytest.raises(ValueError, match='`boundary` must be "overlap" or "wrap", got'):
        parse_boundary(value, SHAPE, SHAPE)


def test_wrap_needs_one_shape():
    assert parse_boundary("overlap", SHAPE, (3, 4)) == "overlap"
    with pytest.raises(ValueError, match=r'`boundary` "wrap" needs images of one shape, got \(40, 60\)'):
        parse_boundary("wrap", SHAPE, (3, 4))


@pytest.mark.parametrize("value", [0, -0.1, 1.01, np.nan, np.inf])
def test_impossible_fraction(value):
    with pytest.raises(ValueError, match="`min_overlap` must be > 0 and <= 1, got"):
        parse_fraction(value, argument="min_overlap")


@pytest.mark.parametrize("value", ["0.1", None, True])
def test_fraction_that_is_no_number(value):
    with pytest.raises(TypeError, match="`min_overlap` must be a number, got"):
        parse_fraction(value, argument="min_overlap")


def test_fraction():
    assert parse_fraction(1, argument="min_overlap") == 1.0


@pytest.mark.parametrize("value", [0, -1, 1.5, np.nan, np.inf])
def test_impossible_whole_number(value):
    with pytest.raises(ValueError, match="`upsample_factor` must be a whole number > 0, got"):
        parse_positive(value, argument="upsample_factor", integer=True)


def test_positive_numbers():
    assert parse_positive(100.0, argument="upsample_factor", integer=True) == 100
    assert isinstance(parse_positive(np.float32(100), argument="upsample_factor", integer=True), int)
    assert parse_positive(1.5, argument="scale") == 1.5
