"""What `astroreg align` writes: the corrected file, a ``.head`` file, a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, TableMergeError, vstack

from astroreg.align import Alignment
from astroreg.files import correct_file, write_scamp_head
from astroreg.files.companions import COMPANION_NAMES
from astroreg.files.reading import opened
from astroreg.sky.header_cards import sound_wcs

__all__ = ["results_table", "write_corrected", "write_head"]

_FLUXES = ("scale", "scale_error", "background", "background_error")


def write_corrected(
    image: str,
    found: Alignment,
    target: Path,
    *,
    overwrite: bool,
    systematic: u.Quantity | None = None,
) -> Path:
    """Write a copy of a file with the WCS of all HDUs of the exposure corrected.

    Parameters
    ----------
    image : str
        The file.
    found : Alignment
        Its correction.
    target : Path
        The file to write.
    overwrite : bool
        Whether it may be replaced.
    systematic : Quantity, optional
        Systematic error of the reference's coordinates.

    Returns
    -------
    Path
        `target`.
    """
    return correct_file(
        image,
        found.sky_correction,
        target,
        overwrite=overwrite,
        kind=found.kind,
        roll=found.roll,
        systematic=systematic,
        history=found.history(),
    )


def write_head(image: str, found: Alignment, target: Path, *, overwrite: bool) -> Path:
    """Write the corrected WCS of every image of a file as a ``.head`` file for SCAMP and SWarp.

    Parameters
    ----------
    image : str
        The file.
    found : Alignment
        Its correction.
    target : Path
        The file to write.
    overwrite : bool
        Whether it may be replaced.

    Returns
    -------
    Path
        `target`.
    """
    with opened(image) as hdus:
        headers = [
            found.update_header(hdu.header, kind=found.kind, roll=found.roll)
            for hdu in hdus
            if hdu.is_image and hdu.name not in COMPANION_NAMES and _is_celestial(hdu, hdus)
        ]
    return write_scamp_head(target, headers, overwrite=overwrite)


def _is_celestial(hdu: fits.ImageHDU, hdus: fits.HDUList) -> bool:
    return len(hdu.shape) >= 2 and sound_wcs(hdu.header, hdus).has_celestial


def results_table(results: list[Alignment], outputs: list[Path | None]) -> QTable:
    """Return one row an image.

    Parameters
    ----------
    results : list of Alignment
        What was found.
    outputs : list of Path or None
        What was written.

    Returns
    -------
    QTable
        Scale and background are plain numbers, in the units that ``scale_unit`` and ``background_unit``
        name, where the units of the images do not convert into each other.
    """
    tables = [result.to_table() for result in results]
    try:
        table = vstack(tables, metadata_conflicts="silent")
    except (u.UnitConversionError, TableMergeError):
        table = vstack([_without_flux_units(one) for one in tables], metadata_conflicts="silent")
    table["iterations"] = [result.iterations for result in results]
    table["output"] = ["" if output is None else str(output) for output in outputs]
    return table


def _without_flux_units(table: QTable) -> QTable:
    plain = table.copy()
    for name in _FLUXES:
        plain[name] = np.asarray(table[name].value)
    for name in ("scale", "background"):
        plain[f"{name}_unit"] = [table[name].unit.to_string() or "1"]  # ECSV reads "" as masked
    return plain
