"""One image at the resolutions that are asked for: as it is, on coarser pixels, in a window."""

from __future__ import annotations

import numpy as np

from astroreg.estimators.decimation import Flux, block_sums, decimated, in_standard_units
from astroreg.estimators.overlap import Plane

_BAND = 1 << 22  # pixels that are read at once, so that memory-mapped images stay on disk
_SAMPLED = 128  # pixels a side from which what is typical is taken
# Noise of less than this share of the spread is not safe from the rounding of single precision.
_SINGLE = 1e-3


def _average_band(data, good, block):
    """Return means and goodness of the blocks of one band of rows."""
    if good is None:
        return block_sums(data, block) / block**2, None
    count = block_sums(good, block)
    return block_sums(np.where(good, data, 0), block) / np.maximum(count, 1), count >= 0.5 * block**2


def _typical(variance):
    """Return the mean of some of the variances that are finite."""
    step = max(1, max(variance.shape) // _SAMPLED)
    values = variance[::step, ::step]
    values = values[np.isfinite(values)]
    return float(values.mean(dtype=float)) if values.size else 0.0


def block_average(plane: Plane, block: int) -> Plane:
    """Return `plane` averaged in blocks of ``block x block`` pixels, left-over rows and columns dropped.

    Parameters
    ----------
    plane : Plane
        The image.
    block : int
        Pixels a side of a block; 1 returns `plane` itself.

    Returns
    -------
    Plane
        Arrays of doubles; the variance is one for all, that of the mean of a typical block, which is what a
        search needs. A block half good is good.
    """
    if block == 1:
        return plane
    rows = max(1, _BAND // (plane.shape[1] * block)) * block
    bands = []
    for first in range(0, plane.shape[0] // block * block, rows):
        band = slice(first, min(first + rows, plane.shape[0] // block * block))
        bands.append(_average_band(plane.data[band], None if plane.good is None else plane.good[band], block))
    data, goods = ([b[i] for b in bands] for i in range(2))
    variance = _typical(plane.variance) if np.ndim(plane.variance) else plane.variance
    good = None if goods[0] is None else np.concatenate(goods)
    return Plane(np.concatenate(data), variance / block**2, good)


def standardised(plane: Plane, flux: Flux, dtype) -> Plane:
    """Return the plane in standard units, in the precision `dtype`."""
    data = np.empty(plane.shape, dtype)
    in_standard_units(plane.data, flux, data)
    variance = plane.variance / flux.factor / flux.factor
    return Plane(
        data, variance.astype(dtype, copy=False) if np.ndim(variance) else float(variance), plane.good
    )


class Pyramid:
    """One image in standard units at the resolutions that are asked for.

    Parameters
    ----------
    plane : Plane
        The image in its own units and precision.
    flux : Flux
        The standardisation.
    periodic : bool
        Whether the image wraps around.
    """

    def __init__(self, plane: Plane, flux: Flux, *, periodic: bool = False):
        self.plane, self.flux, self.periodic = plane, flux, periodic
        self.dtype = np.dtype(plane.data.dtype if plane.data.dtype == np.float32 else np.float64)
        if self.noise > _SINGLE:
            self.dtype = np.dtype(np.float32)
        self._fine: dict[float, Plane] = {}
        self._coarse: dict[int, Plane] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the image in pixels."""
        return self.plane.shape

    @property
    def noise(self) -> float:
        """Standard deviation of the noise in standard units, of the quietest pixels where it varies."""
        variance = self.plane.variance
        if np.ndim(variance):
            step = max(1, max(self.shape) // _SAMPLED)
            variance = variance[::step, ::step]
            positive = variance[variance > 0]
            variance = float(np.percentile(positive, 1)) if positive.size else 0.0
        return float(np.sqrt(variance)) / self.flux.factor

    def fine(self, block: float) -> Plane:
        """Return the image on pixels `block` times coarser that hold all they can of it."""
        if block not in self._fine:
            self._fine[block] = (
                standardised(self.plane, self.flux, self.dtype)
                if block == 1
                else decimated(self.plane, block, self.flux, self.dtype, periodic=self.periodic)
            )
        return self._fine[block]

    def coarse(self, block: int) -> Plane:
        """Return the image in block averages, for the search."""
        if block not in self._coarse:
            dtype = np.dtype(np.float32) if block > 1 else self.dtype
            self._coarse[block] = (
                self.fine(1)
                if block == 1
                else standardised(block_average(self.plane, block), self.flux, dtype)
            )
        return self._coarse[block]

    def window(self, rows: slice, columns: slice) -> Plane:
        """Return a part of the image at full resolution."""
        variance = self.plane.variance[rows, columns] if np.ndim(self.plane.variance) else self.plane.variance
        good = None if self.plane.good is None else self.plane.good[rows, columns]
        return standardised(Plane(self.plane.data[rows, columns], variance, good), self.flux, self.dtype)
