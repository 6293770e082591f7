"""The pattern of one detector in both images: hot pixels and pixel-to-pixel structure at shift 0.

Frames of one detector correlate at exactly shift 0 in a spike one pixel wide, however far the sky has
moved. No sampled beam makes a peak that sharp.
"""

from __future__ import annotations

import numpy as np
import scipy  # its parts are loaded where they are first used

_SIGNIFICANT = 8.0  # robust sigmas of the sharpness of the other lags
# A sampled beam is at least a quarter as sharp one pixel beside its peak (full width 1.5 pixels or more).
_SHARPER_THAN_A_BEAM = 0.25
_SUSPECT = 4.0  # standard deviations of the correlation of white noise
_EVERY = 7  # pixels: so many fewer tell the scatter
_REACH = 12  # lags on either side with which the spike is compared
_OUTLIER = 6.0  # robust sigmas above the neighbours, in both images at one pixel: a hot pixel


def zero_lag(surface) -> tuple[int, int] | None:
    """Return the index (row, column) of shift 0 in a correlation surface; None near its border."""
    j, i = np.flatnonzero(surface.y == 0), np.flatnonzero(surface.x == 0)
    if not (j.size and i.size):
        return None
    j, i = int(j[0]), int(i[0])
    inside = 3 <= j < surface.rho.shape[0] - 3 and 3 <= i < surface.rho.shape[1] - 3
    return (j, i) if inside else None


def _sharpness(rho: np.ndarray) -> np.ndarray:
    """Return by how much each lag stands above the mean of its four neighbours."""
    out = np.full(rho.shape, np.nan, rho.dtype)
    out[1:-1, 1:-1] = rho[1:-1, 1:-1] - (rho[:-2, 1:-1] + rho[2:, 1:-1] + rho[1:-1, :-2] + rho[1:-1, 2:]) / 4
    return out


def has_spike(surface) -> bool:
    """Return whether the correlation has a spike one pixel wide at shift 0.

    Parameters
    ----------
    surface : Surface
        Correlation over whole-pixel shifts.

    Returns
    -------
    bool
        True where shift 0 stands above its neighbours far more than other lags do, and they not above
        theirs.
    """
    centre = zero_lag(surface)
    if centre is None:
        return False
    j, i = centre
    window = (slice(max(0, j - _REACH), j + _REACH + 1), slice(max(0, i - _REACH), i + _REACH + 1))
    sharpness = _sharpness(surface.rho[window])
    y, x = j - window[0].start, i - window[1].start
    height = sharpness[y, x]
    beside = max(sharpness[y + 1, x], sharpness[y - 1, x], sharpness[y, x + 1], sharpness[y, x - 1])
    others = sharpness.copy()
    others[y - 1 : y + 2, x - 1 : x + 2] = np.nan
    others = others[np.isfinite(others)]
    if others.size < 20 or not np.isfinite(height + beside):
        return False
    scatter = 1.4826 * np.median(np.abs(others - np.median(others)))
    return bool(height > _SIGNIFICANT * scatter and beside < _SHARPER_THAN_A_BEAM * height)


def may_share_pattern(reference: np.ndarray, image: np.ndarray) -> bool:
    """Return whether two windows of the same pixels correlate at shift 0 more sharply than a sky does.

    Parameters
    ----------
    reference, image : `numpy.ndarray`
        The same pixels of two images, bad ones filled.

    Returns
    -------
    bool
        True calls for a search at full resolution, where `has_spike` decides.
    """
    a, b = (x - x.dtype.type(x.mean(dtype=float)) for x in (reference, image))
    scale = float(np.sqrt(np.einsum("ij,ij->", a, a) * np.einsum("ij,ij->", b, b)))
    if not scale > 0 or min(a.shape) < 16:
        return False
    inner = np.ascontiguousarray(a[2:-2, 2:-2])
    rho = np.zeros((5, 5))
    for j in range(5):
        for i in range(5):
            if abs(j - 2) + abs(i - 2) <= 2:
                moved = b[j : j + inner.shape[0], i : i + inner.shape[1]]
                rho[j, i] = float(np.einsum("ij,ij->", inner, moved)) / scale
    sharpness = _sharpness(rho)
    height = sharpness[2, 2]
    beside = max(sharpness[1, 2], sharpness[3, 2], sharpness[2, 1], sharpness[2, 3])
    sharp = height > _SUSPECT / np.sqrt(inner.size) and beside < _SHARPER_THAN_A_BEAM * height
    if sharp:
        return True
    stands_out = _above_neighbours(a) > _OUTLIER
    return bool(stands_out.any() and (stands_out & (_above_neighbours(b) > _OUTLIER)).any())


def _above_neighbours(values):
    """Return each inner pixel less the mean of its four neighbours, in robust sigmas."""
    difference = _sharpness(values)[1:-1, 1:-1]
    spread = 1.4826 * float(np.median(np.abs(difference.ravel()[::_EVERY])))
    return difference / spread if spread > 0 else np.zeros_like(difference)


def without_zero_lag(score: np.ndarray, surface) -> np.ndarray:
    """Return the score with shift 0 lowered to the highest of its neighbours.

    A smooth peak at 0 stays the highest there; one that was a spike gives way to the sky's.
    """
    centre = zero_lag(surface)
    if centre is None:
        return score
    j, i = centre
    out = score.copy()
    out[j, i] = min(score[j, i], max(score[j - 1, i], score[j + 1, i], score[j, i - 1], score[j, i + 1]))
    return out


def shared_outliers(reference: np.ndarray, image: np.ndarray, good: np.ndarray | None = None) -> np.ndarray:
    """Return True at the pixels that stand out of their neighbours in both images of one shape.

    Parameters
    ----------
    reference, image : `numpy.ndarray`
        Two frames of one detector.
    good : `numpy.ndarray` of bool, optional
        Pixels good in both; all by default.

    Returns
    -------
    `numpy.ndarray` of bool
        Hot (or dead) pixels: the same sign and more than six robust sigmas in both.
    """
    stand = [_standing_out(x, good) for x in (reference, image)]
    hot = (np.minimum(*stand) > _OUTLIER) | (np.maximum(*stand) < -_OUTLIER)
    return hot if good is None else hot & good


def _standing_out(array, good):
    """Return each pixel less the median of its 3 x 3 neighbourhood, in robust sigmas."""
    values = array if good is None else np.where(good, array, np.median(array[good]))
    difference = values - scipy.ndimage.median_filter(values, 3)
    spread = 1.4826 * np.median(np.abs(difference))
    if spread == 0:
        spread = difference.std()
    return difference / spread if spread > 0 else np.zeros_like(difference)
