"""What `astroreg stack` writes and prints: corrected files, tables, a plot of the shifts, a summary."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from astropy import units as u

from astroreg.files import correct_file, replacing
from astroreg.stack import StackImage, StackResult, describe_stack
from astroreg.stack.summary import image_rows

__all__ = ["draw_shifts", "image_record", "stack_record", "summary", "write_image"]


def write_image(
    image: StackImage, target: Path, *, is_reference: bool, kind: str, roll: Any, overwrite: bool
) -> Path:
    """Write an image with its corrected WCS; the reference is copied as it is.

    Parameters
    ----------
    image : StackImage
        The image; its label is its path.
    target : Path
        The file to write.
    is_reference : bool
        Whether its coordinates are right by definition.
    kind, roll : str
        As of `astroreg.correct_wcs`.
    overwrite : bool
        Whether the file may be replaced.

    Returns
    -------
    Path
        `target`.
    """
    if not is_reference:
        history = image.shift.history()
        return correct_file(
            image.label, image.correction, target, kind=kind, roll=roll, history=history, overwrite=overwrite
        )
    with replacing(target, overwrite=overwrite) as temporary:
        shutil.copyfile(image.label, temporary)
    return target


def draw_shifts(result: StackResult, path: Path, *, overwrite: bool) -> None:
    """Draw the shifts of all images with their errors.

    Parameters
    ----------
    result : StackResult
        What was found.
    path : Path
        Of the picture.
    overwrite : bool
        Whether it may be replaced.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    # Not by pyplot: no window, no state that is left behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.add_subplot()
    result.plot(ax)
    ax.set_title(f"shifts of {len(result.shifts)} images")
    with replacing(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=110)


def summary(result: StackResult) -> str:
    """Return a line for each image, and what the solution says as a whole."""
    head, *images = image_rows(result)
    rows = [head, *((os.path.basename(label), *cells) for label, *cells in images)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join([*(text.ljust(n) for text, n in zip(row, widths)), row[4]]) for row in rows]
    return "\n".join([*lines, str(result)])


def stack_record(result: StackResult) -> dict[str, Any]:
    """Return what the solution says as a whole, in plain values."""
    return {
        "chi2": result.chi2,
        "dof": result.dof,
        "independent": result.independent,
        "pairs_measured": len(result.pairs),
        "pairs_used": sum(result.used),
    }


def image_record(image: StackImage) -> dict[str, Any]:
    """Return the numbers of one image, in plain values."""
    record: dict[str, Any] = {"image": image.label, "group": image.group, "trusted": image.ok}
    record |= {"n_pairs": image.n_pairs, "n_rejected": image.n_rejected, "error": image.error or None}
    record["flags"] = {
        "value": int(image.flags),
        "names": [flag.name for flag in image.flags],
        "sentences": describe_stack(image.flags),
    }
    record["sky_correction"] = None
    correction = image.correction
    if correction is not None:
        pivot, covariance = correction.pivot.spherical, correction.covariance.to_value(u.arcsec**2)
        record["sky_correction"] = {
            "lon": correction.lon.to_value(u.arcsec),
            "lat": correction.lat.to_value(u.arcsec),
            "lon_error": covariance[0, 0] ** 0.5,
            "lat_error": covariance[1, 1] ** 0.5,
            "lonlat_covariance": covariance[0, 1],
            "unit": "arcsec",
            "frame": correction.pivot.frame.name,
            "pivot": {"lon": pivot.lon.deg, "lat": pivot.lat.deg, "unit": "deg"},
            "rotation_vector": {"xyz": correction.rotation_vector, "unit": "rad"},
        }
    return record
