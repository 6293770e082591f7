"""The figure of docs/speed.rst, drawn from docs/data/speed.ecsv."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from matplotlib import pyplot as plt
from speed_page import FILE, FLOOR, OURS

# Colours that are told apart by everybody (Okabe & Ito); other packages are grey, with a marker each.
COLOURS = dict(zip(OURS, ("#0072B2", "#D55E00", "#009E73")))
MARKERS = "osD^v<>pPX*h"
TITLES = {"f8": "float64", "f4": "float32"}


def draw() -> None:
    """Draw a panel a precision: time over floors, a line a method."""
    table = Table.read(FILE)
    table = table[(table["part"] == "time") & (table["scene"] == "uniform") & (table["method"] != FLOOR)]
    names = list(dict.fromkeys(table["method"]))
    figure, axes = plt.subplots(1, 2, figsize=(10.0, 4.8), sharey=True, layout="constrained")
    for ax, (dtype, title) in zip(axes, TITLES.items()):
        for name, marker in zip(names, MARKERS):
            mine = table[(table["method"] == name) & (table["dtype"] == dtype)]
            mine.sort("size")
            style = {"color": COLOURS.get(name, "0.6"), "linewidth": 1.8 if name in OURS else 0.8}
            ax.plot(mine["size"], mine["floors"], marker=marker, markersize=5, label=name, **style)
        ax.axhline(1, color="0.3", linewidth=0.8, linestyle=":")
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        sizes = np.unique(table["size"])
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.set_xlabel(f"pixels a side, {title}")
    axes[0].set_ylabel("time / floor")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize="small")


draw()
