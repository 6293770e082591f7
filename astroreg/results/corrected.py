"""A copy of an NDData with its WCS corrected, and all else that it had."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from astropy import units as u
from astropy.io import fits

from astroreg.exceptions import CorrectionError
from astroreg.inputs.frame import header_of
from astroreg.sky import SkyCorrection, correct_header, correct_wcs

__all__ = ["correct_nddata"]

_COMMENTARY = ("HISTORY", "COMMENT", "")


def correct_nddata(
    image: Any,
    correction: SkyCorrection,
    *,
    kind: str = "pointing",
    roll: str | u.Quantity = "zero",
    history: Sequence[str] = (),
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
        Lines for the HISTORY of a FITS-like meta.

    Returns
    -------
    NDData, CCDData or alike
        Of the same type. The meta is copied; WCS keywords that it has are corrected with the
        WCS, and none are added.

    Raises
    ------
    CorrectionError
        If the image has no WCS, or one that cannot be replaced.
    """
    wcs = getattr(image, "wcs", None)
    if wcs is None:
        raise CorrectionError("the image has no WCS to correct; give one that has")
    if not _takes_wcs(image):
        return _corrected_map(image, correction, kind, roll, history)
    corrected = copy.deepcopy(image)
    if getattr(image, "uncertainty", None) is not None:
        corrected.uncertainty = corrected.uncertainty  # a copied uncertainty still knows its old parent
    _correct_meta(corrected, correction, kind, roll, history)
    # NDData accepts a new WCS only where there is none
    corrected.wcs = None
    corrected.wcs = correct_wcs(wcs, correction, kind=kind, roll=roll)
    return corrected


def _takes_wcs(image: Any) -> bool:
    """Whether the WCS can be set; that of a sunpy map is made of its meta."""
    attribute = getattr(type(image), "wcs", None)
    return not isinstance(attribute, property) or attribute.fset is not None


def _correct_meta(
    image: Any, correction: SkyCorrection, kind: str, roll: str | u.Quantity, history: Sequence[str]
) -> None:
    """Correct the WCS keywords of a hand-made CCDData; CCDData.read leaves none in the meta."""
    meta = getattr(image, "meta", None)
    if not isinstance(meta, fits.Header):
        return
    if "CTYPE1" in meta and "CRVAL1" in meta:
        image.meta = correct_header(meta, correction, kind=kind, roll=roll, history=history)
        return
    for line in history:
        meta.add_history(line)


def _corrected_map(
    image: Any, correction: SkyCorrection, kind: str, roll: str | u.Quantity, history: Sequence[str]
) -> Any:
    """A new map of the same kind, whose meta holds the corrected keywords."""
    before = header_of(getattr(image, "meta", None))
    if before is None:
        raise CorrectionError(
            f"the WCS of a {type(image).__name__} cannot be replaced and it has no meta; use `corrected_wcs`"
        )
    after = correct_header(before, correction, kind=kind, roll=roll, history=history)
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
