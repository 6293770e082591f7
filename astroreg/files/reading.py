"""Opening the image of a FITS file with all that belongs to it."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import NDUncertainty
from astropy.wcs import WCS, InvalidSubimageSpecificationError, NonseparableSubimageCoordinateSystemError
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS

from astroreg.exceptions import AstroregWarning
from astroreg.files import companions
from astroreg.files.streams import require_sane_counts
from astroreg.sky.header_cards import quiet_astropy, sound_wcs

__all__ = ["FileImage", "first_line", "image_from_hdus", "open_image", "opened", "select_hdu"]

# An HDU is (name, version), a number, a name, or "SCI,2".
HDUSelector = int | str | tuple[str, int]

# Spellings of units that are common in FITS headers and that astropy does not know.
_UNIT_ALIASES = {
    "counts": "ct",
    "count": "ct",
    "cts": "ct",
    "electrons": "electron",
    "photons": "photon",
    "jy": "Jy",
    "beam": "beam",
    "sec": "s",
    "second": "s",
    "seconds": "s",
    "pixel": "pix",
    "pixels": "pix",
    "kelvin": "K",
}


@dataclass(frozen=True)
class FileImage:
    """One two-dimensional image of a FITS file and what belongs to it.

    Attributes
    ----------
    data : ndarray, shape (ny, nx)
        Native float32 where the file holds float32, else native float64; blank pixels are NaN.
    header : `~astropy.io.fits.Header`
        A copy of the header of the image.
    wcs : object or None
        The celestial or other WCS of the two axes, with its distortion tables; None where there
        is none, or none that can be read.
    unit : `~astropy.units.UnitBase` or None
        From BUNIT; None where that is missing or not a unit.
    uncertainty : `~astropy.nddata.NDUncertainty` or None
        From the companion HDU (ERR, UNCERT, VAR, IVAR...) of the same EXTVER.
    mask : ndarray of bool or None
        True = bad, from the companion HDU (DQ, MASK, WHT) of the same EXTVER.
    flags : ndarray of int or None
        The data quality bits as they stand in the file.
    label : str
        The file, and the HDU where it is not the first: for messages and HISTORY.
    """

    data: np.ndarray
    header: fits.Header
    wcs: object | None
    unit: u.UnitBase | None
    uncertainty: NDUncertainty | None
    mask: np.ndarray | None
    flags: np.ndarray | None
    label: str


def open_image(path: str | os.PathLike, *, hdu: HDUSelector | None = None) -> FileImage:
    """Read one image of a FITS file with its WCS, unit, uncertainty and mask.

    Parameters
    ----------
    path : str or path-like
        A FITS file, plain or compressed (``.fits.gz``, ``.fits.fz``).
    hdu : int, str or tuple, optional
        Which HDU: its number, its name, ``("SCI", 2)`` or ``"SCI,2"``. By default the first that
        holds an image.

    Returns
    -------
    FileImage

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is not a FITS file, is damaged, or holds no such image.
    """
    with opened(path) as hdus:
        return image_from_hdus(hdus, hdu=hdu, label=os.fspath(path))


def image_from_hdus(hdus: fits.HDUList, *, hdu: HDUSelector | None = None, label: str = "") -> FileImage:
    """Take one image with its WCS, unit, uncertainty and mask out of an HDU list.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        The HDUs; they are not changed.
    hdu : int, str or tuple, optional
        Which HDU, as for `open_image`.
    label : str, optional
        What to call the file in messages.

    Returns
    -------
    FileImage
    """
    index = _first_image(hdus, label) if hdu is None else select_hdu(hdus, hdu, label)
    chosen = hdus[index]
    name = label if index == 0 else f"{label}[{_hdu_name(chosen, index)}]"
    kept = _kept_axes(chosen, name)
    plane = tuple(slice(None) if axis in kept else 0 for axis in range(len(chosen.shape)))
    data = _native_float(_pixels(chosen, name)[plane])
    header = _wcs_header(hdus, chosen)
    unit = _unit(chosen.header.get("BUNIT"), name)
    uncertainty, mask, flags = companions.of_image(hdus, index, plane, unit)
    return FileImage(
        data,
        chosen.header.copy(),
        _wcs(header, hdus, chosen.shape, kept, name),
        unit,
        uncertainty,
        mask,
        flags,
        name,
    )


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[fits.HDUList]:
    """Open a FITS file for reading; whatever is wrong with it becomes an error that names it.

    Parameters
    ----------
    path : str or path-like
        The file.

    Yields
    ------
    HDUList
        Closed at the end of the block.
    """
    name = os.fspath(path)
    if not os.path.exists(name):
        raise FileNotFoundError(f"there is no file {name}")
    if os.path.isdir(name):
        raise IsADirectoryError(f"{name} is a folder; give a FITS file in it")
    if not os.path.isfile(name):  # a pipe or a device may never end
        raise OSError(f"{name} is not a plain file; give a FITS file")
    require_sane_counts(name)
    # the file is ours to close: astropy leaves it open where the headers cannot be read
    with open(name, "rb") as file, warnings.catch_warnings():
        # Damaged files draw a dozen kinds of remark; what matters is checked where it is used.
        warnings.filterwarnings("ignore", module=r"astropy\.")
        hdus = _parsed(file, name)
        with hdus, damage_named(name):
            yield hdus


@contextlib.contextmanager
def damage_named(name: str) -> Iterator[None]:
    """Turn what astropy raises for unreadable cards and data into an error that names the file.

    Parameters
    ----------
    name : str
        The file.
    """
    try:
        yield
    except (OSError, ValueError, ImportError, MemoryError, Warning):
        raise  # these already say what is wrong
    except Exception as error:  # a dozen kinds: VerifyError, KeyError, struct.error, zlib.error...
        raise ValueError(f"{name} cannot be read ({first_line(error)}); the file is damaged") from error


def _parsed(file: BinaryIO, name: str) -> fits.HDUList:
    try:
        hdus = fits.open(file, mode="readonly", memmap=False, lazy_load_hdus=True)
        len(hdus)  # reads all headers now
    except PermissionError:
        raise
    except Exception as error:  # astropy raises a dozen kinds for what hostile files hold
        raise ValueError(f"{name} is not a FITS file that can be read ({first_line(error)})") from error
    return hdus


def first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    # What follows the first sentence is advice for callers of astropy.
    return text[0].split(". ")[0][:200] if text else type(error).__name__


def select_hdu(hdus: fits.HDUList, hdu: HDUSelector, label: str, *, argument: str = "hdu") -> int:
    """Return the number of an HDU that is chosen by number, name or name and version.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        Where to look.
    hdu : int, str or tuple
        ``1``, ``"1"``, ``"SCI"``, ``"SCI,2"`` or ``("SCI", 2)``.
    label : str
        What to call the file in messages.
    argument : str, optional
        What the caller calls `hdu`.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If there is no such HDU.
    """
    key = _parsed_selector(hdu)
    try:
        index = hdus.index_of(key)
        if not -len(hdus) <= index < len(hdus):
            raise IndexError
    except (KeyError, IndexError, TypeError, ValueError) as error:
        there = ", ".join(_hdu_name(one, number) for number, one in enumerate(hdus))
        raise ValueError(f"`{argument}`: {label or 'the file'} has no HDU {hdu!r}; it has {there}") from error
    return index % len(hdus)


def _parsed_selector(hdu: HDUSelector) -> HDUSelector:
    if not isinstance(hdu, str):
        return hdu if isinstance(hdu, tuple) else int(hdu) if isinstance(hdu, np.integer) else hdu
    if re.fullmatch(r"\s*\d+\s*", hdu):
        return int(hdu)
    match = re.fullmatch(r"\s*(.*?)\s*,\s*(\d+)\s*", hdu)
    return (match[1], int(match[2])) if match else hdu


def _hdu_name(hdu: fits.PrimaryHDU, index: int) -> str:
    return f"{hdu.name},{hdu.ver}" if hdu.name and index else f"{index}"


def _first_image(hdus: fits.HDUList, label: str) -> int:
    for index, hdu in enumerate(hdus):
        if getattr(hdu, "is_image", False) and len(hdu.shape) >= 2 and min(hdu.shape) > 0:
            return index
    raise ValueError(f"{label or 'the file'} holds no image with two axes in any of its {len(hdus)} HDUs")


def _kept_axes(hdu: fits.ImageHDU, label: str) -> tuple[int, int]:
    """The two array axes that hold the image; all others must have length 1."""
    shape = getattr(hdu, "shape", ()) if getattr(hdu, "is_image", False) else None
    if shape is None:
        raise ValueError(f"`hdu`: {label} is not an image but a {type(hdu).__name__}; choose another HDU")
    if len(shape) < 2 or 0 in shape:
        raise ValueError(
            f"`hdu`: {label} holds no image with two axes, its shape is {shape}; choose another HDU"
        )
    long = [axis for axis, length in enumerate(shape) if length > 1]
    if len(long) > 2:
        raise ValueError(
            f"{label} is a cube of shape {tuple(shape)}; give one plane of it, "
            "or its sum along the other axes; astroreg.register_cube takes two cubes"
        )
    # an image of one row or column keeps its last axes
    spare = [axis for axis in reversed(range(len(shape))) if axis not in long]
    return tuple(sorted(long + spare[: 2 - len(long)]))


def _pixels(hdu: fits.ImageHDU, label: str) -> np.ndarray:
    companions.require_room(hdu, label)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = hdu.data
    except Exception as error:  # tiles that do not decompress, data that end early: many kinds
        raise ValueError(
            f"the pixels of {label} cannot be read ({first_line(error)}); the file is damaged"
        ) from error
    if data is None or data.shape != tuple(hdu.shape):
        raise ValueError(f"the pixels of {label} cannot be read; the file is cut short")
    return data


def _native_float(data: np.ndarray) -> np.ndarray:
    if data.dtype.kind not in "fiub":
        raise ValueError(f"the pixels are of the kind {data.dtype}; only real numbers make an image")
    single = data.dtype.kind == "f" and data.dtype.itemsize == 4
    return np.array(data, dtype=np.float32 if single else np.float64, order="C")


def _unit(text: object, label: str) -> u.UnitBase | None:
    """BUNIT as a unit; None, with a warning, where it is none."""
    if not isinstance(text, str) or not text.strip():
        return None
    respelled = re.sub(r"[A-Za-z]+", lambda word: _UNIT_ALIASES.get(word[0].lower(), word[0]), text)
    # "ELECTRONS/S": no detector counts electrons per siemens
    respelled = re.sub(r"\bS\b", "s", respelled)
    if "/" in text:  # "W/m^2-sr": all behind the stroke is below it
        respelled = re.sub(r"(?<=\w)-(?=[A-Za-z])", "/", respelled)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        for spelling in (respelled, text):
            try:
                return u.Unit(spelling.strip())
            except (ValueError, TypeError):
                continue
    warnings.warn(
        f"BUNIT {text[:40]!r} of {label} is not a unit that astropy knows; "
        "the image is taken as without unit",
        AstroregWarning,
        stacklevel=4,
    )
    return None


def _wcs_header(hdus: fits.HDUList, hdu: fits.ImageHDU) -> fits.Header:
    """The header that holds the WCS: that of a primary HDU without data where it is inherited."""
    primary = hdus[0]
    inherits = hdu is not primary and primary.header.get("NAXIS") == 0
    if inherits and "CTYPE1" not in hdu.header and "CTYPE1" in primary.header:
        merged = primary.header.copy()
        merged.update({f"NAXIS{axis}": length for axis, length in enumerate(reversed(hdu.shape), 1)})
        merged["NAXIS"] = len(hdu.shape)
        return merged
    return hdu.header


def _wcs(
    header: fits.Header, hdus: fits.HDUList, shape: tuple[int, ...], kept: tuple[int, int], label: str
) -> object | None:
    if not any(header.get(f"CTYPE{axis}") for axis in range(1, 10)):
        return None
    try:
        with quiet_astropy():
            # without the HDUs, a WCS with look-up tables cannot be built
            return _of_two_axes(sound_wcs(header, hdus), shape, kept)
    except Exception as error:  # wcslib raises a dozen kinds for what hostile headers hold
        warnings.warn(
            f"the WCS of {label} cannot be used ({first_line(error)}); the image is taken as without WCS",
            AstroregWarning,
            stacklevel=5,
        )
        return None


def _of_two_axes(wcs: WCS, shape: tuple[int, ...], kept: tuple[int, int]) -> object:
    if wcs.naxis == 2 and len(shape) == 2:
        return wcs
    pixel_axes = sorted(len(shape) - axis for axis in kept)  # FITS counts from 1, from the other end
    try:
        return wcs.sub(pixel_axes)
    except (InvalidSubimageSpecificationError, NonseparableSubimageCoordinateSystemError):
        # the axes are coupled: the others stay at their only pixel
        slices = [slice(None) if axis in kept else 0 for axis in range(wcs.naxis)]
        return HighLevelWCSWrapper(SlicedLowLevelWCS(wcs, slices))
