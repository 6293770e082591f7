"""Sphinx directives that write the sentences and tables of docs/accuracy.rst from docs/data/accuracy.ecsv."""

from __future__ import annotations

import numpy as np
from accuracy import FILE, METHODS, read
from accuracy_scenes import SCENES
from astropy.table import vstack
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

INSIDE = 0.683  # fraction of a Gaussian within one sigma
BOLD = 3.0  # sampling errors from what it should be


class FromFile(SphinxDirective):
    """A directive that writes reStructuredText made of the measured figures."""

    file = FILE

    def run(self):
        self.env.note_dependency(str(self.file))
        container = nodes.Element()
        lines = StringList(self.lines(vstack(list(read(self.file).values()))), source=str(self.file))
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children

    def lines(self, table):
        """Return the lines to parse."""
        raise NotImplementedError


class Sampling(FromFile):
    """``.. accuracy-sampling::`` says how many draws the file holds and what that is worth."""

    def lines(self, table):
        n, most = table["n_draws"].min(), table["n_draws"].max()
        draws = f"{n}" if n == most else f"{n} to {most}"
        return [
            f"The tables below hold **{draws} draws of the noise for each scene**, measured with astroreg "
            f"{table.meta['astroreg']}. They are samples themselves. From {n} draws, the one-sigma sampling "
            f"error of rms/limit and of quoted/rms is {1 / np.sqrt(2 * n):.1%}, that of bias/rms "
            f"{1 / np.sqrt(n):.3f}, that of the fraction inside {np.sqrt(INSIDE * (1 - INSIDE) / n):.3f}."
        ]


class Scenes(FromFile):
    """``.. accuracy-scenes::`` lists the scenes in words."""

    def lines(self, table):
        rows = []
        for name in dict.fromkeys(table["scene"]):
            limits = ", ".join(f"{limit:.4f}" for limit in table[table["scene"] == name]["limit"][:2])
            rows.append((name, SCENES[name].words, limits))
        return list_table(("scene", "what it is", "limit (x, y), pixel"), rows, widths="20 60 20")


class Figures(FromFile):
    """``.. accuracy-table:: METHOD`` writes the figures of one method."""

    required_arguments = 1
    final_argument_whitespace = True

    def lines(self, table):
        (method,) = (name for name in METHODS if name == self.arguments[0])
        rows = []
        for name in dict.fromkeys(table["scene"]):
            x, y = table[(table["scene"] == name) & (table["method"] == method)]
            rows.append((name, *_cells(x, y)))
        titles = ("scene", "rms/limit", "bias/rms", "quoted/rms", "inside", "gross", "flagged")
        return list_table(titles, rows, widths="28 14 14 14 14 8 8")


class Cost(FromFile):
    """``.. accuracy-cost::`` compares the methods in one row each: medians over the scenes."""

    def lines(self, table):
        rows = []
        fastest = min(typical(table, name, "milliseconds") for name in METHODS)
        for name in METHODS:
            cost = typical(table, name, "milliseconds") / fastest
            efficiency, quoted = (typical(table, name, key) for key in ("efficiency", "quoted"))
            rows.append((f"``{name}``", f"{cost:.1f}", f"{efficiency:.2f}", f"{quoted:.2f}"))
        titles = ("method", "time, relative", "rms/limit", "quoted/rms")
        return list_table(titles, rows, widths="34 22 22 22")


def typical(table, method, key):
    """Return the median over the scenes, NaN where there is none."""
    known = table[table["method"] == method][key]
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else np.nan


def _cells(x, y):
    """Return the cells of one scene; what is surely not as it should be is bold."""
    n = int(x["n_draws"])
    kept = max(n - int(x["gross"]), 1)
    error = {"bias": 1 / np.sqrt(kept), "quoted": 1 / np.sqrt(2 * kept)}
    error["inside"] = np.sqrt(INSIDE * (1 - INSIDE) / kept)
    wanted = {"bias": 0.0, "quoted": 1.0, "inside": INSIDE}
    yield ", ".join(f"{row['efficiency']:.2f}" for row in (x, y))
    for key in wanted:
        off = [abs(row[key] - wanted[key]) > BOLD * error[key] for row in (x, y)]
        yield ", ".join(f"**{row[key]:.2f}**" if bad else f"{row[key]:.2f}" for row, bad in zip((x, y), off))
    yield f"**{x['gross']}**" if x["gross"] else "0"
    yield str(x["flagged"])


def list_table(titles, rows, *, widths):
    """Return the lines of a table."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (titles, *rows):
        lines += [f"   {'*' if n == 0 else ' '} - {cell}" for n, cell in enumerate(row)]
    return lines


def setup(app):
    """Register the directives."""
    for name, directive in (
        ("sampling", Sampling),
        ("scenes", Scenes),
        ("table", Figures),
        ("cost", Cost),
    ):
        app.add_directive(f"accuracy-{name}", directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
