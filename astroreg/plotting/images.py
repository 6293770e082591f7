"""The two images: the reference's contours over the image before and after, and what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.wcs.utils import pixel_to_pixel
from scipy.ndimage import map_coordinates

from astroreg.inputs import Frame, is_celestial, prepare_pair
from astroreg.plotting.contours import draw_contours, for_contours
from astroreg.plotting.style import (
    IMAGE_MAP,
    RESIDUAL_MAP,
    image_limits,
    new_axes,
    pyplot,
    sky_subplot,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from astroreg.results import ShiftResult

__all__ = ["plot_before_after", "plot_residual"]


def plot_before_after(
    reference: Any, image: Any, result: ShiftResult, *, ax: Sequence[Axes] | None = None
) -> list[Artist]:
    """Draw the image twice, before and after the correction, with the contours of the reference.

    Where both have a celestial WCS, the contours are placed by it, so that the two may be on any
    grids; otherwise by pixels and the shift. What is contoured is smoothed, symmetrically, until the
    contours follow the emission and not the noise.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, path, Quantity or array
        The two images as they were given to the method.
    result : ShiftResult
        What it gave.
    ax : sequence of two Axes, optional
        Where to draw before and after; the default is a new figure, with WCSAxes where the image
        has a celestial WCS.

    Returns
    -------
    list of Artist
        Image and contours before, image and contours after; no contours of a constant reference.

    Raises
    ------
    ValueError
        If no shift was determined, or `ax` is not two axes.
    ImportError
        If matplotlib is not installed.
    """
    _require_shift(result)
    first, second = prepare_pair(reference, image)
    on_sky = is_celestial(first.wcs) and is_celestial(second.wcs)
    after = corrected_wcs(result) if result.sky_correction is not None else None
    axes = _two_axes(second.wcs, after) if ax is None else list(np.ravel(ax))
    if len(axes) != 2:
        raise ValueError(f"`ax` must be two axes, before and after, got {len(axes)}")
    on_sky = on_sky and after is not None
    steps = (("before", second.wcs, np.zeros(2)), ("after", after, result.shift.to_value(u.pixel)))
    seen = for_contours(first, second)
    artists: list[Artist] = []
    for one, (title, wcs, shift) in zip(axes, steps, strict=True):
        place = (
            (lambda x, y, wcs=wcs: pixel_to_pixel(first.wcs, wcs, x, y))
            if on_sky
            else (lambda x, y, shift=shift: (x + shift[0], y + shift[1]))
        )
        artists += [_draw_image(second, one), *draw_contours(seen, one, place)]
        one.set_title(title)
    return artists


def _require_shift(result: ShiftResult) -> None:
    if not result.determined:
        raise ValueError("there is nothing to plot: no shift was determined; see the flags of `result`")


def _two_axes(before: Any, after: Any) -> list[Axes]:
    figure = pyplot().figure(figsize=(10, 4.5), layout="constrained")
    if after is None or not is_celestial(before):
        return [figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)]
    return [sky_subplot(figure, before, (1, 2, 1)), sky_subplot(figure, after, (1, 2, 2))]


def _draw_image(frame: Frame, ax: Axes) -> Artist:
    low, high = image_limits(frame.data, frame.valid)
    shown = np.where(frame.valid, frame.data, np.nan)
    return ax.imshow(shown, origin="lower", cmap=IMAGE_MAP, vmin=low, vmax=high, interpolation="nearest")


def corrected_wcs(result: ShiftResult) -> Any:
    """Return the corrected WCS of a result, an alignment's by the choices that it was made with.

    Parameters
    ----------
    result : ShiftResult
        With a sky correction.

    Returns
    -------
    APE-14 WCS
        Of the image.
    """
    chosen = {name: getattr(result, name) for name in ("kind", "roll") if hasattr(result, name)}
    return result.corrected_wcs(**chosen)


def plot_residual(reference: Any, image: Any, result: ShiftResult, *, ax: Axes | None = None) -> list[Artist]:
    """Draw what is left of the image when the shifted and scaled reference is taken away.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, path, Quantity or array
        The two images as they were given to the method; any grids where both have a celestial
        WCS, otherwise the same grid.
    result : ShiftResult
        What it gave. Scale and background are fitted here if it has none.
    ax : Axes, optional
        Where to draw; the default is a new figure.

    Returns
    -------
    list of Artist
        The residual, in the image's unit; in sigmas where both images have uncertainties.

    Raises
    ------
    ValueError
        If no shift was determined, or the images have no pixel in common.
    ImportError
        If matplotlib is not installed.

    Notes
    -----
    The reference is interpolated linearly, for a look: the methods do it better.
    """
    _require_shift(result)
    first, second = prepare_pair(reference, image)
    residual, label = residual_map(first, second, result)
    ax = new_axes(wcs=second.wcs if is_celestial(second.wcs) else None) if ax is None else ax
    bound = max(np.abs(image_limits(residual, np.isfinite(residual))))
    shown = ax.imshow(
        residual, origin="lower", cmap=RESIDUAL_MAP, vmin=-bound, vmax=bound, interpolation="nearest"
    )
    ax.figure.colorbar(shown, ax=ax, label=label)
    return [shown]


def residual_map(reference: Frame, image: Frame, result: ShiftResult) -> tuple[np.ndarray, str]:
    """Return the residual on the image's grid, and what it is.

    Parameters
    ----------
    reference, image : Frame
        The prepared pair.
    result : ShiftResult
        Its shift.

    Returns
    -------
    residual : ndarray
        NaN where there is none.
    label : str
        "residual" with its unit.

    Raises
    ------
    ValueError
        If the images have no pixel in common.
    """
    model = _sampled(reference.data, reference, image, result)
    scale, background = _scale_and_background(model, image, result)
    residual = np.where(image.valid, image.data - scale * model - background, np.nan)
    if not np.isfinite(residual).any():
        raise ValueError("`reference` and `image` have no good pixel in common at the measured shift")
    if reference.variance is not None and image.variance is not None:
        variance = image.variance + scale**2 * _sampled(reference.variance, reference, image, result)
        if (variance[np.isfinite(residual)] > 0).all():
            return residual / np.sqrt(np.where(np.isfinite(residual), variance, np.nan)), "residual (sigma)"
    return residual, f"residual ({image.unit})" if str(image.unit) else "residual"


def _sampled(plane: np.ndarray, reference: Frame, image: Frame, result: ShiftResult) -> np.ndarray:
    """A plane of the reference at the image's pixels; NaN where a bad pixel or the outside is touched."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    if is_celestial(reference.wcs) and result.sky_correction is not None:
        at_x, at_y = pixel_to_pixel(corrected_wcs(result), reference.wcs, x, y)
    else:
        dx, dy = result.shift.to_value(u.pixel)
        at_x, at_y = x - dx, y - dy
    places = np.nan_to_num(np.stack([at_y, at_x]), nan=-10.0)
    # "grid-constant": a pixel 1e-9 outside is not lost
    bad = (~reference.valid).astype(float)
    touched = map_coordinates(bad, places, order=1, mode="grid-constant", cval=1.0)
    clean = np.where(reference.valid, plane, 0).astype(float)
    return np.where(touched > 1e-6, np.nan, map_coordinates(clean, places, order=1, mode="grid-constant"))


def _scale_and_background(model: np.ndarray, image: Frame, result: ShiftResult) -> tuple[float, float]:
    if np.isfinite(result.scale) and np.isfinite(result.background):
        return float(result.scale.value), float(result.background.value)
    good = image.valid & np.isfinite(model)
    if np.count_nonzero(good) < 2 or np.ptp(model[good]) == 0:
        return 0.0, float(np.mean(image.data[good])) if good.any() else 0.0
    background, scale = np.polynomial.Polynomial.fit(model[good], image.data[good], 1).convert().coef
    return float(scale), float(background)
