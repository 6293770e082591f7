"""Many shifts at once: those of methods or a stack as points, those of tiles as arrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from astroreg.plotting.style import COLOURS, new_axes, outline, shift_labels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from astroreg.results import ShiftResult

__all__ = ["plot_shift_field", "plot_shifts"]

_MARKERS = "osD^vP*"


def plot_shifts(
    results: Mapping[str, ShiftResult] | Sequence[ShiftResult],
    *,
    truth: Sequence[float] | u.Quantity | None = None,
    level: float = 0.6827,
    ax: Axes | None = None,
) -> list[Artist]:
    """Draw shifts with their error bars and ellipses: of several methods, or of a stack.

    Parameters
    ----------
    results : mapping or sequence of ShiftResult
        The names of a mapping stand in the legend. Shifts that were not determined are left out.
    truth : pair of float or Quantity, optional
        (dx, dy) in pixel, where it is known.
    level : float, default 0.6827
        Joint probability of the ellipses.
    ax : Axes, optional
        Where to draw; the default is a new figure.

    Returns
    -------
    list of Artist
        An error bar and, where the covariance is known, an ellipse for each; then the truth.

    Raises
    ------
    ValueError
        If no shift was determined.
    ImportError
        If matplotlib is not installed.
    """
    named = results if isinstance(results, Mapping) else {f"_{i}": one for i, one in enumerate(results)}
    if not any(result.determined for result in named.values()):
        raise ValueError("there is nothing to plot: no shift was determined; see the flags of `results`")
    ax = new_axes() if ax is None else ax
    artists: list[Artist] = []
    for index, (name, result) in enumerate(named.items()):
        if result.determined:
            artists += _draw_shift(result, ax, str(name), index, level)
    if truth is not None:
        x, y = u.Quantity(truth, u.pixel).value
        artists += ax.plot(x, y, "k+", ms=14, label="truth")
    shift_labels(ax)
    ax.autoscale_view()
    if truth is not None or isinstance(results, Mapping):
        ax.legend(fontsize="small")
    return artists


def _draw_shift(result: ShiftResult, ax: Axes, name: str, index: int, level: float) -> list[Artist]:
    colour, marker = COLOURS[index % len(COLOURS)], _MARKERS[index % len(_MARKERS)]
    centre = result.shift.to_value(u.pixel)
    dx, dy = np.nan_to_num(result.shift_error.to_value(u.pixel))
    # a name that begins with _ stays out of the legend
    bar = ax.errorbar(*centre, dy, dx, fmt=marker, ms=5, color=colour, label=name)
    if not np.isfinite(result.covariance.value).all():
        return [bar]
    return [bar, ax.add_patch(outline(centre, result.confidence_ellipse(level), colour=colour))]


def plot_shift_field(
    x: Any,
    y: Any,
    shifts: Any,
    *,
    flagged: Any = None,
    key_length: float | None = None,
    ax: Axes | None = None,
) -> list[Artist]:
    """Draw shifts measured at many places of an image as arrows.

    Parameters
    ----------
    x, y : array-like
        Pixel coordinates of the places.
    shifts : array-like or Quantity
        Shape (n, 2), (dx, dy) in pixel; NaN where there is none.
    flagged : array-like of bool, optional
        Which are not to be trusted: drawn as open circles.
    key_length : float, optional
        Length of the arrow in the key, in pixel; the default is the median of the shifts.
    ax : Axes, optional
        Where to draw; the default is a new figure.

    Returns
    -------
    list of Artist
        The arrows, their key, and the circles.

    Raises
    ------
    ValueError
        If the numbers of places and shifts differ.
    ImportError
        If matplotlib is not installed.
    """
    x, y = np.ravel(x), np.ravel(y)
    shifts = u.Quantity(shifts, u.pixel).value.reshape(-1, 2)
    if not x.size == y.size == len(shifts):
        raise ValueError(
            f"`x`, `y` and `shifts` have {x.size}, {y.size} and {len(shifts)} places; give as many of each"
        )
    known = np.isfinite(shifts).all(axis=1)
    doubtful = ~known if flagged is None else ~known | np.ravel(flagged).astype(bool)
    ax = new_axes() if ax is None else ax
    arrows = ax.quiver(x[known], y[known], *shifts[known].T, angles="xy", color=COLOURS[0], width=0.004)
    artists: list[Artist] = [arrows]
    lengths = np.hypot(*shifts[known].T)
    if key_length is None and lengths.any():
        key_length = float(f"{np.median(lengths[lengths > 0]):.1g}")
    if key_length:
        key = ax.quiverkey(arrows, 0.85, 1.03, key_length, f"{key_length:g} pixel", labelpos="E")
        artists.append(key)
    if doubtful.any():
        artists += ax.plot(x[doubtful], y[doubtful], "o", mfc="none", color=COLOURS[5], label="not trusted")
        ax.legend(fontsize="small")
    ax.set_title("shifts", loc="left")  # keeps the room for the key
    ax.margins(0.15)
    ax.set_xlabel("x (pixel)")
    ax.set_ylabel("y (pixel)")
    ax.set_aspect("equal")
    return artists
