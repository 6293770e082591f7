"""Sphinx directives that write the tables of other packages from docs/data/peers.ecsv."""

from __future__ import annotations

import numpy as np
from accuracy_page import FromFile, list_table, typical
from peers import FILE, METHODS


class FromPeers(FromFile):
    """A directive whose figures are those of the other packages."""

    file = FILE


class Sampling(FromPeers):
    """``.. peers-sampling::`` says how many draws the file holds, and of which versions."""

    def lines(self, table):
        n = table["n_draws"].min()
        scenes = len(set(table["scene"]))
        versions = f"astroreg {table.meta['astroreg']}, {table.meta['peers']}"
        return [
            f"**{n} draws of the noise for each of {scenes} scenes**, with {versions}. "
            f"From {n} draws the one-sigma sampling error of a ratio is {1 / np.sqrt(2 * n):.0%}."
        ]


class Summary(FromPeers):
    """``.. peers-summary::`` compares the methods in one row each."""

    def lines(self, table):
        fastest = min(typical(table, name, "milliseconds") for name in METHODS)
        rows = []
        for number, name in enumerate(METHODS, 1):
            mine = table[table["method"] == name][::2]  # a row for each axis: misses and times are the same
            quoted = typical(table, name, "quoted")
            rows.append(
                (
                    str(number),
                    f"``{name}``",
                    f"{np.sum(mine['gross'] > 0)} of {len(mine)}",
                    f"{np.sum(mine['gross']) / np.sum(mine['n_draws']):.0%}",
                    _number(typical(table, name, "efficiency")),
                    _number(quoted, unknown="none"),
                    f"{typical(table, name, 'milliseconds') / fastest:.0f}",
                )
            )
        titles = ("", "method", "scenes with misses", "misses", "rms/limit", "quoted/rms", "time")
        return list_table(titles, rows, widths="6 38 14 11 11 11 9")


class Scenes(FromPeers):
    """``.. peers-scenes::`` has rms/limit of every method on every scene, or how often it missed."""

    def lines(self, table):
        rows = []
        for scene in dict.fromkeys(table["scene"]):
            here = table[table["scene"] == scene]
            rows.append((scene, *(_cell(here[here["method"] == name]) for name in METHODS)))
        titles = ("scene", *(str(number) for number in range(1, len(METHODS) + 1)))
        return list_table(titles, rows, widths="20" + " 8" * len(METHODS))


def _cell(rows):
    """Return rms/limit of the worse axis; a dash where more than half of the draws missed."""
    if rows["gross"][0] > rows["n_draws"][0] / 2:
        return "\u2014"
    return _number(np.max(rows["efficiency"])) + ("\\*" if rows["gross"][0] else "")


def _number(value, *, unknown="\u2014"):
    if not np.isfinite(value):
        return unknown
    return f"{value:.2f}" if value < 9.95 else f"{value:.0f}"


def setup(app):
    """Register the directives."""
    for name, directive in (("sampling", Sampling), ("summary", Summary), ("scenes", Scenes)):
        app.add_directive(f"peers-{name}", directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
