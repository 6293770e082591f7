"""The whole page, in the order in which it is read."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from astroreg.align import Alignment
from astroreg.files import write_text_atomic
from astroreg.inputs import Frame, as_frame
from astroreg.report.assets import SCRIPT, STYLE, content_policy
from astroreg.report.gallery import comparison_section, residual_section, surface_section
from astroreg.report.header_changes import changes_in_file, changes_section, expected_change
from astroreg.report.markup import Markup, tag
from astroreg.report.numbers import numbers_section
from astroreg.report.provenance import reproduce_section, undo_section
from astroreg.report.subjects import name_of, subjects_section
from astroreg.report.verdict import flags_section, headline, verdict_banner
from astroreg.results import ShiftResult

__all__ = ["write_report"]

_PARTS = {
    "flags": "Flags",
    "pictures": "Before and after",
    "residuals": "Residuals",
    "surface": "Uncertainty",
    "numbers": "Numbers",
    "images": "Images",
    "header": "Header",
    "undo": "Undo",
    "reproduce": "Reproduce",
}


@dataclass(frozen=True)
class _Subject:
    """What the page is about."""

    result: ShiftResult
    reference: Frame | None
    image: Frame | None
    labels: tuple[str, str]
    written: str
    call: str


def write_report(
    result: ShiftResult,
    path: str | os.PathLike,
    *,
    reference: Any = None,
    image: Any = None,
    corrected: str | os.PathLike | None = None,
    call: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a result as one self-contained HTML page.

    Parameters
    ----------
    result : ShiftResult
        What a method, or `astroreg.align`, gave.
    path : str or path-like
        The page to write.
    reference, image : NDData, CCDData, HDU, path, Quantity or array, optional
        The two images as they were given to the method, for the pictures. An `Alignment` knows its
        reference, and its image where that was corrected.
    corrected : str or path-like, optional
        The corrected file, where one was written: what changed in its headers is told.
    call : str, default ""
        The command or call that made the result; by default what the result knows of it.
    overwrite : bool, default False
        Whether an existing page may be replaced.

    Returns
    -------
    Path
        The page, which is there completely or not at all.

    Raises
    ------
    TypeError
        If `result` is no `ShiftResult`, or an image cannot be used.
    FileExistsError
        If the page exists and may not be replaced.

    Notes
    -----
    The page needs no network and no other file, and works without JavaScript but for the slider.
    Whatever comes from headers and file names is escaped, and the page's own policy forbids every
    script but its own. Without matplotlib it has no pictures, and says so.
    """
    if not isinstance(result, ShiftResult):
        raise TypeError(
            f"`result` must be a ShiftResult, got {type(result).__name__}; give what a method returned"
        )
    subject = _subject(result, reference, image, corrected, call)
    return write_text_atomic(path, _page(subject), overwrite=overwrite)


def _subject(result: ShiftResult, reference: Any, image: Any, corrected: Any, call: str) -> _Subject:
    if reference is None and isinstance(result, Alignment):
        reference = result.reference
    first = None if reference is None else as_frame(reference, argument="reference")
    if image is not None:
        second = as_frame(image, argument="image")
    else:
        second = _image_as_given(result)
    labels = (
        result.reference_label or (first.label if first else ""),
        result.image_label or (second.label if second else ""),
    )
    return _Subject(result, first, second, labels, "" if corrected is None else os.fspath(corrected), call)


def _image_as_given(result: ShiftResult) -> Frame | None:
    """The image of an alignment: its corrected copy with the WCS that it had."""
    corrected = getattr(result, "corrected", None)
    if corrected is None:
        return None
    return replace(as_frame(corrected, argument="image"), wcs=result.wcs)


def _page(subject: _Subject) -> str:
    result = subject.result
    names = [
        name_of(label, what)
        for label, what in zip(subject.labels, ("the reference", "the image"), strict=True)
    ]
    title = f"{names[1]} against {names[0]}"
    body = [
        tag("header", tag("h1", title), tag("p", _subtitle(subject), class_="soft"), _navigation()),
        tag("main", verdict_banner(result, written=subject.written), *_sections(subject)),
        tag("footer", tag("p", "Made by astroreg. Everything on this page is in this one file.")),
        Markup(f"<script>{SCRIPT}</script>"),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Markup(content_policy())),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="generator", content="astroreg"),
        tag("title", f"{headline(result)}: {title}"),
        Markup(f"<style>{STYLE}</style>"),
    ]
    return "<!DOCTYPE html>\n" + tag("html", tag("head", *head), tag("body", *body), lang="en") + "\n"


def _subtitle(subject: _Subject) -> str:
    return (
        f"Offset of the image from the reference, measured by {subject.result.method or 'an unnamed method'}."
    )


def _navigation() -> Markup:
    links = [tag("a", words, href=f"#{name}") for name, words in _PARTS.items()]
    return tag("nav", *links, aria_label="Parts of this page")


def _sections(subject: _Subject) -> list[Markup]:
    result = subject.result
    return [
        flags_section(result),
        comparison_section(result, subject.reference, subject.image),
        residual_section(result, subject.reference, subject.image),
        surface_section(result, subject.reference, subject.image),
        numbers_section(result),
        subjects_section(subject.reference, subject.image, subject.labels),
        _header(subject),
        undo_section(result, written=subject.written),
        reproduce_section(result, call=subject.call, files=subject.labels),
    ]


def _header(subject: _Subject) -> Markup:
    if subject.written:
        return changes_section(changes_in_file(subject.written), written=subject.written, reason="")
    if not subject.result.ok:
        return _nothing_written("Nothing was written: the answer is not to be applied as it is.")
    if subject.result.sky_correction is None:
        return _nothing_written("Nothing was written: there are no sky coordinates to correct.")
    change = expected_change(subject.result, subject.image)
    if change is None:
        return _nothing_written(
            "Nothing was written to a file. The coordinates are not those of a FITS header; "
            "`result.corrected_wcs()` returns the corrected ones."
        )
    words = "Nothing was written to a file. Applied to the header of the image, the correction changes these:"
    return changes_section([change], written="", reason=words)


def _nothing_written(reason: str) -> Markup:
    return changes_section([], written="", reason=reason)
