"""An image on coarser pixels, with nothing lost that those can hold: a low-pass and every m-th sample.

A block average lets structure between the pixels through, folded, and damps what it keeps: at two pixels a
block a tenth of the information on the shift is gone. Meyer's low-pass (1985) keeps what is below its flank
and leaves white noise white, because its square, folded, is one; a smooth flank makes a short kernel. A
coarser pixel may be a whole number of pixels and a half a side.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.lib.stride_tricks import as_strided

from astroreg.estimators.fourier import ONE_THREAD, threads_at_hand
from astroreg.estimators.overlap import Plane

ROLL_OFF = 0.16  # width of the flank, in units of the coarser pixels' sampling frequency
CLEAN = 0.5 * (1 - ROLL_OFF)  # cycles a coarser pixel: up to here nothing has folded over
_REACH = 10  # coarser pixels beyond its own that one looks at: 1e-5 of its noise is farther
_STRIP = 8  # coarser pixels that one matrix makes along an axis
# Coarser pixels made at once: what those of a few pixels a side look at stays in the processor's memory.
_TILE = (64, 1024)
_WORTH_THREADS = 1 << 23  # pixels: threads get in each other's way as often as they help
_FEW_ROWS = 16  # of single precision, which are added in it: their sum is as good as they are
_BLOCKS = 64  # pixels: a multiple of the sides of the blocks from which holes are filled, but the largest
_IN_MEMORY = 1 << 15  # values that an array in between holds, which so stays in the processor's memory
GOOD_SHARE = 0.75  # of a block's pixels: the others are filled from their neighbours


def _shared_sums(array, block, axis):
    """Return the sums over so many lines and a half along an axis: two blocks share the line between them."""
    whole, shape = int(block), list(array.shape)
    shape[axis] = int(shape[axis] // block)
    out = np.empty(shape)
    lines, sums = np.moveaxis(array, axis, 0), np.moveaxis(out, axis, 0)
    for first in (0, 1):
        own = sums[first::2]
        of_pairs = [lines[i :: int(2 * block)][: len(own)] for i in range(2 * whole + 1)]
        np.multiply(of_pairs[whole], 0.5, out=own)
        for line in of_pairs[whole + 1 :] if first else of_pairs[:whole]:
            own += line
    return out


def block_sums(array: np.ndarray, block: float) -> np.ndarray:
    """Return the sums over blocks, left-over rows and columns dropped.

    In double precision, but for up to 16 rows of single precision, which are added in their own.
    """
    if block % 1:
        return _shared_sums(_shared_sums(array, block, 0), block, 1)
    ny, nx = array.shape[0] // block, array.shape[1] // block
    kind = np.float32 if array.dtype == np.float32 and block <= _FEW_ROWS else float
    rows = array[: ny * block, : nx * block].reshape(ny, block, nx * block).sum(1, dtype=kind)
    out = rows[:, ::block].astype(float)
    for i in range(1, block):
        out += rows[:, i::block]
    return out


def amplitude(k: np.ndarray, block: float) -> np.ndarray:
    """Return the low-pass at frequencies k (cycles a pixel) for coarser pixels of `block` pixels."""
    flank = np.clip((np.abs(k) * block - 0.5 * (1 - ROLL_OFF)) / ROLL_OFF, 0, 1)
    return np.cos(0.5 * np.pi * flank**2 * (3 - 2 * flank))


def _kernel(distance, block):
    """Return the low-pass at distances in pixels, the integral of its cosines over flat part and flank."""
    bounds = np.array([0, 1 - ROLL_OFF, 1 + ROLL_OFF]) / (2 * block)
    nodes, shares = np.polynomial.legendre.leggauss(8 * (1 + 2 * _REACH))
    kernel = np.zeros(distance.shape)
    for low, high in pairwise(bounds):
        k = 0.5 * (low + high + (high - low) * nodes)
        kernel += np.cos(2 * np.pi * distance[:, None] * k) @ (shares * (high - low) * amplitude(k, block))
    return np.where(np.abs(distance) < (_REACH + 0.5) * block, kernel, 0)


@lru_cache(maxsize=32)
def _weights(block, dtype):
    """Return the weights of the pixels around and in a strip in each of its coarser pixels, a row each."""
    out = np.zeros((_STRIP, int((_STRIP + 2 * _REACH) * block)), dtype)
    # Of blocks of a pixel and a half, say, every second one stands alike among the pixels.
    phases = 2 if block % 1 else 1
    for i in range(phases):
        distance = np.arange(out.shape[1]) - ((_REACH + i + 0.5) * block - 0.5)
        kernel = _kernel(distance, block)
        kernel /= kernel.sum()
        # A kernel between the pixels is not cut off alike on both sides: a slope stays where it is.
        lever = kernel**2 * distance
        kernel -= (kernel @ distance) / (lever @ distance) * lever
        kernel /= kernel.sum()
        for j in range(i, _STRIP, phases):
            out[j] = np.roll(kernel, int((j - i) * block))
    return out


def decimated_rows(array: np.ndarray, block: float) -> np.ndarray:
    """Return every `block`-th row of the `array`, low-passed along its columns.

    Parameters
    ----------
    array : `numpy.ndarray`
        It has 20 coarser rows more than a multiple of 8.
    block : float
        Rows of a coarser one, a multiple of one half.

    Returns
    -------
    `numpy.ndarray`
        Ten coarser rows less at either end. A constant is left as it is; white noise stays white, its
        variance divided by `block`.
    """
    weights = _weights(block, array.dtype)
    length, width = weights.shape[1], array.shape[1]
    (down, across), step = array.strides, int(_STRIP * block)
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


def _go_on(lines, start, block):
    """Fill the lines from `start` on as those before it came: turned about the end of what is known.

    About the centre of the outermost coarser pixel, that is, whose mean hides the noise of one line.
    """
    own = min(ceil(block), start)
    count = min(start - own, len(lines) - start)
    # A line as far behind that centre as one before it.
    turned = lines[start - own - count : start - own][::-1]
    np.subtract(
        lines[start - own : start].sum(0) * lines.dtype.type(2 / own),
        turned,
        out=lines[start : start + count],
    )
    # Farther than any coarser pixel looks.
    lines[start + count :] = lines[start + count - 1]


def _continue(lines, known, block):
    """Continue in place the lines that are known beyond the first and the last of them."""
    if known.stop < len(lines):
        _go_on(lines[known.start :], known.stop - known.start, block)
    if known.start > 0:
        _go_on(lines[::-1], len(lines) - known.start, block)


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


def in_standard_units(values: np.ndarray, flux: Flux, out: np.ndarray) -> None:
    """Put standardised values, computed in their own precision, into `out`."""
    own = values.dtype.newbyteorder("=") if values.dtype.kind == "f" else np.dtype(float)
    rows = max(1, _IN_MEMORY // max(1, values.shape[1]))
    for first in range(0, len(values), rows):
        band = slice(first, first + rows)
        centred = np.subtract(values[band], own.type(flux.offset), dtype=own)
        np.multiply(centred, own.type(1 / flux.factor), out=out[band], casting="same_kind")


def _tile_of(plane, flux, dtype, block, corner, shape, periodic):
    """Return the coarser pixels of one tile whose first is `corner`."""
    first = tuple(int((c - _REACH) * block) for c in corner)
    size = tuple(int((-(-n // _STRIP) * _STRIP + 2 * _REACH) * block) for n in shape)
    if periodic:
        inside = tuple(slice(0, n) for n in size)
        window = np.ix_(*(np.arange(c, c + n) % m for c, n, m in zip(first, size, plane.shape, strict=True)))
    else:
        window = tuple(
            slice(max(0, c), min(c + n, m)) for c, n, m in zip(first, size, plane.shape, strict=True)
        )
        inside = tuple(slice(w.start - c, w.stop - c) for c, w in zip(first, window, strict=True))
    part = Plane(plane.data[window], 0.0, None if plane.good is None else plane.good[window])
    rows = _rows_of(part, flux, dtype, block, inside[0], size[0])
    # What is beyond the edges on the left and on the right is the same before the rows are made coarser.
    lines = np.empty((len(rows), size[1]), dtype)
    lines[:, inside[1]] = rows
    _continue(lines.T, inside[1], block)
    return decimated_rows(lines.T, block).T[: shape[0], : shape[1]]


def _rows_of(part, flux, dtype, block, known, size):
    """Return a part of an image in standard units with coarser rows, of which `size` fine ones are needed.

    The part has those `known`.
    """
    tile = np.empty((size, part.data.shape[1]), dtype)
    in_standard_units(part.data, flux, tile[known])
    if part.good is not None:
        bad = ~part.good
        fill_bad(tile[known], bad)
        if bad.all():
            # Nothing is known; what stands there may be infinite.
            tile[known] = 0
    _continue(tile, known, block)
    return decimated_rows(tile, block)


def decimated(plane: Plane, block: float, flux: Flux, dtype, *, periodic: bool = False) -> Plane:
    """Return an image in standard units on pixels `block` times coarser.

    Parameters
    ----------
    plane : Plane
        The image; if `periodic`, its sides are multiples of `block`.
    block : float
        Pixels a side of a coarser pixel, a multiple of one half.
    flux : Flux
        The standardisation.
    dtype : dtype
        Precision of the result.
    periodic : bool
        Whether the image wraps around.

    Returns
    -------
    Plane
        What is left over of a coarser pixel at the upper edges is dropped. Made in tiles, so that a
        memory-mapped image is not read as a whole.
    """
    dtype = np.dtype(dtype)
    shape = tuple(int(n // block) for n in plane.shape)
    out = np.empty(shape, dtype)
    corners = [
        (row, column) for row in range(0, shape[0], _TILE[0]) for column in range(0, shape[1], _TILE[1])
    ]

    unit = 1 / (flux.factor * flux.factor * block * block)
    good = None if plane.good is None else np.empty(shape, bool)
    variance = np.empty(shape, dtype) if np.ndim(plane.variance) else float(plane.variance * unit)

    def make(corner):
        tile = tuple(slice(c, c + n) for c, n in zip(corner, _TILE, strict=True))
        part = out[tile]
        part[...] = _tile_of(plane, flux, dtype, block, corner, part.shape, periodic)
        pixels = tuple(
            slice(int(c * block), ceil((c + n) * block)) for c, n in zip(corner, part.shape, strict=True)
        )
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
