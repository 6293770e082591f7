"""One image behind the door: `Frame`, and the checks of its parts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits

from astroreg.exceptions import AstroregWarning
from astroreg.inputs.image_wcs import image_wcs
from astroreg.inputs.uncertainty import variance_plane

__all__ = ["Frame", "Parts", "checked_frame", "header_of", "real_array"]

# Squares and sums of squares of float32 stay exact enough inside this range of magnitudes; outside
# it (1e-17 erg/s/cm2/A is an everyday image) the arrays go to float64.
_FLOAT32_RANGE = (1e-12, 1e12)
# The same for float64, with room for fourth powers and sums over 1e10 pixels.
_FLOAT64_RANGE = (1e-70, 1e70)
_AT_ONCE = 1 << 15  # values of an array in between, which so stays in the processor's memory


@dataclass(frozen=True)
class Frame:
    """One image behind the door: checked arrays, and what belongs to them.

    The arrays may be views of the user's own: nothing may write into them. Pixels under the mask
    may hold anything, NaN included; `filled` gives a frame without that.

    Attributes
    ----------
    data : ndarray
        2-D, native float32 (kept) or float64 (everything else).
    variance : ndarray or None
        Of the same shape, in ``unit**2``, finite and >= 0 wherever the mask does not stand; None
        where no uncertainty was attached. All zero means noiseless.
    mask : ndarray of bool or None
        True = bad: the user's mask, data not finite, variance not finite. None = all good.
    unit : UnitBase
        Dimensionless where none was given.
    wcs : object or None
        APE-14 WCS of the two pixel axes.
    header : Header or None
        The header or meta, where there is one.
    label : str
        The path, or empty: for messages and HISTORY.
    kept : dict or None
        What was computed of the image and may serve again; None where nothing is kept.
    """

    data: np.ndarray
    variance: np.ndarray | None = None
    mask: np.ndarray | None = None
    unit: u.UnitBase = u.dimensionless_unscaled
    wcs: Any = None
    header: fits.Header | None = None
    label: str = ""
    # Not copied by `replace`: what was computed of one frame is wrong for another.
    kept: dict | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.data.shape

    @property
    def valid(self) -> np.ndarray:
        """True where a pixel is good; always an array."""
        return np.ones(self.data.shape, bool) if self.mask is None else ~self.mask

    @property
    def noiseless(self) -> bool:
        """Whether an uncertainty was attached and is zero everywhere."""
        return self.variance is not None and not self.variance[self.valid].any()

    def filled(self, value: float = 0.0) -> Frame:
        """Return a frame whose bad pixels hold `value` and no variance.

        Parameters
        ----------
        value : float, default 0
            What to put under the mask, in the unit of the frame.

        Returns
        -------
        Frame
            The frame itself where nothing is bad; otherwise with new arrays and the same mask.
        """
        if self.mask is None:
            return self
        data = self.data.copy()
        data[self.mask] = value
        if self.variance is None:
            return replace(self, data=data)
        variance = self.variance.copy()
        variance[self.mask] = 0
        return replace(self, data=data, variance=variance)

    def in_unit(self, unit: u.UnitBase) -> Frame:
        """Return the frame converted to another unit, its variance with it.

        Parameters
        ----------
        unit : UnitBase
            A unit that the frame's own converts to.

        Returns
        -------
        Frame
            The frame itself where the unit is its own; otherwise with new arrays.
        """
        if unit == self.unit:
            return self
        factor = self.unit.to(unit)
        variance = None if self.variance is None else self.variance.astype(float) * factor**2
        data = self.data.astype(float) * factor
        good = None if self.mask is None else ~self.mask
        data, variance = _precision(data, variance, good, self.data.dtype, self.label)
        return replace(self, data=data, variance=variance, unit=unit)


@dataclass(frozen=True)
class Parts:
    """What one kind of input gives, before any check."""

    data: Any
    unit: Any = None
    mask: Any = None
    uncertainty: Any = None
    wcs: Any = None
    header: Any = None
    label: str = ""


def checked_frame(parts: Parts, argument: str) -> Frame:
    data = real_array(parts.data, argument)
    full_shape = data.shape
    kept = _kept_axes(full_shape, argument)
    data = _squeezed(data, kept)
    unit = _unit(parts.unit, argument)
    mask = _mask_plane(parts.mask, full_shape, argument)
    bad = _or_none(_squeezed(mask, kept) if mask is not None else None)
    span = _span(data)
    if not np.isfinite(span).all():
        bad, span = _either(bad, ~np.isfinite(data)), None
    variance = variance_plane(parts.uncertainty, full_shape, unit, argument)
    if variance is not None:
        variance, bad = _checked_variance(_squeezed(variance, kept), bad, argument)
    _require_good_pixels(bad, argument)
    good = None if bad is None else ~bad
    data, variance = _precision(data, variance, good, data.dtype, f"`{argument}`", span=span)
    header = header_of(parts.header)
    wcs = image_wcs(parts.wcs, header, full_shape, kept, argument)
    return Frame(data, variance, _or_none(bad), unit, wcs, header, parts.label)


def _or_none(bad: np.ndarray | None) -> np.ndarray | None:
    """Return None for a mask that masks nothing."""
    return bad if bad is not None and bad.any() else None


def _either(bad: np.ndarray | None, more: np.ndarray) -> np.ndarray:
    return more if bad is None else bad | more


def _span(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest number; not finite if any is not, without an array of the answers."""
    return float(values.min()), float(values.max())


def real_array(data: Any, argument: str) -> np.ndarray:
    """Return real numbers of any kind as an array; nothing is copied."""
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"`{argument}` is no rectangular array ({error}); give a 2-D array") from error
    if array.dtype.kind not in "iuf":
        raise TypeError(
            f"`{argument}` has dtype {array.dtype}; give real numbers, for example image.astype(float)"
            + (" or its modulus" if array.dtype.kind == "c" else "")
        )
    return array


def _kept_axes(shape: tuple[int, ...], argument: str) -> tuple[int, int]:
    """Return the two axes that hold the image; axes of length 1 are dropped, the leading ones first."""
    if 0 in shape:
        raise ValueError(f"`{argument}` is empty (shape {shape}); give an image with pixels")
    kept = list(range(len(shape)))
    while len(kept) > 2:
        degenerate = [axis for axis in kept if shape[axis] == 1]
        if not degenerate:
            raise ValueError(
                f"`{argument}` has {len(shape)} dimensions (shape {shape}); give one 2-D image: "
                "a plane of the cube, or its sum along the other axis; register_cube takes two cubes"
            )
        kept.remove(degenerate[0])
    if len(kept) < 2:
        raise ValueError(
            f"`{argument}` has {len(shape)} dimension(s) (shape {shape}); give a 2-D image, "
            "or two spectra to chi2_shift"
        )
    return kept[0], kept[1]


def _squeezed(array: np.ndarray, kept: tuple[int, int]) -> np.ndarray:
    return array if array.ndim == 2 else array.squeeze(tuple(a for a in range(array.ndim) if a not in kept))


def _unit(unit: Any, argument: str) -> u.UnitBase:
    if unit is None:
        return u.dimensionless_unscaled
    unit = u.Unit(unit, parse_strict="silent") if not isinstance(unit, u.function.FunctionUnitBase) else unit
    if isinstance(unit, u.function.FunctionUnitBase):
        raise ValueError(
            f"`{argument}` is in {unit}, a logarithmic unit; convert it to a flux first: {argument}.physical"
        )
    # A BUNIT that astropy does not know ("counts/s/pix2") cannot be computed with; the fitted
    # scale takes it up like that of any other inconvertible pair.
    return u.dimensionless_unscaled if isinstance(unit, u.UnrecognizedUnit) else unit


def _mask_plane(mask: Any, shape: tuple[int, ...], argument: str) -> np.ndarray | None:
    if mask is None or mask is np.ma.nomask:
        return None
    plane = np.asarray(mask)
    if plane.dtype.kind not in "biu":
        raise TypeError(
            f"the mask of `{argument}` has dtype {plane.dtype}; give booleans, True = bad, or integer "
            "flags, 0 = good"
        )
    if plane.ndim == 0:
        return np.full(shape, bool(plane))
    if plane.shape != shape:
        raise ValueError(
            f"the mask of `{argument}` has shape {plane.shape}, its data {shape}; give one of the same shape"
        )
    return plane if plane.dtype.kind == "b" else plane != 0


def _checked_variance(
    variance: np.ndarray, bad: np.ndarray | None, argument: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Mask what has no usable variance; zero among positive values means "no data" in most pipelines."""
    one = variance if any(variance.strides) else variance[:1, :1]
    if one.min() > 0 and np.isfinite(one.max()):
        return variance, bad
    good = np.ones(variance.shape, bool) if bad is None else ~bad
    if ((variance < 0) & good).any():
        raise ValueError(
            f"the uncertainty of `{argument}` has negative values; give uncertainties >= 0, mask bad pixels"
        )
    good &= np.isfinite(variance)
    zero = (variance == 0) & good
    count = int(np.count_nonzero(zero))
    if count and count < np.count_nonzero(good):
        warnings.warn(
            f"the uncertainty of `{argument}` is zero at {count} pixels and positive at others; these "
            f"{count} are treated as bad: give them a positive uncertainty to use them",
            AstroregWarning,
            stacklevel=5,
        )
        good &= ~zero
    values = variance[good]
    if values.size and values.min() == values.max():
        variance = np.broadcast_to(values[:1, None], variance.shape)
    return variance, ~good


def _require_good_pixels(bad: np.ndarray | None, argument: str) -> None:
    if bad is not None and bad.all():
        raise ValueError(
            f"`{argument}` has no good pixel: all are masked or not finite (in the data or the uncertainty); "
            "check its mask (True = bad)"
        )


def _precision(
    data: np.ndarray,
    variance: np.ndarray | None,
    good: np.ndarray | None,
    dtype: np.dtype,
    name: str,
    *,
    span: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return native arrays, float32 where the input was and its squares cannot leave the range."""
    wanted = np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize == 4 else np.dtype(np.float64)
    largest = [_largest(data, good) if span is None or good is not None else max(abs(s) for s in span)]
    if variance is not None:
        largest.append(math.sqrt(_largest(variance, good)))
    for value in largest:
        if not _within(value, _FLOAT64_RANGE):
            raise ValueError(
                f"{name or 'the image'} has values of {value:.0e}, whose squares leave the range of floating "
                "point numbers; mask those pixels or give the data in another unit"
            )
    if not all(_within(value, _FLOAT32_RANGE) for value in largest):
        wanted = np.dtype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # under the mask anything may stand
        data = data.astype(wanted, copy=False)
        if variance is None:
            return data, None
        if not any(variance.strides):
            return data, np.broadcast_to(variance[:1, :1].astype(wanted), variance.shape)
        return data, variance.astype(wanted, copy=False)


def _largest(plane: np.ndarray, good: np.ndarray | None) -> float:
    """Largest magnitude among the good pixels."""
    if not any(plane.strides):
        return abs(float(plane.flat[0]))
    if good is None:
        return max(float(plane.max()), -float(plane.min()))
    # Zeros are no larger than any magnitude; picking the good ones out takes thrice as long.
    rows = max(1, _AT_ONCE // plane.shape[1])
    bands = [slice(n, n + rows) for n in range(0, plane.shape[0], rows)]
    parts = (np.where(good[band], plane[band], 0) for band in bands)
    return max(max(float(x.max()), -float(x.min())) for x in parts)


def _within(largest: float, limits: tuple[float, float]) -> bool:
    return largest == 0 or limits[0] <= largest <= limits[1]


def header_of(meta: Any) -> fits.Header | None:
    """Return the meta as a Header, as far as its entries fit into one."""
    if isinstance(meta, fits.Header):
        return meta
    if not isinstance(meta, Mapping) or not meta:
        return None
    header = fits.Header()
    for key, value in meta.items():
        if isinstance(key, str) and len(key) <= 8 and isinstance(value, (str, int, float, bool)):
            try:
                header[key] = value
            except ValueError:  # control characters, NaN: no FITS card
                continue
    return header if len(header) else None
