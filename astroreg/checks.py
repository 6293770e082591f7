"""Checks of single arguments, with the same words in every room: errors name the argument and the mend."""

from __future__ import annotations

import contextlib
import numbers
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from astropy import units as u

__all__ = [
    "argument_named",
    "as_float",
    "parse_angle",
    "parse_callable",
    "parse_choice",
    "parse_flag",
    "parse_fraction",
    "parse_number",
    "parse_path",
    "parse_positive",
    "parse_rng",
    "parse_sequence",
    "require_kind",
]

# Beyond this a whole number is no count of anything, and C libraries cannot hold it.
_LARGEST_COUNT = 2**31 - 1


@contextlib.contextmanager
def argument_named(argument: str, mend: str) -> Iterator[None]:
    """Turn what a conversion raises into an error that names the argument.

    Parameters
    ----------
    argument : str
        Its name.
    mend : str
        What to give instead.

    Raises
    ------
    TypeError, ValueError
        With the words of the first error.
    """
    try:
        yield
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
        kind = TypeError if isinstance(error, (TypeError, AttributeError)) else ValueError
        kind = u.UnitConversionError if isinstance(error, u.UnitsError) else kind
        words = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise kind(f"`{argument}` cannot be used ({words}); {mend}") from error


def parse_number(
    value: Any,
    argument: str,
    *,
    mend: str = "give a finite number",
    low: float = -np.inf,
    strict: bool = False,
) -> float:
    """Return a finite real number.

    Parameters
    ----------
    value : float
        What the caller gave; booleans and strings are no numbers.
    argument : str
        The name for the messages.
    mend : str, optional
        What to give instead.
    low : float, optional
        The least that is allowed; default none.
    strict : bool, optional
        Whether it must be above `low` (default False: or equal to it).

    Returns
    -------
    float
        `value`.

    Raises
    ------
    TypeError, ValueError
        If it is not such a number.
    """
    number = as_float(value, argument, mend)
    if number < low or (strict and number == low):
        raise ValueError(f"`{argument}` must be {'>' if strict else '>='} {low:g}, got {value!r}; {mend}")
    if not np.isfinite(number):
        raise ValueError(f"`{argument}` must be finite, got {value!r}; {mend}")
    return number


def as_float(value: Any, argument: str, mend: str) -> float:
    """Return one real number as float, infinite or NaN too; booleans and strings are none."""
    zero_d = isinstance(value, (np.ndarray, np.generic)) and value.ndim == 0 and value.dtype.kind in "iuf"
    has_unit = isinstance(value, u.Quantity) and value.unit != u.dimensionless_unscaled
    if isinstance(value, bool | np.bool_) or has_unit or not (isinstance(value, numbers.Real) or zero_d):
        raise TypeError(f"`{argument}` must be a number, got {value!r}; {mend}")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def parse_choice(value: str, choices: Sequence[str], *, argument: str) -> str:
    """Return `value` if it is one of `choices`.

    Parameters
    ----------
    value : str
        What the caller gave.
    choices : sequence of str
        What is possible.
    argument : str
        The name for the messages.

    Returns
    -------
    str
        `value`.

    Raises
    ------
    ValueError
        If it is none of them; the message lists them.
    """
    if not isinstance(value, str) or value not in choices:
        listed = " or ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"`{argument}` must be {listed}, got {value!r}")
    return value


def parse_fraction(value: float, *, argument: str) -> float:
    """Return a fraction, greater than 0 and at most 1.

    Parameters
    ----------
    value : float
        What the caller gave.
    argument : str
        The name for the messages.

    Returns
    -------
    float
        `value`.

    Raises
    ------
    TypeError, ValueError
        If it is not a number in that range.
    """
    number = as_float(value, argument, "give a fraction such as 0.1")
    if not 0 < number <= 1:
        raise ValueError(f"`{argument}` must be > 0 and <= 1, got {value}; give a fraction such as 0.1")
    return number


def parse_positive(value: float, *, argument: str, integer: bool = False) -> float | int:
    """Return a positive finite number.

    Parameters
    ----------
    value : float or int
        What the caller gave.
    argument : str
        The name for the messages.
    integer : bool, default False
        Whether it must be whole, and below 2**31.

    Returns
    -------
    float or int
        `value`; int if `integer`.

    Raises
    ------
    TypeError, ValueError
        If it is not such a number.
    """
    kind = "a whole number" if integer else "a number"
    number = as_float(value, argument, f"give {kind} > 0")
    if not (np.isfinite(number) and number > 0 and (number.is_integer() or not integer)):
        raise ValueError(f"`{argument}` must be {kind} > 0, got {value}")
    if integer and number > _LARGEST_COUNT:
        raise ValueError(f"`{argument}` must be {kind} below {_LARGEST_COUNT + 1}, got {value}")
    return int(number) if integer else number


def parse_flag(value: bool, argument: str) -> bool:
    """Return True or False, and refuse everything else.

    Parameters
    ----------
    value : bool
        What the caller gave.
    argument : str
        The name for the message.

    Returns
    -------
    bool
        `value`.

    Raises
    ------
    TypeError
        If it is neither: a string such as "no" would count as true.
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"`{argument}` must be True or False, got {value!r}")
    return bool(value)


def parse_angle(
    value: u.Quantity, argument: str, *, shape: tuple[int, ...] | None = (), unit: u.UnitBase = u.rad
) -> u.Quantity:
    """Return a finite angle, or several.

    Parameters
    ----------
    value : Quantity
        What the caller gave.
    argument : str
        The name for the messages.
    shape : tuple of int or None, optional
        Shape wanted; () (default) for one angle, None for any.
    unit : UnitBase, optional
        What it must convert to; default an angle.

    Returns
    -------
    Quantity
        `value`, in its own unit.

    Raises
    ------
    TypeError, ValueError
        If it is no such angle.
    """
    mend = "give an angle such as 2 * u.arcsec"
    if not isinstance(value, u.Quantity):
        raise TypeError(f"`{argument}` must be a Quantity, got {value!r}; {mend}")
    if not value.unit.is_equivalent(unit):
        raise u.UnitConversionError(f"`{argument}` is in {value.unit or 'no unit'}; {mend}")
    if (shape is not None and value.shape != shape) or not np.isfinite(value).all():
        size = "" if shape is None else f"{np.prod(shape, dtype=int)} "
        raise ValueError(f"`{argument}` must be {size}finite, got {value!r}; {mend}")
    return value


def parse_sequence(value: Any, argument: str, *, mend: str) -> list:
    """Return the items of a sequence or another iterable, and refuse a string.

    Parameters
    ----------
    value : iterable
        What the caller gave.
    argument : str
        The name for the message.
    mend : str
        What to give instead.

    Returns
    -------
    list
        Its items.

    Raises
    ------
    TypeError
        If it is none.
    """
    if isinstance(value, (str, bytes, os.PathLike)):
        raise TypeError(f"`{argument}` must be a sequence, got a {type(value).__name__}; {mend}")
    with argument_named(argument, mend):
        return list(value)


def parse_callable(value: Callable, argument: str, *, mend: str) -> Callable:
    """Return a function, and refuse what cannot be called.

    Parameters
    ----------
    value : callable
        What the caller gave.
    argument : str
        The name for the message.
    mend : str
        What to give instead.

    Returns
    -------
    callable
        `value`.

    Raises
    ------
    TypeError
        If it cannot be called.
    """
    if not callable(value):
        raise TypeError(f"`{argument}` must be a function, got {value!r}; {mend}")
    return value


def parse_path(value: str | os.PathLike, argument: str) -> str:
    """Return a path as a string.

    Parameters
    ----------
    value : str or path-like
        What the caller gave.
    argument : str
        The name for the message.

    Returns
    -------
    str
        The path.

    Raises
    ------
    TypeError, ValueError
        If it is no path, an empty one, or one with a null character.
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(os.fspath(value), str):
        raise TypeError(f"`{argument}` must be a path, got {value!r}; give a str or a pathlib.Path")
    text = os.fspath(value)
    if not text or "\0" in text:
        raise ValueError(f"`{argument}` must be the name of a file, got {text!r}")
    return text


def parse_rng(value: Any, argument: str = "rng") -> np.random.Generator:
    """Return a generator of random numbers.

    Parameters
    ----------
    value : int, array-like, numpy.random.Generator or None
        A seed, a generator, or None for one that is seeded by the system.
    argument : str, optional
        The name for the message.

    Returns
    -------
    numpy.random.Generator
        `value` itself where it is one.

    Raises
    ------
    TypeError, ValueError
        If it seeds nothing.
    """
    with argument_named(argument, "give an integer >= 0, a numpy.random.Generator or None"):
        return np.random.default_rng(value)


def require_kind(value: Any, kinds: type | tuple[type, ...], argument: str, mend: str) -> Any:
    """Return `value` if it is an instance of one of `kinds`.

    Parameters
    ----------
    value : object
        What the caller gave.
    kinds : type or tuple of type
        What it may be.
    argument : str
        The name for the message.
    mend : str
        What to give.

    Returns
    -------
    object
        `value`.

    Raises
    ------
    TypeError
        If it is none of them.
    """
    if not isinstance(value, kinds):
        raise TypeError(f"`{argument}` must not be a {type(value).__name__}; {mend}")
    return value
