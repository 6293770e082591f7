"""The WCS of a finer grid laid over an image."""

from __future__ import annotations

import numpy as np
from astropy.wcs import WCS
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper
from astropy.wcs.wcsapi.wrappers.base import BaseWCSWrapper

__all__ = ["zoomed_wcs"]


class _ZoomedWCS(BaseWCSWrapper):
    """Any APE-14 WCS seen from pixels `factor` times finer, the first of them at the old `origin`."""

    def __init__(self, wcs, origin, factor):
        super().__init__(wcs)
        self._origin, self._factor = origin, factor

    def pixel_to_world_values(self, *pixels):
        old = [o + np.asarray(p) / self._factor for o, p in zip(self._origin, pixels, strict=True)]
        return self._wcs.pixel_to_world_values(*old)

    def world_to_pixel_values(self, *world):
        pixels = self._wcs.world_to_pixel_values(*world)
        return tuple((np.asarray(p) - o) * self._factor for o, p in zip(self._origin, pixels, strict=True))

    @property
    def pixel_shape(self):
        return None

    @property
    def pixel_bounds(self):
        return None


def zoomed_wcs(wcs, x0: float, y0: float, factor: float):
    """Return the WCS of a grid whose pixel (i, j) is the old pixel ``(x0 + i / factor, y0 + j / factor)``.

    Parameters
    ----------
    wcs : APE-14 WCS
        With two pixel axes.
    x0, y0 : float
        Where the first pixel of the new grid lies, in old pixels counted from 0.
    factor : float
        New pixels per old pixel.

    Returns
    -------
    APE-14 WCS
        A FITS WCS where `wcs` is one without lookup tables, else a high-level wrapper.
    """
    if isinstance(wcs, WCS) and not _has_tables(wcs):
        return _zoomed_fits_wcs(wcs, np.array([x0, y0]), factor)
    low_level = wcs.low_level_wcs if isinstance(wcs, BaseHighLevelWCS) else wcs
    return HighLevelWCSWrapper(_ZoomedWCS(low_level, (x0, y0), factor))


def _has_tables(wcs):
    """Whether distortions are tabulated on the old pixels, which no header keyword can rescale."""
    return any(getattr(wcs, name) is not None for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"))


def _zoomed_fits_wcs(wcs, origin, factor):
    """Scale the linear part of a FITS WCS, and its SIP polynomial with it."""
    new = wcs.deepcopy()
    # FITS counts pixels from 1.
    new.wcs.crpix = (wcs.wcs.crpix - 1 - origin) * factor + 1
    if wcs.wcs.has_cd():
        new.wcs.cd = wcs.wcs.cd / factor
    else:
        new.wcs.cdelt = wcs.wcs.cdelt / factor
    if wcs.sip is not None:
        sip = wcs.sip
        tables = (_scaled_polynomial(t, factor) for t in (sip.a, sip.b, sip.ap, sip.bp))
        new.sip = type(sip)(*tables, (sip.crpix - 1 - origin) * factor + 1)
    new.pixel_shape = None
    new.wcs.set()
    return new


def _scaled_polynomial(table, factor):
    """Rescale SIP coefficients: from A(x, y) in old pixels to ``factor * A(x / factor, y / factor)``."""
    if table is None:
        return None
    p, q = np.indices(table.shape)
    return table * factor ** (1.0 - p - q)
