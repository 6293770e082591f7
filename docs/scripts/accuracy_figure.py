"""The figure of docs/accuracy.rst, drawn from docs/data/accuracy.ecsv."""

from __future__ import annotations

import numpy as np
from accuracy import FILE, METHODS, read
from astropy.table import vstack
from matplotlib import pyplot as plt

# Colours that are told apart by everybody (Okabe & Ito), and a marker each for print without colour.
STYLES = dict(zip(METHODS, (("#0072B2", "o"), ("#56B4E9", "s"), ("#D55E00", "^"), ("#009E73", "D"))))


def draw() -> None:
    """Draw a panel for each figure of merit: a row a scene, a colour a method, x filled and y open."""
    tables = read(FILE)
    table = vstack(list(tables.values()))
    size = (10.0, 1.5 + 0.42 * len(tables))
    figure, axes = plt.subplots(1, 3, figsize=size, sharey=True, layout="constrained")
    n = table["n_draws"].min()
    panels = (
        ("efficiency", "rms / limit", 1.0, 1 / np.sqrt(2 * n)),
        ("quoted", "quoted / rms", 1.0, 1 / np.sqrt(2 * n)),
        ("inside", "inside one quoted sigma", 0.683, 0.47 / np.sqrt(n)),
    )
    for ax, (key, label, wanted, error) in zip(axes, panels):
        ax.axvspan(wanted - error, wanted + error, color="0.88", zorder=0)
        ax.axvline(wanted, color="0.5", linewidth=0.8, zorder=0)
        _points(ax, table, list(tables), key)
        ax.set_xlabel(label)
    axes[0].set_xscale("log")
    axes[0].set_xticks([1, 2, 3, 5], ["1", "2", "3", "5"])
    axes[0].set_xticks([], minor=True)
    axes[0].set_yticks(range(len(tables)), list(tables))
    axes[0].set_ylim(len(tables) - 0.4, -0.6)
    handles = [
        axes[0].plot([], [], marker, color=colour, label=name)[0] for name, (colour, marker) in STYLES.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(METHODS), frameon=False)


def _points(ax, table, scenes, key):
    """Draw the points of one panel, the methods of a scene one below the other."""
    for i, (method, (colour, marker)) in enumerate(STYLES.items()):
        rows = table[table["method"] == method]
        place = np.array([scenes.index(name) for name in rows["scene"]]) + 0.17 * (i - 1.5)
        for axis, face in (("x", colour), ("y", "white")):
            here = rows["axis"] == axis
            style = {"color": colour, "markerfacecolor": face, "markersize": 4.5, "linestyle": "none"}
            ax.plot(rows[key][here], place[here], marker, **style)
    for edge in range(1, len(scenes)):
        ax.axhline(edge - 0.5, color="0.93", linewidth=0.6, zorder=0)


draw()
