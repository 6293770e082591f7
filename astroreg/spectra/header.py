"""A shifted spectral axis in the cards of a header, with the old one kept for `restore_header`."""

from __future__ import annotations

import hashlib
import textwrap
import warnings
from collections.abc import Sequence

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.exceptions import AlreadyCorrectedError, CorrectionError
from astroreg.sky import archive as undo
from astroreg.sky.header import now, package_version

__all__ = ["moved_header"]


def moved_header(header: fits.Header, shift: float, *, history: Sequence[str] = ()) -> fits.Header:
    """Return a copy of a header whose one spectral axis is moved by CRPIX.

    Parameters
    ----------
    header : Header
        The header; it is not changed.
    shift : float
        Pixels by which every coordinate moves along.
    history : sequence of str, optional
        Lines for HISTORY.

    Returns
    -------
    Header
        With the old WCS under a spare letter and the record that `restore_header` reads.

    Raises
    ------
    AlreadyCorrectedError
        If the header has had this very shift.
    CorrectionError
        If the header has no axis to move.
    """
    axis = _axis_of(header)
    identity = hashlib.sha256(f"spectral {axis} {shift!r}".encode()).hexdigest()[:12]
    if any(record.identity == identity for record in undo.records(header)):
        raise AlreadyCorrectedError(
            f"`header` has had correction {identity} applied before; undo it with restore_header first"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(header)
    letter = undo.free_letter(header, " ", "auto")
    moved = header.copy()
    moved[f"CRPIX{axis}"] = float(header.get(f"CRPIX{axis}", 0.0)) + shift
    if letter:
        undo.archive_wcs(moved, header, wcs, " ", letter)
    undo.write_record(moved, header, identity, " ", letter)
    first = f"astroreg {package_version()} {now()}: axis {axis} moved by {shift:.6g} pixel"
    for line in [first, *history]:
        for part in textwrap.wrap(line, 70):
            moved.add_history(part)
    return moved


def _axis_of(header: fits.Header) -> int:
    """Return the number, from 1, of the axis that is longer than 1, or else of the spectral one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(header)
    lengths = [header.get(f"NAXIS{i + 1}", 0) for i in range(wcs.naxis)]
    if sum(n > 1 for n in lengths) == 1:
        return int(np.argmax(lengths)) + 1
    if wcs.wcs.spec >= 0:
        return wcs.wcs.spec + 1
    if wcs.naxis == 1:
        return 1
    raise CorrectionError("`header` has no spectral axis; give that of the spectrum")
