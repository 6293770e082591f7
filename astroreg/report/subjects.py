"""What the two images are: their names, what their headers say, their grids."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.io import fits

from astroreg.inputs import Frame, is_celestial, pixel_scale
from astroreg.report.markup import Markup, details, section, table, tag

__all__ = ["name_of", "subjects_section"]

_KEYWORDS = {
    "OBJECT": "object",
    "TELESCOP": "telescope",
    "INSTRUME": "instrument",
    "FILTER": "filter",
    "DATE-OBS": "date",
    "EXPTIME": "exposure (s)",
}
_LONGEST = 200  # characters of a header value
_MOST_LINES = 40  # of HISTORY


def name_of(label: str, what: str) -> str:
    """Return the name of a file without its folders, or what the image is."""
    return label.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or what


def subjects_section(reference: Frame | None, image: Frame | None, labels: tuple[str, str]) -> Markup:
    """Return what the two images are.

    Parameters
    ----------
    reference, image : Frame or None
        The images, where they are known.
    labels : tuple of str
        Their names.

    Returns
    -------
    Markup
        A section.
    """
    sides = [_facts(reference, labels[0]), _facts(image, labels[1])]
    names = list(dict.fromkeys([*sides[0], *sides[1]]))
    rows = [(name, sides[0].get(name, ""), sides[1].get(name, "")) for name in names]
    content: list[Any] = [table(rows, heads=("", "reference", "image"))]
    lines = _history(image)
    if lines:
        shown = "\n".join(lines[-_MOST_LINES:])
        left_out = len(lines) - _MOST_LINES
        title = f"HISTORY of the image before ({len(lines)} lines" + (
            f", the last {_MOST_LINES} shown)" if left_out > 0 else ")"
        )
        content.append(details(title, tag("pre", shown)))
    return section("The two images", *content, name="images")


def _facts(frame: Frame | None, label: str) -> dict[str, str]:
    facts = {"file": label} if label else {}
    if frame is None:
        return facts
    for keyword, name in _KEYWORDS.items():
        if value := _value(frame.header, keyword):
            facts[name] = _cut(value)
    rows, columns = frame.shape
    facts["size"] = f"{columns} × {rows} pixels (x × y)"
    if is_celestial(frame.wcs):
        facts |= _sky_facts(frame)
    facts["unit"] = str(frame.unit) or "none"
    facts["good pixels"] = f"{100 * np.mean(frame.valid):.1f} %"
    facts["uncertainty"] = "none attached" if frame.variance is None else "attached"
    return facts


def _value(header: fits.Header | None, keyword: str) -> str:
    """The value of a card as text; empty where there is none, or nobody can read it."""
    try:
        value = None if header is None else header.get(keyword)
    except fits.VerifyError:
        return ""
    return "" if value is None or isinstance(value, fits.card.Undefined) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _sky_facts(frame: Frame) -> dict[str, str]:
    scale = pixel_scale(frame.wcs, frame.shape).to_value(u.arcsec)
    rows, columns = frame.shape
    size = " × ".join(f"{n * scale / 60:.3g}" for n in (columns, rows))
    facts = {"pixel": f"{scale:.4g} arcsec", "field": f"{size} arcmin"}
    kinds = getattr(getattr(frame.wcs, "wcs", None), "ctype", None)
    if kinds is not None:
        facts["coordinates"] = ", ".join(str(kind) for kind in kinds)
    return facts


def _history(frame: Frame | None) -> list[str]:
    if frame is None or frame.header is None or "HISTORY" not in frame.header:
        return []
    return [_cut(str(line)) for line in frame.header["HISTORY"]]
