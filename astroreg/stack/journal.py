"""The shifts of pairs as an ECSV file that grows line by line, and can be taken up again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from astropy import units as u
from astropy.io import ascii as ascii_tables
from astropy.table import QTable

from astroreg.files import write_text_atomic
from astroreg.stack.pairs import PairShift

__all__ = ["Journal", "pairs_table"]

UNITS = {
    **dict.fromkeys(("dx", "dy", "dx_error", "dy_error"), u.pixel),
    **dict.fromkeys(("rotation_x", "rotation_y", "rotation_z"), u.rad),
    **dict.fromkeys(("pivot_lon", "pivot_lat"), u.deg),
    **dict.fromkeys(("var_lon", "cov_lonlat", "var_lat"), u.arcsec**2),
    "seconds": u.s,
}
KINDS = {"int": int, "float": float, "str": str}


def pairs_table(pairs: Iterable[PairShift], meta: dict[str, Any] | None = None) -> QTable:
    """Return pairs as a table.

    Parameters
    ----------
    pairs : iterable of PairShift
        The pairs.
    meta : dict, optional
        Of the table.

    Returns
    -------
    QTable
        One row each; its columns are the attributes of `PairShift`.
    """
    pairs = list(pairs)
    table = QTable(meta=meta)
    for one in fields(PairShift):
        values = np.array([getattr(pair, one.name) for pair in pairs], dtype=KINDS[one.type])
        table[one.name] = values * UNITS[one.name] if one.name in UNITS else values
    return table


class Journal:
    """A file to which every pair is added as soon as it is measured.

    Parameters
    ----------
    path : path-like or None
        The file; None keeps nothing.
    settings : dict
        What the pairs are measured with: a file of other settings is not taken up.
    resume : bool
        Whether a file that exists is taken up.

    Raises
    ------
    FileExistsError
        If the file exists and `resume` is False.
    ValueError
        If it holds something else, or was made with other settings.
    """

    def __init__(self, path: str | os.PathLike | None, settings: dict[str, Any], *, resume: bool):
        self.path = None if path is None else Path(path)
        self.settings = {name: str(value) for name, value in settings.items()}
        self.known: dict[tuple[str, str], PairShift] = {}
        self._file: TextIO | None = None
        if self.path is not None and self.path.exists():
            if not resume:
                raise FileExistsError(
                    f"`results_file` {self.path} exists; give resume=True to go on with it, or another name"
                )
            self.known = {
                (one.reference_identity, one.image_identity): one for one in self._read() if not one.error
            }

    def __enter__(self) -> Journal:
        if self.path is not None:
            # Written anew: a line that a killed process left half done goes.
            rows = pairs_table(self.known.values(), {"settings": self.settings})
            write_text_atomic(self.path, "\n".join(_lines(rows)) + "\n", overwrite=True)
            self._file = open(self.path, "a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, pair: PairShift) -> None:
        """Add a line for a pair, and see that it is in the file."""
        if self._file is not None:
            self._file.write(_lines(pairs_table([pair]))[-1] + "\n")
            self._file.flush()

    def _read(self) -> list[PairShift]:
        text = self.path.read_text(encoding="utf-8")
        # What stands behind the last line end was not finished.
        lines = text[: text.rfind("\n") + 1].splitlines()
        try:
            table = QTable.read(lines, format="ascii.ecsv")
            missing = {one.name for one in fields(PairShift)} - set(table.colnames)
        except (ascii_tables.InconsistentTableError, ValueError) as error:
            raise ValueError(f"`results_file` {self.path} cannot be read: {error}; remove it") from error
        if missing:
            raise ValueError(f"`results_file` {self.path} is no list of pairs; give another name")
        found = {name: str(value) for name, value in table.meta.get("settings", {}).items()}
        for name, value in self.settings.items():
            if found.get(name) != value:
                raise ValueError(
                    f"`results_file` {self.path} was made with {name} = {found.get(name)}, not {value}; give "
                    "the same settings, or another file"
                )
        return [_pair(row) for row in table]


def _lines(table: QTable) -> list[str]:
    """Return the lines of a table as ECSV, with all digits."""
    from io import StringIO

    stream = StringIO()
    table.write(stream, format="ascii.ecsv")
    return stream.getvalue().splitlines()


def _pair(row: Any) -> PairShift:
    values = {}
    for one in fields(PairShift):
        value = row[one.name]
        masked = np.ma.is_masked(value)
        empty = "" if one.type == "str" else float("nan")
        values[one.name] = empty if masked else KINDS[one.type](getattr(value, "value", value))
    return PairShift(**values)
