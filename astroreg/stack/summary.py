"""A `StackResult` as text and HTML: how it went with all, then a line an image."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from astropy import units as u

from astroreg.results import format_measurement
from astroreg.results.notebook import html_row
from astroreg.stack.flags import StackFlag, describe_stack

if TYPE_CHECKING:
    from astroreg.stack.result import StackImage, StackResult

__all__ = ["image_rows", "to_html", "to_text"]

_SHOWN = 40  # images in a notebook; `to_table` has all


def to_text(result: StackResult) -> str:
    """Return the answer in words.

    Parameters
    ----------
    result : StackResult
        What was found.

    Returns
    -------
    str
        How many images have a correction, how well their pairs agree, and which have none and why.
    """
    return "\n".join([*_lines(result), *_reasons(result)])


def _lines(result: StackResult) -> list[str]:
    n_good = sum(image.ok for image in result)
    relative = "their mean" if result.reference == "joint" else result.reference
    lines = [f"{n_good} of {len(result)} images corrected, relative to {relative}"]
    if result.dof:
        lines.append(f"reduced chi2 {result.reduced_chi2:.2f} ({result.dof} degrees of freedom)")
    return [*lines, f"{sum(result.used)} of {len(result.pairs)} pairs used"]


def _reasons(result: StackResult) -> list[str]:
    lines = []
    for image in result.flagged:
        words = image.error or " ".join(describe_stack(image.flags & StackFlag.UNTRUSTED))
        lines.append(f"not corrected: {image.label}: {words}")
    return lines


def image_rows(result: StackResult) -> list[tuple[str, ...]]:
    """Return the cells of a table of the images: its head, then a row an image.

    Parameters
    ----------
    result : StackResult
        What was found.

    Returns
    -------
    list of tuple of str
        Label, correction along longitude and latitude, pairs used of those measured, flags.
    """
    rows = [("image", "lon (arcsec)", "lat (arcsec)", "pairs", "flags")]
    for image in result:
        pairs = f"{image.n_pairs}/{image.n_pairs + image.n_rejected}"
        flags = " ".join(flag.name for flag in image.flags) or "-"
        rows.append((image.label, *_offsets(image), pairs, flags))
    return rows


def _offsets(image: StackImage) -> tuple[str, str]:
    if image.correction is None:
        return "-", "-"
    values = (image.correction.lon, image.correction.lat)
    pairs = zip(values, image.correction.error.to_value(u.arcsec), strict=True)
    lon, lat = (format_measurement(value.to_value(u.arcsec), error) for value, error in pairs)
    return lon, lat


def to_html(result: StackResult) -> str:
    """Return the answer as an HTML fragment for notebooks; everything in it is escaped.

    Parameters
    ----------
    result : StackResult
        What was found.

    Returns
    -------
    str
        The answer, a table of the first images, and why the others have no correction.
    """
    answer, *details = (html.escape(line) for line in _lines(result))
    head, *rows = image_rows(result)
    table = html_row(head, "th") + "".join(html_row(row) for row in rows[:_SHOWN])
    notes = [*details, *(html.escape(line) for line in _reasons(result))]
    if len(rows) > _SHOWN:
        notes.append(f"{len(rows) - _SHOWN} more images: to_table() has all")
    items = "".join(f"<li>{note}</li>" for note in notes)
    return f"<div><p><strong>{answer}</strong></p><table>{table}</table><ul>{items}</ul></div>"
