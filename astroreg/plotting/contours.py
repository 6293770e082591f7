"""Contours of the reference over the image: smoothed until they follow the emission and not the noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from astroreg.estimators.noise import noise_variance
from astroreg.inputs import Frame, is_celestial, pixel_scale
from astroreg.plotting.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

__all__ = ["draw_contours", "for_contours"]

_MOST_POINTS = 400  # along a side: contours need no more than a page shows
_PERCENTILES = (50, 75, 90, 97, 99.5)
_SMOOTHING = 0.008  # of the side of the image: sigma below which structure is too small to be contoured
_MOST_SMOOTHING = 0.03  # of the side of the reference: sigma that noise may ask for
_QUIET = 0.06  # noise that is left, over the contrast of the emission
_LEAST = 0.5  # pixels: less smoothing changes nothing


def for_contours(reference: Frame, image: Frame) -> Frame:
    """Return the reference without what must not be contoured: noise, and faint stars in thousands.

    Parameters
    ----------
    reference, image : Frame
        The images.

    Returns
    -------
    Frame
        Smoothed with a Gaussian, which moves nothing: by a small part of the side of the image, and
        more where that leaves too much noise.
    """
    sigma = _SMOOTHING * max(image.shape)
    if is_celestial(reference.wcs) and is_celestial(image.wcs):
        ratio = pixel_scale(image.wcs, image.shape) / pixel_scale(reference.wcs, reference.shape)
        sigma *= float(ratio) if np.isfinite(ratio) else 1.0
    sigma = max(sigma, _asked_by_noise(reference, sigma))
    return reference if sigma < _LEAST else _smoothed(reference, sigma)


def _asked_by_noise(frame: Frame, sigma: float) -> float:
    """Return the sigma that leaves little white noise: it falls as 1 / (2 sqrt(pi) sigma)."""
    noise = np.sqrt(noise_variance(frame.data, frame.valid))
    most = _MOST_SMOOTHING * max(frame.shape)
    seen = _smoothed(frame, max(sigma, most / 2))
    low, high = np.percentile(seen.data[frame.valid], [50, 97])
    if not np.isfinite(noise) or high <= low:
        return 0.0
    return float(min(noise / (2 * np.sqrt(np.pi) * _QUIET * (high - low)), most))


def _smoothed(frame: Frame, sigma: float) -> Frame:
    good = frame.valid.astype(float)
    weight = ndimage.gaussian_filter(good, sigma)
    total = ndimage.gaussian_filter(np.where(frame.valid, frame.data, 0).astype(float), sigma)
    # Contours go on over isolated bad pixels, not over holes.
    return replace(frame, data=total / np.where(weight > 0, weight, 1), mask=weight < 0.5)


def draw_contours(reference: Frame, ax: Axes, place: Callable) -> list[Artist]:
    """Draw contours of the reference at the pixels where `place` puts its own.

    Parameters
    ----------
    reference : Frame
        What to contour.
    ax : Axes
        Where, with the image drawn already: its limits stay.
    place : callable
        Takes x and y of pixels of the reference, returns those of the image.

    Returns
    -------
    list of Artist
        The contours; nothing of a constant reference.
    """
    levels = np.unique(np.percentile(reference.data[reference.valid], _PERCENTILES))
    stride = max(1, max(reference.shape) // _MOST_POINTS)
    y, x = np.mgrid[: reference.shape[0] : stride, : reference.shape[1] : stride]
    shown = np.ma.array(reference.data, mask=~reference.valid)[::stride, ::stride]
    at_x, at_y = place(x.astype(float), y.astype(float))
    shown = np.ma.array(shown, mask=np.ma.getmaskarray(shown) | ~np.isfinite(at_x) | ~np.isfinite(at_y))
    low, high = (shown.min(), shown.max()) if shown.count() else (0, 0)
    levels = levels[(levels > low) & (levels < high)]
    if not levels.size or min(shown.shape) < 2:
        return []
    limits = ax.get_xlim(), ax.get_ylim()
    from matplotlib.patheffects import withStroke

    contours = ax.contour(
        np.nan_to_num(at_x), np.nan_to_num(at_y), shown, levels=levels, colors=COLOURS[5], linewidths=0.9
    )
    # seen on the dark as well as on the bright
    contours.set_path_effects([withStroke(linewidth=1.8, foreground="white", alpha=0.5)])
    ax.set(xlim=limits[0], ylim=limits[1])
    return [contours]
