"""Plots: each function takes ``ax`` and returns the artists; matplotlib is imported when one is called."""

from astroreg.plotting.images import plot_before_after, plot_residual
from astroreg.plotting.search import plot_search
from astroreg.plotting.shifts import plot_shift_field, plot_shifts
from astroreg.plotting.surfaces import plot_correlation, plot_delta_chi2

__all__ = [
    "plot_before_after",
    "plot_correlation",
    "plot_delta_chi2",
    "plot_residual",
    "plot_search",
    "plot_shift_field",
    "plot_shifts",
]
