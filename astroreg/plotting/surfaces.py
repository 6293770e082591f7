"""Surfaces over the shift: Delta chi-squared with its regions, and the correlation with its peaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

from astroreg.plotting.style import COLOURS, IMAGE_MAP, new_axes, outline, shift_labels

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from astroreg.results import ShiftResult

__all__ = ["plot_correlation", "plot_delta_chi2"]

# Joint probabilities of 1, 2 and 3 sigma; Delta chi2 = 2.30, 6.18 and 11.83 for two parameters.
_LEVELS = {"1 sigma": 0.682689, "2 sigma": 0.954500, "3 sigma": 0.997300}
_STYLES = ("-", "--", ":")


def plot_delta_chi2(result: ShiftResult, *, ax: Axes | None = None) -> list[Artist]:
    """Draw the Delta chi-squared map with its 1, 2 and 3 sigma regions and the covariance's ellipse.

    Without a map the ellipses of the covariance are drawn alone.

    Parameters
    ----------
    result : ShiftResult
        What `chi2_shift` or another method gave.
    ax : Axes, optional
        Where to draw; the default is a new figure.

    Returns
    -------
    list of Artist
        The map and its contours (where there is one), the ellipses and the point with error bars.

    Raises
    ------
    ValueError
        If no shift was determined.
    ImportError
        If matplotlib is not installed.
    """
    if not result.determined:
        raise ValueError("there is nothing to plot: no shift was determined; see the flags of `result`")
    ax = new_axes() if ax is None else ax
    artists = [] if result.delta_chi2 is None else _draw_map(result, ax)
    levels = _LEVELS if result.delta_chi2 is None else {"1 sigma, covariance": _LEVELS["1 sigma"]}
    artists += _draw_ellipses(result, ax, levels)
    x, y = result.shift.to_value(u.pixel)
    dx, dy = np.nan_to_num(result.shift_error.to_value(u.pixel))
    artists += [ax.errorbar(x, y, dy, dx, fmt="o", ms=3, color=COLOURS[5], label="shift, marginal errors")]
    shift_labels(ax, adjustable="datalim" if result.delta_chi2 is None else "box")
    # above the axes, since the contours fill them
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2, "frameon": False}
    ax.legend(**above, ncols=2, fontsize="small", columnspacing=1.0, handletextpad=0.5)
    return artists


def _draw_map(result: ShiftResult, ax: Axes) -> list[Artist]:
    surface = result.delta_chi2
    x, y = surface.x.to_value(u.pixel), surface.y.to_value(u.pixel)
    bounds = [result.confidence_ellipse(level).delta_chi2 for level in _LEVELS.values()]
    # what matters lies within 3 sigma; beyond 4 sigma (19.3) all is one colour
    mesh = ax.pcolormesh(x, y, surface.map, shading="nearest", cmap=f"{IMAGE_MAP}_r", vmin=0, vmax=19.3)
    ax.figure.colorbar(mesh, ax=ax, label=r"$\Delta\chi^2$", extend="max")
    inside = [bound for bound in bounds if np.nanmin(surface.map) < bound < np.nanmax(surface.map)]
    if not inside:
        return [mesh]
    contours = ax.contour(x, y, surface.map, levels=inside, colors="k", linestyles=_STYLES[: len(inside)])
    names = dict(zip(bounds, _LEVELS, strict=True))
    ax.clabel(contours, fmt=lambda level: names[level], fontsize="small")
    return [mesh, contours]


def _draw_ellipses(result: ShiftResult, ax: Axes, levels: dict[str, float]) -> list[Artist]:
    if not np.isfinite(result.covariance.value).all():
        return []
    centre = result.shift.to_value(u.pixel)
    artists = []
    for (name, level), style in zip(levels.items(), _STYLES, strict=False):
        ellipse = result.confidence_ellipse(level)
        artists.append(ax.add_patch(outline(centre, ellipse, colour=COLOURS[5], style=style, label=name)))
    ax.autoscale_view()
    return artists


def plot_correlation(
    surface: np.ndarray,
    *,
    x: Any,
    y: Any,
    peak: Sequence[float] | u.Quantity | None = None,
    rivals: Sequence[Sequence[float]] | u.Quantity = (),
    ax: Axes | None = None,
) -> list[Artist]:
    """Draw a correlation surface with its peak and rival peaks.

    Parameters
    ----------
    surface : array-like
        2-D, the correlation; rows go with `y`, columns with `x`. NaN where too little overlaps.
    x, y : array-like or Quantity
        The shifts along the axes, in pixel.
    peak : pair of float or Quantity, optional
        (dx, dy) of the peak, in pixel.
    rivals : sequence of pairs or Quantity, default ()
        The same of other peaks.
    ax : Axes, optional
        Where to draw; the default is a new figure.

    Returns
    -------
    list of Artist
        The surface, then the marks.

    Raises
    ------
    ValueError
        If the axes do not fit the surface.
    ImportError
        If matplotlib is not installed.
    """
    surface = np.asarray(surface)
    x, y = u.Quantity(x, u.pixel).value, u.Quantity(y, u.pixel).value
    if surface.shape != (y.size, x.size):
        raise ValueError(f"`surface` has shape {surface.shape}, its axes need {(y.size, x.size)} (y, x)")
    ax = new_axes() if ax is None else ax
    artists = [ax.pcolormesh(x, y, surface, shading="nearest", cmap=IMAGE_MAP)]
    ax.figure.colorbar(artists[0], ax=ax, label="correlation")
    if peak is not None:
        artists += ax.plot(*u.Quantity(peak, u.pixel).value, "+", ms=14, mew=2, color="w", label="peak")
    if len(rivals):
        places = u.Quantity(rivals, u.pixel).value.reshape(-1, 2)
        artists += ax.plot(*places.T, "x", ms=9, mew=2, color=COLOURS[5], label="rival")
    shift_labels(ax, adjustable="box")
    if len(artists) > 1:
        ax.legend(loc="upper right", fontsize="small", facecolor="0.5")
    return artists
