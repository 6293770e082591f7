"""What a correction did to the headers: every card before and after."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from astropy.io import fits
from astropy.wcs import WCS

from astroreg.align import Alignment
from astroreg.files.reading import opened
from astroreg.inputs import Frame
from astroreg.report.markup import Markup, details, section, table, tag
from astroreg.results import ShiftResult
from astroreg.sky import restore_header

__all__ = ["HeaderChange", "changes_in_file", "changes_section", "expected_change"]

_COMMENTARY = ("HISTORY", "COMMENT", "")
_FIRST_LINE = re.compile(r"astroreg \S+: WCS '.*' corrected")
_MOST_OPEN = 1  # HDUs whose changes are shown without being asked for


@dataclass(frozen=True)
class HeaderChange:
    """The cards of one header that a correction changed.

    Attributes
    ----------
    name : str
        Which header.
    changed : list of tuple
        (keyword, before, after).
    removed : list of tuple
        (keyword, before).
    added : list of str
        New cards.
    history : list of str
        New lines of HISTORY.
    """

    name: str
    changed: list[tuple[str, str, str]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)


def changes_in_file(path: str | os.PathLike) -> list[HeaderChange]:
    """Return what the last correction changed in a file.

    Parameters
    ----------
    path : str or path-like
        A file written by `astroreg.correct_file`.

    Returns
    -------
    list of HeaderChange
        One for each HDU that was corrected.
    """
    with opened(path) as hdus:
        headers = [(f"HDU {number} {hdu.name}".rstrip(), hdu.header) for number, hdu in enumerate(hdus)]
        return [_change(name, restored, header) for name, header in headers if (restored := _undone(header))]


def _undone(header: fits.Header) -> fits.Header | None:
    try:
        return restore_header(header)
    except ValueError:  # this HDU has no coordinates, or nobody corrected them
        return None


def expected_change(result: ShiftResult, image: Frame | None) -> HeaderChange | None:
    """Return what ``result.update_header`` makes of the header of the image.

    Parameters
    ----------
    result : ShiftResult
        The result.
    image : Frame or None
        The image.

    Returns
    -------
    HeaderChange or None
        None where there is no correction to apply, or no FITS header that can express it.
    """
    before = _wcs_header(result, image)
    if before is None or result.sky_correction is None:
        return None
    policy = {"kind": result.kind, "roll": result.roll} if isinstance(result, Alignment) else {}
    try:
        after = result.update_header(before, **policy)
        return _change("header of the image", _undone(after) or before, after)
    except (ValueError, fits.VerifyError):  # no form of keywords for it, or cards that nobody can read
        return None


def _wcs_header(result: ShiftResult, image: Frame | None) -> fits.Header | None:
    """The image's own header where the WCS is in it (CCDData strips it), else that of the WCS object."""
    if (
        image is not None
        and image.header is not None
        and "CRVAL1" in image.header
        and "CTYPE1" in image.header
    ):
        return image.header
    if not isinstance(result.wcs, WCS):
        return None
    return result.wcs.to_header(relax=True)


def _change(name: str, before: fits.Header, after: fits.Header) -> HeaderChange:
    keywords = [key for key in dict.fromkeys([*before, *after]) if key not in _COMMENTARY]
    changed, removed, added = [], [], []
    for key in keywords:
        if key not in after:
            removed.append((key, _value(before, key)))
        elif key not in before:
            added.append(str(after.cards[key]).rstrip())
        elif before.cards[key].image != after.cards[key].image:
            changed.append((key, _value(before, key), _value(after, key)))
    return HeaderChange(name, changed, removed, added, _last_history(after))


def _value(header: fits.Header, key: str) -> str:
    value = header[key]
    return repr(value) if isinstance(value, float) else str(value)


def _last_history(header: fits.Header) -> list[str]:
    lines = [str(line) for line in header["HISTORY"]] if "HISTORY" in header else []
    starts = [number for number, line in enumerate(lines) if _FIRST_LINE.match(line)]
    return lines[starts[-1] :] if starts else []


def changes_section(changes: list[HeaderChange], *, written: str, reason: str) -> Markup:
    """Return what was written to the headers.

    Parameters
    ----------
    changes : list of HeaderChange
        One for each header.
    written : str
        The file that they were written to; empty where there is none.
    reason : str
        What to say in its place.

    Returns
    -------
    Markup
        A section.
    """
    where = (
        ["Written to ", tag("code", written), "; everything else in it is as it was."]
        if written
        else [reason]
    )
    parts = [_shown(change, is_open=number < _MOST_OPEN) for number, change in enumerate(changes)]
    return section(
        "What was written to the header" if written else "The header", tag("p", *where), *parts, name="header"
    )


def _shown(change: HeaderChange, *, is_open: bool) -> Markup:
    parts = [table(change.changed, heads=("keyword", "before", "after"))]
    if change.removed:
        parts.append(table(change.removed, heads=("removed", "before")))
    if change.history:
        parts.append(details("New lines of HISTORY", tag("pre", "\n".join(change.history))))
    if change.added:
        parts.append(details(f"{len(change.added)} new cards", tag("pre", "\n".join(change.added))))
    if is_open:
        return tag("div", tag("h3", change.name), *parts)
    return details(change.name, *parts)
