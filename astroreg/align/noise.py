"""The noise of a reference that has no uncertainty, measured before it is resampled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from astroreg.inputs import Frame

__all__ = ["with_noise"]

# The difference of two Laplacians: blind to a quadratic surface. Its squared sum is 36.
_KERNEL = np.array([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])


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
    The median absolute second difference, which extended structure and single sources hardly
    touch (Immerkaer 1996, Computer Vision and Image Understanding, 64, 300).
    """
    if frame.variance is not None:
        return frame, False
    filled = frame.filled(0.0).data
    bad = ndimage.binary_dilation(~frame.valid, np.ones((3, 3), bool), border_value=1)
    difference = ndimage.convolve(filled, _KERNEL.astype(filled.dtype))[~bad]
    if difference.size == 0:
        return frame, False
    sigma = np.median(np.abs(difference)) / 0.6745 / 6
    return replace(frame, variance=np.full(frame.shape, sigma**2, dtype=frame.data.dtype)), True
