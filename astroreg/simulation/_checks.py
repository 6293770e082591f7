"""Checks of arguments that several parts of the simulator share."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from astroreg.checks import argument_named, as_float, parse_number
from astroreg.memory import require_memory

__all__ = [
    "check_count",
    "check_fraction",
    "check_index",
    "check_mask",
    "check_number",
    "check_place",
    "check_positive",
    "check_shape",
    "check_unit",
    "pixel_pair",
]

_BYTES = 300  # a pixel of the frame: a field three times as wide in complex numbers, and what is made of it

_MOST = 10_000_000
_STEEPEST = 20
_LARGEST = 1e50  # squares of squares stay numbers


def check_shape(shape):
    """Return `shape` as two positive ints, or raise ValueError."""
    if not isinstance(shape, (tuple, list, np.ndarray)) or isinstance(shape, u.Quantity):
        raise TypeError(f"`shape` must be two integers (ny, nx), got {shape!r}")
    numbers = [as_float(n, "shape", "give two integers") for n in np.atleast_1d(shape).tolist()]
    if len(numbers) != 2 or any(n != np.rint(n) or not n >= 4 or np.isinf(n) for n in numbers):
        raise ValueError(f"`shape` must be two integers (ny, nx) of at least 4, got {shape!r}")
    require_memory(_BYTES * numbers[0] * numbers[1], f"`shape` {shape!r}", "simulate a smaller image")
    return tuple(int(n) for n in numbers)


def check_count(value, argument):
    """Return `value` as a whole number, at least 0, or raise."""
    number = parse_number(value, argument, low=0, mend="give a whole number >= 0")
    if not number.is_integer() or number > _MOST:
        raise ValueError(f"`{argument}` must be a whole number from 0 to {_MOST}, got {value!r}")
    return int(number)


def check_index(value):
    """Return the index of a power law as a float, or raise."""
    number = parse_number(value, "index")
    if abs(number) > _STEEPEST:
        raise ValueError(f"`index` must be from -{_STEEPEST} to {_STEEPEST}, got {value!r}")
    return number


def check_mask(mask, shape):
    """Return a mask as booleans of `shape`, or raise."""
    with argument_named("mask", f"give booleans of shape {shape}, True = bad"):
        plane = np.asarray(mask)
        if plane.dtype.kind not in "biu" or isinstance(mask, u.Quantity):
            raise TypeError(f"{type(mask).__name__} of the kind {plane.dtype}")
        return np.broadcast_to(plane.astype(bool), shape)


def check_number(value, argument):
    """Return `value` as a finite float, or raise."""
    number = parse_number(value, argument)
    if abs(number) > _LARGEST:
        raise ValueError(f"`{argument}` must be below {_LARGEST:g}, got {value!r}")
    return number


def check_positive(value, argument, *, zero=False):
    """Raise unless `value` is a positive number (or zero, where allowed); infinity is one."""
    number = as_float(value, argument, f"give a number {'>=' if zero else '>'} 0")
    if not (number > 0 or (zero and number == 0)) or _LARGEST < number < np.inf:
        raise ValueError(f"`{argument}` must be {'>= 0' if zero else '> 0'}, got {value!r}")


def check_fraction(value, argument):
    """Raise unless 0 <= `value` < 1."""
    if not 0 <= as_float(value, argument, "give a fraction such as 0.01") < 1:
        raise ValueError(f"`{argument}` is a fraction of the pixels: it must be in [0, 1), got {value!r}")


def check_place(centre, argument):
    """Raise unless `centre` is one place on the sky."""
    if not isinstance(centre, SkyCoord) or not centre.isscalar:
        raise TypeError(f"`{argument}` must be one SkyCoord, got {centre!r}")


def check_unit(unit):
    """Return `unit` as a unit of flux, or raise."""
    with argument_named("unit", 'give an astropy unit or its name, such as "adu"'):
        if not isinstance(unit, (str, u.UnitBase)):
            raise TypeError(f"{unit!r} is no unit")
        return u.Unit(unit)


def pixel_pair(value, argument):
    """Return an (x, y) pair, in pixels or a Quantity in pixel, as two floats."""
    with argument_named(argument, "give a pair (x, y) in pixels"):
        pair = np.asarray(u.Quantity(value, u.pixel).value)
        if pair.dtype.kind not in "iuf":
            raise TypeError(f"numbers of the kind {pair.dtype}")
    if pair.shape != (2,) or not np.isfinite(pair).all():
        raise ValueError(f"`{argument}` must be two finite numbers (x, y) in pixels, got {value!r}")
    return float(pair[0]), float(pair[1])
