"""Both images on one canvas, aligned to the whole pixel: the footprint that every method shares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from astroreg.estimators.fourier import FourierGrid, fourier_grid, good_length

# Pixels kept around the overlap: they give the low-pass its context beyond the edge and let the periodic
# continuation of the canvas fade from one edge to the other.
MARGIN = 16
# The outermost rows of the overlap are touched most by what is only predicted beyond it: no weight for them.
# So many of them, from each signal-to-noise ratio on: the fainter the noise, the farther that is felt.
_EDGES = ((0.0, 1), (60.0, 2), (150.0, 3))
_WIDE = 400  # pixels a side: from there on rows are cheap
_WIDE_EDGES = ((0.0, 1), (30.0, 4))
_WIDE_MARGINS = ((0.0, 12), (60.0, MARGIN))  # what is beyond the edge is felt less there
_FEW = 0.01  # of the pixels: holes that are no more than a detector's bad pixels
_FAINT = 30.0  # signal-to-noise ratio up to which the rims of larger ones are as few
_LARGEST_EDGE = 1 / 16  # of a side


@dataclass(frozen=True)
class Plane:
    """One image as plain arrays of one shape.

    Attributes
    ----------
    data : `numpy.ndarray`
        The pixel values; what stands in a bad pixel does not matter.
    variance : `numpy.ndarray` or float
        Variance of each pixel, or one for all.
    good : `numpy.ndarray` of bool or None
        True where a pixel is good; None where all are.
    """

    data: np.ndarray
    variance: np.ndarray | float
    good: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the arrays."""
        return self.data.shape

    @property
    def count(self) -> int:
        """Number of good pixels."""
        return self.data.size if self.good is None else int(np.count_nonzero(self.good))


@dataclass(frozen=True)
class Overlap:
    """The reference, moved by whole pixels, and the image on one periodic canvas.

    Attributes
    ----------
    whole : tuple of int
        The whole-pixel shift (x, y) of the image relative to the reference.
    reference, image : `numpy.ndarray`
        Pixel values, 0 where there is none.
    has_reference, has_image : `numpy.ndarray` of bool
        Where a good pixel is.
    reference_variance, image_variance : `numpy.ndarray` or float
        Variances; where there is no pixel, that of a typical one.
    usable : `numpy.ndarray` of bool
        The pixels that count: good in both images and inside the overlap.
    hole : `numpy.ndarray` of bool
        Pixels inside the overlap that are bad in at least one image.
    box : tuple of slice
        Where the overlap is on the canvas.
    origin : tuple of int
        Image pixel (x, y) of the canvas' first pixel.
    periodic : bool
        Whether the images wrap around.
    """

    whole: tuple[int, int]
    reference: np.ndarray
    image: np.ndarray
    has_reference: np.ndarray
    has_image: np.ndarray
    reference_variance: np.ndarray | float
    image_variance: np.ndarray | float
    usable: np.ndarray
    hole: np.ndarray
    box: tuple[slice, slice]
    origin: tuple[int, int]
    periodic: bool
    grid: FourierGrid

    @cached_property
    def complete(self) -> bool:
        """Whether both images have every pixel of the canvas."""
        return bool(self.has_reference.all() and self.has_image.all())

    @cached_property
    def has_holes(self) -> bool:
        """Whether a pixel inside the overlap is bad."""
        return bool(self.hole.any())

    @cached_property
    def wide(self) -> bool:
        """Whether few pixels are beside an edge or a hole: one prediction of what is missing serves."""
        sides = [s.stop - s.start for s in self.box]
        if min(sides) < _WIDE:
            return False
        if np.count_nonzero(self.hole) <= _FEW * sides[0] * sides[1]:
            return True
        if not _noise(self.reference_variance, self.image_variance) * _FAINT > 1:
            return False
        # Of large holes, such as the corners of a turned image, only the rims matter.
        rim = np.zeros_like(self.hole)
        for to, hole, good in ((rim, self.hole, self.usable), (rim.T, self.hole.T, self.usable.T)):
            to[1:] |= hole[1:] & good[:-1]
            to[:-1] |= hole[:-1] & good[1:]
        return np.count_nonzero(rim) <= _FEW * sides[0] * sides[1]

    @cached_property
    def has_small_holes(self) -> bool:
        """Whether every pixel of a hole has a good one beside it, or there are no holes."""
        inner = self.hole
        for _ in range(2):
            inner = (inner[:-2] & inner[1:-1] & inner[2:]).T
        return not inner.any()

    @property
    def gaps(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the reference and where the image are not used: no good pixel, or a hole in either."""
        return ~self.has_reference | self.hole, ~self.has_image | self.hole

    @cached_property
    def n_pixels(self) -> int:
        """Number of pixels that count."""
        return int(np.count_nonzero(self.usable))


def overlap_extent(reference_shape, image_shape, whole) -> list[tuple[int, int]]:
    """Return [(first, last + 1)] of the overlap in image pixels, y first, for a whole-pixel shift (x, y)."""
    return [
        (max(0, n), min(length, other + n))
        for n, length, other in zip(whole[::-1], image_shape, reference_shape, strict=True)
    ]


def _cut(array, start, shape, fill, dtype):
    """Return the window of `array` that begins at `start`, `fill` where the window leaves the array."""
    out = np.full(shape, fill, dtype)
    inside, source = [], []
    for first, n, length in zip(start, shape, array.shape, strict=True):
        low, high = max(0, first), max(0, min(length, first + n))
        source.append(slice(low, high))
        inside.append(slice(low - first, high - first))
    out[tuple(inside)] = array[tuple(source)]
    return out


def _windows(plane, start, shape, dtype):
    """Return data, presence and variance of the window of one image."""
    data = _cut(plane.data, start, shape, 0, dtype)
    good = np.broadcast_to(True, plane.shape) if plane.good is None else plane.good
    has = _cut(good, start, shape, False, bool)
    if plane.good is not None:
        np.copyto(data, 0, where=~has)
    variance = plane.variance
    if np.ndim(variance):
        variance = _cut(variance, start, shape, 0, dtype)
        np.copyto(variance, variance[has].mean(dtype=float) if has.any() else 0, where=~has)
    return data, has, variance


def _rolled(plane, whole, dtype):
    """Return data, presence and variance of a periodic image moved by `whole` (x, y)."""
    roll = lambda a: np.roll(a, whole[::-1], (0, 1))  # noqa: E731
    good = np.ones(plane.shape, bool) if plane.good is None else roll(plane.good)
    data = np.where(good, roll(plane.data), 0).astype(dtype)
    return data, good, roll(plane.variance).astype(dtype) if np.ndim(plane.variance) else plane.variance


def _noise(*variances):
    """Return the standard deviation of a typical pixel of either image."""
    return float(np.sqrt(np.mean([np.mean(v, dtype=float) for v in variances])))


def _edge(reference, image, sides):
    """Return how many rows at each edge carry no weight, for images of unit spread."""
    rows = _rows(reference, image, _EDGES if min(sides) < _WIDE else _WIDE_EDGES)
    return min(rows, *(max(1, int(n * _LARGEST_EDGE)) for n in sides))


def _rows(reference, image, table):
    """Return the rows that a table of (signal-to-noise ratio, rows from there on) says."""
    noise = _noise(reference.variance, image.variance)
    return max(rows for ratio, rows in table if not noise > 0 or 1 / noise >= ratio)


def make_overlap(reference: Plane, image: Plane, whole, *, periodic: bool = False) -> Overlap:
    """Lay both images on one canvas, the reference moved by `whole` pixels.

    Parameters
    ----------
    reference, image : Plane
        The two images; their shapes may differ unless `periodic`.
    whole : tuple of int
        Whole-pixel shift (x, y) of the image relative to the reference.
    periodic : bool
        Whether both images wrap around at their edges.

    Returns
    -------
    Overlap
        Exactly mirrored when the images are swapped and `whole` is negated.
    """
    whole = (int(whole[0]), int(whole[1]))
    dtype = np.result_type(reference.data.dtype, image.data.dtype, np.float32)
    if periodic:
        canvas, origin, box = image.shape, (0, 0), tuple(slice(0, n) for n in image.shape)
        inside = np.ones(canvas, bool)
        windows = (*_rolled(reference, whole, dtype), *_rolled(image, (0, 0), dtype))
    else:
        extent = overlap_extent(reference.shape, image.shape, whole)
        sides = [high - low for low, high in extent]
        margin = MARGIN if min(sides) < _WIDE else _rows(reference, image, _WIDE_MARGINS)
        canvas = tuple(good_length(n + 2 * margin) for n in sides)
        start = [low - margin for low, _ in extent]
        origin = (start[1], start[0])
        box = tuple(slice(margin, margin + n) for n in sides)
        inside = np.zeros(canvas, bool)
        edge = _edge(reference, image, sides)
        inside[tuple(slice(b.start + edge, b.stop - edge) for b in box)] = True
        moved = [start[0] - whole[1], start[1] - whole[0]]
        windows = (*_windows(reference, moved, canvas, dtype), *_windows(image, start, canvas, dtype))
    a, has_a, variance_a, b, has_b, variance_b = windows
    both = has_a & has_b
    return Overlap(
        whole,
        a,
        b,
        has_a,
        has_b,
        variance_a,
        variance_b,
        usable=both & inside,
        hole=inside & ~both,
        box=box,
        origin=origin,
        periodic=periodic,
        grid=fourier_grid(canvas, dtype),
    )
