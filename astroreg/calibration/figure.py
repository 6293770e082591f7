"""The figure of a comparison of methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import QTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_compare_methods"]


def plot_compare_methods(table: QTable, *, axes: Sequence[Axes] | None = None) -> np.ndarray:
    """Plot every draw of a comparison: how far off each answer was, and the error that was quoted.

    Parameters
    ----------
    table : astropy.table.QTable
        What `compare_methods` or `calibrate` returned.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each method. By default a new figure is made.

    Returns
    -------
    numpy.ndarray of matplotlib.axes.Axes
        One for each method, with the draws (points), their scatter (1 sigma, solid), the mean quoted
        error (dashed) and the limit (dotted) as ellipses. Gross failures are counted in the
        title and lie outside.

    Raises
    ------
    ValueError
        If `axes` are not as many as the methods.
    """
    names = list(dict.fromkeys(table["method"]))
    if axes is None:
        from matplotlib import pyplot as plt

        size = (3.6 * len(names), 4.0)
        axes = plt.subplots(1, len(names), figsize=size, squeeze=False, layout="constrained")[1][0]
    axes = np.atleast_1d(np.asarray(axes, dtype=object))
    if axes.size != len(names):
        raise ValueError(f"`axes` must be {len(names)}, one for each method, got {axes.size}")
    reach = _reach(table)
    for ax, name in zip(axes, names, strict=True):
        _plot_method(ax, table[table["method"] == name], name, reach)
    axes[0].legend(fontsize="small", loc="upper right")
    return axes


def _reach(table):
    """Return the half width of the panels: four times the largest sigma, so that they compare."""
    sigmas = np.concatenate([table[key].to_value(u.pixel) for key in ("std", "mean_error", "limit")])
    sigmas = sigmas[np.isfinite(sigmas)]
    return 4 * sigmas.max() if sigmas.size and sigmas.max() > 0 else 1.0


def _plot_method(ax, rows, name, reach):
    """Draw the panel of one method; `rows` are its x and y."""
    from matplotlib.patches import Ellipse

    deviation = rows["deviation"].to_value(u.pixel)
    ax.plot(*deviation, ".", color="0.5", markersize=3, label="draws", rasterized=deviation.shape[1] > 2000)
    centre = rows["bias"].to_value(u.pixel)
    for key, style, label in (
        ("std", "-", "scatter, 1σ"),
        ("mean_error", "--", "quoted error"),
        ("limit", ":", "limit"),
    ):
        widths = 2 * rows[key].to_value(u.pixel)
        middle = (0.0, 0.0) if key == "limit" else centre
        if np.isfinite(widths).all() and np.isfinite(middle).all():
            colour = {"std": "C0", "mean_error": "C1", "limit": "k"}[key]
            ax.add_patch(Ellipse(middle, *widths, fill=False, linestyle=style, edgecolor=colour, label=label))
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel="x off by (pixel)", ylabel="y off by (pixel)")
    ratios = ", ".join(f"{ratio:.2f}" for ratio in rows["ratio"])
    failures = f", {rows['gross'][0]} gross" if rows["gross"][0] else ""
    ax.set_title(f"{name}\nquoted / scatter {ratios}{failures}", fontsize="medium")
