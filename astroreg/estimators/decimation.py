"""An image on coarser pixels, with nothing lost that those can hold: a low-pass and every m-th sample.

A block average lets structure between the pixels through, folded, and damps what it keeps: at two pixels a
block a tenth of the information on the shift is gone. The square root of a raised cosine keeps what is below
its flank and leaves white noise white, because its square, folded, is one.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import fft

from astroreg.estimators.fourier import good_length
from astroreg.estimators.overlap import Plane

ROLL_OFF = 0.3  # width of the flank, in units of the coarser pixels' sampling frequency
_REACH = 8  # coarser pixels: beyond it the low-pass' kernel has fallen to a thousandth
_TILE = 480  # pixels a side that are made into coarser ones at once: a tile stays in the processor's memory
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
    flank = (np.abs(k) * block - 0.5 * (1 - ROLL_OFF)) / ROLL_OFF
    return np.cos(0.5 * np.pi * np.clip(flank, 0, 1))


def _transfer(n, block, dtype):
    """Return the low-pass on the n frequencies of an axis, moved so that samples stand at block centres."""
    k = fft.fftfreq(n)
    return (amplitude(k, block) * np.exp(1j * np.pi * k * (block - 1)) / block).astype(
        np.result_type(dtype, np.complex64)
    )


def low_passed(tile: np.ndarray, block: int) -> np.ndarray:
    """Return every `block`-th sample, on either axis, of the low-passed periodic `tile`.

    Parameters
    ----------
    tile : `numpy.ndarray`
        Its sides are even multiples of `block`.
    block : int
        Pixels a side of a coarser pixel.

    Returns
    -------
    `numpy.ndarray`
        A constant is left as it is; white noise stays white, its variance divided by ``block**2``.
    """
    (ny, nx), dtype = tile.shape, tile.dtype
    my, mx = ny // block, nx // block
    columns = min(int(np.ceil(0.5 * (1 + ROLL_OFF) * mx)) + 1, nx // 2 + 1)
    spectrum = fft.rfft(tile, axis=1)[:, :columns] * _transfer(nx, block, dtype)[:columns]
    spectrum = fft.fft(spectrum, axis=0, overwrite_x=True)
    spectrum *= _transfer(ny, block, dtype)[:, None]
    folded = spectrum.reshape(block, my, columns).sum(0)
    half = mx // 2
    out = folded[:, : half + 1].copy()
    # Columns beyond the half-plane are the mirror images of those at negative frequencies.
    mirrored = np.roll(folded[::-1, half:], 1, axis=0).conj()
    out[:, half - np.arange(mirrored.shape[1])] += mirrored
    return fft.irfft2(out, s=(my, mx), overwrite_x=True)


def _window(array, corner, shape, periodic):
    """Return a window of an array, mirrored at its edges or, if `periodic`, wrapped around."""
    if periodic:
        return array.take(range(corner[0], corner[0] + shape[0]), axis=0, mode="wrap").take(
            range(corner[1], corner[1] + shape[1]), axis=1, mode="wrap"
        )
    inside = [(max(0, c), min(n, c + m)) for c, m, n in zip(corner, shape, array.shape, strict=True)]
    beyond = [(low - c, c + m - high) for (low, high), c, m in zip(inside, corner, shape, strict=True)]
    window = array[tuple(slice(*i) for i in inside)]
    return np.pad(window, beyond, mode="symmetric") if np.any(beyond) else window


def fill_bad(values: np.ndarray, bad: np.ndarray) -> None:
    """Fill bad pixels in place with the mean of their good neighbours, or with the nearest good one."""
    from scipy import ndimage

    if not bad.any() or bad.all():
        return
    y, x = np.nonzero(bad)
    ny, nx = values.shape
    total, count = np.zeros(y.size), np.zeros(y.size)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            j, i = np.clip(y + dy, 0, ny - 1), np.clip(x + dx, 0, nx - 1)
            good = ~bad[j, i]
            count += good
            total[good] += values[j[good], i[good]]
    isolated = count > 0
    values[y[isolated], x[isolated]] = total[isolated] / count[isolated]
    if not isolated.all():
        left = np.zeros_like(bad)
        left[y[~isolated], x[~isolated]] = True
        nearest = ndimage.distance_transform_edt(left, return_distances=False, return_indices=True)
        values[left] = values[tuple(n[left] for n in nearest)]


@dataclass(frozen=True)
class Flux:
    """How pixel values are standardised: ``value = offset + factor * standardised``."""

    offset: float = 0.0
    factor: float = 1.0


def in_standard_units(values: np.ndarray, flux: Flux, dtype) -> np.ndarray:
    """Return standardised values in the precision `dtype`, computed in their own."""
    own = values.dtype.type if values.dtype.kind == "f" else np.float64
    out = np.subtract(values, own(flux.offset), dtype=own)
    out *= own(1 / flux.factor)
    return out.astype(dtype, copy=False)


def _tile_of(plane, flux, dtype, block, corner, shape, periodic):
    """Return the coarser pixels of one tile whose first is `corner`."""
    lengths = [2 * ((good_length(n + 2 * _REACH) + 1) // 2) for n in shape]
    first = tuple((c - _REACH) * block for c in corner)
    size = tuple(n * block for n in lengths)
    values = in_standard_units(_window(plane.data, first, size, periodic), flux, dtype)
    if plane.good is not None:
        fill_bad(values, ~_window(plane.good, first, size, periodic))
    return low_passed(values, block)[_REACH : _REACH + shape[0], _REACH : _REACH + shape[1]]


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
    borders = [np.linspace(0, n, max(1, round(n * block / _TILE)) + 1).astype(int) for n in shape]
    tiles = [tuple(pairwise(b)) for b in borders]

    def make(tile):
        size = tuple(int(last - first) for first, last in tile)
        at = tuple(int(first) + edge for first, _ in tile)
        rows, columns = (slice(*t) for t in tile)
        out[rows, columns] = _tile_of(plane, flux, dtype, block, at, size, periodic)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(make, [(rows, columns) for rows in tiles[0] for columns in tiles[1]]))
    inside = tuple(slice(edge, edge + n) for n in shape)
    return Plane(out, *(_noise_of_blocks(plane, block, flux, inside, dtype)))


def _noise_of_blocks(plane, block, flux, inside, dtype):
    """Return variance and goodness of the coarser pixels."""
    unit = 1 / (flux.factor * flux.factor * block * block)
    good, variance = plane.good, plane.variance
    if good is None:
        if not np.ndim(variance):
            return float(variance * unit), None
        return (block_sums(variance, block)[inside] * (unit / block**2)).astype(dtype), None
    count = block_sums(good, block)[inside]
    enough = count >= GOOD_SHARE * block**2
    if not np.ndim(variance):
        return float(variance * unit), enough
    total = block_sums(np.where(good, variance, 0), block)[inside]
    return (total * unit / np.maximum(count, 1)).astype(dtype), enough
