"""The WCS that belongs to the two pixel axes of an image, and what may be asked of any WCS."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, WcsError
from astropy.wcs.wcsapi import HighLevelWCSWrapper, SlicedLowLevelWCS

from astroreg.exceptions import AstroregWarning, CorrectionError
from astroreg.grids import map_pixels
from astroreg.sky.frames import pixel_to_lonlat
from astroreg.sky.header_cards import has_lookup_tables, read_wcs, sound_wcs

__all__ = ["image_wcs", "is_celestial", "pixel_scale", "warn_of_other_keywords"]

AGREEMENT = 0.01
"""Pixels by which the WCS of an image and the keywords in its meta may differ without a word."""


def image_wcs(
    wcs: Any, header: fits.Header | None, shape: tuple[int, ...], kept: tuple[int, int], argument: str
) -> Any:
    """Return a WCS of two pixel axes, from the one given or else from the header.

    Parameters
    ----------
    wcs : APE-14 WCS or None
        The WCS.
    header : Header or None
        Where to look for a WCS if none is given.
    shape : tuple of int
        Shape of the data as given, degenerate axes included.
    kept : tuple of int
        The two axes of the array that hold the image.
    argument : str
        Name of the image, for the messages.

    Returns
    -------
    object or None
        None where there is no WCS, or the header's cannot be read.

    Raises
    ------
    ValueError
        If the WCS has not as many pixel axes as the data.
    """
    if wcs is None:
        wcs = _wcs_of_header(header)
        if wcs is not None and wcs.naxis not in (2, len(shape)) and not is_celestial(wcs):
            return None  # the header of something else; only a WCS that was given is worth an error
    if wcs is None or _pixel_axes(wcs, argument) == 2:
        return wcs
    if len(shape) == 2 and isinstance(wcs, WCS) and is_celestial(wcs):
        return wcs.celestial
    if _pixel_axes(wcs, argument) != len(shape):
        raise ValueError(
            f"the WCS of `{argument}` has {_pixel_axes(wcs, argument)} pixel axes, its data {len(shape)}; "
            "give the WCS of the 2-D image"
        )
    # numpy's axes count from the other end; the dropped ones have length 1, so their pixel is 0
    if isinstance(wcs, WCS):
        return wcs.sub(sorted(len(shape) - axis for axis in kept))
    slices = [slice(None) if axis in kept else 0 for axis in range(len(shape))]
    return HighLevelWCSWrapper(SlicedLowLevelWCS(getattr(wcs, "low_level_wcs", wcs), slices))


def _pixel_axes(wcs: Any, argument: str) -> int:
    count = getattr(getattr(wcs, "low_level_wcs", wcs), "pixel_n_dim", None)
    if count is None:
        raise TypeError(
            f"the WCS of `{argument}` is a {type(wcs).__name__}; give an astropy, gwcs or other APE-14 WCS"
        )
    return count


def _wcs_of_header(header: fits.Header | None) -> WCS | None:
    """Build the WCS of a header that has one; a header that astropy cannot read counts as without."""
    if header is None or not (header.get("CTYPE1") and header.get("CTYPE2")):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return sound_wcs(header)
    except Exception:  # wcslib raises a dozen kinds for what hostile headers hold
        return None


def is_celestial(wcs: Any) -> bool:
    """Whether a WCS gives positions on the sky for two pixel axes.

    Parameters
    ----------
    wcs : APE-14 WCS or None
        The WCS to look at.

    Returns
    -------
    bool
        False for None, for spectral or linear axes, and for a WCS that cannot be used.
    """
    if wcs is None:
        return False
    if isinstance(wcs, WCS):
        try:
            return wcs.has_celestial
        except WcsError:  # a singular matrix, keywords that contradict each other
            return False
    classes = getattr(wcs, "low_level_wcs", wcs).world_axis_object_classes.values()
    return any(isinstance(entry[0], type) and issubclass(entry[0], SkyCoord) for entry in classes)


def pixel_scale(wcs: Any, shape: tuple[int, int]) -> u.Quantity:
    """Return the size of a pixel at the centre of an image: the root of its area on the sky.

    Parameters
    ----------
    wcs : APE-14 WCS
        A celestial WCS.
    shape : tuple of int
        Rows and columns of the image.

    Returns
    -------
    Quantity
        In arcsec; NaN where the WCS gives no position there.
    """
    y, x = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    # the centre and half a pixel to either side along x and along y
    try:
        lon, lat = pixel_to_lonlat(
            wcs, x + np.array([0, 0.5, -0.5, 0, 0]), y + np.array([0, 0, 0, 0.5, -0.5])
        )
    except ValueError:  # WcsError is one: a singular matrix, a pixel outside the projection
        return np.nan * u.arcsec
    centre, around = SkyCoord(lon[0], lat[0], unit="rad"), SkyCoord(lon[1:], lat[1:], unit="rad")
    east, north = (offset.to_value(u.arcsec) for offset in centre.spherical_offsets_to(around))
    area = (east[0] - east[1]) * (north[2] - north[3]) - (east[2] - east[3]) * (north[0] - north[1])
    return np.sqrt(abs(area)) * u.arcsec


def warn_of_other_keywords(wcs: Any, header: fits.Header, shape: tuple[int, int], argument: str) -> None:
    """Warn where the meta of an image holds the keywords of another WCS than the image has.

    Parameters
    ----------
    wcs : APE-14 WCS or None
        The WCS of the image, which is the one that is used.
    header : Header
        Its meta; one without celestial WCS, or with lookup tables, which it cannot hold, is passed over.
    shape : tuple of int
        Rows and columns of the image.
    argument : str
        Name of the image, for the message.
    """
    if "CTYPE1" not in header or has_lookup_tables(header) or not is_celestial(wcs):
        return
    try:
        told = read_wcs(header, " ").celestial
        x, y = np.meshgrid(*(np.linspace(0, n - 1, 5) for n in shape[::-1]))
        found = map_pixels(wcs, told, x, y)
        on_sky = np.isfinite(pixel_to_lonlat(wcs, x, y)[0])
    except (CorrectionError, ValueError, TypeError):  # no WCS, or none in a frame that can be compared
        return
    # A place that the keywords do not show at all is infinitely far off.
    distance = np.nan_to_num(np.hypot(found[0] - x, found[1] - y)[on_sky], nan=np.inf)
    if np.max(distance, initial=0.0) > AGREEMENT:
        warnings.warn(
            f"the WCS keywords in the meta of `{argument}` differ from its wcs by up to "
            f"{np.max(distance):.2g} pixel; the wcs is used: remove the keywords, or make `wcs` of them",
            AstroregWarning,
            stacklevel=5,
        )
