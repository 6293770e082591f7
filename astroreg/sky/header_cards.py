"""WCS keywords of a FITS header: their names, their values, and the WCS they make."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager

import astropy.units as u
import numpy as np
from astropy import log
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.sky.frames import require_projection

__all__ = [
    "add_card",
    "has_lookup_tables",
    "header_units",
    "letter_of",
    "number",
    "quiet_astropy",
    "read_wcs",
    "set_number",
    "sound_wcs",
    "wcs_keywords",
]

# Every keyword that has a form with a letter (FITS 4.0, table 22), without the letter.
LETTERED = (
    r"(?:WCSAXES|WCSNAME|LONPOLE|LATPOLE|RADESYS|EQUINOX|SPECSYS|SSYSOBS|SSYSSRC|VELOSYS|VELANGL|ZSOURCE|"
    r"RESTFRQ|RESTWAV|(?:CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CNAME|CRDER|CSYER|CPERI|CZPHS)\d+|"
    r"(?:CD|PC)\d+_\d+|(?:PV|PS)\d+_\d+)"
)
# Tables in other HDUs: of distortions before the matrix (CPDIS) and of the detector (D2IM).
RECORD = re.compile(r"D[PQ]\d+[A-Z]?\.(.+)")
LOOKUP = re.compile(r"(?:CPDIS|CPERR|DP|D2IMDIS|D2IMERR)\d+(?:\..*)?|D2IMEXT|AXISCORR")


def letter_of(key: str) -> str:
    """The suffix of the keywords of a WCS: nothing for the primary one, ``" "``."""
    return key.strip()


def wcs_keywords(header: fits.Header, key: str) -> list[str]:
    """Keywords of one WCS of a header that have a form with a letter, in their order."""
    pattern = re.compile(LETTERED + letter_of(key))
    return [name for name in dict.fromkeys(header) if pattern.fullmatch(name)]


def has_lookup_tables(header: fits.Header) -> bool:
    """Whether the header refers to distortion tables in other HDUs."""
    return any(LOOKUP.fullmatch(name) for name in header)


@contextmanager
def quiet_astropy():
    """Keep back astropy's warnings and INFO lines on keywords that it repairs."""
    level = log.level
    log.setLevel("WARNING")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            yield
    finally:
        log.setLevel(level)


def sound_wcs(header: fits.Header, fobj=None, key: str = " ") -> WCS:
    """The WCS of a header, of which wcslib can be asked without harm.

    Record-valued cards (DPja, DQia) that stand twice, or that count more axes than there are, make
    wcslib write beyond the end of its arrays.

    Raises
    ------
    CorrectionError
        If there are such cards; whatever else is wrong is told by `~astropy.wcs.WCS`.
    """
    seen: set[str] = set()
    for card in header.cards:
        match = RECORD.fullmatch(str(card.keyword).upper())
        if not match:
            continue
        if match[0] in seen:
            raise CorrectionError(f"{match[0]} stands twice in `header`; remove the wrong one")
        seen.add(match[0])
        if match[1] == "NAXES" and not (_is_number(card.value) and 1 <= card.value <= 9):
            raise CorrectionError(f"{match[0]} is {card.value!r} in `header`; it must be from 1 to 9")
    return WCS(header, fobj, key=key)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_wcs(header: fits.Header, key: str, fobj=None) -> WCS:
    """The WCS of a header, without any of astropy's remarks on repaired keywords.

    Lookup tables are left out where ``fobj`` is not given: they act before the linear matrix, so
    they are no concern of a rotation.

    Raises
    ------
    CorrectionError
        If the header does not make a celestial WCS.
    """
    text = header.copy()
    if fobj is None:
        for name in [name for name in text if LOOKUP.fullmatch(name)]:
            text.remove(name, ignore_missing=True, remove_all=True)
    try:
        with quiet_astropy():
            wcs = sound_wcs(text, fobj, key)
            wcs.wcs.set()
    except (ValueError, KeyError, TypeError, AssertionError, MemoryError, fits.VerifyError) as error:
        reason = (str(error).strip() or repr(error)).splitlines()[-1]
        raise CorrectionError(f"`header` has no readable WCS '{key}': {reason}") from error
    require_projection(wcs)
    return wcs


def header_units(header: fits.Header, wcs: WCS, key: str) -> tuple[float, float]:
    """Degrees in one unit of the header's longitude and latitude values (CUNIT; deg if absent)."""
    return tuple(_degrees(header, f"CUNIT{axis + 1}{letter_of(key)}") for axis in (wcs.wcs.lng, wcs.wcs.lat))


def _degrees(header, name):
    text = str(header.get(name, "deg")).strip() or "deg"
    for attempt in (text, text.lower(), text.lower().rstrip("s")):
        try:
            return u.Unit(attempt).to(u.deg)
        except (ValueError, u.UnitConversionError):
            continue
    raise CorrectionError(f"{name} = '{text}' is not a unit of angle; set it to 'deg'")


def number(header: fits.Header, name: str, default: float) -> float:
    """The value of a keyword as a number, or the default where it is absent."""
    if name in header and header.count(name) > 1:
        raise CorrectionError(f"{name} stands twice in `header`; remove the wrong one")
    try:
        value = float(header.get(name, default))
    except (TypeError, ValueError) as error:
        raise CorrectionError(f"{name} is not a number in `header`: {header[name]!r}") from error
    if not np.isfinite(value):
        raise CorrectionError(f"{name} is not finite in `header`")
    return value


def set_number(header: fits.Header, name: str, value: float, comment: str = "") -> None:
    """Write a number in place, or after the last WCS card of the header where it is new."""
    if name in header:
        header[name] = float(value)
    else:
        add_card(header, fits.Card(name, float(value), comment))


def add_card(header: fits.Header, card: fits.Card) -> None:
    """Add a card behind the last WCS card with the same letter, or at the end."""
    match = re.fullmatch(LETTERED + "([A-Z]?)", card.keyword)
    names = wcs_keywords(header, match.group(1)) if match else []
    if names:
        header.insert(names[-1], card, after=True)
    else:
        header.append(card)
