"""A copy of an NDData with its WCS corrected, and all else that it had."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from astropy.wcs import WCS

from astroreg.exceptions import CorrectionError
from astroreg.inputs.frame import header_of
from astroreg.sky import SkyCorrection, correct_header, correct_wcs
from astroreg.sky.in_memory import noted, with_errors

__all__ = ["correct_nddata"]

_COMMENTARY = ("HISTORY", "COMMENT", "")


def correct_nddata(
    image: Any,
    correction: SkyCorrection,
    *,
    kind: str = "pointing",
    roll: str | u.Quantity = "zero",
    history: Sequence[str] = (),
    systematic: u.Quantity | None = None,
) -> Any:
    """Return a copy of an image with its WCS corrected.

    Parameters
    ----------
    image : NDData, CCDData or alike
        The image; it is not changed.
    correction : SkyCorrection
        What to add to its coordinates.
    kind : {"pointing", "detector"}, default "pointing"
        What moved, as for `astroreg.sky.correct_wcs`.
    roll : {"zero", "keep-pa"} or Quantity, default "zero"
        The roll, as for `astroreg.sky.correct_wcs`.
    history : sequence of str, default ()
        Lines for the HISTORY of a meta that is a FITS header.
    systematic : Quantity, optional
        Systematic error of the reference's own coordinates, for CSYERi.

    Returns
    -------
    NDData, CCDData or alike
        Of the same type. The meta is copied; WCS keywords that it has are corrected with the
        WCS, and none are added but the archive of the nominal WCS under a letter, in a meta that is
        or becomes a FITS header, and the identity of the correction.

    Raises
    ------
    AlreadyCorrectedError
        If the image has had this very correction, as far as it has a meta that can tell.
    CorrectionError
        If the image has no WCS, or one that cannot be replaced.
    """
    wcs = getattr(image, "wcs", None)
    if wcs is None:
        raise CorrectionError("`image` has no WCS to correct; give one that has")
    policy = {"kind": kind, "roll": roll, "systematic": systematic}
    if not _takes_wcs(image):
        return _corrected_map(image, correction, policy, history)
    meta = _corrected_meta(image, correction, policy, history)
    corrected = copy.deepcopy(image)
    if getattr(image, "uncertainty", None) is not None:
        corrected.uncertainty = corrected.uncertainty  # a copied uncertainty still knows its old parent
    if meta is not None:
        corrected.meta = meta
    # NDData accepts a new WCS only where there is none
    corrected.wcs = None
    new = correct_wcs(wcs, correction, kind=kind, roll=roll)
    corrected.wcs = with_errors(new, correction, systematic) if isinstance(new, WCS) else new
    return corrected


def _takes_wcs(image: Any) -> bool:
    """Whether the WCS can be set; that of a sunpy map is made of its meta."""
    attribute = getattr(type(image), "wcs", None)
    return not isinstance(attribute, property) or attribute.fset is not None


def _corrected_meta(
    image: Any, correction: SkyCorrection, policy: dict[str, Any], history: Sequence[str]
) -> Any:
    """Correct the WCS keywords of a hand-made CCDData; CCDData.read leaves none in the meta."""
    meta = getattr(image, "meta", None)
    if isinstance(meta, fits.Header) and "CTYPE1" in meta and "CRVAL1" in meta:
        return correct_header(meta, correction, history=history, **policy)
    if meta is None:
        return None
    options = {"kind": policy["kind"], "roll": policy["roll"], "history": history}
    # The entries of a CCDData's meta become cards when it is written.
    cards = (header_of(meta) or fits.Header()) if isinstance(image, CCDData) else None
    return noted(copy.deepcopy(meta), image.wcs, correction, cards=cards, **options)


def _corrected_map(
    image: Any, correction: SkyCorrection, policy: dict[str, Any], history: Sequence[str]
) -> Any:
    """A new map of the same kind, whose meta holds the corrected keywords."""
    before = header_of(getattr(image, "meta", None))
    if before is None:
        raise CorrectionError(
            f"the WCS of a {type(image).__name__} cannot be replaced and it has no meta; use `corrected_wcs`"
        )
    after = correct_header(before, correction, history=history, **policy)
    meta = copy.deepcopy(image.meta)
    spelled = {key.upper(): key for key in meta}
    for keyword in set(before) - set(after) - set(_COMMENTARY):
        del meta[spelled[keyword]]
    for keyword in after:
        if keyword not in _COMMENTARY and (keyword not in before or before[keyword] != after[keyword]):
            meta[spelled.get(keyword, keyword.lower())] = after[keyword]
    lines = [str(meta[spelled["HISTORY"]])] if "HISTORY" in spelled else []
    meta[spelled.get("HISTORY", "history")] = "\n".join(lines + _added_history(before, after))
    extra = {"plot_settings": image.plot_settings} if hasattr(image, "plot_settings") else {}
    return type(image)(image.data, meta, uncertainty=image.uncertainty, mask=image.mask, **extra)


def _added_history(before: fits.Header, after: fits.Header) -> list[str]:
    old = len(before["HISTORY"]) if "HISTORY" in before else 0
    return [str(line) for line in after["HISTORY"][old:]] if "HISTORY" in after else []
