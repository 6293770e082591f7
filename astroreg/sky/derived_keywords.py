"""Keywords that repeat, in other words, what the WCS says, and so change with it."""

from __future__ import annotations

import warnings

import astropy.units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits

from astroreg.exceptions import AstroregWarning, CorrectionError

__all__ = ["refresh_derived"]

# Positions and angles of the aperture, derived from the pointing by the observatories' pipelines.
STALE = (
    "ORIENTAT", "PA_APER", "RA_APER", "DEC_APER", "RA_REF", "DEC_REF", "ROLL_REF", "PA_V3", "RA_V1", "DEC_V1",
)  # fmt: skip

# Frames of STC-S as astropy names them; a region without frame is in ICRS.
REGION_FRAMES = {"ICRS": "icrs", "FK5": "fk5", "FK4": "fk4", "GALACTIC": "galactic", "J2000": "fk5"}


def refresh_derived(header: fits.Header, correction, *, kind: str, key: str) -> None:
    """Turn S_REGION with the sky, in place, and warn of the derived keywords that are now stale.

    Only the primary WCS has such keywords.
    """
    if key.strip():
        return
    stale = [name for name in STALE if name in header]
    if "S_REGION" in header:
        turned = _turned_region(str(header["S_REGION"]), correction) if kind == "pointing" else None
        if turned is None:
            stale.append("S_REGION")
        else:
            header["S_REGION"] = turned
    if stale:
        warnings.warn(
            f"{', '.join(stale)} still tell the pointing before the correction", AstroregWarning, stacklevel=3
        )


def _turned_region(region, correction):
    """The STC-S region turned with the sky, or `None` where it is not a polygon or a circle."""
    words = region.split()
    if not words or words[0].upper() not in ("POLYGON", "CIRCLE"):
        return None
    frame_words = 0 if len(words) < 2 or _is_number(words[1]) else 1
    frame = REGION_FRAMES.get(words[1].upper()) if frame_words else "icrs"
    numbers = words[1 + frame_words :]
    is_circle = words[0].upper() == "CIRCLE"
    pairs = numbers[:2] if is_circle else numbers
    if (
        frame is None
        or not all(map(_is_number, numbers))
        or len(pairs) % 2
        or (is_circle and len(numbers) != 3)
    ):
        return None
    try:
        places = SkyCoord(
            list(map(float, pairs[::2])), list(map(float, pairs[1::2])), unit=u.deg, frame=frame
        )
        turned = correction.apply(places).spherical
    except (CorrectionError, ValueError):
        return None
    text = [f"{value:.9f}" for pair in zip(turned.lon.deg, turned.lat.deg, strict=True) for value in pair]
    return " ".join(words[: 1 + frame_words] + text + (numbers[2:] if is_circle else []))


def _is_number(word):
    try:
        float(word)
    except ValueError:
        return False
    return True
