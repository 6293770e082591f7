"""A spectral WCS: its coordinate, what a shift along it means, and its correction."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy import constants
from astropy import units as u
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError

__all__ = ["SpectralAxis", "moved_axis", "spectral_axis"]

_LOG_TOLERANCE = 1e-6  # of the axis' length: how straight its logarithm must be
_AIR = "obs.atmos"


@dataclass(frozen=True, eq=False)
class SpectralAxis:
    """The one axis of a spectral WCS.

    Attributes
    ----------
    wcs : APE-14 WCS
        Of one pixel and one world axis.
    length : int
        Number of channels.
    """

    wcs: Any
    length: int

    @property
    def low_level(self) -> Any:
        """The WCS with plain numbers."""
        return getattr(self.wcs, "low_level_wcs", self.wcs)

    @cached_property
    def unit(self) -> u.UnitBase:
        """Unit of the coordinate."""
        return u.Unit(self.low_level.world_axis_units[0] or "")

    @cached_property
    def kind(self) -> str:
        """Physical type as the VO calls it, such as "em.wl"; empty where it is unknown."""
        kind = self.low_level.world_axis_physical_types[0] or ""
        ctype = getattr(getattr(self.wcs, "wcs", None), "ctype", ("",))[0]
        # astropy before 7 calls a wavelength in air by the same name as one in vacuum
        return f"{kind};{_AIR}" if ctype.startswith("AWAV") and _AIR not in kind else kind

    @property
    def middle(self) -> float:
        """The pixel at which a shift is told."""
        return (self.length - 1) / 2

    def at(self, pixel: float | np.ndarray) -> u.Quantity:
        """Return the coordinate at a pixel."""
        return np.asarray(self.low_level.pixel_to_world_values(pixel), float) * self.unit

    def pixel(self, coordinate: u.Quantity) -> float:
        """Return the pixel of a coordinate in a unit that converts to the axis' own."""
        from scipy import optimize

        value = coordinate.to_value(self.unit)
        if not np.isfinite(value):
            return np.nan
        # Not every WCS has an inverse; an axis without turns is inverted by the secant method.
        off = lambda pixel: float(self.low_level.pixel_to_world_values(pixel)) - value  # noqa: E731
        step = abs(off(self.middle + 1) - off(self.middle))
        found = optimize.root_scalar(
            lambda pixel: off(pixel) / step, x0=self.middle, x1=self.middle + 1, method="secant", xtol=1e-10
        )
        return float(found.root) if found.converged else np.nan

    @cached_property
    def is_logarithmic(self) -> bool:
        """Whether a pixel is the same ratio everywhere: one shift of pixels is then one velocity."""
        ends = self.at(np.array([0.0, self.middle, self.length - 1.0])).value
        if not (self.kind.startswith("em.") and np.isfinite(ends).all() and (ends > 0).all()):
            return False
        log = np.log(ends)
        span = abs(log[2] - log[0])
        straight = abs(log[0] + log[2] - 2 * log[1]) <= _LOG_TOLERANCE * span
        linear = abs(ends[0] + ends[2] - 2 * ends[1]) <= _LOG_TOLERANCE * abs(ends[2] - ends[0])
        return bool(straight and not linear)

    @cached_property
    def rest(self) -> u.Quantity | None:
        """Rest frequency or wavelength of the WCS, if it has one."""
        inner = getattr(self.wcs, "wcs", None)
        for name, unit in (("restfrq", u.Hz), ("restwav", u.m)):
            value = getattr(inner, name, 0.0)
            if value and np.isfinite(value):
                return value * unit
        return None

    def of_other(self, other: SpectralAxis, pixel: float | np.ndarray) -> u.Quantity:
        """Return the coordinate that another axis gives for its pixel, in terms of this one.

        Raises
        ------
        ValueError
            If the two do not convert.
        """
        value = other.at(pixel)
        if other.kind == self.kind:
            return value.to(self.unit)
        if (_AIR in other.kind) != (_AIR in self.kind):
            raise ValueError("one wavelength is in air, the other in vacuum")
        try:
            return _from_frequency(_to_frequency(value, other), self)
        except (u.UnitConversionError, TypeError) as error:
            raise ValueError(f"{other.kind or other.unit} does not convert to {self.kind}") from error

    def velocity(self, seen: u.Quantity, true: u.Quantity, rest: u.Quantity | None = None) -> u.Quantity:
        """Return the velocity by which a feature seen at one coordinate recedes from its true one.

        Parameters
        ----------
        seen, true : Quantity
            Coordinates on this axis.
        rest : Quantity, optional
            Rest wavelength or frequency; default: that of the WCS.

        Returns
        -------
        Quantity
            In km/s; NaN where neither the kind of the axis, nor a rest value, nor logarithmic steps say
            what one velocity would be.
        """
        c = constants.c.to(u.km / u.s)
        if self.unit.is_equivalent(u.km / u.s):
            return (seen - true).to(u.km / u.s)
        if self.kind == "src.redshift":
            return (seen - true).to_value(u.dimensionless_unscaled) * c
        if not self.kind.startswith("em."):
            return np.nan * c
        rest = self.rest if rest is None else rest
        if rest is not None:
            own = rest.to(self.unit, equivalencies=u.spectral())
            change = ((seen - true) / own).to_value(u.dimensionless_unscaled)
            return (change if self.unit.is_equivalent(u.m) else -change) * c
        if self.is_logarithmic:
            ratio = (seen / true).to_value(u.dimensionless_unscaled)
            ratio = ratio if self.unit.is_equivalent(u.m) else 1 / ratio
            return (ratio**2 - 1) / (ratio**2 + 1) * c
        return np.nan * c


def _doppler(axis: SpectralAxis) -> list:
    """Return the equivalencies between the axis' coordinate and frequency."""
    if axis.kind.startswith("em."):
        return u.spectral()
    conventions = {
        "spect.dopplerVeloc.radio": u.doppler_radio,
        "spect.dopplerVeloc.opt": u.doppler_optical,
        "spect.dopplerVeloc": u.doppler_relativistic,
    }
    if axis.rest is None or axis.kind not in conventions:
        raise ValueError(f"{axis.kind or axis.unit} needs a rest frequency or wavelength to be converted")
    return conventions[axis.kind](axis.rest)


def _to_frequency(value: u.Quantity, axis: SpectralAxis) -> u.Quantity:
    return value.to(u.Hz, equivalencies=_doppler(axis))


def _from_frequency(value: u.Quantity, axis: SpectralAxis) -> u.Quantity:
    return value.to(axis.unit, equivalencies=_doppler(axis))


def spectral_axis(wcs: Any, length: int) -> SpectralAxis | None:
    """Return the axis of a WCS of one pixel and one world axis; None where it is none.

    Parameters
    ----------
    wcs : APE-14 WCS or None
        The WCS.
    length : int
        Number of channels.

    Returns
    -------
    SpectralAxis or None
        None also where the WCS gives no coordinate in the middle.
    """
    low = getattr(wcs, "low_level_wcs", wcs)
    if low is None or low.pixel_n_dim != 1 or low.world_n_dim != 1:
        return None
    axis = SpectralAxis(wcs, length)
    return axis if np.isfinite(axis.at(axis.middle).value) else None


def moved_axis(wcs: Any, shift: float) -> Any:
    """Return a copy of a WCS whose every coordinate stands `shift` pixels further along.

    Parameters
    ----------
    wcs : WCS or gwcs.WCS
        Of one pixel axis; it is not changed.
    shift : float
        Pixels.

    Returns
    -------
    WCS or gwcs.WCS
        ``W'(p) = W(p - shift)``.

    Raises
    ------
    CorrectionError
        If the WCS is of another kind.
    """
    if isinstance(wcs, WCS):
        moved = wcs.deepcopy()
        moved.wcs.crpix = moved.wcs.crpix + shift
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            moved.wcs.set()
        return moved
    if hasattr(wcs, "insert_transform") and hasattr(wcs, "input_frame"):
        from astropy.modeling.models import Shift

        moved = copy.deepcopy(wcs)
        has_unit = getattr(moved.forward_transform, "uses_quantity", False)
        step = Shift(-shift * u.pixel if has_unit else -shift)
        moved.insert_transform(wcs.input_frame.name, step, after=True)
        return moved
    raise CorrectionError(
        f"a spectral WCS of the kind {type(wcs).__name__} cannot be moved; "
        "give an astropy.wcs.WCS or a gwcs.WCS"
    )
