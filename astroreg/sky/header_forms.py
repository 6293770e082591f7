"""Write a rotation, or a shift, into the WCS cards of a header in the form they have.

Every function takes a header and returns an edited copy, or `None` where the form does not
apply. None of them checks its result: `astroreg.sky.header` re-reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.sky.closed_form import NATIVE_POLE, is_isotropic_zenithal, matrix_turn, turned_pole
from astroreg.sky.fits_wcs import rotated_fits_wcs
from astroreg.sky.header_cards import (
    add_card,
    header_units,
    letter_of,
    number,
    quiet_astropy,
    set_number,
    wcs_keywords,
)

__all__ = ["POINTING_FORMS", "HeaderWCS", "shifted"]


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
    units = np.array(source.units)
    scale = units * [number(header, source.name(f"CDELT{axis}"), 1.0) for axis in source.axes]
    found = _turn_rows(header, source, "CD{}_{}", turn * units / units[:, np.newaxis], identity=False)
    pc_turn = turn * scale / scale[:, np.newaxis]
    found |= _turn_rows(header, source, "PC{}_{}", pc_turn, identity=True)
    if not source.letter:
        found |= _turn_rows(header, source, "PC{:03d}{:03d}", pc_turn, identity=True)
        found |= _turn_crota(header, source, np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
    if not found:
        _turn_rows(header, source, "PC{}_{}", pc_turn, identity=True, force=True)
    return header


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


def pole_form(source: HeaderWCS, rotation: np.ndarray) -> fits.Header:
    """CRVAL, LONPOLE and LATPOLE."""
    pole = turned_pole(source.wcs, rotation)
    return _with_pole(source, pole, {})


def native_pole_form(source: HeaderWCS, rotation: np.ndarray) -> fits.Header | None:
    """As `pole_form`, with CRVAL told at the native pole: PVi_0..2 say so.

    Where the celestial place of the native pole is ill-conditioned in CRVAL and LONPOLE (near the
    poles, for projections that are not zenithal), this one is exact.
    """
    if source.wcs.wcs.cel.offset or source.wcs.wcs.cel.theta0 == NATIVE_POLE[1]:
        return None
    pole = turned_pole(source.wcs, rotation, fiducial=NATIVE_POLE)
    return _with_pole(source, pole, {0: 0.0, 1: NATIVE_POLE[0], 2: NATIVE_POLE[1]})


def _with_pole(source, pole, added):
    header = source.header.copy()
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
    return header


# -- anew ---------------------------------------------------------------------------------------


def full_form(source: HeaderWCS, rotation: np.ndarray) -> fits.Header | None:
    """All WCS cards written anew, for codes that wcslib translates before use (GLS, NCP)."""
    try:
        corrected = rotated_fits_wcs(source.wcs, rotation)
    except CorrectionError:
        return None
    with quiet_astropy():
        written = corrected.to_header(relax=True, key=source.letter or None)
    if any(name.startswith("DQ") for name in written):
        return None  # a polynomial that wcslib made of a plate solution: no plain WCS cards hold it
    header = source.header.copy()
    new = {name: written.cards[name] for name in wcs_keywords(written, source.key)}
    for name in wcs_keywords(header, source.key) + _disturbing(header, source):
        if name not in new:
            header.remove(name, remove_all=True)
    for name, card in new.items():
        if name in header:
            header[name] = card.value
        else:
            add_card(header, card)
    return header


def _disturbing(header, source):
    """Old cards of the primary WCS that would disturb the new ones."""
    if source.letter:
        return []
    axes = range(1, source.wcs.naxis + 1)
    names = [f"CROTA{axis}" for axis in axes] + [
        f"PC{row:03d}{column:03d}" for row in axes for column in axes
    ]
    return [name for name in names if name in header]


#: the ways to write a rotation, best understood by other software first
POINTING_FORMS = (matrix_form, pole_form, native_pole_form, full_form)


def shifted(source: HeaderWCS, shift: np.ndarray) -> fits.Header:
    """CRPIX moved by a shift (x, y) of the detector; SIP follows it by itself."""
    header = source.header.copy()
    for axis, value in zip(sorted(source.axes), shift, strict=True):
        name = source.name(f"CRPIX{axis}")
        set_number(header, name, number(header, name, 0.0) + value, "pixel of reference point")
    return header
