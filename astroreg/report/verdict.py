"""The answer in words: can it be trusted, what is it, and what do the flags say."""

from __future__ import annotations

import numpy as np
from astropy import units as u

from astroreg.flags import ShiftFlag
from astroreg.report.markup import Markup, section, tag
from astroreg.results import ShiftResult, format_measurement

__all__ = ["flags_section", "headline", "level", "verdict_banner"]

# 99.73 % of all noise stays below it, for two axes jointly: 3 sigma.
_ZERO = 11.83
_WORDS = {
    "good": ("Trusted", "✓"),
    "doubt": ("Not to be applied without a look", "!"),
    "none": ("No shift was determined", "×"),
}


def level(result: ShiftResult) -> str:
    """Return "good", "doubt" or "none"."""
    if not result.determined:
        return "none"
    return "good" if result.ok else "doubt"


def headline(result: ShiftResult) -> str:
    """Return the verdict in a few words, for the title."""
    return _WORDS[level(result)][0]


def verdict_banner(result: ShiftResult, *, written: str = "") -> Markup:
    """Return the verdict in words.

    Parameters
    ----------
    result : ShiftResult
        The result.
    written : str, default ""
        The corrected file, where one was written.

    Returns
    -------
    Markup
        The banner and, below it, the numbers that matter most.
    """
    kind = level(result)
    words, mark = _WORDS[kind]
    banner = tag(
        "div",
        tag("span", mark, class_="mark", aria_hidden="true"),
        tag("div", tag("h2", words), *(tag("p", line) for line in _sentences(result, written))),
        class_=f"verdict {kind}",
        role="status",
    )
    return Markup(banner + _tiles(result))


def _sentences(result: ShiftResult, written: str) -> list[str]:
    if not result.determined:
        return [
            "The two images do not tell where one lies relative to the other; the flags say why.",
            _fate(result, written),
        ]
    remarks = _remarks(len(list(result.flags))) if result.ok else "The flags below say why it is doubtful."
    return [_significance(result), *_accuracy(result), remarks, _fate(result, written)]


def _remarks(count: int) -> str:
    if not count:
        return "Every check was passed; there are no flags."
    return "One flag below says how to read it." if count == 1 else f"{count} flags below say how to read it."


def _significance(result: ShiftResult) -> str:
    distance = _distance_from_zero(result)
    if not np.isfinite(distance):
        return "A shift was found; its error is not known."
    if distance**2 < _ZERO:
        return (
            f"The shift agrees with zero: it is {distance:.1f} times its error, as noise alone often gives. "
            "There may be nothing to correct."
        )
    return f"The image is shifted relative to the reference, by {distance:.3g} times the error of the shift."


def _accuracy(result: ShiftResult) -> list[str]:
    """How well the coordinates agree once corrected, where that is known."""
    correction = result.sky_correction
    if not result.ok or correction is None or correction.covariance is None:
        return []
    error = correction.error.to_value(u.arcsec).max()
    words = f"{error:.2g} arcsec (1 sigma, each axis)"
    return [f"Once corrected, its coordinates agree with those of the reference to {words}."]


def _distance_from_zero(result: ShiftResult) -> float:
    """The shift in units of its error along its own direction, with the covariance."""
    covariance = result.covariance.to_value(u.pixel**2)
    if not np.isfinite(covariance).all() or np.linalg.det(covariance) <= 0:
        return np.nan
    shift = result.shift.to_value(u.pixel)
    return float(np.sqrt(shift @ np.linalg.solve(covariance, shift)))


def _fate(result: ShiftResult, written: str) -> str:
    if written:
        end = "" if result.ok else " although the answer is flagged, because that was asked for"
        return f"The corrected file was written{end}: {written}"
    if result.ok and result.sky_correction is not None:
        return "No corrected file was written with this report."
    return "No coordinates were changed."


def _tiles(result: ShiftResult) -> Markup:
    """The shift and the sky correction, large."""
    if not result.determined:
        return Markup("")
    pairs = zip(
        ("dx", "dy"), result.shift.to_value(u.pixel), result.shift_error.to_value(u.pixel), strict=True
    )
    tiles = [
        _tile(f"{name}, image relative to reference", value, error, "pixel") for name, value, error in pairs
    ]
    correction = result.sky_correction
    if correction is not None:
        errors = [np.nan, np.nan] if correction.covariance is None else correction.error.to_value(u.arcsec)
        offsets = (correction.lon.to_value(u.arcsec), correction.lat.to_value(u.arcsec))
        for name, value, error in zip(("longitude", "latitude"), offsets, errors, strict=True):
            tiles.append(_tile(f"add to {name} ({correction.pivot.frame.name})", value, error, "arcsec"))
    return tag("div", *tiles, class_="tiles")


def _tile(name: str, value: float, error: float, unit: str) -> Markup:
    number = format_measurement(float(value), float(error)).replace("+-", "±")
    return tag(
        "div", tag("span", name, class_="name"), tag("strong", number), " ", tag("span", unit), class_="tile"
    )


def flags_section(result: ShiftResult) -> Markup:
    """Return every flag with its sentence, the serious ones first.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    Markup
        A section.
    """
    flags = sorted(result.flags, key=lambda flag: bool(ShiftFlag(flag).trusted))
    items = [
        tag(
            "li",
            tag("strong", flag.name),
            tag(
                "span",
                "remark" if flag.trusted else "forbids trust",
                class_="badge " + ("note" if flag.trusted else "bad"),
            ),
            tag("p", flag.sentence),
        )
        for flag in flags
    ]
    content = tag("ul", *items, class_="flags") if items else tag("p", "None: all checks were passed.")
    return section("Flags", content, name="flags")
