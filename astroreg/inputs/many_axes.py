"""Spectra and cubes behind the door: the checks of an image, for another number of axes."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.nddata import VarianceUncertainty
from astropy.wcs import WCS

from astroreg.exceptions import AstroregWarning
from astroreg.inputs.frame import Frame, Parts, _mask_plane, _unit, checked_frame, header_of, real_array
from astroreg.inputs.kinds import _parts
from astroreg.inputs.uncertainty import variance_plane

__all__ = ["as_cube", "as_spectrum", "axes_of", "in_one_unit"]


def axes_of(obj: Any, *, hdu: int | str | tuple | None = None) -> int | None:
    """Return the number of axes of what a user passed, as far as that is seen without reading it.

    Parameters
    ----------
    obj : NDData, HDU, HDUList, path, Quantity, array or alike
        Whatever may be passed as an image.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    int or None
        Axes of length 1 of a file with more than two axes do not count. None where it cannot be told.
    """
    if isinstance(obj, (str, os.PathLike)):
        if not os.path.isfile(obj):
            return None
        from astroreg.files.reading import opened

        with opened(obj) as hdus:
            return axes_of(hdus, hdu=hdu)
    if isinstance(obj, fits.HDUList):
        return _file_axes(obj, hdu)
    if isinstance(obj, fits.hdu.base._BaseHDU):
        return _file_axes(fits.HDUList([obj]), 0)
    if isinstance(obj, tuple) and len(obj) == 2:
        obj = obj[0]
    data = obj if isinstance(obj, np.ndarray) else getattr(obj, "data", obj)
    if isinstance(data, (list, tuple)):
        try:
            return np.ndim(data)
        except ValueError:
            return None
    shape = getattr(data, "shape", None)
    return None if shape is None else len(shape)


def _file_axes(hdus: fits.HDUList, hdu: Any) -> int | None:
    index = _image_index(hdus, hdu, "")
    if index is None:
        return None
    shape = hdus[index].shape
    return len(shape) if len(shape) <= 2 else max(1, sum(n > 1 for n in shape))


def as_spectrum(obj: Any, *, argument: str, hdu: int | str | tuple | None = None) -> Frame:
    """Take what a user passed as a spectrum and return it checked, as one row.

    Parameters
    ----------
    obj : NDData, HDU, HDUList, path, Quantity, array, Frame or alike
        Values along one axis; axes of length 1 are dropped.
    argument : str
        The name under which the caller knows it, for the messages.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    Frame
        With arrays of shape (1, n) and the WCS of one pixel axis.

    Raises
    ------
    TypeError, ValueError
        As `as_frame`; or if it has not one axis.
    """
    if isinstance(obj, Frame):
        return obj
    parts = _parts_of(obj, argument, hdu)
    data = real_array(parts.data, argument)
    if 0 in data.shape:
        raise ValueError(f"`{argument}` is empty (shape {data.shape}); give a spectrum with channels")
    if sum(n > 1 for n in data.shape) > 1 or data.ndim == 0:
        raise ValueError(f"`{argument}` has shape {data.shape}; give a spectrum, with one axis")
    wcs = _wcs_of_axes(parts, data.shape, argument)
    return replace(_flat(parts, data, (1, data.size), argument), wcs=wcs)


def as_cube(obj: Any, *, argument: str, hdu: int | str | tuple | None = None) -> Frame:
    """Take what a user passed as a spectral cube and return it checked.

    Parameters
    ----------
    obj : NDData, CCDData, HDU, HDUList, path, SpectralCube, NDCube, Quantity, array, Frame or alike
        Three axes: the channels first, then the rows and columns of each; leading axes of length 1 go.
    argument : str
        The name under which the caller knows it, for the messages.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    Frame
        With arrays of shape (channels, ny, nx) and the WCS as given, of all its axes.

    Raises
    ------
    TypeError, ValueError
        As `as_frame`; or if it has not three axes.
    """
    if isinstance(obj, Frame):
        return obj
    parts = _parts_of(obj, argument, hdu)
    data = real_array(parts.data, argument)
    if 0 in data.shape:
        raise ValueError(f"`{argument}` is empty (shape {data.shape}); give a cube with pixels")
    shape = data.shape
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 3:
        raise ValueError(
            f"`{argument}` has {data.ndim} dimensions (shape {data.shape}); give a cube of three: the "
            "channels, then the rows and columns of each"
        )
    wcs = parts.wcs if parts.wcs is not None else _header_wcs(parts.header, argument)
    return replace(_flat(parts, data, shape, argument), wcs=wcs)


def _parts_of(obj: Any, argument: str, hdu: Any) -> Parts:
    """Reduce to parts; files keep all their axes here, and cubes of spectral-cube their mask."""
    if isinstance(obj, (str, os.PathLike)):
        from astroreg.files.reading import opened

        with opened(obj) as hdus:
            return _from_hdus(hdus, hdu, os.fspath(obj))
    if isinstance(obj, fits.HDUList):
        return _from_hdus(obj, hdu, obj.filename() or "")
    if isinstance(obj, fits.hdu.base._BaseHDU):
        return _from_hdus(fits.HDUList([obj]), 0, "")
    if hasattr(obj, "unmasked_data") and hasattr(obj, "wcs"):
        return _from_spectral_cube(obj)
    return _parts(obj, argument, hdu)


def _from_hdus(hdus: fits.HDUList, hdu: Any, label: str) -> Parts:
    from astroreg.files import companions
    from astroreg.files.reading import _native_float, _pixels, _unit

    index = _image_index(hdus, hdu, label)
    if index is None:
        raise ValueError(f"{label or 'the file'} holds no image in any of its {len(hdus)} HDUs")
    chosen = hdus[index]
    data = _native_float(_pixels(chosen, label))
    unit = _unit(chosen.header.get("BUNIT"), label)
    uncertainty, mask, _ = companions.of_image(hdus, index, (slice(None),) * data.ndim, unit)
    return Parts(data, unit, mask, uncertainty, None, chosen.header.copy(), label)


def _image_index(hdus: fits.HDUList, hdu: Any, label: str) -> int | None:
    from astroreg.files.reading import select_hdu

    if hdu is not None:
        return select_hdu(hdus, hdu, label)
    for index, one in enumerate(hdus):
        if getattr(one, "is_image", False) and one.shape and min(one.shape) > 0:
            return index
    return None


def _from_spectral_cube(cube: Any) -> Parts:
    """A SpectralCube: values without its mask, and the mask, which includes where it is True."""
    values = cube.unmasked_data[:]
    mask = None if cube.mask is None else ~np.asarray(cube.mask.include(data=values, wcs=cube.wcs))
    return Parts(
        np.asarray(getattr(values, "value", values)),
        getattr(cube, "unit", None),
        mask,
        wcs=cube.wcs,
        header=getattr(cube, "header", None),
    )


def _flat(parts: Parts, data: np.ndarray, shape: tuple[int, ...], argument: str) -> Frame:
    """Check everything as for an image of one row a channel, and give it its shape."""
    rows = (1, -1) if len(shape) == 2 else (shape[0], -1)
    mask = _mask_plane(parts.mask, data.shape, argument)
    unit = _unit(parts.unit, argument)
    variance = variance_plane(parts.uncertainty, data.shape, unit, argument)
    flat = Parts(
        data.reshape(rows),
        unit,
        None if mask is None else mask.reshape(rows),
        None if variance is None else VarianceUncertainty(variance.reshape(rows)),
        label=parts.label,
    )
    frame = checked_frame(flat, argument)
    planes = {
        name: None if getattr(frame, name) is None else getattr(frame, name).reshape(shape)
        for name in ("data", "variance", "mask")
    }
    return replace(frame, **planes, header=header_of(parts.header))


def _wcs_of_axes(parts: Parts, shape: tuple[int, ...], argument: str) -> Any:
    """Return the WCS of the one axis that is longer than 1."""
    wcs = parts.wcs if parts.wcs is not None else _header_wcs(parts.header, argument)
    if wcs is None:
        return None
    count = getattr(getattr(wcs, "low_level_wcs", wcs), "pixel_n_dim", None)
    if count is None:
        raise TypeError(
            f"the WCS of `{argument}` is a {type(wcs).__name__}; give an astropy, gwcs or other APE-14 WCS"
        )
    if count == 1:
        return wcs
    if isinstance(wcs, WCS):
        if count == len(shape):
            return wcs.sub([len(shape) - int(np.argmax(shape))])
        if wcs.wcs.spec >= 0:
            return wcs.spectral
    raise ValueError(f"the WCS of `{argument}` has {count} pixel axes, its data one; give that of its axis")


def _header_wcs(header: Any, argument: str) -> WCS | None:
    header = header_of(header)
    if header is None or not any(header.get(f"CTYPE{axis}") for axis in range(1, 5)):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return WCS(header)
    except Exception:  # wcslib raises a dozen kinds for what hostile headers hold
        warnings.warn(
            f"the WCS in the header of `{argument}` cannot be used; it is taken as without WCS",
            AstroregWarning,
            stacklevel=5,
        )
        return None


def in_one_unit(reference: Frame, image: Frame, *, fit_scale: bool) -> tuple[Frame, Frame]:
    """Return both, the reference in the unit of the image where it converts.

    Parameters
    ----------
    reference, image : Frame
        The two.
    fit_scale : bool
        Whether a flux scale is fitted, which takes up any factor.

    Returns
    -------
    reference, image : Frame
        Both in one unit where that is possible.

    Raises
    ------
    ValueError
        If the units do not convert and no scale is fitted.
    """
    if reference.unit.is_equivalent(image.unit):
        return reference.in_unit(image.unit), image
    if not fit_scale:
        names = [str(frame.unit) or "no unit" for frame in (reference, image)]
        raise ValueError(
            f"`reference` is in {names[0]}, which does not convert to {names[1]}, the unit of `image`; give "
            "convertible units, or leave `fit_scale` True so that the factor is fitted"
        )
    return reference, image
