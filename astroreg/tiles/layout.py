"""Which pixels belong to which tile."""

from __future__ import annotations

import itertools
import numbers
from collections.abc import Sequence

import numpy as np

from astroreg.grids import Window

__all__ = ["SMALLEST", "tile_windows"]

SMALLEST = 8  # pixels a side: below, a shift has no error that is known
USUAL = 48  # pixels a side, where nothing is asked for
_FEWEST, _MOST = 2, 8  # tiles a side, where nothing is asked for


def tile_windows(
    shape: tuple[int, int],
    *,
    tiles: int | Sequence[int] | None = None,
    tile_size: int | Sequence[int] | None = None,
) -> list[Window]:
    """Divide an image into tiles that share no pixel and leave none out.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image.
    tiles : int or (int, int), optional
        Number along x and y.
    tile_size : int or (int, int), optional
        Pixels along x and y instead, about: the tiles are made equal.

    Returns
    -------
    list of Window
        Row by row.

    Raises
    ------
    TypeError, ValueError
        Where there are both, or they are no numbers, or the tiles are too small.
    """
    if tiles is not None and tile_size is not None:
        raise ValueError("`tiles` and `tile_size` are both given; give one of them")
    sides = shape[1], shape[0]
    if tiles is not None:
        numbers_ = _pair(tiles, "tiles")
    elif tile_size is not None:
        sizes = _pair(tile_size, "tile_size")
        numbers_ = [max(1, round(side / size)) for side, size in zip(sides, sizes, strict=True)]
    else:
        numbers_ = [min(max(side // USUAL, _FEWEST), _MOST) for side in sides]
    argument = "tile_size" if tile_size is not None else "tiles"
    smallest = min(side // number for side, number in zip(sides, numbers_, strict=True))
    if smallest < SMALLEST:
        raise ValueError(
            f"`{argument}` makes tiles of {smallest} pixels of an image of {sides[0]} x {sides[1]}; "
            f"give fewer or larger ones, of {SMALLEST} pixels at least"
        )
    x, y = (np.rint(np.linspace(0, side, n + 1)).astype(int) for side, n in zip(sides, numbers_, strict=True))
    return [
        Window(int(x0), int(y0), int(x1), int(y1))
        for y0, y1 in itertools.pairwise(y)
        for x0, x1 in itertools.pairwise(x)
    ]


def _pair(value: int | Sequence[int], argument: str) -> list[int]:
    pair = [value, value] if isinstance(value, numbers.Real) else value
    whole = isinstance(pair, (list, tuple, np.ndarray)) and np.ndim(pair) == 1 and len(pair) == 2
    whole = whole and all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in pair)
    if not whole:
        raise TypeError(f"`{argument}` must be a whole number or a pair (x, y) of them, got {value!r}")
    if min(pair) < 1:
        raise ValueError(f"`{argument}` must be > 0, got {value!r}; give a whole number or a pair (x, y)")
    return [int(n) for n in pair]
