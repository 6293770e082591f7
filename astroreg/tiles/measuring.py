"""One pass over the tiles: the reference brought onto the image's pixels, and a shift for each tile."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import NDData, VarianceUncertainty

from astroreg.align.alignment import moved_by
from astroreg.align.noise import with_gains
from astroreg.align.pairs import ASIDE, Pair
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag
from astroreg.grids import Window, shifted_wcs
from astroreg.inputs import Frame
from astroreg.resample import Resampled, resample_to
from astroreg.results import ShiftResult

__all__ = ["measure_tiles", "tile_places"]

_FEWEST = 25  # good pixels that a tile needs


def measure_tiles(
    reference: Frame,
    image: Frame,
    wcs,
    windows: list[Window],
    *,
    method: Callable[..., ShiftResult],
    options: dict[str, Any],
    gains: tuple[float, float],
    reach: float,
    around: int,
) -> list[ShiftResult]:
    """Measure the shift of each tile.

    Parameters
    ----------
    reference, image : Frame
        The images, with variances as far as they are known.
    wcs : APE-14 WCS
        The image's, as far as it is corrected by now.
    windows : list of Window
        The tiles.
    method : callable
        As for `align`.
    options : dict
        Handed to the method.
    gains : tuple of float
        Of the smoothing of reference and image before.
    reach : float
        Pixels by which a tile may be displaced.
    around : int
        Pixels of the reference shown around each tile. Without any, no two tiles see the same pixels.

    Returns
    -------
    list of ShiftResult
        In pixels of the image; NaN with a flag where there is none.
    """
    ny, nx = image.shape
    laid = Window(-around - ASIDE[0], -around - ASIDE[1], nx + around, ny + around)
    resampled = resample_to(reference, shifted_wcs(wcs, laid.x0, laid.y0), laid.shape, keep_fraction=True)
    found = []
    for window in windows:
        first, second = _cuts(resampled, laid, image, window, around)
        pair = Pair(first, second, resampled, np.array(ASIDE) - resampled.fraction, (np.nan, np.nan))
        found.append(_measured(pair, window, method, options, gains, reach))
    return found


def tile_places(image: Frame, windows: list[Window]) -> np.ndarray:
    """Return the mean good pixel (x, y) of each tile, (n, 2); its middle where none is good."""
    places = []
    for window in windows:
        y, x = np.nonzero(window.cut(image.valid, False))
        if not x.size:
            y, x = (np.arange(n) for n in window.shape)
        places.append((x.mean() + window.x0, y.mean() + window.y0))
    return np.array(places)


def _cuts(
    resampled: Resampled, laid: Window, image: Frame, window: Window, around: int
) -> tuple[NDData, NDData]:
    """Cut one tile out of both, as arrays of one shape; in that of the image no other pixels count."""
    x1, y1 = window.x1 + around + ASIDE[0], window.y1 + around + ASIDE[1]
    cut = Window(window.x0 - around, window.y0 - around, x1, y1)
    source = Window(cut.x0 - ASIDE[0], cut.y0 - ASIDE[1], cut.x1 - ASIDE[0], cut.y1 - ASIDE[1])
    return _reference_cut(resampled, laid, source), _image_cut(image, cut, window)


def _measured(pair: Pair, window: Window, method, options, gains, reach: float) -> ShiftResult:
    """Measure one tile."""
    first, second = pair.reference, pair.image
    if min(np.count_nonzero(~first.mask), np.count_nonzero(~second.mask)) < _FEWEST:
        return _nothing(ShiftFlag.NO_OVERLAP, window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        result = method(first, second, **options, max_shift=reach + float(np.hypot(*pair.offset)))
    if not isinstance(result, ShiftResult):
        raise TypeError(f"`method` must return a ShiftResult, got a {type(result).__name__}")
    return replace(with_gains(moved_by(result, pair.offset * u.pixel), pair, gains), delta_chi2=None)


def _nothing(flag: ShiftFlag, window: Window) -> ShiftResult:
    return ShiftResult(
        shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan), flags=flag, image_shape=window.shape
    )


def _reference_cut(resampled: Resampled, laid: Window, wanted: Window) -> NDData:
    at = Window(wanted.x0 - laid.x0, wanted.y0 - laid.y0, wanted.x1 - laid.x0, wanted.y1 - laid.y0)
    mask = np.zeros(resampled.data.shape, bool) if resampled.mask is None else resampled.mask
    return _nddata(resampled.data, resampled.variance, at.cut(mask, True), at, resampled.unit)


def _image_cut(image: Frame, wanted: Window, tile: Window) -> NDData:
    inside = np.zeros(wanted.shape, dtype=bool)
    inside[tile.y0 - wanted.y0 : tile.y1 - wanted.y0, tile.x0 - wanted.x0 : tile.x1 - wanted.x0] = True
    mask = ~(inside & wanted.cut(image.valid, False))
    return _nddata(image.data, image.variance, mask, wanted, image.unit)


def _nddata(data, variance, mask, window: Window, unit) -> NDData:
    uncertainty = None if variance is None else VarianceUncertainty(window.cut(variance, np.nan))
    return NDData(np.where(mask, 0, window.cut(data, 0)), uncertainty=uncertainty, mask=mask, unit=unit)
