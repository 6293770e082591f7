"""A correction in words, and as a row of a table and back."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.time import Time

from astroreg.sky.frames import UnlistedFrame, frame_text, lonlat, realize

__all__ = ["from_row", "to_table", "to_text"]


def to_table(correction) -> QTable:
    """The table of one row of a correction (see `SkyCorrection.to_table`)."""
    covariance = (
        np.full((2, 2), np.nan) * u.arcsec**2 if correction.covariance is None else correction.covariance
    )
    table = QTable()
    table["identity"] = [correction.identity]
    if _is_plain(correction.frame):
        table["pivot"] = SkyCoord([correction.pivot])
    else:
        table["frame"] = [frame_text(correction.frame)]
        table["pivot_lon"], table["pivot_lat"] = np.degrees(lonlat(correction.pivot))[:, np.newaxis] * u.deg
    table["lon"], table["lat"] = (
        [value.to_value(u.arcsec)] * u.arcsec for value in (correction.lon, correction.lat)
    )
    table["lon_error"], table["lat_error"] = ([value.value] * u.arcsec for value in correction.error)
    table["rotation_vector"] = correction.rotation_vector[np.newaxis] * u.rad
    table["covariance"] = covariance[np.newaxis]
    if correction.stretch is not None:
        table["stretch"] = correction.stretch[np.newaxis]
    table.meta["meaning"] = "add to nominal coordinates; lon, lat are arcs on the sky at the pivot"
    return table


def from_row(table, row, frame) -> tuple:
    """Rotation vector, pivot, covariance and stretch of a row (see `SkyCorrection.from_table`)."""
    if not isinstance(table, Table):
        raise TypeError(f"`table` must be a table as `to_table` makes it, got {type(table).__name__}")
    if not isinstance(row, (int, np.integer)) or not -len(table) <= row < len(table):
        raise ValueError(f"`row` must be one of the {len(table)} rows of `table`, from 0, got {row!r}")
    covariance = u.Quantity(table["covariance"][row], u.arcsec**2)
    known = bool(np.all(np.isfinite(covariance)))
    vector = u.Quantity(table["rotation_vector"][row], u.rad).value
    stretch = np.asarray(table["stretch"][row]) if "stretch" in table.colnames else None
    return vector, _pivot_of_row(table, row, frame), covariance if known else None, stretch


def to_text(correction) -> str:
    """A correction in one line (see `SkyCorrection`)."""
    lon, lat = (value.to_value(u.arcsec) for value in (correction.lon, correction.lat))
    errors = correction.error.to_value(u.arcsec)
    roll = np.round(correction.roll.value, 10) + 0.0  # what is left of rounding is no roll
    where = " ".join(f"{angle:.6f}" for angle in np.degrees(lonlat(correction.pivot)))
    text = (
        f"add to nominal: lon {lon:+.4f} +/- {errors[0]:.4f}, lat {lat:+.4f} +/- {errors[1]:.4f} arcsec "
        f"(arcs on the sky) at pivot {where} deg, frame {frame_text(correction.frame)}; "
        f"{correction.separation.to_value(u.arcsec):.4f} arcsec towards PA "
        f"{correction.position_angle.value:.2f} deg, roll {roll:.3g} deg"
    )
    if correction.stretch is None:
        return text
    (a, b), (_, d) = correction.stretch
    return text + f"; stretched about the pivot by lon {a:.6f}, lat {d:.6f}, across {b:+.6f}"


def _is_plain(frame):
    """Whether the attributes of a frame are times only, so that ECSV can hold it."""
    values = (getattr(frame, name) for name in frame.frame_attributes)
    return not isinstance(frame, UnlistedFrame) and all(v is None or isinstance(v, Time) for v in values)


def _pivot_of_row(table, row, frame):
    if "pivot" in table.colnames:
        return table["pivot"][row]
    if frame is None:
        name = str(table["frame"][row])
        raise ValueError(f"`frame` must be given: the table tells only its name, {name!r}")
    lon, lat = (u.Quantity(table[name][row]).to_value(u.rad) for name in ("pivot_lon", "pivot_lat"))
    return realize(frame, lon, lat)
