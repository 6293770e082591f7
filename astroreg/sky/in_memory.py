"""What the meta of an image in memory tells of a correction of its WCS, which stands beside it."""

from __future__ import annotations

import textwrap
from collections.abc import MutableMapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from astroreg.exceptions import AlreadyCorrectedError
from astroreg.sky import archive as undo
from astroreg.sky.correction import SkyCorrection
from astroreg.sky.derived_keywords import refresh_derived
from astroreg.sky.frames import axis_units, celestial_frame, frame_text, lonlat
from astroreg.sky.header import now, package_version, refuse_twice, systematic_degrees
from astroreg.sky.header_cards import quiet_astropy

__all__ = ["noted", "with_errors"]

# In a meta that is no FITS header: the identities of the corrections, separated by blanks. A keyword that
# FITS allows, since CCDData writes its meta as one.
IDENTITIES = "ASTREGID"


def noted(
    meta: Any,
    wcs: Any,
    correction: SkyCorrection,
    *,
    kind: str = "pointing",
    roll: str | u.Quantity = "zero",
    history: Sequence[str] = (),
    cards: fits.Header | None = None,
) -> Any:
    """Return a copy of a meta without WCS keywords that says how the WCS beside it was corrected.

    Parameters
    ----------
    meta : Header or mapping
        The meta, which is not changed.
    wcs : APE-14 WCS
        The nominal WCS.
    correction : SkyCorrection
        The correction.
    kind, roll : optional
        As for `correct_wcs`.
    history : sequence of str, optional
        Lines for the HISTORY of a FITS header.
    cards : Header, optional
        What a mapping becomes when the image is written to a FITS file, where it can be.

    Returns
    -------
    Header or mapping
        A FITS header, or a mapping that becomes one, with the nominal WCS under a spare letter, which
        `restore_header` finds once the image is in a file; any other mapping with the identity of the
        correction.

    Raises
    ------
    AlreadyCorrectedError
        If the meta tells that the image has had this very correction.
    """
    if isinstance(meta, fits.Header):
        return _noted_header(meta, wcs, correction, (kind, roll), history)
    if not isinstance(meta, MutableMapping):
        return meta
    earlier = str(meta.get(IDENTITIES, "")).split()
    if correction.identity in earlier:
        raise AlreadyCorrectedError(
            f"the image has had correction {correction.identity} applied before (meta {IDENTITIES!r})"
        )
    changed = meta.copy()
    if cards is None:
        changed[IDENTITIES] = " ".join([*earlier, correction.identity])
    else:
        after = _noted_header(cards, wcs, correction, (kind, roll), history)
        # HISTORY has many lines, and a mapping one value a key.
        changed.update({name: after[name] for name in after if name != "HISTORY" and name not in cards})
    return changed


def with_errors(wcs: WCS, correction: SkyCorrection, systematic: u.Quantity | None = None) -> WCS:
    """Return a copy of a FITS WCS that tells the errors of a correction, for CRDERi and CSYERi.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`
        The corrected WCS.
    correction : SkyCorrection
        The correction, for the random error where that is known.
    systematic : `~astropy.units.Quantity`, optional
        As for `correct_header`.

    Returns
    -------
    `astropy.wcs.WCS`
    """
    changed = wcs.deepcopy()
    axes = [wcs.wcs.lng, wcs.wcs.lat]
    degrees = np.array(axis_units(wcs))
    if correction.covariance is not None:
        error = correction.transform_to(celestial_frame(wcs)).error
        crder = np.array(wcs.wcs.crder)
        crder[axes] = error.to_value(u.deg) / degrees
        changed.wcs.crder = crder
    if systematic is not None:
        csyer = np.array(wcs.wcs.csyer)
        csyer[axes] = systematic_degrees(systematic) / degrees
        changed.wcs.csyer = csyer
    return changed


def _noted_header(meta, wcs, correction, policy, history):
    refuse_twice(meta, correction, " ")
    changed = meta.copy()
    kind, roll = policy
    refresh_derived(changed, correction.with_roll(roll), kind=kind, key=" ")
    letter = undo.free_letter(meta, " ", "auto") if isinstance(wcs, WCS) else ""
    if letter:
        with quiet_astropy():
            cards = wcs.to_header(relax=True)
        undo.archive_wcs(changed, cards, wcs, " ", letter)
    undo.write_record(changed, meta, correction.identity, " ", letter)
    for line in [*_lines(correction, letter), *history]:
        for part in textwrap.wrap(line, 70):
            changed.add_history(part)
    return changed


def _lines(correction, letter):
    lon0, lat0 = np.degrees(lonlat(correction.pivot))
    lon, lat = (value.to_value(u.arcsec) for value in (correction.lon, correction.lat))
    yield f"astroreg {package_version()}: WCS corrected in memory {now()}, correction {correction.identity}"
    yield (
        f"added to nominal at {lon0:.7f} {lat0:.7f} deg ({frame_text(correction.frame)}): "
        f"lon {lon:+.5f} lat {lat:+.5f} arcsec on the sky"
    )
    if letter:
        yield f"nominal WCS archived under letter {letter}"
