"""One pass of `align`: the part of the two images that can match, both on the image's own pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.nddata import NDData, VarianceUncertainty

from astroreg.grids import NODES, GridMap, Window, map_pixels, shifted_wcs
from astroreg.inputs import Frame
from astroreg.resample import Resampled, resample_to

__all__ = ["Pair", "prepare_pass"]

EDGE = 8  # pixels of the reference kept around the image, for the interpolation by a fraction of a pixel
# Whole pixels (x, y) by which the reference is laid aside. The methods take a sharp peak at exactly zero
# for a pattern fixed to the detector; here zero would be where the stars of two well-pointed images coincide.
ASIDE = (3, 2)


@dataclass(frozen=True)
class Pair:
    """What a method is given in one pass.

    Attributes
    ----------
    reference, image : NDData
        What the method is given.
    resampled : Resampled
        Where `reference` comes from.
    offset : ndarray, shape (2,)
        (x, y) pixels to add to a shift measured between the two arrays to have that of the sky.
    pivot : tuple of float
        Pixel (x, y) of the image in the middle of what both see.
    """

    reference: NDData
    image: NDData
    resampled: Resampled
    offset: np.ndarray
    pivot: tuple[float, float]


def prepare_pass(reference: Frame, image: Frame, wcs, radius: float, *, first: bool = True) -> Pair | None:
    """Bring the reference onto the pixels of the image, where the two can match.

    Parameters
    ----------
    reference, image : Frame
        The two images.
    wcs : APE-14 WCS
        The image's, as far as it is corrected by now.
    radius : float
        Pixels by which it may still be wrong; the reference is resampled that far around the image.
    first : bool, optional
        Whether nothing has been corrected yet: arrays that are used as they are then keep their place, so
        that a pattern of a common detector can be told (default True).

    Returns
    -------
    Pair or None
        None where the two have no good pixels within `radius` of each other.
    """
    whole = Window.of_shape(image.shape)
    seen = footprint(reference, wcs, whole, radius + EDGE)
    part = whole & seen.grown(radius)
    wanted = seen & part.grown(radius + EDGE)
    if part.empty or wanted.empty:
        return None
    canvas = part | wanted
    aside = (0, 0) if first and _untouched(reference, image, wcs, canvas) else ASIDE
    laid = Window(canvas.x0 - aside[0], canvas.y0 - aside[1], canvas.x1, canvas.y1)
    resampled = resample_to(reference, shifted_wcs(wcs, laid.x0, laid.y0), laid.shape, keep_fraction=True)
    # Of one shape, which not every method needs but none dislikes.
    same = Window(canvas.x0, canvas.y0, canvas.x1 + aside[0], canvas.y1 + aside[1])
    cut = _cut(image, same, shifted_wcs(wcs, canvas.x0, canvas.y0))
    if not resampled.covered or (cut.mask is not None and cut.mask.all()):
        return None
    # The reference's pixel p stands at p + fraction - aside of the image's array.
    offset = np.array(aside) - resampled.fraction
    pivot = _pivot(resampled, cut, aside, canvas, part)
    return Pair(resampled.to_nddata(), cut, resampled, offset, pivot)


def _untouched(reference: Frame, image: Frame, wcs, canvas: Window) -> bool:
    """Whether the two are pixel for pixel on one grid and used whole."""
    if reference.shape != image.shape or canvas != Window.of_shape(image.shape):
        return False
    offset = GridMap(reference.wcs, wcs, canvas).translation()
    return offset is not None and np.abs(offset).max() < 0.5


def footprint(reference: Frame, wcs, around: Window, reach: float) -> Window:
    """Return the window of the image's pixel plane that the reference covers, to `reach` beyond the image.

    It is found from a grid of nodes, and rather too large than too small.
    """
    ny, nx = reference.shape
    x, y = np.meshgrid(np.linspace(-0.5, nx - 0.5, NODES), np.linspace(-0.5, ny - 0.5, NODES))
    x, y = map_pixels(reference.wcs, wcs, x, y)
    limit = around.grown(reach)
    if np.isfinite(x).all():
        return Window.within(x, y) & limit
    # A part of the reference is beyond the horizon of the image: look from the image's side, cell by cell.
    grid = GridMap(reference.wcs, wcs, limit)
    inside = (np.abs(grid.x - (nx - 1) / 2) <= nx / 2) & (np.abs(grid.y - (ny - 1) / 2) <= ny / 2)
    if not inside.any():
        return Window.around(x, y).grown(1) & limit
    cell = max(limit.shape) / (NODES - 1)
    return Window.around(grid.target_x[inside], grid.target_y[inside]).grown(cell + 1) & limit


def _cut(image: Frame, canvas: Window, wcs) -> NDData:
    """Cut the canvas out of the image; what lies outside it is masked."""
    outside = (canvas & Window.of_shape(image.shape)) != canvas
    mask = image.mask
    if outside and mask is None:
        mask = np.zeros(image.shape, dtype=bool)
    mask = None if mask is None else canvas.cut(mask, True)
    uncertainty = None
    if image.variance is not None:
        uncertainty = VarianceUncertainty(canvas.cut(image.variance, np.nan))
    return NDData(canvas.cut(image.data, 0), uncertainty=uncertainty, mask=mask, unit=image.unit, wcs=wcs)


def _pivot(
    resampled: Resampled, cut: NDData, aside: tuple[int, int], canvas: Window, part: Window
) -> tuple[float, float]:
    """Return the mean pixel that is good in both, or the middle of the image's part where there is none."""
    both = np.ones(canvas.shape, dtype=bool)
    if resampled.mask is not None:
        both &= ~resampled.mask[aside[1] :, aside[0] :]
    if cut.mask is not None:
        both &= ~cut.mask[: canvas.shape[0], : canvas.shape[1]]
    if not both.any():
        return (part.x0 + part.x1 - 1) / 2, (part.y0 + part.y1 - 1) / 2
    columns, rows = both.sum(axis=0), both.sum(axis=1)
    x = np.average(np.arange(columns.size), weights=columns)
    y = np.average(np.arange(rows.size), weights=rows)
    return float(x + canvas.x0), float(y + canvas.y0)
