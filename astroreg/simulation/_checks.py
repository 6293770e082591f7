"""Checks of arguments that several parts of the simulator share."""

from __future__ import annotations

import numpy as np
from astropy import units as u

__all__ = ["check_fraction", "check_positive", "check_shape", "pixel_pair"]


def check_shape(shape):
    """Return `shape` as two positive ints, or raise ValueError."""
    numbers = tuple(np.atleast_1d(shape).tolist())
    if len(numbers) != 2 or any(n != int(n) or n < 4 for n in numbers):
        raise ValueError(f"`shape` must be two integers (ny, nx) of at least 4, got {shape!r}")
    return tuple(int(n) for n in numbers)


def check_positive(value, argument, *, zero=False):
    """Raise ValueError unless `value` is a positive number (or zero, where allowed)."""
    if not (value > 0 or (zero and value == 0)):
        raise ValueError(f"`{argument}` must be {'>= 0' if zero else '> 0'}, got {value!r}")


def check_fraction(value, argument):
    """Raise ValueError unless 0 <= `value` < 1."""
    if not 0 <= value < 1:
        raise ValueError(f"`{argument}` is a fraction of the pixels: it must be in [0, 1), got {value!r}")


def pixel_pair(value, argument):
    """Return an (x, y) pair, in pixels or a Quantity in pixel, as two floats."""
    try:
        pair = np.asarray(u.Quantity(value, u.pixel).value, dtype=float)
    except (TypeError, u.UnitsError) as error:
        raise TypeError(f"`{argument}` must be a pair (x, y) in pixels, got {value!r}") from error
    if pair.shape != (2,) or not np.isfinite(pair).all():
        raise ValueError(f"`{argument}` must be two finite numbers (x, y) in pixels, got {value!r}")
    return float(pair[0]), float(pair[1])
