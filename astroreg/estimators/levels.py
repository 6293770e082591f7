"""Images at several resolutions: block averages, and how coarse a one still holds all there is to know.

Pixels finer than the sky's finest detectable structure cost time and memory and tell nothing: a block
average at which the Wiener filter has fallen to nothing gives the same shift with the same error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from astroreg.estimators.overlap import Plane

_BAND = 1 << 22  # pixels that are read at once, so that memory-mapped images stay on disk
_COMPLETE = 0.97  # of the information: an error larger by 1.5 per cent is the same error
_FAINT = 0.1  # Wiener filter at the edge of the band: what folds over is a tenth of the noise
_SMALLEST = 256  # blocks a side: an image is not made smaller than this for the fine step
_FACTORS = (8, 4, 3, 2)  # tried in this order


@dataclass(frozen=True)
class Flux:
    """How pixel values are standardised: ``value = offset + factor * standardised``."""

    offset: float = 0.0
    factor: float = 1.0


def _block_sums(array: np.ndarray, block: int) -> np.ndarray:
    """Return the sums over blocks, in double precision."""
    ny, nx = array.shape[0] // block, array.shape[1] // block
    rows = array[: ny * block, : nx * block].reshape(ny, block, nx * block).sum(1, dtype=float)
    out = rows[:, ::block].copy()
    for i in range(1, block):
        out += rows[:, i::block]
    return out


def _average_band(data, variance, good, block, needed):
    """Return means, variances of the means, and goodness of the blocks of one band of rows."""
    if good is None:
        spread = _block_sums(variance, block) / block**4 if np.ndim(variance) else None
        return _block_sums(data, block) / block**2, spread, None
    count = _block_sums(good, block)
    safe = np.maximum(count, 1)
    mean = _block_sums(np.where(good, data, 0), block) / safe
    if np.ndim(variance):
        spread = _block_sums(np.where(good, variance, 0), block) / safe**2
    else:
        spread = variance / safe
    return mean, spread, count >= needed * block**2


def block_average(plane: Plane, block: int, *, needed: float = 0.5) -> Plane:
    """Return `plane` averaged in blocks of ``block x block`` pixels, left-over rows and columns dropped.

    Parameters
    ----------
    plane : Plane
        The image.
    block : int
        Pixels a side of a block; 1 returns `plane` itself.
    needed : float
        Share of good pixels that makes a block good. Below 1 the mean of a block with bad pixels is not
        that of its centre: fine for a search, not for a fit.

    Returns
    -------
    Plane
        In double precision; the variances are those of the means.
    """
    if block == 1:
        return plane
    rows = max(1, _BAND // (plane.shape[1] * block)) * block
    bands = []
    for first in range(0, plane.shape[0] // block * block, rows):
        band = slice(first, min(first + rows, plane.shape[0] // block * block))
        variance = plane.variance[band] if np.ndim(plane.variance) else plane.variance
        good = None if plane.good is None else plane.good[band]
        bands.append(_average_band(plane.data[band], variance, good, block, needed))
    data, variances, goods = ([b[i] for b in bands] for i in range(3))
    variance = plane.variance / block**2 if variances[0] is None else np.concatenate(variances)
    return Plane(np.concatenate(data), variance, None if goods[0] is None else np.concatenate(goods))


def standardised(plane: Plane, flux: Flux, dtype) -> Plane:
    """Return the plane in standard units, in the precision `dtype`."""
    data = plane.data.astype(dtype)
    data -= dtype.type(flux.offset)
    data /= dtype.type(flux.factor)
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
    """

    def __init__(self, plane: Plane, flux: Flux):
        self.plane, self.flux = plane, flux
        self.dtype = np.dtype(np.float32 if plane.data.dtype == np.float32 else np.float64)
        self._fine: dict[int, Plane] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the image in pixels."""
        return self.plane.shape

    def fine(self, block: int) -> Plane:
        """Return the image at a resolution for the fine step: a block with a bad pixel is bad."""
        if block not in self._fine:
            averaged = block_average(self.plane, block, needed=1.0)
            self._fine[block] = standardised(averaged, self.flux, self.dtype)
        return self._fine[block]

    def coarse(self, block: int) -> Plane:
        """Return the image at a resolution for the search: a block half good is good."""
        return standardised(block_average(self.plane, block), self.flux, self.dtype)

    def window(self, rows: slice, columns: slice) -> Plane:
        """Return a part of the image at full resolution."""
        variance = self.plane.variance[rows, columns] if np.ndim(self.plane.variance) else self.plane.variance
        good = None if self.plane.good is None else self.plane.good[rows, columns]
        return standardised(Plane(self.plane.data[rows, columns], variance, good), self.flux, self.dtype)


def complete_block(k: np.ndarray, h: np.ndarray, power: np.ndarray, sides: int) -> int:
    """Return the largest block whose averages still hold the information of the pixels.

    Parameters
    ----------
    k : `numpy.ndarray`
        Frequencies of rings, cycles per pixel, ascending.
    h : `numpy.ndarray`
        Wiener filter of the mean sky there.
    power : `numpy.ndarray`
        Sum over each ring of the power of the mean sky, noise included.
    sides : int
        Pixels of the shorter side.

    Returns
    -------
    int
        1 where no averages do.

    Notes
    -----
    A mode of signal C and noise N of the mean tells ``k^2 C h / N`` of the shift, with ``h = C / (C + N)``.
    The average over m pixels multiplies C by the square of its transfer function and makes what lies beyond
    ``1 / 2m`` fold over; with h below a tenth there, that is lost in the noise.
    """
    signal = h * power
    for block in _FACTORS:
        edge = 0.5 / block
        if sides < block * _SMALLEST or np.interp(edge, k, h) > _FAINT:
            continue
        transfer = np.sinc(block * k) ** 2
        seen = signal * transfer
        damped = seen / np.maximum(seen + (1 - h) * power, np.finfo(float).tiny)
        # The noise is white: the same for every mode, whatever its signal.
        kept = (k**2 * seen * damped)[k < edge].sum()
        if kept >= _COMPLETE * (k**2 * signal * h).sum():
            return block
    return 1
