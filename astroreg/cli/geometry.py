"""Options and numbers of what ``astroreg align`` corrects beside a shift."""

from __future__ import annotations

import argparse
from typing import Any

from astropy import units as u

from astroreg.align import Alignment
from astroreg.cli import options as opt
from astroreg.cli.terminal import Terminal
from astroreg.tiles import FieldFlag, describe_field

__all__ = ["add_geometry", "check_geometry", "geometry_options", "geometry_record", "tell_distortion"]

_GEOMETRIES = ("shift", "rshift", "rscale", "general", "auto")


def add_geometry(group: Any) -> None:
    """Add the choice of the model, and the number of tiles."""
    group.add_argument(
        "--geometry",
        choices=_GEOMETRIES,
        default="shift",
        help="what is measured and corrected: shift (default), with rotation, with scale, any linear map, or "
        "what the data support; see the page on rotation, scale and distortion",
    )
    group.add_argument(
        "--tiles",
        metavar="N",
        type=opt.positive_integer,
        help="tiles a side from which a geometry is measured (default: of some 48 pixels)",
    )


def check_geometry(options: argparse.Namespace) -> None:
    """Refuse combinations that make no sense, with the usage."""
    if options.geometry == "shift":
        if options.tiles is not None:
            options.parser.error("--tiles is for --geometry rshift, rscale, general or auto")
        return
    if options.kind != "pointing":
        options.parser.error(f"--geometry {options.geometry} is for --kind pointing")
    if not (isinstance(options.roll, str) and options.roll == "zero"):
        options.parser.error(f"--geometry {options.geometry} measures the roll; leave --roll out")


def geometry_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `add_geometry` by the names that the library uses."""
    return {"geometry": options.geometry, "tiles": options.tiles}


def tell_distortion(found: Alignment, image: str, terminal: Terminal) -> None:
    """Say on stderr that no linear model holds."""
    if found.field is not None and found.field.distorted:
        terminal.note(f"warning: {image}: {describe_field(FieldFlag.DISTORTION)[0]}")


def geometry_record(found: Alignment) -> dict[str, Any] | None:
    """Return the numbers of the linear model that was applied.

    Parameters
    ----------
    found : Alignment
        The result.

    Returns
    -------
    dict or None
        Of plain values; None where only a shift was asked for.
    """
    field = found.field
    if field is None:
        return None
    record: dict[str, Any] = {
        "name": found.geometry,
        "tiles": len(field.tiles),
        "tiles_used": sum(tile.used for tile in field.tiles),
        "distorted": field.distorted,
        "flags": [flag.name for flag in field.flags],
    }
    model = field.models.get(found.geometry)
    keys = ("rotation", "scale_of_lengths", "matrix", "matrix_error")
    if model is None:
        record |= dict.fromkeys(keys)
    else:
        angle = {"value": model.rotation.to_value(u.deg), "error": model.rotation_error.to_value(u.deg)}
        scale = {"value": model.scale, "error": model.scale_error}
        values = (angle | {"unit": "deg"}, scale, model.matrix, model.matrix_error)
        record |= dict(zip(keys, values, strict=True))
    return record | {"models": {name: _goodness(one) for name, one in field.models.items()}}


def _goodness(model: Any) -> dict[str, Any]:
    return {"chi2": model.chi2, "dof": model.dof, "bic": model.bic}
