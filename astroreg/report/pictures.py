"""The pictures of a report, as PNG files in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord

from astroreg.inputs import Frame, is_celestial
from astroreg.plotting import plot_before_after, plot_residual, plot_search
from astroreg.report.middle import middle_of
from astroreg.results import ShiftResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["as_given", "before_and_after", "correlation", "residuals", "surface"]

_WIDTH = 4.6  # inches: text of 10 points stays readable on a phone
_DOTS = 200  # an inch
_INNER, _LABELS = 3.15, 0.55  # inches: of the width left to a picture with axes; above and below it
_TALLEST, _FLATTEST = 2.0, 0.15  # height of a bare picture over its width
_STRUCTURE = 5.0  # the range of the residuals is at least the one before divided by this
_MARGIN = 0.09  # of the compass from the corner


def _figure(height: float) -> Figure:
    """A figure without pyplot: no window, nothing that stays behind."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), dpi=_DOTS, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _bare_axes(shape: tuple[int, int]) -> Axes:
    """Axes that fill the figure, so that two pictures lie exactly upon each other."""
    height = _WIDTH * float(np.clip(shape[0] / shape[1], _FLATTEST, _TALLEST))
    figure = _figure(height)
    figure.set_layout_engine("none")
    ax = figure.add_axes([0, 0, 1, 1])
    ax.set_axis_off()
    return ax


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _in_default_style(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Draw on white whatever style the user has chosen for the screen."""

    def wrapped(*args: Any) -> Any:
        from matplotlib import style

        with style.context("default"):
            return draw(*args)

    return wrapped


def without_shift(result: ShiftResult) -> ShiftResult:
    """Return the same result with a shift of zero: the images as they were given."""
    changes = {"shift": np.zeros(2) * u.pixel, "covariance": np.zeros((2, 2)) * u.pixel**2}
    if getattr(result, "linear_correction", None) is not None:
        changes["linear_correction"] = None
    return replace(result, **changes)


@_in_default_style
def before_and_after(reference: Frame, image: Frame, result: ShiftResult) -> tuple[bytes, bytes]:
    """Draw the image with the contours of the reference, before and after the correction.

    Parameters
    ----------
    reference, image : Frame
        The images.
    result : ShiftResult
        With a shift.

    Returns
    -------
    before, after : bytes
        PNG files of one size, without axes.
    """
    axes = [_bare_axes(image.shape), _bare_axes(image.shape)]
    plot_before_after(reference, image, result, ax=axes)
    for ax in axes:
        ax.set_title("")
        _draw_compass(ax, image)
    return _png(axes[0].figure), _png(axes[1].figure)


@_in_default_style
def as_given(reference: Frame, image: Frame, result: ShiftResult) -> bytes:
    """Draw the image with the contours of the reference where no shift is known.

    Parameters
    ----------
    reference, image : Frame
        The images.
    result : ShiftResult
        Any result.

    Returns
    -------
    bytes
        A PNG file, without axes.
    """
    axes = [_bare_axes(image.shape), _bare_axes(image.shape)]
    plot_before_after(reference, image, without_shift(result), ax=axes)
    axes[0].set_title("")
    _draw_compass(axes[0], image)
    return _png(axes[0].figure)


def _draw_compass(ax: Axes, image: Frame) -> None:
    """Two arrows in the lower left corner, to where latitude and longitude grow."""
    from matplotlib import patheffects

    directions = _directions(image)
    dark = [patheffects.withStroke(linewidth=3, foreground="black")]
    size = 0.09 * min(image.shape)
    vectors = np.array([np.zeros(2), *directions.values()]) * size
    corner = _MARGIN * min(image.shape) - vectors.min(axis=0)
    for name, vector in directions.items():
        tip, label = corner + size * vector, corner + 1.45 * size * vector
        arrow = {
            "arrowstyle": "-|>",
            "color": "white",
            "lw": 1.3,
            "shrinkA": 0,
            "shrinkB": 0,
            "path_effects": dark,
        }
        ax.annotate("", xy=tip, xytext=corner, arrowprops=arrow)
        ax.text(*label, name, color="white", ha="center", va="center", fontsize=9, path_effects=dark)


def _directions(image: Frame) -> dict[str, np.ndarray]:
    """Unit vectors in pixels towards growing latitude and longitude; none where they are not known."""
    if not is_celestial(image.wcs):
        return {}
    middle = ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
    centre = image.wcs.pixel_to_world(*middle)
    if not isinstance(centre, SkyCoord):
        return {}
    names = {"galactic": ("b", "l")}.get(centre.frame.name, ("N", "E"))
    step = 1 * u.arcsec
    found = {}
    for name, angle in zip(names, (0, 90) * u.deg, strict=True):
        moved = np.array(image.wcs.world_to_pixel(centre.directional_offset_by(angle, step)), float) - middle
        if not np.isfinite(moved).all() or not moved.any():
            return {}
        found[name] = moved / np.hypot(*moved)
    return found


@_in_default_style
def residuals(reference: Frame, image: Frame, result: ShiftResult) -> tuple[bytes, bytes]:
    """Draw what is left of the image without the scaled reference, before and after, on one range.

    Parameters
    ----------
    reference, image : Frame
        The images.
    result : ShiftResult
        With a shift.

    Returns
    -------
    before, after : bytes
        PNG files with axes in pixels; of a very large image its middle.

    Raises
    ------
    ValueError
        If the two have no pixel in common.
    """
    image, result = middle_of(image, result)
    height = _INNER * float(np.clip(image.shape[0] / image.shape[1], _FLATTEST, _TALLEST)) + _LABELS
    figures = [_figure(height), _figure(height)]
    drawn = []
    for figure, one in zip(figures, (without_shift(result), result), strict=True):
        ax = figure.add_subplot()
        drawn.append(plot_residual(reference, image, one, ax=ax)[0])
        ax.set(xlabel="x (pixel)", ylabel="y (pixel)")
    before, after = (artist.get_clim()[1] for artist in drawn)
    bound = max(after, before / _STRUCTURE)
    for artist in drawn:
        artist.set_clim(-bound, bound)
    return _png(figures[0]), _png(figures[1])


@_in_default_style
def surface(result: ShiftResult) -> bytes:
    """Draw the Delta chi-squared map, or the error ellipse where there is none.

    Parameters
    ----------
    result : ShiftResult
        With a shift.

    Returns
    -------
    bytes
        A PNG file.
    """
    figure = _figure(_INNER)
    result.plot(ax=figure.add_subplot())
    return _png(figure)


@_in_default_style
def correlation(reference: Frame, image: Frame, result: ShiftResult) -> bytes:
    """Draw the correlation of the two images over the shift, with the peak and its rival.

    Parameters
    ----------
    reference, image : Frame
        The images.
    result : ShiftResult
        Any result.

    Returns
    -------
    bytes
        A PNG file.

    Raises
    ------
    ValueError
        If the images cannot be compared.
    """
    figure = _figure(_INNER)
    plot_search(reference, image, result, ax=figure.add_subplot())
    return _png(figure)
