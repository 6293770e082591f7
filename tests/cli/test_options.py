"""How the values of options are read."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest
from astropy import units as u

from astroreg.cli import options as opt


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5arcsec", 5 * u.arcsec),
        ("2 arcmin", 2 * u.arcmin),
        ('5"', 5 * u.arcsec),
        ("1.5'", 1.5 * u.arcmin),
        ("1e-3deg", 1e-3 * u.deg),
        ("3pix", 3 * u.pixel),
        ("3 px", 3 * u.pixel),
        ("3pixels", 3 * u.pixel),
        ("3.5", 3.5),
    ],
)
def test_lengths(text, value):
    read = opt.angle_or_pixels(text)
    assert read == value
    assert getattr(read, "unit", None) == getattr(value, "unit", None)


@pytest.mark.parametrize("text", ["", "abc", "nan", "inf", "0", "-2arcsec", "3kg", "3 h", "arcsec", "[1,2]"])
def test_what_is_no_length(text):
    with pytest.raises(ArgumentTypeError, match="is no length > 0; write it as 5arcsec, 3pix or 3"):
        opt.angle_or_pixels(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("-1", -1), ("SCI", "SCI"), ("SCI,2", ("SCI", 2)), (" sci , 1 ", ("sci", 1))],
)
def test_hdus(text, value):
    assert opt.hdu_selector(text) == value


def test_rolls():
    assert opt.roll("zero") == "zero"
    assert opt.roll("keep-pa") == "keep-pa"
    assert opt.roll("-0.1deg") == -0.1 * u.deg


@pytest.mark.parametrize("text", ["", "0.1", "3pix", "nandeg"])
def test_what_is_no_roll(text):
    with pytest.raises(ArgumentTypeError, match="is no roll; write zero, keep-pa, or 0"):
        opt.roll(text)


@pytest.mark.parametrize("text", ["0", "1.5", "x", "-0.1", "nan"])
def test_what_is_no_fraction(text):
    with pytest.raises(ArgumentTypeError, match="is no fraction > 0 and <= 1"):
        opt.fraction(text)


def test_counts():
    assert opt.positive_integer("12") == 12
    with pytest.raises(ArgumentTypeError, match="is no whole number > 0"):
        opt.positive_integer("1.5")
