"""The noise of what `align` compares: estimated before resampling, and how far it adds to a chi-squared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from astroreg.estimators.noise import noise_variance
from astroreg.flags import ShiftFlag
from astroreg.inputs import Frame
from astroreg.results import ShiftResult

if TYPE_CHECKING:
    from astroreg.align.pairs import Pair

__all__ = ["with_gains", "with_noise"]

# As for the methods: a reduced chi-squared this far from 1, and by five of its sampling errors, is flagged.
CHI2_SLACK = 0.2


def with_noise(frame: Frame) -> tuple[Frame, bool]:
    """Give a frame without uncertainty a variance estimated from its own pixels.

    It must be done before resampling: interpolated pixels have no noise between neighbours left
    that could be measured.

    Parameters
    ----------
    frame : Frame
        An image on its own pixels.

    Returns
    -------
    frame : Frame
        The frame itself where it has a variance.
    estimated : bool
        Whether the variance was estimated.

    Notes
    -----
    See `astroreg.estimators.noise.noise_variance`.
    """
    if frame.variance is not None:
        return frame, False
    variance = noise_variance(frame.filled().data, frame.valid)
    if not np.isfinite(variance):
        return frame, False
    return replace(frame, variance=np.full(frame.shape, variance, dtype=frame.data.dtype)), True


def with_gains(result: ShiftResult, pair: Pair, gains: tuple[float, float]) -> ShiftResult:
    """Count the degrees of freedom that correlated noise leaves, and judge the chi-squared anew.

    The variances given to the method are effective ones, those on large scales (see `resample_to`); a
    pixel's own noise adds to chi-squared only ``gain`` times as much, so that its expectation per pixel is
    ``(g_B V_B + s^2 g_A V_A) / (V_B + s^2 V_A)``.

    Parameters
    ----------
    result : ShiftResult
        What the method found.
    pair : Pair
        What it was given.
    gains : tuple of float
        Of the smoothing of reference and image before.

    Returns
    -------
    ShiftResult
        With ``dof`` times that expectation; as it was where nothing was resampled or smoothed, or the
        variances are not known.
    """
    reference_gain, image_gain = pair.resampled.noise_gain * gains[0], gains[1]
    known = pair.reference.uncertainty is not None and pair.image.uncertainty is not None
    if not known or not result.determined or reference_gain == image_gain == 1:
        return result
    # Typical values: what is wanted is a ratio.
    reference = float(np.nanmedian(pair.reference.uncertainty.array[_good(pair.reference)]))
    image = float(np.nanmedian(pair.image.uncertainty.array[_good(pair.image)]))
    scale = result.scale.value if np.isfinite(result.scale.value) else 1.0
    reference *= float(scale) ** 2
    if not reference + image > 0:
        return result
    expected = (image_gain * image + reference_gain * reference) / (image + reference)
    return _judged(replace(result, dof=result.dof * expected))


def _good(ndd) -> np.ndarray:
    return np.ones(ndd.data.shape, bool) if ndd.mask is None else ~ndd.mask


def _judged(result: ShiftResult) -> ShiftResult:
    """Set BAD_CHI2 by the reduced chi-squared, where the errors are the attached ones."""
    if result.uncertainty != "attached" or not result.dof > 0:
        return result
    bad = abs(result.reduced_chi2 - 1) > max(CHI2_SLACK, 5 * np.sqrt(2 / result.dof))
    flags = result.flags & ~ShiftFlag.BAD_CHI2
    return replace(result, flags=flags | (ShiftFlag.BAD_CHI2 if bad else ShiftFlag(0)))
