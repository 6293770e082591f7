"""New arrays -> the kind of object that the user passed: the way out, as `astroreg.inputs` is the way in."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty, VarianceUncertainty

from astroreg.inputs import Frame

__all__ = ["wrapped_like"]

_GRID = re.compile(
    r"(CRPIX|CRVAL|CDELT|CTYPE|CUNIT|CROTA)\d+[A-Z]?|(CD|PC|PV|PS)\d+_\d+[A-Z]?|(LONPOLE|LATPOLE|WCSAXES)[A-Z]?"
    r"|[AB]P?_(ORDER|\d+_\d+)|BSCALE|BZERO|BLANK|BUNIT"
)


def wrapped_like(
    original: Any,
    frame: Frame,
    data: np.ndarray,
    variance: np.ndarray | None,
    bad: np.ndarray,
    wcs: Any,
) -> Any:
    """Wrap new arrays in the kind of object that `original` is.

    Parameters
    ----------
    original : object
        What the user passed.
    frame : Frame
        The same behind the door.
    data : numpy.ndarray
        The new data.
    variance : numpy.ndarray or None
        Their variance.
    bad : numpy.ndarray
        True where the new data are not known.
    wcs : APE-14 WCS or None
        The new WCS.

    Returns
    -------
    NDData, CCDData, MaskedArray, Quantity or ndarray
        With NaN where `bad`; a CCDData for a file or an HDU, an NDData for a subclass of it that
        cannot be made of data, uncertainty, mask, WCS, unit and meta.
    """
    data = np.where(bad, np.nan, data).astype(frame.data.dtype)
    mask = bad if bad.any() or getattr(original, "mask", None) is not None else None
    if isinstance(original, NDData):
        return _like_nddata(original, frame, data, variance, mask, bad, wcs)
    if isinstance(original, np.ma.MaskedArray):
        return np.ma.MaskedArray(data, mask=bad)
    if isinstance(original, u.Quantity):
        return data * frame.unit
    if isinstance(original, (np.ndarray, list)):
        return data
    uncertainty = None if variance is None else StdDevUncertainty(np.sqrt(_blanked(variance, bad)))
    return CCDData(
        data, unit=frame.unit, uncertainty=uncertainty, mask=mask, wcs=wcs, meta=_without_grid(frame.header)
    )


def _like_nddata(original, frame, data, variance, mask, bad, wcs):
    uncertainty = None
    if variance is not None:
        variance = _blanked(variance, bad).astype(data.dtype)
        unit = None if original.unit is None else frame.unit**2
        uncertainty = VarianceUncertainty(variance, unit=unit).represent_as(type(original.uncertainty))
    parts = {"uncertainty": uncertainty, "mask": mask, "wcs": wcs, "unit": original.unit}
    parts["meta"] = copy.deepcopy(original.meta)
    return _maker(type(original), data, parts)(data, **parts)


def _maker(kind, data, parts):
    """Return a class that can be made of these parts: NDData where the user's own needs others."""
    try:
        inspect.signature(kind).bind(data, **parts)
    except TypeError:
        return NDData
    return kind


def _without_grid(header):
    """Return a header without what belongs to the old grid and numbers: CCDData writes its own."""
    new = fits.Header() if header is None else header.copy(strip=True)
    for keyword in [k for k in new if _GRID.fullmatch(k)]:
        del new[keyword]
    return new


def _blanked(variance, bad):
    """Return the variance with NaN where it is not known."""
    return np.where(bad, np.nan, variance)
