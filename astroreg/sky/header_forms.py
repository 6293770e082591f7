"""Write a rotation, or a shift, into the WCS cards of a header in the form they have.

Every function takes a header and returns an edited copy, or `None` where the form does not
apply. None of them checks its result: `astroreg.sky.header` re-reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.sky.closed_form import (
    NATIVE_POLE,
    crpix_without_offset,
    is_isotropic_zenithal,
    matrix_turn,
    turned_pole,
)
from astroreg.sky.header_cards import (
    header_units,
    letter_of,
    number,
    set_number,
)

__all__ = ["POINTING_FORMS", "HeaderWCS", "plane_form", "shifted"]


@dataclass(frozen=True)
class HeaderWCS:
    """A header with the nominal WCS it makes under one key."""

    header: fits.Header
    wcs: WCS
    key: str

    @property
    def letter(self) -> str:
        """The suffix of the keywords."""
        return letter_of(self.key)

    @property
    def axes(self) -> tuple[int, int]:
        """Numbers, from 1, of the longitude and the latitude axis."""
        return self.wcs.wcs.lng + 1, self.wcs.wcs.lat + 1

    @property
    def units(self) -> tuple[float, float]:
        """Degrees in one unit of the longitude and latitude values."""
        return header_units(self.header, self.wcs, self.key)

    def name(self, stem: str) -> str:
        """A keyword of this WCS."""
        return stem + self.letter


# -- in the linear matrix -----------------------------------------------------------------------


def matrix_form(source: HeaderWCS, rotation: np.ndarray) -> fits.Header | None:
    """CRVAL, and the turn in every form of the linear matrix that the header has."""
    if not is_isotropic_zenithal(source.wcs):
        return None
    pole = turned_pole(source.wcs, rotation)
    turn = matrix_turn(source.wcs, pole)
    header = source.header.copy()
    _set_crval(header, source, pole)
    found = _turn_matrices(header, source, turn)
    if not source.letter:
        found |= _turn_crota(header, source, np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
    if not found:
        _turn_matrices(header, source, turn, force=True)
    return header


def plane_form(source: HeaderWCS, plane: np.ndarray) -> fits.Header:
    """The (lon, lat) rows of every form of the linear matrix multiplied by a 2x2 matrix, in degrees.

    CROTAi cannot hold it: it becomes PCi_j, as wcslib reads it.
    """
    header = source.header.copy()
    crota = [f"CROTA{axis}" for axis in range(1, source.wcs.naxis + 1) if not source.letter]
    crota = [name for name in crota if name in header]
    if crota and not any(re.fullmatch(r"CD\d+_\d+|PC\d+_\d+|PC\d{6}", name) for name in header):
        for (row, column), value in np.ndenumerate(source.wcs.wcs.get_pc()):
            if value != float(row == column):
                set_number(header, f"PC{row + 1}_{column + 1}", value, "linear transformation matrix")
    for name in crota:
        header.remove(name)
    if not _turn_matrices(header, source, plane):
        _turn_matrices(header, source, plane, force=True)
    return header


def _turn_matrices(header, source, turn, *, force=False):
    """Multiply the rows of all families of matrix cards; with `force` PCi_j where there is none."""
    units = np.array(source.units)
    scale = units * [number(header, source.name(f"CDELT{axis}"), 1.0) for axis in source.axes]
    found = _turn_rows(header, source, "CD{}_{}", turn * units / units[:, np.newaxis], identity=False)
    pc_turn = turn * scale / scale[:, np.newaxis]
    found |= _turn_rows(header, source, "PC{}_{}", pc_turn, identity=True, force=force)
    if not source.letter:
        found |= _turn_rows(header, source, "PC{:03d}{:03d}", pc_turn, identity=True)
    return found


def _set_crval(header, source, pole):
    for axis, value, unit in zip(source.axes, pole.crval, source.units, strict=True):
        set_number(header, source.name(f"CRVAL{axis}"), value / unit, "coordinate value at reference point")


def _turn_rows(header, source, pattern, turn, *, identity, force=False):
    """Turn the two celestial rows of one family of matrix cards; whether the header has it."""
    columns = range(1, source.wcs.naxis + 1)
    names = np.array(
        [[source.name(pattern.format(row, column)) for column in columns] for row in source.axes]
    )
    family = [source.name(pattern.format(row, column)) for row in columns for column in columns]
    if not force and not any(name in header for name in family):
        return False
    default = np.array([[float(identity and row == column) for column in columns] for row in source.axes])
    old = np.array(
        [
            [number(header, *pair) for pair in zip(*row, strict=True)]
            for row in zip(names, default, strict=True)
        ]
    )
    new = turn @ old
    for name, before, after, absent in zip(names.flat, old.flat, new.flat, default.flat, strict=True):
        if after != (before if name in header else absent):
            set_number(header, name, after, "linear transformation matrix")
    return True


def _turn_crota(header, source, angle):
    lon, lat = (f"CROTA{axis}" for axis in source.axes)
    if lat not in header and lon not in header:
        return False
    old = number(header, lat, 0.0)
    if lon in header and (number(header, lon, 0.0) == old or lat not in header):
        set_number(header, lon, number(header, lon, 0.0) + angle)
    if lat in header:
        set_number(header, lat, old + angle)
    return True


# -- in the orientation of the native sphere ----------------------------------------------------


def pole_form(source: HeaderWCS, rotation: np.ndarray, *, translated: bool = False) -> fits.Header:
    """CRVAL, LONPOLE and LATPOLE; ``translated`` as in `translated_pole_form`."""
    header = _translated(source) if translated else source.header.copy()
    _set_pole(header, source, turned_pole(source.wcs, rotation), {})
    return header


def native_pole_form(
    source: HeaderWCS, rotation: np.ndarray, *, translated: bool = False
) -> fits.Header | None:
    """As `pole_form`, with CRVAL told at the native pole: PVi_0..2 say so.

    Where the celestial place of the native pole is ill-conditioned in CRVAL and LONPOLE (near the
    poles, for projections that are not zenithal), this one is exact.
    """
    crpix = crpix_without_offset(source.wcs)
    if crpix is None or source.wcs.wcs.cel.theta0 == NATIVE_POLE[1]:
        return None
    header = _translated(source) if translated else source.header.copy()
    pole = turned_pole(source.wcs, rotation, fiducial=NATIVE_POLE)
    _set_pole(header, source, pole, {0: 0.0, 1: NATIVE_POLE[0], 2: NATIVE_POLE[1]})
    for axis, (before, after) in enumerate(zip(source.wcs.wcs.crpix, crpix, strict=True), start=1):
        if after != before:
            set_number(header, source.name(f"CRPIX{axis}"), after, "pixel of reference point")
    return header


def translated_pole_form(source: HeaderWCS, rotation: np.ndarray) -> fits.Header:
    """As `pole_form`, with the old codes (GLS, NCP) translated as wcslib does before it uses them."""
    return pole_form(source, rotation, translated=True)


def translated_native_pole_form(source: HeaderWCS, rotation: np.ndarray) -> fits.Header | None:
    """As `native_pole_form`, with the old codes translated."""
    return native_pole_form(source, rotation, translated=True)


def _set_pole(header, source, pole, added):
    _set_crval(header, source, pole)
    set_number(header, source.name("LONPOLE"), pole.lonpole, "[deg] native longitude of celestial pole")
    set_number(header, source.name("LATPOLE"), pole.latpole, "[deg] native latitude of celestial pole")
    axis = source.axes[0]
    # PVi_3 and PVi_4 of the longitude axis are other names of LONPOLE and LATPOLE, and win over
    # them. In TPV they are distortion terms: wcslib does not list those.
    listed = {(i, m) for i, m, _ in source.wcs.wcs.get_pv()}
    values = added | {m: value for m, value in ((3, pole.lonpole), (4, pole.latpole)) if (axis, m) in listed}
    for m, value in values.items():
        set_number(header, source.name(f"PV{axis}_{m}"), value, "projection parameter")


def _translated(source):
    """The header with the CTYPE and the parameters that wcslib has made of it."""
    header = source.header.copy()
    for axis in source.axes:
        header[source.name(f"CTYPE{axis}")] = source.wcs.wcs.ctype[axis - 1]
    for axis, m, value in source.wcs.wcs.get_pv():
        set_number(header, source.name(f"PV{axis}_{m}"), value, "projection parameter")
    return header


#: the ways to write a rotation, best understood by other software first
POINTING_FORMS = (
    matrix_form,
    pole_form,
    native_pole_form,
    translated_pole_form,
    translated_native_pole_form,
)


# -- the detector -------------------------------------------------------------------------------


def shifted(source: HeaderWCS, shift: np.ndarray) -> fits.Header:
    """CRPIX moved by a shift (x, y) of the detector; SIP follows it by itself."""
    header = source.header.copy()
    for axis, value in zip(sorted(source.axes), shift, strict=True):
        name = source.name(f"CRPIX{axis}")
        set_number(header, name, number(header, name, 0.0) + value, "pixel of reference point")
    return header
