"""The kinds of image that a user may pass, each reduced to its parts and sent through the checks."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import NDData

from astroreg.checks import parse_flag
from astroreg.inputs.frame import Frame, Parts, checked_frame, real_array
from astroreg.inputs.image_wcs import warn_of_other_keywords

__all__ = ["Reference", "as_frame", "prepare_pair"]

MIN_SIDE = 5
"""Pixels along the shorter side below which no shift along both axes is defined."""


class Reference:
    """One reference for many images: what is computed of it is kept, and serves the next image.

    Parameters
    ----------
    image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The reference, as for `~astroreg.chi2_shift`. It must not change while this object is used.
    hdu : int, str or tuple, optional
        Which HDU of a file or HDUList; the first with an image by default.

    Raises
    ------
    TypeError, ValueError
        If it is no image; the message says why.

    Notes
    -----
    Give it to `~astroreg.chi2_shift`, `~astroreg.register_images`, `~astroreg.cross_correlation_shift` or
    `~astroreg.measure` as ``reference``: the results are those of the plain image, to the last bit. Kept are
    the checked pixels, the image in standard units and its versions on coarser pixels, as long as this object
    lives.

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg import Reference, chi2_shift
    >>> from astroreg.simulation import simulate_pair
    >>> pair = simulate_pair(shift=(3.37, -5.81), rng=np.random.default_rng(1))
    >>> reference = Reference(pair.reference)
    >>> shifts = [chi2_shift(reference, draw.image).shift for draw in pair.draws(2, rng=2)]
    >>> len(shifts)
    2
    """

    def __init__(self, image: Any, *, hdu: int | str | tuple | None = None):
        self.frame = replace(as_frame(image, argument="image", hdu=hdu))
        object.__setattr__(self.frame, "kept", {})

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.frame.shape

    def __repr__(self) -> str:
        rows, columns = self.shape
        label = f" ({self.frame.label})" if self.frame.label else ""
        return f"<Reference of {columns} x {rows} pixels{label}>"


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
    if isinstance(obj, Reference):
        return obj.frame
    frame = checked_frame(_parts(obj, argument, hdu), argument)
    if isinstance(obj, NDData) and isinstance(obj.meta, fits.Header):
        warn_of_other_keywords(frame.wcs, obj.meta, frame.shape, argument)
    return frame


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
    parse_flag(fit_scale, "fit_scale")
    first = as_frame(reference, argument="reference", hdu=reference_hdu)
    second = as_frame(image, argument="image", hdu=image_hdu)
    for frame, argument in ((first, "reference"), (second, "image")):
        _require_side(frame, argument)
    if first.unit.is_equivalent(second.unit):
        return first.in_unit(second.unit), second
    if not fit_scale:
        raise ValueError(
            f"`reference` is in {_name(first.unit)}, which does not convert to {_name(second.unit)}, the "
            "unit of `image`; give convertible units, or leave `fit_scale` True so that the factor is fitted"
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


def _parts(obj: Any, argument: str, hdu: Any) -> Parts:
    """Dispatch on what `obj` is; ndarray before objects with ``.data``, which arrays have too."""
    if isinstance(obj, (str, os.PathLike)):
        return _from_file(obj, hdu)
    if isinstance(obj, fits.HDUList):
        return _from_hdus(obj, argument, hdu)
    if hdu is not None:
        raise ValueError(
            f"an HDU was chosen ({hdu!r}), but `{argument}` is no file: give a path, or leave the HDU out"
        )
    if isinstance(obj, fits.hdu.base._BaseHDU):
        return _from_hdus(fits.HDUList([obj]), argument, 0)
    if isinstance(obj, np.ndarray):
        return _from_array(obj)
    if isinstance(obj, u.function.FunctionQuantity):
        return Parts(obj.value, unit=obj.unit)
    if isinstance(obj, tuple) and len(obj) == 2 and (isinstance(obj[1], fits.Header) or _is_wcs(obj[1])):
        return _from_tuple(obj)
    if _looks_like_nddata(obj):
        return _from_nddata(obj)
    if hasattr(obj, "__array__") or isinstance(obj, (list, tuple)):
        return Parts(real_array(obj, argument))
    raise TypeError(
        f"`{argument}` is a {type(obj).__name__}, which holds no image; give NDData, CCDData, an HDU, "
        "a path, a Quantity or a 2-D array"
    )


def _from_file(path: str | os.PathLike, hdu: Any) -> Parts:
    from astroreg.files import open_image

    return _from_file_image(open_image(path, hdu=hdu))


def _from_hdus(hdus: fits.HDUList, argument: str, hdu: Any) -> Parts:
    from astroreg.files import image_from_hdus

    name = hdus.filename()
    parts = _from_file_image(image_from_hdus(hdus, hdu=hdu, label=name or f"`{argument}`"))
    return parts if name else replace(parts, label="")


def _from_file_image(image: Any) -> Parts:
    """The files see to lookup tables, companion HDUs and the spelling of units."""
    return Parts(image.data, image.unit, image.mask, image.uncertainty, image.wcs, image.header, image.label)


def _from_array(array: np.ndarray) -> Parts:
    """Take what subclasses of ndarray carry: unit, mask, and the WCS of a spectral-cube Projection."""
    unit = getattr(array, "unit", None)
    wcs, header = getattr(array, "wcs", None), getattr(array, "header", None)
    mask = None
    if isinstance(array, np.ma.MaskedArray):
        mask = None if array.mask is np.ma.nomask else np.ma.getmaskarray(array)
        array = array.data
    elif hasattr(array, "unmasked"):
        mask, array = array.mask, array.unmasked
    return Parts(np.asarray(array), unit, mask, wcs=wcs, header=header)


def _from_tuple(pair: tuple) -> Parts:
    parts = _from_array(np.asanyarray(pair[0]))
    if isinstance(pair[1], fits.Header):
        return replace(parts, wcs=None, header=pair[1])
    return replace(parts, wcs=pair[1])


def _is_wcs(obj: Any) -> bool:
    return hasattr(getattr(obj, "low_level_wcs", obj), "pixel_n_dim")


def _looks_like_nddata(obj: Any) -> bool:
    fields = ("wcs", "uncertainty", "mask", "unit", "meta")
    return hasattr(obj, "data") and any(hasattr(obj, name) for name in fields)


def _from_nddata(obj: Any) -> Parts:
    """NDData and what looks like it; the data may themselves be a Quantity or masked."""
    inner = _from_array(obj.data) if isinstance(obj.data, np.ndarray) else Parts(obj.data)
    unit = getattr(obj, "unit", None)
    mask = getattr(obj, "mask", None)
    return Parts(
        inner.data,
        inner.unit if unit is None else unit,
        inner.mask if mask is None else mask,
        getattr(obj, "uncertainty", None),
        getattr(obj, "wcs", None),
        getattr(obj, "meta", None) or getattr(obj, "header", None),
    )


def _name(unit: u.UnitBase) -> str:
    return f"{unit}" or "no unit"
