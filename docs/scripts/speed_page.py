"""Sphinx directives that write the tables of docs/speed.rst from docs/data/speed.ecsv."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
from accuracy_page import FromFile, list_table
from astropy.table import Table
from docutils import nodes
from docutils.statemachine import StringList

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "benchmarks"))
from pairs import SCENES

FILE = Path(__file__).resolve().parents[1] / "data" / "speed.ecsv"
OURS = ("chi2_shift", "register_images", "cross_correlation_shift")
FLOOR = "floor"


class FromSpeed(FromFile):
    """A directive that writes reStructuredText made of the measured times."""

    file = FILE

    def run(self):
        self.env.note_dependency(str(self.file))
        container = nodes.Element()
        lines = StringList(self.lines(Table.read(self.file)), source=str(self.file))
        self.state.nested_parse(lines, self.content_offset, container)
        return container.children


class About(FromSpeed):
    """``.. speed-about::`` says with what the file was measured."""

    def lines(self, table):
        sizes = [int(n) for n in np.unique(table["size"][table["part"] == "time"])]
        meta = table.meta
        return [
            f"The file holds times of images of {_listed(sizes)} pixels a side, measured with astroreg "
            f"{meta['astroreg']}, numpy {meta['numpy']}, {meta['peers']}, "
            f"on {_count(meta['cores'], 'core')}, with {_count(meta['workers'], 'thread')} for the FFTs."
        ]


class Scenes(FromSpeed):
    """``.. speed-scenes::`` says what the kinds of pair are."""

    def lines(self, table):
        return [line for name, words in SCENES.items() for line in (f"**{name}**", f"    {words}", "")]


class Times(FromSpeed):
    """``.. speed-times:: SCENE DTYPE`` has a row a method and a column a size."""

    required_arguments = 2

    def lines(self, table):
        scene, dtype = self.arguments
        part = _part(table, "time", scene=scene, dtype=dtype)
        sizes = sorted(set(part["size"]))
        rows = []
        for name in dict.fromkeys(part["method"]):
            if name != FLOOR:
                cells = (_ratios(part[(part["method"] == name) & (part["size"] == n)]) for n in sizes)
                rows.append((f"``{name}``", *cells))
        return _table(("method", *map(str, sizes)), rows)


class Costs(FromSpeed):
    """``.. speed-costs::`` has what masks, varying uncertainties and double precision cost."""

    def lines(self, table):
        part = _part(table, "time")
        rows = []
        for name in OURS:
            for n in sorted(set(part["size"])):
                mine = part[(part["method"] == name) & (part["size"] == n)]
                one = {(row["scene"], row["dtype"]): row["milliseconds"] for row in mine}
                ratios = (
                    [
                        one.get((scene, "f8"), np.nan) / one.get(("uniform", "f8"), np.nan)
                        for scene in ("masks", "varying")
                    ],
                    [
                        one.get((scene, "f8"), np.nan) / one.get((scene, "f4"), np.nan)
                        for scene in ("uniform",)
                    ],
                )
                rows.append((f"``{name}``", str(n), *(_number(r) for group in ratios for r in group)))
        titles = ("method", "size", "masks / uniform", "varying / uniform", "float64 / float32")
        return _table(titles, rows)


class Memory(FromSpeed):
    """``.. speed-memory::`` has bytes a pixel."""

    def lines(self, table):
        part = _part(table, "memory")
        columns = sorted({(row["scene"], row["dtype"], int(row["size"])) for row in part})
        rows = []
        for name in dict.fromkeys(part["method"]):
            mine = part[part["method"] == name]
            found = {(row["scene"], row["dtype"], int(row["size"])): row["bytes"] for row in mine}
            rows.append((f"``{name}``", *(_number(found.get(column, np.nan), 0) for column in columns)))
        return _table(("method", *(f"{scene}, {dtype}, {n}" for scene, dtype, n in columns)), rows)


class Growth(FromSpeed):
    """``.. speed-growth::`` says how the time grows with the number of pixels."""

    def lines(self, table):
        part = _part(table, "growth")
        rows = [
            (f"``{name}``", _number(slope(mine["size"], mine["milliseconds"]), 2))
            for name in dict.fromkeys(part["method"])
            for mine in [part[part["method"] == name]]
        ]
        sizes = np.unique(part["size"]).astype(float)
        rows.append(("N log N itself", _number(slope(sizes, sizes**2 * np.log(sizes**2)), 2)))
        return _table((f"{_listed([int(n) for n in sizes])} pixels a side", "exponent of the time"), rows)


class Series(FromSpeed):
    """``.. speed-series::`` has what a `Reference` and `register_series` gain."""

    def lines(self, table):
        kinds = {"series": "`~astroreg.Reference`", "at once": "`~astroreg.register_series`"}
        parts = {part: _part(table, part) for part in kinds}
        columns = sorted({(row["dtype"], int(row["size"])) for part in parts.values() for row in part})
        rows = []
        for part, name in itertools.product(parts, OURS):
            mine = parts[part][parts[part]["method"] == name]
            rows.append((f"{kinds[part]}, ``{name}``", *_cells(mine, columns, "gain")))
        titles = (f"{table.meta['series']} images", *(f"{dtype}, {n}" for dtype, n in columns))
        return _table(titles, rows)


class Grids(FromSpeed):
    """``.. speed-grids::`` has the time of `align` on different grids, in those of `reproject_interp`."""

    def lines(self, table):
        parts = {part: _part(table, part) for part in ("shifted", "turned")}
        columns = sorted({(row["dtype"], int(row["size"])) for part in parts.values() for row in part})
        rows = []
        for part, mine in parts.items():
            for name in dict.fromkeys(mine["method"]):
                one = mine[mine["method"] == name]
                label = f"``align``, ``{name}``" if name in OURS else f"``{name}``"
                rows.append((f"{part}: {label}", *_cells(one, columns, "reproject")))
        return _table(("grids", *(f"{dtype}, {n}" for dtype, n in columns)), rows)


def slope(sizes, milliseconds) -> float:
    """Return the exponent a of ``time = c N**a``, N pixels in all, by least squares of the logarithms."""
    x, y = 2 * np.log(np.asarray(sizes, float)), np.log(np.asarray(milliseconds, float))
    return float(np.polyfit(x, y, 1)[0]) if len(x) > 1 else np.nan


def _part(table, part, **wanted):
    chosen = table["part"] == part
    for key, value in wanted.items():
        chosen &= table[key] == value
    return table[chosen]


def _ratios(rows):
    """Return floors, and in brackets the ratio to scikit-image."""
    if len(rows) == 0:
        return "–"
    plain = rows["plain"][0]
    return _number(rows["floors"][0]) + (f" ({_number(plain, 2)})" if np.isfinite(plain) else "")


def _cells(rows, columns, figure):
    """Return one figure of one method for every (precision, size)."""
    found = {(row["dtype"], int(row["size"])): row[figure] for row in rows}
    return [_number(found.get(column, np.nan), 2) for column in columns]


def _number(value, digits=1):
    return f"{value:.{digits}f}" if np.isfinite(value) else "–"


def _count(number, thing):
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _listed(numbers):
    return ", ".join(map(str, numbers))


def _table(titles, rows):
    if not rows or len(titles) < 2:
        return ["*Not measured yet.*"]
    widths = f"{40 if len(titles) < 6 else 30} " + " ".join(["15"] * (len(titles) - 1))
    return list_table(titles, rows, widths=widths)


def setup(app):
    """Register the directives."""
    for directive in (About, Scenes, Times, Costs, Memory, Growth, Series, Grids):
        app.add_directive(f"speed-{directive.__name__.lower()}", directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
