"""Uncertainty and mask of an image from the HDUs that go with it."""

from __future__ import annotations

import math
import os
import warnings

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import InverseVariance, NDUncertainty, StdDevUncertainty, VarianceUncertainty

from astroreg.files.cards import BLOCK
from astroreg.files.tile_table import require_sound_tiles
from astroreg.memory import require_memory

__all__ = ["COMPANION_NAMES", "of_image", "require_room"]

_UNCERTAINTY_KINDS = {
    "ERR": StdDevUncertainty,
    "ERROR": StdDevUncertainty,
    "STDDEV": StdDevUncertainty,
    "SIGMA": StdDevUncertainty,
    "UNCERT": StdDevUncertainty,  # unless UTYPE says otherwise (CCDData)
    "VAR": VarianceUncertainty,
    "VARIANCE": VarianceUncertainty,
    "IVAR": InverseVariance,
}
_UTYPES = {kind.__name__: kind for kind in (StdDevUncertainty, VarianceUncertainty, InverseVariance)}
_MASK_NAMES = ("DQ", "MASK", "WHT")
COMPANION_NAMES = frozenset(_UNCERTAINTY_KINDS) | frozenset(_MASK_NAMES)

# Telescopes whose data quality plane tells in bit 0 alone that a pixel must not be used: the
# other bits say what happened to it (a jump that was corrected, a reference pixel near by).
_DO_NOT_USE_IN_BIT_0 = ("JWST", "ROMAN")

Planes = tuple[NDUncertainty | None, np.ndarray | None, np.ndarray | None]


def of_image(hdus: fits.HDUList, index: int, plane: tuple, unit: u.UnitBase | None) -> Planes:
    """Return uncertainty, mask (True = bad) and quality flags of one image.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        All HDUs of the file.
    index : int
        Number of the image among them.
    plane : tuple of slice and int
        What picks the two-dimensional image out of the data of the HDU.
    unit : `~astropy.units.UnitBase` or None
        Unit of the image, for an uncertainty that names none.

    Returns
    -------
    uncertainty : `~astropy.nddata.NDUncertainty` or None
        From the first HDU of the same shape and EXTVER with a name that means one.
    mask : ndarray of bool or None
        From DQ, MASK and WHT (weight not above zero) together.
    flags : ndarray of int or None
        DQ, or an integer MASK, as it stands in the file.
    """
    found = _companions(hdus, index)
    uncertainty = next(
        (_uncertainty(hdu, plane, unit) for name, hdu in found.items() if name in _UNCERTAINTY_KINDS), None
    )
    flags = next((_integers(found[name], plane) for name in ("DQ", "MASK") if name in found), None)
    masks = [_mask(name, found[name], plane, hdus) for name in _MASK_NAMES if name in found]
    mask = np.logical_or.reduce(masks) if masks else None
    return uncertainty, mask, flags


def _companions(hdus: fits.HDUList, index: int) -> dict[str, fits.ImageHDU]:
    image = hdus[index]
    if image.name in COMPANION_NAMES:  # asked for itself: it has no error of the error
        return {}
    found: dict[str, fits.ImageHDU] = {}
    for number, hdu in enumerate(hdus):
        belongs = getattr(hdu, "is_image", False) and hdu.name in COMPANION_NAMES and hdu.ver == image.ver
        if belongs and number != index and tuple(hdu.shape) == tuple(image.shape):
            found.setdefault(hdu.name, hdu)
    return found


def _read(hdu: fits.ImageHDU, plane: tuple) -> np.ndarray:
    require_room(hdu, hdu.name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return hdu.data[plane]
    except Exception as error:  # data that end early or do not decompress: many kinds
        raise ValueError(f"the pixels of the HDU {hdu.name} cannot be read; the file is damaged") from error


def _uncertainty(hdu: fits.ImageHDU, plane: tuple, unit: u.UnitBase | None) -> NDUncertainty | None:
    utype = hdu.header.get("UTYPE")
    kind = _UNCERTAINTY_KINDS[hdu.name] if utype is None else _UTYPES.get(utype)
    if kind is None:  # UnknownUncertainty: of no use as noise
        return None
    values = _read(hdu, plane)
    single = values.dtype.kind == "f" and values.dtype.itemsize == 4
    own = _own_unit(hdu, kind, unit)
    plane = np.array(values, dtype=np.float32 if single else np.float64, order="C")
    return kind(plane, copy=False, unit=own)


def _own_unit(hdu: fits.ImageHDU, kind: type[NDUncertainty], unit: u.UnitBase | None) -> u.UnitBase | None:
    if unit is None:
        return None
    implied = {StdDevUncertainty: unit, VarianceUncertainty: unit**2, InverseVariance: unit**-2}[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        named = u.Unit(str(hdu.header.get("BUNIT", "")), parse_strict="silent")
    return named if named.is_equivalent(implied) else implied


def _integers(hdu: fits.ImageHDU, plane: tuple) -> np.ndarray | None:
    values = _read(hdu, plane)
    if values.dtype.kind not in "iu":
        return None
    return np.array(values, dtype=values.dtype.newbyteorder("="), order="C")


def _mask(name: str, hdu: fits.ImageHDU, plane: tuple, hdus: fits.HDUList) -> np.ndarray:
    values = _read(hdu, plane)
    if name == "WHT":
        return ~(values > 0)
    if name == "DQ" and str(hdus[0].header.get("TELESCOP", "")).strip().upper() in _DO_NOT_USE_IN_BIT_0:
        return (values.astype(np.int64) & 1) != 0
    return np.array(values != 0)


def require_room(hdu: fits.ImageHDU, label: str) -> None:
    """Refuse pixels that are not in the file or cannot be held, before anything is allocated.

    Parameters
    ----------
    hdu : `~astropy.io.fits.ImageHDU`
        The image; its header is looked at, and the table of its tiles where it is compressed.
    label : str
        What to call it in the message.

    Raises
    ------
    ValueError
        If the header announces more data than the file has, or than half of the memory; or compressed tiles
        that are not what it announces.
    """
    place = hdu.fileinfo() or {}
    span = place.get("datSpan") or 0
    # read, scaled to float64 and copied: two arrays of 8 bytes a pixel at the peak; and what lies in the file
    needed = 16 * math.prod(hdu.shape) + span
    require_memory(needed, f"{label} announces {hdu.shape} pixels and", "cut out the part that is wanted")
    file = place.get("file")
    is_plain = file is not None and file.name and file.compression is None and os.path.isfile(file.name)
    if is_plain and place["datLoc"] + span - BLOCK >= os.path.getsize(file.name):
        raise ValueError(
            f"the pixels of {label} cannot be read, they are not all there; the file is damaged or cut short"
        )
    if isinstance(hdu, fits.CompImageHDU):
        require_sound_tiles(hdu, label)
