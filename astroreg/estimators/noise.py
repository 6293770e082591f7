"""The noise of an image from its own pixels, where no uncertainty is attached."""

from __future__ import annotations

import numpy as np

# The mask of Immerkaer (1996): it takes away any constant, slope and twist of the sky.
_WEIGHTS = ((1, -2, 1), (-2, 4, -2), (1, -2, 1))
_MAD_TO_SIGMA = 1.482602218505602
_ENOUGH = 30


def noise_variance(data: np.ndarray, good: np.ndarray | None = None) -> float:
    """Return the variance of white noise in one image of a smooth sky.

    Parameters
    ----------
    data : `numpy.ndarray`
        The image.
    good : `numpy.ndarray` of bool, optional
        True where a pixel is good; every pixel by default.

    Returns
    -------
    float
        NaN where fewer than 30 pixels have eight good neighbours.

    Notes
    -----
    The median absolute value of a second-difference high-pass, after Immerkaer (1996,
    doi:10.1006/cviu.1996.0060). An upper limit where the sky has structure of one pixel, too low where
    the noise is correlated.
    """
    if min(data.shape) < 3:
        return float("nan")
    ny, nx = data.shape
    high = np.zeros((ny - 2, nx - 2))
    clean = np.ones((ny - 2, nx - 2), bool)
    for j, row in enumerate(_WEIGHTS):
        for i, weight in enumerate(row):
            window = (slice(j, ny - 2 + j), slice(i, nx - 2 + i))
            high += weight * data[window].astype(float)
            if good is not None:
                clean &= good[window]
    values = np.abs(high[clean])
    if values.size < _ENOUGH:
        return float("nan")
    # The weights' squares sum to 36.
    return float((_MAD_TO_SIGMA * np.median(values) / 6) ** 2)
