"""A WCS as a ``.head`` file, which SCAMP and SWarp read beside an image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.files.atomic import write_text_atomic
from astroreg.sky.grid_check import GRID_TOLERANCE, rotation_residual
from astroreg.sky.header_cards import has_lookup_tables, read_wcs

__all__ = ["scamp_header", "write_scamp_head"]


def write_scamp_head(
    path: str | os.PathLike,
    wcs: WCS | fits.Header | Sequence[WCS | fits.Header],
    *,
    overwrite: bool = False,
) -> Path:
    """Write the ``.head`` file of an image, with one part for each of its extensions.

    SWarp reads it in place of the WCS of the image beside which it lies, under the same name.

    Parameters
    ----------
    path : str or path-like
        The file to write, e.g. ``image.head`` for ``image.fits``.
    wcs : `~astropy.wcs.WCS`, `~astropy.io.fits.Header` or sequence of them
        The celestial WCS, or one for each extension in the order of the file.
    overwrite : bool, optional
        Whether an existing file may be replaced; default False.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    CorrectionError
        If these programs cannot know the WCS: it needs SIP, lookup tables, or a LONPOLE that no
        rotation of the CD matrix replaces. Nothing is written.
    """
    several = [wcs] if isinstance(wcs, (WCS, fits.Header)) else list(wcs)
    if not several:
        raise ValueError("`wcs` is empty; give the WCS of each extension")
    parts = [scamp_header(one) for one in several]
    text = "".join(
        "".join(f"{card.image.rstrip()}\n" for card in part.cards) + "END     \n" for part in parts
    )
    return write_text_atomic(path, text, overwrite=overwrite)


def scamp_header(wcs: WCS | fits.Header) -> fits.Header:
    """Return the keywords of a ``.head`` file, CRVAL and the complete CD matrix, for a WCS.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS` or `~astropy.io.fits.Header`
        The WCS; of more than two axes, its celestial part.

    Returns
    -------
    `~astropy.io.fits.Header`

    Raises
    ------
    CorrectionError
        If the keywords do not hold the WCS to 1e-6 pixel.
    """
    is_header = isinstance(wcs, fits.Header)
    full = read_wcs(wcs, " ") if is_header else wcs
    if not full.has_celestial:
        raise CorrectionError("`wcs` is not celestial; a .head file holds the WCS of an image of the sky")
    plane = full.celestial
    tables = (plane.cpdis1, plane.cpdis2, plane.det2im1, plane.det2im2)
    has_tables = (is_header and has_lookup_tables(wcs)) or any(table is not None for table in tables)
    if plane.sip is not None or has_tables:
        raise CorrectionError(
            "SCAMP and SWarp know neither SIP nor lookup tables; give the FITS header to them instead"
        )
    header = _keywords(plane)
    residual = _residual(plane, header)
    if not residual < GRID_TOLERANCE:
        raise CorrectionError(
            f"the keywords of a .head file (no LONPOLE or LATPOLE) miss this WCS by {residual:.2g} pixel; "
            "give the FITS header to SWarp instead"
        )
    return header


def _residual(plane: WCS, header: fits.Header) -> float:
    try:
        again = read_wcs(header, " ")
    except CorrectionError:
        return np.inf
    again.pixel_shape = plane.pixel_shape
    return rotation_residual(plane, again, np.eye(3))


def _keywords(plane: WCS) -> fits.Header:
    full = plane.to_header(relax=True)
    header = fits.Header()
    header["EQUINOX"] = float(full.get("EQUINOX", 2000.0))
    header["RADESYS"] = full.get("RADESYS", "ICRS")
    matrix = _matrix(plane)
    for axis in (1, 2):
        header[f"CTYPE{axis}"] = full[f"CTYPE{axis}"]
        header[f"CUNIT{axis}"] = "deg"
        header[f"CRVAL{axis}"] = float(plane.wcs.crval[axis - 1])
        header[f"CRPIX{axis}"] = float(plane.wcs.crpix[axis - 1])
        for column in (1, 2):
            header[f"CD{axis}_{column}"] = float(matrix[axis - 1, column - 1])
    for card in full["PV*"].cards:
        header.append(card)
    return header


def _matrix(plane: WCS) -> np.ndarray:
    """The CD matrix, turned so that LONPOLE has its default where the projection allows that."""
    turn = np.radians(_default_lonpole(plane) - plane.wcs.lonpole)
    cosine, sine = np.cos(turn), np.sin(turn)
    rows = [plane.wcs.lng, plane.wcs.lat]
    matrix = np.array(plane.pixel_scale_matrix)
    matrix[rows] = np.array([[cosine, -sine], [sine, cosine]]) @ matrix[rows]
    return matrix


def _default_lonpole(plane: WCS) -> float:
    """0 where the fiducial point lies north of its native latitude, else 180 (FITS paper II)."""
    return 0.0 if plane.wcs.crval[plane.wcs.lat] >= plane.wcs.theta0 else 180.0
