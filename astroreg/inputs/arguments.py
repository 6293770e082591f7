"""The arguments that the three methods share: checked once, with the same words everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u

from astroreg.checks import as_float, parse_choice
from astroreg.inputs.image_wcs import is_celestial, pixel_scale

__all__ = ["parse_boundary", "parse_max_shift"]

_MAX_SHIFT_MEND = "give a positive number of pixels, a Quantity in pixel or an angle"


def parse_max_shift(
    max_shift: float | u.Quantity | None, wcs: Any, shape: tuple[int, int], *, argument: str = "max_shift"
) -> float | None:
    """Return the largest shift to search for, in pixels of the image.

    Parameters
    ----------
    max_shift : float or Quantity or None
        Pixels, a Quantity in pixel, or an angle, which `wcs` turns into pixels.
    wcs : APE-14 WCS or None
        WCS of the image.
    shape : tuple of int
        Rows and columns of the image; the scale is that at its centre.
    argument : str, default "max_shift"
        The name for the messages.

    Returns
    -------
    float or None
        In pixels; None (no limit) for None.

    Raises
    ------
    TypeError
        If it is not a number or a Quantity.
    ValueError
        If it is not one positive finite number, or an angle where the image has no celestial WCS.

    Examples
    --------
    >>> from astropy import units as u
    >>> from astroreg.inputs import parse_max_shift
    >>> parse_max_shift(3 * u.pixel, None, (50, 60))
    3.0
    """
    if max_shift is None:
        return None
    if isinstance(max_shift, u.Quantity):
        value = _pixels(max_shift, wcs, shape, argument)
    else:
        value = as_float(max_shift, argument, _MAX_SHIFT_MEND)
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"`{argument}` must be finite and > 0 pixel, got {max_shift}; {_MAX_SHIFT_MEND}")
    return value


def _pixels(quantity: u.Quantity, wcs: Any, shape: tuple[int, int], argument: str) -> float:
    if quantity.size != 1:
        raise ValueError(f"`{argument}` must be one number, got {quantity.size}; {_MAX_SHIFT_MEND}")
    if quantity.unit.is_equivalent(u.pixel):
        return quantity.to_value(u.pixel).item()
    if quantity.unit == u.dimensionless_unscaled:
        return float(quantity.value.item())
    if not quantity.unit.is_equivalent(u.arcsec):
        raise ValueError(f"`{argument}` is in {quantity.unit}; {_MAX_SHIFT_MEND}")
    if not is_celestial(wcs):
        raise ValueError(
            f"`{argument}` is an angle ({quantity}), but `image` has no usable celestial WCS; "
            "give it in pixels"
        )
    scale = pixel_scale(wcs, shape).to_value(u.arcsec)
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(
            f"`{argument}` is an angle ({quantity}), but the WCS of `image` gives no pixel size at its "
            "centre; give it in pixels, or mend the WCS"
        )
    return quantity.to_value(u.arcsec).item() / scale


def parse_boundary(boundary: str, reference_shape: tuple[int, int], image_shape: tuple[int, int]) -> str:
    """Return the boundary condition, "overlap" or "wrap".

    Parameters
    ----------
    boundary : {"overlap", "wrap"}
        Windows on a larger sky, or one period of a periodic one.
    reference_shape, image_shape : tuple of int
        Rows and columns; "wrap" needs them equal.

    Returns
    -------
    str
        `boundary`.

    Raises
    ------
    ValueError
        If it is neither, or "wrap" with images of different shape.
    """
    parse_choice(boundary, ("overlap", "wrap"), argument="boundary")
    if boundary == "wrap" and tuple(reference_shape) != tuple(image_shape):
        raise ValueError(
            f'`boundary` "wrap" needs images of one shape, got {tuple(reference_shape)} and '
            f'{tuple(image_shape)}; crop to one period, or use "overlap"'
        )
    return boundary
