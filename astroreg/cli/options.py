"""Options that several subcommands share, and how their values are read."""

from __future__ import annotations

import argparse
import re
from typing import Any

import numpy as np
from astropy import units as u

from astroreg.methods import chi2_shift, cross_correlation_shift, register_images

__all__ = [
    "METHODS",
    "add_correction",
    "add_general",
    "add_images",
    "add_json",
    "add_search",
    "add_table",
    "angle",
    "angle_or_pixels",
    "fraction",
    "hdu_selector",
    "new_command",
    "positive_integer",
    "roll",
    "search_options",
]

METHODS = {"chi2": chi2_shift, "dft": register_images, "taylor": cross_correlation_shift}

_MARKS = {'"': "arcsec", "''": "arcsec", "'": "arcmin", "px": "pix", "pixels": "pix"}


def new_command(
    commands: Any, name: str, *, summary: str, description: str, epilog: str
) -> argparse.ArgumentParser:
    """Add a subcommand to the program's parser, without options yet.

    Parameters
    ----------
    commands : argparse action
        What ``add_subparsers`` returned.
    name : str
        Of the subcommand.
    summary : str
        What it does, in the list of all.
    description, epilog : str
        What its help begins and ends with, in lines.

    Returns
    -------
    ArgumentParser
        Of the subcommand.
    """
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_general(parser: argparse.ArgumentParser) -> None:
    """Add what every subcommand has."""
    group = parser.add_argument_group("messages")
    group.add_argument("-q", "--quiet", action="store_true", help="no messages on stderr but errors")
    group.add_argument("-v", "--verbose", action="store_true", help="details on stderr")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the choice of machine-readable output."""
    parser.add_argument("--json", action="store_true", help="print JSON on stdout (its keys: see below)")


def add_table(parser: argparse.ArgumentParser, *, words: str = "write the numbers as an ECSV table") -> None:
    """Add the table of a command that writes nothing else."""
    parser.add_argument("--table", metavar="FILE", help=words)
    parser.add_argument("--overwrite", action="store_true", help="replace the table if it exists")


def add_correction(parser: argparse.ArgumentParser, *, untold: str = "which a shift does not tell") -> Any:
    """Add a group with how the WCS is corrected, and return it."""
    group = parser.add_argument_group("how to correct")
    group.add_argument(
        "--kind",
        choices=("pointing", "detector"),
        default="pointing",
        help="what moved: the telescope (default, a rotation of the sky) or the pixels",
    )
    group.add_argument(
        "--roll",
        metavar="ROLL",
        type=roll,
        default="zero",
        help=f"the roll, {untold}: zero (default), keep-pa, or an angle such as 0.1deg",
    )
    return group


def add_images(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """Add the reference, the image or images, and which HDU of them is meant."""
    parser.add_argument("reference", metavar="REFERENCE", help="FITS file whose coordinates are right")
    words = "FITS file whose coordinates are to be corrected"
    if several:
        parser.add_argument("images", metavar="IMAGE", nargs="+", help=words)
    else:
        parser.add_argument("image", metavar="IMAGE", help="FITS file to be compared with it")
    for name in ("reference", "image"):
        parser.add_argument(
            f"--{name}-hdu",
            metavar="HDU",
            type=hdu_selector,
            help=f"HDU of the {name}: number, name, or name,version (default: the first image)",
        )


def add_search(parser: argparse.ArgumentParser) -> None:
    """Add how the shift is searched for."""
    parser.add_argument(
        "--max-shift",
        metavar="LENGTH",
        type=angle_or_pixels,
        help="longest shift to search for: 5arcsec, 2arcmin, 3pix, or a number of pixels of the image "
        "(default: what the overlap allows)",
    )
    parser.add_argument(
        "--min-overlap",
        metavar="FRACTION",
        type=fraction,
        help="least overlap of the good pixels (default: 0.1)",
    )
    parser.add_argument(
        "--empirical",
        action="store_true",
        help="take the errors from the residuals, not from the uncertainties in the files",
    )


def search_options(options: argparse.Namespace) -> dict[str, object]:
    """Return the options of `add_search` that were given, by the names that the library uses."""
    chosen = {"max_shift": options.max_shift, "min_overlap": options.min_overlap}
    chosen["uncertainty"] = "empirical" if options.empirical else None
    return {name: value for name, value in chosen.items() if value is not None}


def angle_or_pixels(text: str) -> float | u.Quantity:
    """Read a length such as ``5arcsec``, ``3pix`` or ``3``.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    float or Quantity
        Pixels, or an angle.

    Raises
    ------
    ArgumentTypeError
        If it is no positive length.
    """
    quantity = _quantity(text)
    is_length = quantity is not None and any(
        quantity.unit.is_equivalent(unit) for unit in (u.dimensionless_unscaled, u.pixel, u.arcsec)
    )
    if not is_length or not (np.isfinite(quantity) and quantity.value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no length > 0; write it as 5arcsec, 3pix or 3")
    return float(quantity.value) if quantity.unit == u.dimensionless_unscaled else quantity


def _quantity(text: str) -> u.Quantity | None:
    """Return the number with its unit, None where it cannot be read."""
    number, mark = re.fullmatch(r"(.*?)\s*(''|[\"']|px|pixels)?\s*", text, re.DOTALL).groups()
    try:
        quantity = u.Quantity(f"{number} {_MARKS.get(mark, '')}")
    except (TypeError, ValueError):
        return None
    return quantity if quantity.isscalar else None


def angle(text: str) -> u.Quantity:
    """Read an angle > 0, such as ``0.1arcsec``.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    Quantity
        The angle.

    Raises
    ------
    ArgumentTypeError
        If it is none.
    """
    quantity = _quantity(text)
    is_angle = quantity is not None and quantity.unit.is_equivalent(u.arcsec)
    if not is_angle or not (np.isfinite(quantity) and quantity.value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no angle > 0; write it as 0.1arcsec")
    return quantity


def roll(text: str) -> str | u.Quantity:
    """Read ``zero``, ``keep-pa`` or an angle.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    str or Quantity
        As `astroreg.correct_wcs` takes it.

    Raises
    ------
    ArgumentTypeError
        If it is none of them.
    """
    if text in ("zero", "keep-pa"):
        return text
    quantity = _quantity(text)
    if quantity is None or not (quantity.unit.is_equivalent(u.deg) and np.isfinite(quantity)):
        raise argparse.ArgumentTypeError(f"{text!r} is no roll; write zero, keep-pa, or 0.1deg")
    return quantity


def hdu_selector(text: str) -> int | str | tuple[str, int]:
    """Read an HDU: ``1``, ``SCI`` or ``SCI,2``.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    int, str or tuple
        As `astroreg.align` takes it.
    """
    if re.fullmatch(r"\s*-?\d+\s*", text):
        return int(text)
    named = re.fullmatch(r"\s*(.+?)\s*,\s*(\d+)\s*", text)
    return (named[1], int(named[2])) if named else text


def fraction(text: str) -> float:
    """Read a fraction, greater than 0 and at most 1.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    float
        The fraction.

    Raises
    ------
    ArgumentTypeError
        If it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no fraction > 0 and <= 1; write it as 0.25")
    return value


def positive_integer(text: str) -> int:
    """Read a whole number > 0.

    Parameters
    ----------
    text : str
        What the user typed.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ArgumentTypeError
        If it is none.
    """
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number > 0")
    return int(text)
