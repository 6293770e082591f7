"""An attached uncertainty of any kind -> a plane of variances in the square of the data's unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import NDUncertainty, VarianceUncertainty

__all__ = ["variance_plane"]

# The power that turns each kind of uncertainty into a variance.
_POWER = {"std": 2, "var": 1, "ivar": -1}
# Values whose squares and inverses single precision holds in full.
_RANGE = (1e-18, 1e18)


def variance_plane(
    uncertainty: Any, shape: tuple[int, ...], unit: u.UnitBase, argument: str
) -> np.ndarray | None:
    """Return the variance of an image.

    Parameters
    ----------
    uncertainty : NDUncertainty or None
        Of any kind that converts to a variance, with or without a unit of its own.
    shape : tuple of int
        Shape of the data.
    unit : UnitBase
        Unit of the data.
    argument : str
        Name of the image, for the messages.

    Returns
    -------
    ndarray or None
        In ``unit**2``, float32 where the uncertainty was and its squares stay in range, else float64; a
        negative uncertainty gives a negative variance, so that the caller sees it; None where there is no
        uncertainty. One number in the memory where all are equal.

    Raises
    ------
    TypeError, ValueError
        If the uncertainty is of unknown kind, or its shape or unit do not fit.
    """
    if uncertainty is None:
        return None
    if not isinstance(uncertainty, NDUncertainty) or uncertainty.uncertainty_type == "unknown":
        raise ValueError(
            f"the uncertainty of `{argument}` is a {type(uncertainty).__name__}, which does not say what it "
            "means; wrap it in StdDevUncertainty, VarianceUncertainty or InverseVariance of astropy.nddata"
        )
    if uncertainty.array is None:
        return None
    values = _real(uncertainty.array, shape, argument)
    power = _POWER.get(uncertainty.uncertainty_type)
    if power is None:
        return _foreign(uncertainty, shape, unit, argument)
    # x |x| keeps the sign of a negative standard deviation, for the caller to see; 1/0 is "no information"
    with np.errstate(divide="ignore", over="ignore"):
        if power == 2:
            variance = values * np.abs(values)
        else:
            variance = values if power == 1 else 1 / values
    if variance.size == 1:
        variance = np.broadcast_to(variance, shape)
    return _scaled(variance, None if uncertainty.unit is None else uncertainty.unit**power, unit, argument)


def _real(values: Any, shape: tuple[int, ...], argument: str) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"the uncertainty of `{argument}` has dtype {array.dtype}; give real numbers")
    if array.size == 1 and array.shape != shape:
        return array.reshape((1,) * len(shape)).astype(float)
    if array.shape != shape:
        raise ValueError(
            f"the uncertainty of `{argument}` has shape {array.shape}, its data {shape}; "
            "give one value a pixel"
        )
    if array.size > 1 and array.flat[0] == array.flat[-1] and array.min() == array.max():
        array = array[(slice(0, 1),) * array.ndim]
    single = array.dtype.kind == "f" and array.dtype.itemsize == 4 and _squares_fit(array)
    return array.astype(np.float32 if single else float)


def _squares_fit(array: np.ndarray) -> bool:
    """Return whether single precision holds the squares and inverses of the values, none of which is 0."""
    low, high = float(array.min()), float(array.max())
    return _RANGE[0] < low and high < _RANGE[1]


def _foreign(
    uncertainty: NDUncertainty, shape: tuple[int, ...], unit: u.UnitBase, argument: str
) -> np.ndarray:
    """A kind of uncertainty from outside astropy, if it knows how to become a variance."""
    try:
        converted = uncertainty.represent_as(VarianceUncertainty)
    except (TypeError, NotImplementedError) as error:
        raise ValueError(
            f"the uncertainty of `{argument}`, a {type(uncertainty).__name__}, does not convert to a "
            "variance; give StdDevUncertainty, VarianceUncertainty or InverseVariance of astropy.nddata"
        ) from error
    values = np.broadcast_to(_real(converted.array, shape, argument), shape)
    return _scaled(values, converted.unit, unit, argument)


def _scaled(variance: np.ndarray, own: u.UnitBase | None, unit: u.UnitBase, argument: str) -> np.ndarray:
    """Bring a variance from its own unit into the square of the data's; no unit means the data's."""
    if own is None or own == unit**2:
        return variance
    try:
        factor = own.to(unit**2)
    except u.UnitConversionError as error:
        raise ValueError(
            f"the uncertainty of `{argument}` has a variance in {own or 'no unit'}, which does not convert "
            f"to that of the data, {unit**2 or 'no unit'}; give both in convertible units"
        ) from error
    one = variance[(slice(0, 1),) * variance.ndim]
    return variance * factor if any(variance.strides) else np.broadcast_to(one * factor, variance.shape)
