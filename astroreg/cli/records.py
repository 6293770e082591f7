"""Results as JSON: plain numbers with their units beside them; what is unknown is null."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astroreg import __version__
from astroreg.cli.status import Status
from astroreg.flags import describe
from astroreg.measure import Measurement
from astroreg.results import ShiftResult

if TYPE_CHECKING:
    from astroreg.sources import SourceCheck

__all__ = ["document", "measurement_record", "result_record", "sources_record", "table_record"]


_NUMBERS = ("chi2", "dof", "reduced_chi2", "correlation", "overlap", "n_pixels", "false_alarm_probability")


def document(command: str, status: Status, content: dict[str, Any]) -> str:
    """Return the JSON text that a command prints.

    Parameters
    ----------
    command : str
        The subcommand.
    status : Status
        The exit status.
    content : dict
        What the command found.

    Returns
    -------
    str
        ASCII; not-a-number and infinity are null.
    """
    head = {"program": "astroreg", "version": __version__, "command": command}
    return json.dumps(_plain(head | {"exit_status": int(status)} | content), indent=2, allow_nan=False)


def result_record(result: ShiftResult) -> dict[str, Any]:
    """Return the numbers of a result.

    Parameters
    ----------
    result : ShiftResult
        The result.

    Returns
    -------
    dict
        Of plain values.
    """
    record: dict[str, Any] = {
        "trusted": result.ok,
        "method": result.method,
        "uncertainty": result.uncertainty,
        "shift": _shift_record(result),
        "sky_correction": _sky_record(result),
    }
    for name in ("scale", "background"):
        value, its_error = getattr(result, name), getattr(result, f"{name}_error")
        record[name] = {"value": value.value, "error": its_error.value, "unit": value.unit.to_string()}
    for name in _NUMBERS:
        record[name] = getattr(result, name)
    record["flags"] = {"value": int(result.flags), "names": [flag.name for flag in result.flags]}
    record["flags"]["sentences"] = describe(result.flags)
    return record


def sources_record(check: SourceCheck | None) -> dict[str, Any] | None:
    """Return the numbers of the cross-check by point sources.

    Parameters
    ----------
    check : SourceCheck or None
        The check; None where none was made.

    Returns
    -------
    dict or None
        Of plain values.
    """
    if check is None:
        return None
    found = check.sources
    difference = check.difference.to_value(u.pixel)
    error = np.sqrt(np.diagonal(check.covariance.to_value(u.pixel**2)))
    return {
        "found_in_reference": found.n_reference,
        "found_in_image": found.n_image,
        "matched": found.n_matched,
        "shift": _shift_record(found),
        "difference": {
            "x": difference[0],
            "y": difference[1],
            "x_error": error[0],
            "y_error": error[1],
            "unit": "pixel",
        },
        "sigmas": check.sigmas,
        "agrees": check.agrees,
    }


def _shift_record(result: ShiftResult) -> dict[str, Any]:
    error = result.shift_error.to_value(u.pixel)
    return {
        "x": result.shift[0].value,
        "y": result.shift[1].value,
        "x_error": error[0],
        "y_error": error[1],
        "xy_covariance": result.covariance[0, 1].value,
        "unit": "pixel",
    }


def _sky_record(result: ShiftResult) -> dict[str, Any] | None:
    correction = result.sky_correction
    if correction is None:
        return None
    covariance = np.full((2, 2), np.nan)
    if correction.covariance is not None:
        covariance = correction.covariance.to_value(u.arcsec**2)
    pivot = correction.pivot.spherical
    return {
        "lon": correction.lon.to_value(u.arcsec),
        "lat": correction.lat.to_value(u.arcsec),
        "lon_error": math.sqrt(covariance[0, 0]),
        "lat_error": math.sqrt(covariance[1, 1]),
        "lonlat_covariance": covariance[0, 1],
        "unit": "arcsec",
        "frame": correction.pivot.frame.name,
        "pivot": {"lon": pivot.lon.deg, "lat": pivot.lat.deg, "unit": "deg"},
        "rotation_vector": {"xyz": correction.rotation_vector, "unit": "rad"},
    }


def measurement_record(measured: Measurement) -> dict[str, Any]:
    """Return the results of several methods and how far they agree.

    Parameters
    ----------
    measured : Measurement
        The results.

    Returns
    -------
    dict
        Of plain values.
    """
    return {
        "trusted": measured.ok,
        "methods": {name: result_record(result) for name, result in measured.items()},
        "agreement": [
            {"methods": list(pair), "larger_errors": value} for pair, value in measured.agreement.items()
        ],
    }


def table_record(table: QTable) -> list[dict[str, Any]]:
    """Return a table as a list of rows; the unit of a column stands in its name.

    Parameters
    ----------
    table : QTable
        The table.

    Returns
    -------
    list of dict
        A row each.
    """
    columns = {}
    for name in table.colnames:
        column = table[name]
        unit = getattr(column, "unit", None)
        key = f"{name}_{unit.to_string()}" if unit not in (None, u.dimensionless_unscaled) else name
        columns[key.replace("_pix", "_pixel")] = getattr(column, "value", column)
    return [{key: values[i] for key, values in columns.items()} for i in range(len(table))]


def _plain(value: Any) -> Any:
    """Return a value as what JSON knows."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return None if value is None else str(value)
