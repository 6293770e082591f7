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


@dataclass(frozen=True)
class Pair:
    """What a method is given in one pass.

    Attributes
    ----------
    reference, image : NDData
        Of one shape, pixel for pixel on the sky as far as the image's WCS is right.
    resampled : Resampled
        Where `reference` comes from.
    window : Window
        The part of the image's pixel plane that both fill.
    pivot : tuple of float
        Pixel (x, y) of the image in the middle of what both see.
    share : float
        Fraction of the image's good pixels that lie in `window`.
    """

    reference: NDData
    image: NDData
    resampled: Resampled
    window: Window
    pivot: tuple[float, float]
    share: float


def prepare_pass(reference: Frame, image: Frame, wcs, radius: float) -> Pair | None:
    """Bring the reference onto the pixels of the image, where the two can match.

    Parameters
    ----------
    reference, image : Frame
        The two images.
    wcs : APE-14 WCS
        The image's, as far as it is corrected by now.
    radius : float
        Pixels by which it may still be wrong; the reference is resampled that far around the image.

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
    shifted = shifted_wcs(wcs, canvas.x0, canvas.y0)
    resampled = resample_to(reference, shifted, canvas.shape, keep_fraction=True)
    cut = _cut(image, canvas, shifted)
    if not resampled.covered or (cut.mask is not None and cut.mask.all()):
        return None
    good = int(image.valid.sum())
    share = 1.0 if cut.mask is None else float((~cut.mask).sum() / good)
    return Pair(resampled.to_nddata(), cut, resampled, canvas, _pivot(resampled, cut, canvas, part), share)


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


def _pivot(resampled: Resampled, cut: NDData, canvas: Window, part: Window) -> tuple[float, float]:
    """Return the mean pixel that is good in both, or the middle of the image's part where there is none."""
    both = np.ones(cut.data.shape, dtype=bool)
    for mask in (resampled.mask, cut.mask):
        if mask is not None:
            both &= ~mask
    if not both.any():
        return (part.x0 + part.x1 - 1) / 2, (part.y0 + part.y1 - 1) / 2
    columns, rows = both.sum(axis=0), both.sum(axis=1)
    x = np.average(np.arange(columns.size), weights=columns)
    y = np.average(np.arange(rows.size), weights=rows)
    return float(x + canvas.x0), float(y + canvas.y0)
