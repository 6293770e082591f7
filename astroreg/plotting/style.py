"""What the plots share: axes made when asked for, colours that all can tell apart, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Ellipse

    from astroreg.results import ConfidenceEllipse

__all__ = [
    "COLOURS",
    "IMAGE_MAP",
    "RESIDUAL_MAP",
    "image_limits",
    "new_axes",
    "outline",
    "shift_labels",
    "sky_subplot",
]

# Okabe & Ito's colours, distinct with any kind of colour vision; black is left to the axes.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
_AXIS_NAMES = {
    "pos.eq.ra": "right ascension",
    "pos.eq.dec": "declination",
    "pos.galactic.lon": "galactic longitude",
    "pos.galactic.lat": "galactic latitude",
    "custom:pos.helioprojective.lon": "helioprojective longitude",
    "custom:pos.helioprojective.lat": "helioprojective latitude",
}
IMAGE_MAP = "cividis"
RESIDUAL_MAP = "PuOr"


def pyplot() -> Any:
    """Import pyplot, or say how to get it.

    Returns
    -------
    module
        ``matplotlib.pyplot``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("plots need matplotlib; install it with: pip install 'astroreg[plot]'") from error
    return plt


def new_axes(*, wcs: Any = None) -> Axes:
    """Return the axes of a new figure.

    Parameters
    ----------
    wcs : APE-14 WCS, optional
        For axes that tell sky coordinates.

    Returns
    -------
    Axes
        WCSAxes if a WCS is given.
    """
    figure = pyplot().figure(layout="constrained")
    return figure.add_subplot() if wcs is None else sky_subplot(figure, wcs)


def sky_subplot(figure: Any, wcs: Any, place: tuple[int, int, int] = (1, 1, 1)) -> Axes:
    """Add WCSAxes with readable labels to a figure.

    Parameters
    ----------
    figure : Figure
        The figure.
    wcs : APE-14 WCS
        The WCS of the axes.
    place : tuple of int, default (1, 1, 1)
        Rows, columns and number of the subplot.

    Returns
    -------
    WCSAxes
        The axes.
    """
    ax = figure.add_subplot(*place, projection=wcs)
    kinds = getattr(wcs, "low_level_wcs", wcs).world_axis_physical_types
    for coordinate, kind in zip(ax.coords, kinds, strict=False):
        if kind in _AXIS_NAMES:
            coordinate.set_axislabel(_AXIS_NAMES[kind])
    return ax


def shift_labels(ax: Axes, *, adjustable: str = "datalim") -> None:
    """Label axes that show shifts, with one scale in x and y.

    Parameters
    ----------
    ax : Axes
        The axes.
    adjustable : {"datalim", "box"}, default "datalim"
        What gives way: the range shown, or the shape of the axes.
    """
    ax.set_xlabel("dx (pixel)")
    ax.set_ylabel("dy (pixel)")
    ax.set_aspect("equal", adjustable=adjustable)


def image_limits(data: np.ndarray, valid: np.ndarray, *, percent: float = 0.5) -> tuple[float, float]:
    """Return the range of an image without its extremes.

    Parameters
    ----------
    data : ndarray
        The image.
    valid : ndarray of bool
        Which pixels count.
    percent : float, default 0.5
        What is left out at either end.

    Returns
    -------
    low, high : float
        Different from each other even if the image is constant.
    """
    low, high = np.percentile(data[valid], [percent, 100 - percent])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(low) + 0.5)


def outline(
    centre: np.ndarray, ellipse: ConfidenceEllipse, *, colour: str, style: str = "-", label: str = ""
) -> Ellipse:
    """Return a confidence ellipse as a patch, not yet added to axes.

    Parameters
    ----------
    centre : ndarray
        (dx, dy) in pixels.
    ellipse : ConfidenceEllipse
        Its axes and angle.
    colour, style, label : str
        Of the line.

    Returns
    -------
    Ellipse
        A patch without filling.
    """
    pyplot()
    from matplotlib.patches import Ellipse

    return Ellipse(
        tuple(centre),
        2 * ellipse.semi_major.to_value(u.pixel),
        2 * ellipse.semi_minor.to_value(u.pixel),
        angle=ellipse.angle.to_value(u.deg),
        fill=False,
        edgecolor=colour,
        linestyle=style,
        label=label or None,
        zorder=3,
    )
