"""Everything a user may pass as an image -> `Frame`: the only door.

Each kind of input is reduced to its parts (data, unit, mask, uncertainty, WCS, header), and the
parts are checked once, here, so that everything behind the door may rely on them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.arguments import parse_boundary, parse_choice, parse_fraction, parse_max_shift, parse_positive
from astroreg.exceptions import AstroregWarning
from astroreg.noise_planes import variance_plane
from astroreg.wcs_inputs import image_wcs

__all__ = [
    "Frame",
    "as_frame",
    "parse_boundary",
    "parse_choice",
    "parse_fraction",
    "parse_max_shift",
    "parse_positive",
    "prepare_pair",
]

MIN_SIDE = 5
"""Pixels along the shorter side below which no shift along both axes is defined."""

# Squares and sums of squares of float32 stay exact enough inside this range of magnitudes; outside
# it (1e-17 erg/s/cm2/A is an everyday image) the arrays go to float64.
_FLOAT32_RANGE = (1e-12, 1e12)
# The same for float64, with room for fourth powers and sums over 1e10 pixels.
_FLOAT64_RANGE = (1e-70, 1e70)


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
    """

    data: np.ndarray
    variance: np.ndarray | None = None
    mask: np.ndarray | None = None
    unit: u.UnitBase = u.dimensionless_unscaled
    wcs: Any = None
    header: fits.Header | None = None
    label: str = ""

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
        variance = None if self.variance is None else np.where(self.mask, self.variance.dtype.type(0), self.variance)
        return replace(self, data=np.where(self.mask, self.data.dtype.type(value), self.data), variance=variance)

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
        data, variance = _precision(self.data.astype(float) * factor, variance, self.valid, self.data.dtype, self.label)
        return replace(self, data=data, variance=variance, unit=unit)


@dataclass(frozen=True)
class _Parts:
    """What one kind of input gives, before any check."""

    data: Any
    unit: Any = None
    mask: Any = None
    uncertainty: Any = None
    wcs: Any = None
    header: Any = None
    label: str = ""


def as_frame(obj: Any, *, argument: str, hdu: int | str | tuple | None = None) -> Frame:
    """Take what a user passed as an image and return it checked.

    Parameters
    ----------
    obj : NDData, CCDData, HDU, HDUList, path, Quantity, array, Frame or alike
        The image. A masked array, a pair ``(array, WCS or Header)`` and any object with ``data``
        and one of ``wcs``, ``uncertainty``, ``mask``, ``unit``, ``meta`` (a sunpy map, an
        NDCube) are taken too. A `Frame` is returned as it is.
    argument : str
        The name under which the caller knows it, for the messages.
    hdu : int, str or tuple, optional
        Which HDU of a file or HDUList: index, EXTNAME or (EXTNAME, EXTVER). The default is
        the first with an image.

    Returns
    -------
    Frame
        The image. Its arrays may be views of those of `obj`, which is never changed.

    Raises
    ------
    TypeError
        If `obj` is nothing that holds an image, or its numbers are not real.
    ValueError
        If the image is impossible: not 2-D, empty, no finite pixel, a mask or uncertainty that
        does not fit, a negative uncertainty, or one of unknown meaning.

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg.inputs import as_frame
    >>> frame = as_frame([[1, 2], [3, np.nan]], argument="image")
    >>> frame.data.dtype, frame.mask.sum()
    (dtype('float64'), np.int64(1))
    """
    if isinstance(obj, Frame):
        return obj
    return _checked(_parts(obj, argument, hdu), argument)


def prepare_pair(
    reference: Any,
    image: Any,
    *,
    fit_scale: bool = True,
    reference_hdu: int | str | tuple | None = None,
    image_hdu: int | str | tuple | None = None,
) -> tuple[Frame, Frame]:
    """Take two images and return them checked, the reference in the image's unit where it can be.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity, array or Frame
        The two images; see `as_frame`.
    fit_scale : bool, default True
        Whether a flux scale will be fitted: then units that do not convert are fine.
    reference_hdu, image_hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    reference, image : Frame
        The two, sharing a unit where their units convert.

    Raises
    ------
    TypeError, ValueError
        As `as_frame`; or if the units do not convert and `fit_scale` is False; or if an image has
        fewer than 5 pixels along a side.
    """
    first = as_frame(reference, argument="reference", hdu=reference_hdu)
    second = as_frame(image, argument="image", hdu=image_hdu)
    for frame, argument in ((first, "reference"), (second, "image")):
        _require_side(frame, argument)
    if first.unit.is_equivalent(second.unit):
        return first.in_unit(second.unit), second
    if not fit_scale:
        raise ValueError(
            f"`reference` is in {_name(first.unit)}, which does not convert to {_name(second.unit)}, the unit of "
            "`image`; give both in convertible units, or leave `fit_scale` True so that the factor is fitted"
        )
    return first, second


def _require_side(frame: Frame, argument: str) -> None:
    if min(frame.shape) < MIN_SIDE:
        rows, columns = frame.shape
        raise ValueError(
            f"`{argument}` is {columns} pixel wide and {rows} high; a shift along both axes needs at least "
            f"{MIN_SIDE} x {MIN_SIDE} pixels"
        )


# ---- the kinds of input, each reduced to its parts ------------------------------------------


def _parts(obj: Any, argument: str, hdu: Any) -> _Parts:
    """Dispatch on what `obj` is; ndarray before objects with ``.data``, which arrays have too."""
    if isinstance(obj, (str, os.PathLike)):
        return _from_file(obj, argument, hdu)
    if isinstance(obj, fits.HDUList):
        return _from_hdu_list(obj, argument, hdu)
    if hdu is not None:
        raise ValueError(f"an HDU was chosen ({hdu!r}), but `{argument}` is no file: give a path, or leave the HDU out")
    if isinstance(obj, _HDU_TYPES):
        return _from_hdu(obj, argument)
    if isinstance(obj, np.ndarray):
        return _from_array(obj)
    if isinstance(obj, u.function.FunctionQuantity):
        return _Parts(obj.value, unit=obj.unit)
    if isinstance(obj, tuple) and len(obj) == 2 and isinstance(obj[1], (WCS, fits.Header)):
        return _from_tuple(obj)
    if _looks_like_nddata(obj):
        return _from_nddata(obj)
    if hasattr(obj, "__array__") or isinstance(obj, (list, tuple)):
        return _Parts(_to_array(obj, argument))
    raise TypeError(
        f"`{argument}` is a {type(obj).__name__}, which holds no image; give NDData, CCDData, an HDU, a path, "
        "a Quantity or a 2-D array"
    )


_HDU_TYPES = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU, fits.hdu.base._BaseHDU)


def _from_file(path: str | os.PathLike, argument: str, hdu: Any) -> _Parts:
    from astroreg.files import open_image

    opened = open_image(path, hdu=hdu)
    return _Parts(
        opened.data, opened.unit, opened.mask, opened.uncertainty, opened.wcs, opened.header, str(opened.label or path)
    )


def _from_hdu_list(hdus: fits.HDUList, argument: str, hdu: Any) -> _Parts:
    if hdu is not None:
        try:
            return _from_hdu(hdus[hdu], argument, hdus)
        except (KeyError, IndexError) as error:
            names = ", ".join(f"{i} {one.name}" for i, one in enumerate(hdus))
            raise ValueError(f"`{argument}` has no HDU {hdu!r}; it has {names}") from error
    for one in hdus:
        if one.is_image and one.header.get("NAXIS", 0) >= 2:
            return _from_hdu(one, argument, hdus)
    raise ValueError(f"`{argument}` has no HDU with a 2-D image among its {len(hdus)}")


def _from_hdu(hdu: Any, argument: str, hdus: fits.HDUList | None = None) -> _Parts:
    if not getattr(hdu, "is_image", False):
        raise TypeError(f"`{argument}` is a {type(hdu).__name__}, not an image; choose an HDU that holds one")
    if hdu.data is None:
        raise ValueError(f"`{argument}` is an HDU without data; choose the HDU that holds the image")
    unit = u.Unit(hdu.header["BUNIT"], parse_strict="silent") if hdu.header.get("BUNIT") else None
    return _Parts(hdu.data, unit, wcs=hdus, header=hdu.header)


def _from_array(array: np.ndarray) -> _Parts:
    """Take the unit and the mask that subclasses of ndarray carry."""
    unit = getattr(array, "unit", None)
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask = None if array.mask is np.ma.nomask else np.ma.getmaskarray(array)
        array = array.data
    elif hasattr(array, "unmasked"):
        mask, array = array.mask, array.unmasked
    return _Parts(np.asarray(array), unit, mask)


def _from_tuple(pair: tuple) -> _Parts:
    parts = _from_array(np.asanyarray(pair[0]))
    is_wcs = isinstance(pair[1], WCS)
    return replace(parts, wcs=pair[1] if is_wcs else None, header=None if is_wcs else pair[1])


def _looks_like_nddata(obj: Any) -> bool:
    fields = ("wcs", "uncertainty", "mask", "unit", "meta")
    return hasattr(obj, "data") and any(hasattr(obj, name) for name in fields)


def _from_nddata(obj: Any) -> _Parts:
    """NDData and what looks like it; the data may themselves be a Quantity or masked."""
    inner = _from_array(obj.data) if isinstance(obj.data, np.ndarray) else _Parts(obj.data)
    unit = getattr(obj, "unit", None)
    mask = getattr(obj, "mask", None)
    return _Parts(
        inner.data,
        inner.unit if unit is None else unit,
        inner.mask if mask is None else mask,
        getattr(obj, "uncertainty", None),
        getattr(obj, "wcs", None),
        getattr(obj, "meta", None) or getattr(obj, "header", None),
    )


# ---- the checks -----------------------------------------------------------------------------


def _checked(parts: _Parts, argument: str) -> Frame:
    data = _to_array(parts.data, argument)
    full_shape = data.shape
    kept = _kept_axes(full_shape, argument)
    data = _squeezed(data, kept)
    unit = _unit(parts.unit, argument)
    mask = _mask_plane(parts.mask, full_shape, argument)
    bad = _squeezed(mask, kept) if mask is not None else np.zeros(data.shape, bool)
    bad = bad | ~np.isfinite(data)
    variance = variance_plane(parts.uncertainty, full_shape, unit, argument)
    if variance is not None:
        variance, bad = _checked_variance(_squeezed(variance, kept), bad, argument)
    _require_good_pixels(bad, argument)
    data, variance = _precision(data, variance, ~bad, data.dtype, f"`{argument}`")
    header = _header(parts.header)
    wcs = image_wcs(parts.wcs, header, full_shape, kept, argument)
    return Frame(data, variance, bad if bad.any() else None, unit, wcs, header, parts.label)


def _to_array(data: Any, argument: str) -> np.ndarray:
    """Return real numbers of any kind as an array; nothing is copied."""
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"`{argument}` is no rectangular array of numbers ({error}); give a 2-D array") from error
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
                "a plane of the cube, or its sum along the other axis"
            )
        kept.remove(degenerate[0])
    if len(kept) < 2:
        raise ValueError(f"`{argument}` has {len(shape)} dimension(s) (shape {shape}); give a 2-D image")
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
            f"the mask of `{argument}` has dtype {plane.dtype}; give booleans, True = bad, or integer flags, 0 = good"
        )
    if plane.ndim == 0:
        return np.full(shape, bool(plane))
    if plane.shape != shape:
        raise ValueError(f"the mask of `{argument}` has shape {plane.shape}, its data {shape}; give one of the same shape")
    return plane if plane.dtype.kind == "b" else plane != 0


def _checked_variance(variance: np.ndarray, bad: np.ndarray, argument: str) -> tuple[np.ndarray, np.ndarray]:
    """Mask what has no usable variance; zero among positive values means "no data" in most pipelines."""
    if (variance[~bad] < 0).any():
        raise ValueError(f"the uncertainty of `{argument}` has negative values; give uncertainties >= 0, mask bad pixels")
    bad = bad | ~np.isfinite(variance)
    zero = (variance == 0) & ~bad
    count = int(np.count_nonzero(zero))
    if count and count < np.count_nonzero(~bad):
        warnings.warn(
            f"the uncertainty of `{argument}` is zero at {count} pixels and positive at others; these {count} are "
            "treated as bad: give them a positive uncertainty to use them",
            AstroregWarning,
            stacklevel=5,
        )
        bad = bad | zero
    return variance, bad


def _require_good_pixels(bad: np.ndarray, argument: str) -> None:
    if bad.all():
        raise ValueError(
            f"`{argument}` has no good pixel: all are masked or not finite (in the data or the uncertainty); "
            "check its mask (True = bad)"
        )


def _precision(
    data: np.ndarray, variance: np.ndarray | None, good: np.ndarray, dtype: np.dtype, name: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return native arrays, float32 where the input was and its squares cannot leave the range."""
    wanted = np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize == 4 else np.dtype(np.float64)
    planes = [data] if variance is None else [data, np.sqrt(variance, where=good, out=np.zeros(data.shape))]
    for plane in planes:
        if not _within(plane, good, _FLOAT64_RANGE):
            raise ValueError(
                f"{name or 'the image'} has values of {_largest(plane, good):.0e}, whose squares leave the range of "
                "floating point numbers; mask those pixels or give the data in another unit"
            )
    if not all(_within(plane, good, _FLOAT32_RANGE) for plane in planes):
        wanted = np.dtype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return data.astype(wanted, copy=False), None if variance is None else variance.astype(wanted, copy=False)


def _largest(plane: np.ndarray, good: np.ndarray) -> float:
    high, low = np.max(plane, where=good, initial=0), np.min(plane, where=good, initial=0)
    return max(float(high), -float(low))


def _within(plane: np.ndarray, good: np.ndarray, limits: tuple[float, float]) -> bool:
    largest = _largest(plane, good)
    return largest == 0 or limits[0] <= largest <= limits[1]


def _header(meta: Any) -> fits.Header | None:
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


def _name(unit: u.UnitBase) -> str:
    return f"{unit}" or "no unit"
