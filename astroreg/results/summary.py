"""A `ShiftResult` in words, in HTML, as a table and as HISTORY: the answer first, sensibly rounded."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astroreg.flags import ShiftFlag, describe
from astroreg.results.provenance import file_checksum

if TYPE_CHECKING:
    from astroreg.results import ShiftResult

__all__ = ["format_measurement", "history_lines", "to_html", "to_table", "to_text"]

# A rival that is worse by more than 10 sigma is no news, unless a method flags it.
_WORTH_TELLING = 100.0


def format_measurement(value: float, error: float = math.nan, unit: str = "") -> str:
    """Round a value to two digits of its error.

    Parameters
    ----------
    value, error : float
        The number and its 1-sigma error, in the same unit; NaN = unknown.
    unit : str, default ""
        Put behind.

    Returns
    -------
    str
        "3.370 +- 0.011 pixel"; without an error the value to four digits.

    Examples
    --------
    >>> from astroreg.results.summary import format_measurement
    >>> format_measurement(3.36999, 0.0109, "pixel")
    '3.370 +- 0.011 pixel'
    >>> format_measurement(12345.6, 780.0)
    '12350 +- 780'
    """
    tail = f" {unit}" if unit else ""
    if not math.isfinite(value):
        return "not determined"
    if not math.isfinite(error):
        return f"{value:.4g} +- unknown{tail}"
    if error <= 0:
        return f"{value:.6g} +- {error:.2g}{tail}"
    # digits behind the point so that the error keeps two; %e first, since 0.0996 rounds up to 0.10
    digits = 1 - int(f"{error:.1e}".split("e")[1])
    if not -6 <= digits <= 9:
        return f"({value:.6e} +- {error:.1e}){tail}"
    places = max(digits, 0)
    return f"{_round(value, digits):.{places}f} +- {_round(error, digits):.{places}f}{tail}"


def _round(value: float, digits: int) -> float:
    """Round, without the minus of -0.0."""
    return round(value, digits) + 0.0


def shift_text(result: ShiftResult) -> str:
    """Return "dx = 3.370 +- 0.011 pixel, dy = ..."."""
    if not result.determined:
        return "shift not determined"
    pairs = zip("xy", result.shift.to_value(u.pixel), result.shift_error.to_value(u.pixel), strict=True)
    return ", ".join(f"d{axis} = {format_measurement(value, error, 'pixel')}" for axis, value, error in pairs)


def sky_text(result: ShiftResult) -> str:
    """Return the sky correction in arcsec, or nothing where there is none."""
    numbers = _sky_numbers(result)
    if numbers is None:
        return ""
    lon, lat = (format_measurement(*numbers[axis], "arcsec") for axis in ("lon", "lat"))
    frame = result.sky_correction.pivot.frame.name
    return f"lon {lon}, lat {lat} ({frame}; add to the coordinates of the WCS)"


def _sky_numbers(result: ShiftResult) -> dict[str, tuple[float, float]] | None:
    """Return lon and lat with their errors, in arcsec."""
    correction = result.sky_correction
    if correction is None:
        return None
    covariance = correction.covariance
    error = (math.nan, math.nan)
    if covariance is not None:
        error = tuple(np.sqrt(np.diagonal(covariance.to_value(u.arcsec**2))))
    return {
        "lon": (float(correction.lon.to_value(u.arcsec)), float(error[0])),
        "lat": (float(correction.lat.to_value(u.arcsec)), float(error[1])),
    }


def _rows(result: ShiftResult) -> list[tuple[str, str]]:
    """What follows the answer: pairs of name and text, only of what is known."""
    rows = [("sky correction", sky_text(result)), *result._more_rows()]
    for name in ("scale", "background"):
        value, error = getattr(result, name), getattr(result, f"{name}_error")
        if np.isfinite(value):
            rows.append((name, format_measurement(value.value, error.to_value(value.unit), str(value.unit))))
    if np.isfinite(result.reduced_chi2):
        rows.append(("reduced chi2", f"{result.reduced_chi2:.3f} ({result.dof:.0f} degrees of freedom)"))
    if np.isfinite(result.correlation):
        rows.append(("correlation", f"{result.correlation:.3f}"))
    if result.n_pixels:
        share = f" ({100 * result.overlap:.0f} % overlap)" if np.isfinite(result.overlap) else ""
        rows.append(("pixels used", f"{result.n_pixels}{share}"))
    # without a best shift the second-best tells nothing
    has_rival = result.determined and result.rival is not None
    if has_rival and (ShiftFlag.RIVAL_PEAK in result.flags or result.rival.delta_chi2 < _WORTH_TELLING):
        dx, dy = result.rival.shift.to_value(u.pixel)
        worse = f"Delta chi2 = {result.rival.delta_chi2:.1f}"
        rows.append(("rival", f"dx = {dx:.2f}, dy = {dy:.2f} pixel, {worse}"))
    if np.isfinite(result.false_alarm_probability):
        chance = result.false_alarm_probability
        rows.append(("false-alarm probability", f"{chance:.1g}" if chance > 1e-9 else "below 1e-9"))
    return [row for row in rows if row[1]]


def _made_by(result: ShiftResult) -> str:
    noise = f"{result.uncertainty} uncertainty" if result.uncertainty else ""
    return ", ".join(part for part in (result.method, noise) if part)


def to_text(result: ShiftResult) -> str:
    """Return the result in words.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    str
        The answer in the first line, then what is known about it, then its flags.
    """
    made_by = _made_by(result)
    lines = [shift_text(result) + (f" ({made_by})" if made_by else "")]
    lines += [f"{name}: {text}" for name, text in _rows(result)]
    lines += [f"flag {sentence}" for sentence in describe(result.flags)]
    return "\n".join(lines)


def to_html(result: ShiftResult) -> str:
    """Return the result as an HTML fragment for notebooks; everything in it is escaped.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    str
        The answer, a table, and the flags.
    """
    escape = html.escape
    answer = shift_text(result).replace("+-", "±")
    rows = [("method", _made_by(result)), ("reference", result.reference_label)]
    rows += [("image", result.image_label)] + _rows(result)
    cells = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(text.replace('+-', '±'))}</td></tr>"
        for name, text in rows
        if text
    )
    flags = "".join(f"<li>{escape(sentence)}</li>" for sentence in describe(result.flags))
    return (
        f"<div><p><strong>{escape(answer)}</strong></p><table>{cells}</table>"
        + (f"<ul>{flags}</ul>" if flags else "")
        + "</div>"
    )


def to_table(result: ShiftResult) -> QTable:
    """Return the numbers of a result as a table of one row.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    QTable
        The columns are the same for every result, so that tables can be stacked.
    """
    columns = {"method": result.method, "uncertainty": result.uncertainty}
    columns |= _shift_columns(result) | _sky_columns(result)
    for name in ("scale", "scale_error", "background", "background_error"):
        columns[name] = getattr(result, name)
    for name in ("chi2", "dof", "reduced_chi2", "correlation", "overlap", "false_alarm_probability"):
        columns[name] = float(getattr(result, name))
    columns["n_pixels"] = int(result.n_pixels)
    columns["flags"] = int(result.flags)
    columns["flag_names"] = " ".join(flag.name for flag in result.flags)
    columns["ok"] = result.ok
    columns["reference"] = result.reference_label
    columns["image"] = result.image_label
    return QTable({name: v[None] if isinstance(v, u.Quantity) else [v] for name, v in columns.items()})


def _shift_columns(result: ShiftResult) -> dict[str, u.Quantity | float]:
    error = result.shift_error
    rival = result.rival
    rival_shift = np.full(2, np.nan) * u.pixel if rival is None else rival.shift
    return {
        "dx": result.shift[0],
        "dy": result.shift[1],
        "dx_error": error[0],
        "dy_error": error[1],
        "dxdy_covariance": result.covariance[0, 1],
        "rival_dx": rival_shift[0],
        "rival_dy": rival_shift[1],
        "rival_delta_chi2": np.nan if rival is None else float(rival.delta_chi2),
    }


def _sky_columns(result: ShiftResult) -> dict[str, u.Quantity | str]:
    unknown = (math.nan, math.nan)
    numbers = _sky_numbers(result) or {"lon": unknown, "lat": unknown}
    return {
        "lon": numbers["lon"][0] * u.arcsec,
        "lat": numbers["lat"][0] * u.arcsec,
        "lon_error": numbers["lon"][1] * u.arcsec,
        "lat_error": numbers["lat"][1] * u.arcsec,
        "frame": "" if result.sky_correction is None else result.sky_correction.pivot.frame.name,
    }


def history_lines(result: ShiftResult) -> list[str]:
    """Return what a header should say about how its correction was measured.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    list of str
        ASCII, printable; long labels are left to the header to wrap.
    """
    lines = [f"astroreg: measured {shift_text(result)}"]
    made_by = _made_by(result)
    if made_by:
        lines.append(f"astroreg: by {made_by}")
    if result.reference_label:
        lines.append(f"astroreg: relative to {_printable(result.reference_label)}")
        if checksum := file_checksum(result.reference_label):
            lines.append(f"astroreg: SHA-256 of the reference begins {checksum}")
    names = " ".join(flag.name for flag in result.flags)
    return lines + ([f"astroreg: flags {names}"] if names else [])


def _printable(text: str) -> str:
    """FITS cards hold printable ASCII only."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)
