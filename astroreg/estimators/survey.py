"""A look at two large images through a few windows at full resolution: which pixels are worth computing with.

Pixels finer than the sky's finest detectable structure cost time and memory and tell nothing: on coarser
ones that still hold the information the shift and its error are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from astroreg.estimators.decimation import CLEAN, GOOD_SHARE, amplitude, block_sums, fill_bad
from astroreg.estimators.equations import curvature
from astroreg.estimators.fourier import fourier_grid
from astroreg.estimators.overlap import Plane, overlap_extent
from astroreg.estimators.taylor import released, taylor_peak
from astroreg.estimators.template import Spectra, filter_on, summed_spectra, taper

_WINDOW = 192  # pixels a side
_WINDOWS = 4  # those of the most structure
_MOST_A_SIDE = 8  # windows from which they are chosen
_FULL = 0.9  # of a window's blocks are good, if there are such windows
_TRIALS = 5  # times that the windows are brought together again
_TOGETHER = 0.6  # pixels, more than a half: halves would be rounded to and fro
_STEPS, _NEAR = 4, 0.03  # pixels: where a step to the peak was so short it ends at it
_ASTRAY = 1.5  # blocks that a search on them may be wrong
_HIGH = 0.4  # cycles a pixel
_LEAST = 0.01  # of a frequency: an image may be white
_COMPLETE = 0.96  # of the information: an error larger by 2 per cent is the same error
# Power of the sky, in units of the noise of coarser pixels, that may not move with the rest: what they show
# at a wrong frequency; what edges and holes make wrong, in the mean over all pixels, of structure finer than
# so many cycles a coarser pixel. The limits are where such structure begins to show in the shifts.
_FOLDED = 0.03
_CONTINUED, _EDGES = 0.05, 100.0
_FILLED, _RIMS = 0.1, 1.0
_SPREAD = 4  # pixels a side of the blocks in which structure is compared
_HOLE = 4  # pixels: holes of twice as many a side are not filled well
_SMALLEST = 128  # coarser pixels a side: an image is not made smaller than this
_BLOCKS = (16, 12, 10, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2, 1.5)  # tried in this order


@dataclass(frozen=True)
class Survey:
    """What a few windows tell.

    Attributes
    ----------
    shift : `numpy.ndarray`
        (x, y) of the image relative to the reference, pixels.
    spectra : Spectra
        Of the windows, brought together.
    windows : list
        The planes of both images, window by window.
    """

    shift: np.ndarray
    spectra: Spectra
    windows: list[tuple[Plane, Plane]]

    @cached_property
    def concentration(self) -> float:
        """How unevenly structure is spread: 1 in a Gaussian field, more in one of stars."""
        return _concentration(self.windows)


def survey(reference, image, shift, block: int) -> Survey | None:
    """Look at two images through the windows in their overlap that show most structure.

    Parameters
    ----------
    reference, image : Pyramid
        The images.
    shift : (float, float)
        (x, y), to a few pixels.
    block : int
        Pixels a side of the blocks in which the structure is looked for.

    Returns
    -------
    Survey or None
        None where the overlap is smaller than a window or the windows do not fit together.
    """
    shift = np.asarray(shift, float)
    corners, seen, start = None, 1, shift
    for _ in range(_TRIALS):
        whole = np.rint(shift).astype(int)
        extent = overlap_extent(reference.shape, image.shape, whole)
        if min(high - low for low, high in extent) < _WINDOW:
            return None
        corners = corners or _corners(reference, image, extent, whole, block)
        windows = [_pair(reference, image, corner, extent, whole) for corner in corners[:seen]]
        spectra = _spectra(windows)
        step = _step(spectra)
        if seen == 1 and seen < len(corners):
            # One window says how far the search was wrong: by no more than its blocks.
            seen = len(corners)
            shift = whole + step if np.abs(step).max() <= _ASTRAY * block else start
            continue
        shift = whole + step
        if np.abs(step).max() <= _TOGETHER:
            turned = spectra.cross * spectra.grid.phase(-step)
            # Equal shares: mean and difference have the power of the images between them.
            total = spectra.power + spectra.noise
            power, noise = 0.5 * (total + turned.real), 0.5 * (total - turned.real)
            spectra = Spectra(spectra.grid, turned, power, noise, spectra.weight)
            return Survey(shift, spectra, windows)
    return None


def _corners(reference, image, extent, whole, block):
    """Return the first pixels (row, column) of the windows of most structure, none with large holes."""
    rows, columns = (
        np.linspace(low, high - _WINDOW, min(_MOST_A_SIDE, (high - low) // _WINDOW)).astype(int)
        for low, high in extent
    )
    corners = [(j, i) for j in rows for i in columns]
    if len(corners) <= _WINDOWS:
        return corners
    side = max(1, _WINDOW // block)

    def part(array, j, i):
        return array[j // block :, i // block :][:side, :side]

    planes = [(reference.coarse(block), *whole[::-1]), (image.coarse(block), 0, 0)]
    masks = [(p.good, dy, dx) for p, dy, dx in planes if p.good is not None]
    full = [c for c in corners if all(part(g, c[0] - y, c[1] - x).mean() >= _FULL for g, y, x in masks)]
    energy = _energy(planes[1][0])
    structure = {c: float(part(energy, *c).sum()) for c in full or corners}
    return sorted(structure, key=structure.get, reverse=True)[:_WINDOWS]


def _energy(plane):
    """Return the squared differences of neighbours."""
    data = np.nan_to_num(plane.data.astype(float))
    energy = np.zeros(plane.shape)
    energy[:-1] += np.diff(data, axis=0) ** 2
    energy[:, :-1] += np.diff(data, axis=1) ** 2
    if plane.good is not None:
        energy[~plane.good] = 0
    return energy


def _pair(reference, image, corner, extent, whole):
    """Return both planes of one window on the same sky to the pixel, moved into the overlap."""
    j, i = (min(max(c, low), high - _WINDOW) for c, (low, high) in zip(corner, extent, strict=True))
    cut = lambda pyramid, y, x: pyramid.window(slice(y, y + _WINDOW), slice(x, x + _WINDOW))  # noqa: E731
    return cut(reference, j - whole[1], i - whole[0]), cut(image, j, i)


def _spectra(windows):
    """Return the summed spectra of tapered windows; what is bad is filled from its neighbours."""
    shape, dtype = windows[0][1].shape, windows[0][1].data.dtype
    window, norm, weight = _window(shape, dtype)
    pairs = [tuple(_tapered(plane, window, norm) for plane in pair) for pair in windows]
    return summed_spectra(fourier_grid(shape, dtype), pairs, 0.5, len(pairs) * weight)


@lru_cache(maxsize=4)
def _window(shape, dtype):
    """Return the taper of a window, its sum and that of its squares."""
    window = taper(shape)
    return window.astype(dtype), float(window.sum()), float((window**2).sum())


def _tapered(plane, window, norm):
    values = plane.data
    if plane.good is not None:
        fill_bad(values, ~plane.good)
        values[~np.isfinite(values)] = 0
    centre = float(np.einsum("ij,ij->", window, values)) / norm
    return (values - values.dtype.type(centre)) * window


def _step(spectra):
    """Return where the windows' common correlation peaks, to a part of a pixel."""
    grid = spectra.grid
    cross = spectra.cross * _loud(spectra)
    surface = grid.inverse(cross)
    j, i = np.unravel_index(int(surface.argmax()), surface.shape)
    whole = np.array(
        [
            (i + grid.shape[1] // 2) % grid.shape[1] - grid.shape[1] // 2,
            (j + grid.shape[0] // 2) % grid.shape[0] - grid.shape[0] // 2,
        ]
    )
    step = whole.astype(float)
    # Windows that are whole pixels apart will be cut anew.
    for _ in range(1 if whole.any() else _STEPS):
        there = cross * grid.phase(-step)
        nearer = taylor_peak(there, grid)
        step += nearer
        if np.abs(nearer).max() < _NEAR:
            break
    bend, power = curvature(grid, there.real)
    # Where structure is alike everywhere the taper's share is that of its own correlation.
    return released(step, bend, power * _bend_of_taper(grid.shape))[0]


@lru_cache(maxsize=4)
def _bend_of_taper(shape):
    """Return the curvature along x and y of a taper's own correlation, in units of its height."""
    window = taper(shape)
    sides = window[shape[0] // 2], window[:, shape[1] // 2]
    return np.array([np.square(np.diff(side)).sum() / np.square(side).sum() for side in sides])


def _loud(spectra):
    """Return how far each frequency stands out of the level at the highest, which noise has everywhere."""
    k, power, *_ = spectra.powers
    # A ring's own power grows with its circumference.
    mean = power / np.maximum(k, k[k > 0].min(initial=1))
    level = float(np.median(mean[k > _HIGH])) if (k > _HIGH).any() else 0.0
    return filter_on(spectra.grid, k, np.clip(1 - level / mean, _LEAST, 1))


def _retained(windows, block):
    """Return the share of the inverse variance of the pixels that survives their averaging in blocks."""
    if all(p.good is None and not np.ndim(p.variance) for pair in windows for p in pair):
        return 1.0
    fine, coarse = 0.0, 0.0
    for first, second in windows:
        good = np.ones(first.shape, bool)
        for plane in (first, second):
            good = good if plane.good is None else good & plane.good
        variance = np.broadcast_to(first.variance + second.variance, first.shape)
        safe = np.where(good & (variance > 0), variance, 1)
        whole = tuple(slice(int(n // block * block)) for n in first.shape)
        fine += float((good[whole] / safe[whole]).sum(dtype=float))
        count = block_sums(good, block)
        total = block_sums(np.where(good, safe, 0), block)
        enough = count >= GOOD_SHARE * block**2
        coarse += float((enough * block**2 * count / np.where(total > 0, total, 1)).sum())
    return coarse / fine if fine > 0 else 0.0


def _beyond(spectra, block, limit):
    """Return the power of the sky beyond `limit` cycles a coarser pixel, in units of their noise."""
    grid = spectra.grid
    kx, ky = (np.abs(k.ravel()) for k in (grid.kx, grid.ky))
    passed = grid.multiplicity * np.outer(*(amplitude(k, block) ** 2 for k in (ky, kx)))
    inside = np.outer(*(k * block <= limit for k in (ky, kx)))
    sky = float((passed * spectra.cross.real)[~inside].sum(dtype=float))
    # At the highest frequencies there is hardly anything else.
    high = np.hypot(kx, ky[:, None]) > _HIGH
    noise = float(spectra.noise[high].mean(dtype=float)) * float(passed.sum(dtype=float))
    return sky / noise if noise > 0 else np.inf


@dataclass(frozen=True)
class Border:
    """How much of the images stands beside what is guessed, pixels along it for every pixel.

    Attributes
    ----------
    edges : float
        Beside an edge, beyond which the image is continued.
    rims : float
        Beside a large hole, which is filled with less care.
    """

    edges: float = 0.0
    rims: float = 0.0


def border(pyramids, *, periodic: bool = False) -> Border:
    """Return the border of two images; those that are periodic have no edges."""
    edges = 0.0 if periodic else max(2 / p.shape[0] + 2 / p.shape[1] for p in pyramids)
    rims = 0.0
    for pyramid in (p for p in pyramids if p.plane.good is not None):
        bad = ~pyramid.plane.good[::_HOLE, ::_HOLE]
        hole = bad[1:, 1:] & bad[1:, :-1] & bad[:-1, 1:] & bad[:-1, :-1]
        length = sum(np.count_nonzero(np.diff(hole, axis=axis)) for axis in (0, 1))
        rims += _HOLE * length / (pyramid.shape[0] * pyramid.shape[1])
    return Border(edges, rims)


def _concentration(windows):
    """Return how unevenly structure is spread over the windows: 1 in a Gaussian field, more in one of stars.

    What does not move with the sky pulls by its power times that of the sky's gradient, pixel by pixel: where
    both are in a few pixels, the mean power says little.
    """
    slopes = []
    for pair in windows:
        mean = sum(block_sums(plane.data, _SPREAD) for plane in pair)
        across, down = np.diff(mean, axis=1)[:-1], np.diff(mean, axis=0)[:, :-1]
        slopes.append(across**2 + down**2)
    square = np.square(np.mean(slopes))
    # The square of two Gaussian components' sum of squares is twice the square of its mean.
    return float(np.mean(np.square(slopes)) / (2 * square)) if square > 0 else 1.0


def _moves_alike(found, block, border):
    """Return whether next to nothing in coarser pixels moves otherwise than the sky, as to their noise.

    That is structure which folds over, and structure near edges and holes that is not what was guessed there.
    """
    share = 1 / max(1.0, found.concentration)
    # What stands at an edge is not in spectra of tapered windows: its share counts twice.
    guessed = ((border.edges, _CONTINUED, share**2 * _EDGES), (border.rims, _FILLED, share * _RIMS))
    alike = (
        length * block * _beyond(found.spectra, block, limit) < most
        for length, limit, most in guessed
        if length
    )
    return all(alike) and _beyond(found.spectra, block, 0.5) < share * _FOLDED


def complete_block(found: Survey, sides: tuple[int, int], beside: Border, *, periodic: bool = False) -> float:
    """Return the largest block on which the information of the pixels is still there.

    Parameters
    ----------
    found : Survey
        The windows.
    sides : (int, int)
        Pixels along either axis of the smaller image.
    beside : Border
        The images' edges and holes.
    periodic : bool
        Whether the images wrap around: coarser pixels must tile them.

    Returns
    -------
    float
        1 where no larger one does.

    Notes
    -----
    A mode of signal C and noise N of the mean tells ``k^2 C h / N`` of the shift, with ``h = C / (C + N)``.
    Used are those modes into which nothing folds over, on either axis.
    """
    k, h, power = found.spectra.rings()
    told = k**2 * h * h * power
    whole = float(told.sum())
    for block in _BLOCKS:
        if min(sides) < block * _SMALLEST or (periodic and any(n % block for n in sides)):
            continue
        kept = float((told * _share_of_square(k, CLEAN / block)).sum())
        if kept < _COMPLETE * whole or kept * _retained(found.windows, block) < _COMPLETE * whole:
            continue
        if _moves_alike(found, block, beside):
            return block
    return 1


def _share_of_square(k, side):
    """Return the share of a ring of each length whose components are both no longer than `side`."""
    beyond = np.arccos(np.minimum(side / np.maximum(k, side), 1))
    return np.maximum(1 - 4 / np.pi * beyond, 0)
