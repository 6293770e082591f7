"""All numbers of a result with their errors and units, in tables."""

from __future__ import annotations

import numpy as np
from astropy import units as u

from astroreg.align import Alignment
from astroreg.report.markup import Markup, section, table
from astroreg.results import ShiftResult, format_measurement

__all__ = ["numbers_section"]


def numbers_section(result: ShiftResult) -> Markup:
    """Return all numbers of a result.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    Markup
        A section of tables; what is unknown says so.
    """
    parts = [
        table(
            _shift_rows(result),
            caption="Shift of the image relative to the reference, in pixels of the image",
        ),
        table(_sky_rows(result), caption="Correction of the coordinates: to be added, as arcs on the sky"),
        table(_flux_rows(result), caption="Brightness: image = scale × reference + background"),
        table(_quality_rows(result), caption="How well they match"),
    ]
    if isinstance(result, Alignment):
        heads = ("", "dx", "dy", "flags")
        parts.append(table(_pass_rows(result), heads=heads, caption="Passes, each on top of the one before"))
    return section("Numbers", *parts, name="numbers")


def measured(value: float, error: float, unit: str = "") -> str:
    """Return a number with its error and unit, or that it is not determined."""
    return format_measurement(float(value), float(error), unit).replace("+-", "±")


def _shift_rows(result: ShiftResult) -> list[tuple]:
    values, errors = result.shift.to_value(u.pixel), result.shift_error.to_value(u.pixel)
    rows = [(f"d{axis}", measured(v, e, "pixel")) for axis, v, e in zip("xy", values, errors, strict=True)]
    if np.isfinite(result.covariance.value).all() and errors.all():
        rho = result.covariance.to_value(u.pixel**2)[0, 1] / (errors[0] * errors[1])
        ellipse = result.confidence_ellipse()
        axes = f"{ellipse.semi_major.value:.2g} × {ellipse.semi_minor.value:.2g} pixel"
        rows.append(("correlation of dx and dy", f"{rho + 0:.3f}"))
        rows.append(
            ("68.3 % joint ellipse", f"half axes {axes}, at {ellipse.angle.value:.0f} deg from +x to +y")
        )
    if result.determined and result.rival is not None:
        x, y = result.rival.shift.to_value(u.pixel)
        rows.append(("second-best shift", f"{x:.2f}, {y:.2f} pixel; Δχ² = {result.rival.delta_chi2:.4g}"))
    return rows


def _sky_rows(result: ShiftResult) -> list[tuple]:
    correction = result.sky_correction
    if correction is None:
        return []
    covariance = np.full((2, 2), np.nan)
    if correction.covariance is not None:
        covariance = correction.covariance.to_value(u.arcsec**2)
    offset = np.array([correction.lon.to_value(u.arcsec), correction.lat.to_value(u.arcsec)])
    errors = np.sqrt(np.diagonal(covariance))
    length, along, across = _polar(offset, covariance)
    pivot = correction.pivot.spherical
    rows = [
        ("longitude, times cos(latitude)", measured(offset[0], errors[0], "arcsec")),
        ("latitude", measured(offset[1], errors[1], "arcsec")),
        ("in all", measured(length, along, "arcsec")),
    ]
    if length > 0:
        angle = correction.position_angle.to_value(u.deg) % 360
        rows.append(("towards position angle", measured(angle, np.degrees(across / length), "deg")))
    rows.append(("frame", correction.pivot.frame.name))
    rows.append(("told at", f"longitude {pivot.lon.deg:.6f}, latitude {pivot.lat.deg:+.6f} deg (nominal)"))
    if isinstance(result, Alignment):
        rows.append(("what moved", f"{result.kind}; roll {result.roll}"))
    return rows


def _polar(offset: np.ndarray, covariance: np.ndarray) -> tuple[float, float, float]:
    """Length of an offset, and its errors along and across it."""
    length = float(np.hypot(*offset))
    if length == 0:
        return 0.0, float(np.sqrt(np.linalg.eigvalsh(np.nan_to_num(covariance)).max())), np.nan
    way = offset / length
    aside = np.array([-way[1], way[0]])
    return length, float(np.sqrt(way @ covariance @ way)), float(np.sqrt(aside @ covariance @ aside))


def _flux_rows(result: ShiftResult) -> list[tuple]:
    rows = []
    for name in ("scale", "background"):
        value, error = getattr(result, name), getattr(result, f"{name}_error")
        if np.isfinite(value.value):
            rows.append((name, measured(value.value, error.to_value(value.unit), str(value.unit))))
    return rows


def _quality_rows(result: ShiftResult) -> list[tuple]:
    dof = f"χ² = {result.chi2:.6g} for {result.dof:.0f} degrees of freedom"
    rows = [
        ("method", result.method),
        ("noise", {"attached": "the uncertainties attached to the images",
                   "empirical": "estimated from the residuals"}.get(result.uncertainty, result.uncertainty)),
        ("reduced χ²", f"{result.reduced_chi2:.4f} ({dof})" if np.isfinite(result.reduced_chi2) else ""),
        ("correlation of the images", f"{result.correlation:.4f}" if np.isfinite(result.correlation) else ""),
        ("overlap", f"{100 * result.overlap:.1f} %" if np.isfinite(result.overlap) else ""),
        ("pixels used", str(result.n_pixels) if result.n_pixels else ""),
        ("false-alarm probability", _chance(result.false_alarm_probability)),
    ]  # fmt: skip
    return [row for row in rows if row[1]]


def _chance(probability: float) -> str:
    if not np.isfinite(probability):
        return ""
    return f"{probability:.1g}" if probability > 1e-9 else "below 1e-9"


def _pass_rows(result: Alignment) -> list[tuple]:
    rows = []
    for number, one in enumerate(result.passes, 1):
        values = zip(one.shift.to_value(u.pixel), one.shift_error.to_value(u.pixel), strict=True)
        names = " ".join(flag.name for flag in one.flags)
        rows.append((f"pass {number}", *(measured(v, e, "pixel") for v, e in values), names or "none"))
    return rows
