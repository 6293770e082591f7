"""A field of shifts in words, in HTML and as tables: the answer first, sensibly rounded."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astroreg.tiles.flags import describe_field

if TYPE_CHECKING:
    from astroreg.tiles.models import LinearModel
    from astroreg.tiles.result import ShiftField

__all__ = ["history_lines", "rows_of_model", "to_html", "to_models_table", "to_table", "to_text"]


def _answer(result: ShiftField) -> str:
    if result.model is None:
        return "field of shifts not determined"
    return str(result.model)


def _rows(result: ShiftField) -> list[tuple[str, str]]:
    """What follows the answer: pairs of name and text."""
    used = sum(tile.used for tile in result.tiles)
    rows = [
        ("tiles used", f"{used} of {len(result.tiles)}" + (f" ({result.method})" if result.method else ""))
    ]
    for name, model in result.models.items():
        text = f"chi2 {model.chi2:.1f} for {model.dof} degrees of freedom, BIC {model.bic:.1f}"
        rows.append((name, text + (" <- taken" if name == result.geometry else "")))
    return rows


def to_text(result: ShiftField) -> str:
    """Return the field in words.

    Parameters
    ----------
    result : ShiftField
        The field.

    Returns
    -------
    str
        The model in the first line, then how the models compare, then the flags.
    """
    lines = [_answer(result)]
    lines += [f"{name}: {text}" for name, text in _rows(result)]
    lines += [f"flag {sentence}" for sentence in describe_field(result.flags)]
    return "\n".join(lines)


def to_html(result: ShiftField) -> str:
    """Return the field as an HTML fragment for notebooks; everything in it is escaped.

    Parameters
    ----------
    result : ShiftField
        The field.

    Returns
    -------
    str
        The answer, a table, and the flags.
    """
    escape = html.escape
    rows = [("reference", result.reference_label), ("image", result.image_label), *_rows(result)]
    left = "style='text-align:left'"
    cells = "".join(
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(text)}</td></tr>"
        for name, text in rows
        if text
    )
    flags = "".join(f"<li>{escape(sentence)}</li>" for sentence in describe_field(result.flags))
    answer = escape(_answer(result).replace("+-", "±"))
    return f"<div><p><strong>{answer}</strong></p><table>{cells}</table>" + (
        f"<ul>{flags}</ul></div>" if flags else "</div>"
    )


def to_table(result: ShiftField) -> QTable:
    """Return one row a tile.

    Parameters
    ----------
    result : ShiftField
        The field.

    Returns
    -------
    QTable
        See `ShiftField.to_table`.
    """
    tiles = result.tiles
    table = QTable(meta=_meta(result))
    table["x"], table["y"] = result.places.T * u.pixel
    for index, name in enumerate(("x0", "y0", "x1", "y1")):
        table[name] = [tile.bounds[index] for tile in tiles]
    table["dx"], table["dy"] = result.shifts.T
    covariance = np.array([tile.covariance.value for tile in tiles])
    table["dx_error"], table["dy_error"] = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2)).T * u.pixel
    table["dxdy_covariance"] = covariance[:, 0, 1] * u.pixel**2
    residuals = np.array([tile.residual.value for tile in tiles])
    table["residual_dx"], table["residual_dy"] = residuals.T * u.pixel
    table["n_pixels"] = [tile.n_pixels for tile in tiles]
    table["reduced_chi2"] = [float(tile.reduced_chi2) for tile in tiles]
    table["flags"] = [int(tile.flags) for tile in tiles]
    table["flag_names"] = [" ".join(flag.name for flag in tile.flags) for tile in tiles]
    table["used"] = [bool(tile.used) for tile in tiles]
    return table


def _meta(result: ShiftField) -> dict[str, object]:
    meta: dict[str, object] = {
        "geometry": result.geometry,
        "flags": int(result.flags),
        "flag_names": " ".join(flag.name for flag in result.flags),
        "method": result.method,
        "pivot_x": float(result.pivot_pixel[0]),
        "pivot_y": float(result.pivot_pixel[1]),
        "reference": result.reference_label,
        "image": result.image_label,
    }
    meta["models"] = {name: _numbers(model) for name, model in result.models.items()}
    return meta


def _numbers(model: LinearModel) -> dict[str, float | int]:
    """Return all parameters of a model as plain numbers; lengths are in pixel, angles in degree."""
    numbers: dict[str, float | int] = {}
    for axis, value, error in zip("xy", model.shift.value, model.shift_error.value, strict=True):
        numbers |= {f"d{axis}": float(value), f"d{axis}_error": float(error)}
    numbers["dxdy_covariance"] = float(model.shift_covariance.value[0, 1])
    numbers |= {"rotation": float(model.rotation.value), "rotation_error": float(model.rotation_error.value)}
    numbers |= {"scale": float(model.scale), "scale_error": float(model.scale_error)}
    for (row, column), value in np.ndenumerate(model.matrix):
        name = f"m{row + 1}{column + 1}"
        numbers |= {name: float(value), f"{name}_error": float(model.matrix_error[row, column])}
    return numbers | {"chi2": float(model.chi2), "dof": int(model.dof), "bic": float(model.bic)}


def to_models_table(result: ShiftField) -> QTable:
    """Return one row a model.

    Parameters
    ----------
    result : ShiftField
        The field.

    Returns
    -------
    QTable
        See `ShiftField.to_models_table`.
    """
    units = dict.fromkeys(("dx", "dy", "dx_error", "dy_error"), u.pixel)
    units |= {"dxdy_covariance": u.pixel**2, "rotation": u.deg, "rotation_error": u.deg}
    table = QTable()
    table["model"] = list(result.models)
    rows = [_numbers(model) for model in result.models.values()]
    for name in rows[0] if rows else ():
        values = np.array([row[name] for row in rows])
        table[name] = values * units[name] if name in units else values
    table["chosen"] = [name == result.geometry for name in result.models]
    return table


def rows_of_model(result: ShiftField) -> list[tuple[str, str]]:
    """Return the model that was taken, in words, without its shift.

    Parameters
    ----------
    result : ShiftField
        The field.

    Returns
    -------
    list of (str, str)
        See `ShiftField.rows_of_model`.
    """
    if result.model is None:
        return []
    used = sum(tile.used for tile in result.tiles)
    rows = [("geometry", f"{result.geometry}, from {used} of {len(result.tiles)} tiles")]
    # "scale" alone is the factor of the fluxes.
    names = {"rotation": "rotation", "scale": "scale of lengths", "matrix": "matrix"}
    rows += [(names[name], text) for name, text in result.model.parts().items() if name in names]
    return rows + [("field", sentence) for sentence in describe_field(result.flags)]


def history_lines(result: ShiftField) -> list[str]:
    """Return what a header should say about the model that was applied.

    Parameters
    ----------
    result : ShiftField
        The field.

    Returns
    -------
    list of str
        ASCII, printable.
    """
    if result.model is None:
        return []
    return [f"astroreg: {name} {text}" for name, text in rows_of_model(result)]
