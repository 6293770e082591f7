"""The peak of a correlation by matrix-multiply DFT upsampling."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.fourier import FourierGrid

_REACH = 1.5  # pixels around zero that are searched
_FACTOR = 15  # samples a pixel of the first stage, and by which every other one is finer, at most


def upsampled_peak(cross: np.ndarray, grid: FourierGrid, upsample_factor: int) -> np.ndarray:
    """Return the (x, y) of the highest of the samples ``1 / upsample_factor`` pixel apart near zero.

    Parameters
    ----------
    cross : `numpy.ndarray`
        Cross-spectrum conj(A) B on the half-plane.
    grid : FourierGrid
        Its frequencies.
    upsample_factor : int
        Samples a pixel.

    Returns
    -------
    `numpy.ndarray`
        Multiples of ``1 / upsample_factor``; zero is one of the samples, so that equal images give 0.

    Notes
    -----
    Guizar-Sicairos, Thurman & Fienup (2008, doi:10.1364/OL.33.000156), in stages, each around the best sample
    of the one before, so that the cost does not grow with the square of the factor; the matrix product is
    made once.
    """
    stride = max(1, round(upsample_factor / _FACTOR))
    best = np.zeros(2, int)
    reach = int(np.ceil(_REACH * upsample_factor / stride)) * stride
    farthest = (reach + 3 * stride) / upsample_factor
    content = grid.patch(cross, farthest)
    while True:
        steps = np.arange(-reach, reach + 1, stride)
        x, y = ((steps + b) / upsample_factor for b in best)
        best = best + _highest(content(x, y), steps)
        if stride == 1:
            return best / upsample_factor
        reach, stride = 2 * stride, max(1, round(stride / _FACTOR))


def _highest(surface, steps):
    """Return the step (x, y) at the highest sample; of equal ones that nearest to no step."""
    candidates = np.argwhere(surface == surface.max())
    nearest = candidates[int(np.abs(steps[candidates]).sum(1).argmin())]
    return np.array([steps[nearest[1]], steps[nearest[0]]])
