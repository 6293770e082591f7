"""What belongs to spectra: the Delta chi-squared curve over the one shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astropy import units as u

from astroreg.plotting.style import COLOURS, new_axes

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from astroreg.spectra import SpectralShift

__all__ = ["plot_delta_chi2_curve"]


def plot_delta_chi2_curve(result: SpectralShift, *, ax: Axes | None = None) -> list[Artist]:
    """Draw the Delta chi-squared curve of two spectra with its 1, 2 and 3 sigma levels.

    Parameters
    ----------
    result : SpectralShift
        What `chi2_shift` gave for two spectra.
    ax : Axes, optional
        Where to draw; the default is a new figure.

    Returns
    -------
    list of Artist
        The curve (where there is one), its levels and the point with its error bar.

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
    artists = []
    if result.delta_chi2 is not None:
        curve = result.delta_chi2
        artists += ax.plot(curve.shift.to_value(u.pixel), curve.delta_chi2, color=COLOURS[0])
        artists += [ax.axhline(level, color="0.6", lw=0.8, ls=":") for level in (1, 4, 9)]
    error = result.shift_error.to_value(u.pixel)
    artists += [ax.errorbar(result.shift.to_value(u.pixel), 0, xerr=error, fmt="o", ms=4, color=COLOURS[5])]
    ax.set_xlabel("shift (pixel)")
    ax.set_ylabel(r"$\Delta\chi^2$")
    return artists
