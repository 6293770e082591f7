"""An image on coarser pixels, with nothing lost that those can hold: a low-pass and every m-th sample.

A block average lets structure between the pixels through, folded, and damps what it keeps: at two pixels a
block a tenth of the information on the shift is gone. Meyer's low-pass (1985) keeps what is below its flank
and leaves white noise white, because its square, folded, is one; a smooth flank makes a short kernel.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import as_strided

from astroreg.estimators.fourier import ONE_THREAD, threads_at_hand
from astroreg.estimators.overlap import Plane

ROLL_OFF = 0.3  # width of the flank, in units of the coarser pixels' sampling frequency
CLEAN = 0.5 * (1 - ROLL_OFF)  # cycles a coarser pixel: up to here nothing has folded over
_REACH = 6  # coarser pixels beyond its own that one looks at: seven thousandths of its noise are farther
_STRIP = 16  # coarser pixels that one matrix makes along an axis
_TILE = (64, 512)  # coarser pixels made at once: what they take stays in the processor's memory
_WORTH_THREADS = 1 << 23  # pixels: threads get in each other's way as often as they help
_BLOCKS = 64  # pixels: a multiple of the sides of the blocks from which holes are filled, but the largest
_IN_MEMORY = 1 << 15  # values that an array in between holds, which so stays in the processor's memory
DROPPED = 2  # coarser pixels at each edge, which look beyond it
GOOD_SHARE = 0.75  # of a block's pixels: the others are filled from their neighbours


def block_sums(array: np.ndarray, block: int) -> np.ndarray:
    """Return the sums over blocks, in double precision, left-over rows and columns dropped."""
    ny, nx = array.shape[0] // block, array.shape[1] // block
    rows = array[: ny * block, : nx * block].reshape(ny, block, nx * block).sum(1, dtype=float)
    out = rows[:, ::block].copy()
    for i in range(1, block):
        out += rows[:, i::block]
    return out


def amplitude(k: np.ndarray, block: int) -> np.ndarray:
    """Return the low-pass at frequencies k (cycles a pixel) for coarser pixels of `block` pixels."""
    flank = np.clip((np.abs(k) * block - 0.5 * (1 - ROLL_OFF)) / ROLL_OFF, 0, 1)
    return np.cos(0.5 * np.pi * flank**2 * (3 - 2 * flank))


@lru_cache(maxsize=32)
def _weights(block, dtype):
    """Return the weights of the pixels around and in a strip in each of its coarser pixels, a row each."""
    length = (1 + 2 * _REACH) * block
    distance = np.arange(length) - 0.5 * (length - 1)
    # The kernel is the integral of the amplitude's cosines, over its flat part and over its flank.
    bounds = np.array([0, 1 - ROLL_OFF, 1 + ROLL_OFF]) / (2 * block)
    nodes, shares = np.polynomial.legendre.leggauss(8 * (1 + 2 * _REACH))
    kernel = 0
    for low, high in pairwise(bounds):
        k = 0.5 * (low + high + (high - low) * nodes)
        kernel = kernel + np.cos(2 * np.pi * distance[:, None] * k) @ (
            shares * (high - low) * amplitude(k, block)
        )
    kernel /= kernel.sum()
    out = np.zeros((_STRIP, (_STRIP + 2 * _REACH) * block), dtype)
    for i, row in enumerate(out):
        row[i * block : i * block + kernel.size] = kernel
    return out


def _along_columns(array, block):
    """Return the coarser pixels along the first axis of what has `_REACH` of them around it."""
    weights = _weights(block, array.dtype)
    length, width = weights.shape[1], array.shape[1]
    (down, across), step = array.strides, _STRIP * block
    # Strips overlap: views of the same pixels.
    count = 1 + (len(array) - length) // step
    strips = as_strided(array, (count, length, width), (step * down, down, across), writeable=False)
    out = np.empty((count, _STRIP, width), array.dtype)
    # The tiles have threads of their own.
    columns = ONE_THREAD // weights.size
    for left in range(0, width, columns):
        part = slice(left, left + columns)
        np.matmul(weights, strips[..., part], out=out[..., part])
    return out.reshape(-1, width)


def low_passed(tile: np.ndarray, block: int) -> np.ndarray:
    """Return every `block`-th sample, on either axis, of the low-passed `tile`.

    Parameters
    ----------
    tile : `numpy.ndarray`
        Its sides are 12 coarser pixels more than a multiple of 16.
    block : int
        Pixels a side of a coarser pixel.

    Returns
    -------
    `numpy.ndarray`
        Six coarser pixels narrower at every edge than the tile. A constant is left as it is; white noise
        stays white, its variance divided by ``block**2``.
    """
    return _along_columns(_along_columns(tile, block).T, block).T


def _mirrored(length, first, n):
    """Return which of `length` pixels stand at the n from `first` on, mirrored at the edges."""
    at = np.arange(first, first + n) % (2 * length)
    return np.minimum(at, 2 * length - 1 - at)


def _extended(values, corner, shape):
    """Return a window on `values` that begins at `corner`, mirrored beyond their edges."""
    if values.shape == tuple(shape):
        return values
    out = np.empty(shape, values.dtype)
    rows, columns = (slice(-c, n - c) for c, n in zip(corner, values.shape, strict=True))
    out[rows, columns] = values
    across, down = (_mirrored(*x) for x in zip(values.shape[::-1], corner[::-1], shape[::-1], strict=True))
    for beyond in (slice(0, columns.start), slice(columns.stop, None)):
        out[rows, beyond] = values[:, across[beyond]]
    for beyond in (slice(0, rows.start), slice(rows.stop, None)):
        out[beyond] = out[rows][down[beyond]]
    return out


def fill_bad(values: np.ndarray, bad: np.ndarray) -> None:
    """Fill bad pixels in place with the mean of good neighbours, or of the smallest block that has any."""
    if not bad.any() or bad.all():
        return
    near = ~bad
    near[1:] |= ~bad[:-1]
    near[:-1] |= ~bad[1:]
    beside = near.copy()
    beside[:, 1:] |= near[:, :-1]
    beside[:, :-1] |= near[:, 1:]
    # Along one axis all of this is far faster than along two.
    ny, nx = bad.shape
    at = np.flatnonzero(bad & beside)
    y, x = np.divmod(at, nx)
    flat, good = values.reshape(-1), ~bad.reshape(-1)
    total, count = np.zeros(at.size), np.zeros(at.size)
    for row in (np.clip(y + d, 0, ny - 1) * nx for d in (-1, 0, 1)):
        for column in (np.clip(x + d, 0, nx - 1) for d in (-1, 0, 1)):
            known = good.take(row + column)
            total += np.where(known, flat.take(row + column), 0)
            count += known
    values[y, x] = total / count
    if not beside.all():
        part = _around(~beside)
        _fill_from_blocks(values[part], beside[part])


def _around(wanted):
    """Return the part of an array that holds all that is wanted and something else, from whole blocks on."""
    lines = (np.flatnonzero(wanted.any(axis)) for axis in (1, 0))
    return tuple(slice(max(0, n[0] - 1) // _BLOCKS * _BLOCKS, n[-1] + 2) for n in lines)


def _fill_from_blocks(values, known):
    """Fill what is not known in place with the mean of its block of 4, 16, 64, ... pixels a side."""
    sums = [(np.where(known, values, 0), known)]
    while not sums[-1][1].all():
        beyond = [(0, -n % 4) for n in sums[-1][1].shape]
        sums.append(tuple(block_sums(np.pad(a, beyond), 4) for a in sums[-1]))
    mean = 0
    for (total, count), (finer, _) in zip(sums[:0:-1], sums[-2::-1], strict=True):
        mean = np.where(count > 0, total / np.maximum(count, 1), mean)
        mean = mean.repeat(4, 0).repeat(4, 1)[: finer.shape[0], : finer.shape[1]]
    np.copyto(values, mean, where=~known)


@dataclass(frozen=True)
class Flux:
    """How pixel values are standardised: ``value = offset + factor * standardised``."""

    offset: float = 0.0
    factor: float = 1.0


def in_standard_units(values: np.ndarray, flux: Flux, dtype) -> np.ndarray:
    """Return standardised values in the precision `dtype`, computed in their own."""
    own = values.dtype.newbyteorder("=") if values.dtype.kind == "f" else np.dtype(float)
    out = np.empty(values.shape, dtype)
    rows = max(1, _IN_MEMORY // max(1, values.shape[1]))
    for first in range(0, len(values), rows):
        band = slice(first, first + rows)
        centred = np.subtract(values[band], own.type(flux.offset), dtype=own)
        np.multiply(centred, own.type(1 / flux.factor), out=out[band], casting="same_kind")
    return out


def _tile_of(plane, flux, dtype, block, corner, shape, periodic):
    """Return the coarser pixels of one tile whose first is `corner`."""
    first = tuple((c - _REACH) * block for c in corner)
    size = tuple((-(-n // _STRIP) * _STRIP + 2 * _REACH) * block for n in shape)
    if periodic:
        window = np.ix_(*(np.arange(c, c + n) % m for c, n, m in zip(first, size, plane.shape, strict=True)))
    else:
        window = tuple(slice(max(0, c), max(0, c + n)) for c, n in zip(first, size, strict=True))
    values = in_standard_units(plane.data[window], flux, dtype)
    if plane.good is not None:
        fill_bad(values, ~plane.good[window])
    return low_passed(_extended(values, [min(0, c) for c in first], size), block)[: shape[0], : shape[1]]


def decimated(plane: Plane, block: int, flux: Flux, dtype, *, periodic: bool = False) -> Plane:
    """Return an image in standard units on pixels `block` times coarser.

    Parameters
    ----------
    plane : Plane
        The image; if `periodic`, its sides are multiples of `block`.
    block : int
        Pixels a side of a coarser pixel.
    flux : Flux
        The standardisation.
    dtype : dtype
        Precision of the result.
    periodic : bool
        Whether the image wraps around.

    Returns
    -------
    Plane
        Two coarser pixels narrower at every edge than the image, unless `periodic`. Made in tiles, so that a
        memory-mapped image is not read as a whole.
    """
    dtype = np.dtype(dtype)
    edge = 0 if periodic else DROPPED
    shape = tuple(n // block - 2 * edge for n in plane.shape)
    out = np.empty(shape, dtype)
    corners = [
        (row, column) for row in range(0, shape[0], _TILE[0]) for column in range(0, shape[1], _TILE[1])
    ]

    unit = 1 / (flux.factor * flux.factor * block * block)
    good = None if plane.good is None else np.empty(shape, bool)
    variance = np.empty(shape, dtype) if np.ndim(plane.variance) else float(plane.variance * unit)

    def make(corner):
        tile = tuple(slice(c, c + n) for c, n in zip(corner, _TILE, strict=True))
        part, first = out[tile], [c + edge for c in corner]
        part[...] = _tile_of(plane, flux, dtype, block, first, part.shape, periodic)
        pixels = tuple(slice(c * block, (c + n) * block) for c, n in zip(first, part.shape, strict=True))
        count = block**2 if good is None else block_sums(plane.good[pixels], block)
        if good is not None:
            good[tile] = count >= GOOD_SHARE * block**2
        if np.ndim(plane.variance):
            values = plane.variance[pixels]
            values = values if good is None else np.where(plane.good[pixels], values, 0)
            variance[tile] = block_sums(values, block) * unit / np.maximum(count, 1)

    threads = threads_at_hand() if plane.data.size >= _WORTH_THREADS else 1
    if threads == 1:
        for corner in corners:
            make(corner)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(make, corners))
    return Plane(out, variance, good)
