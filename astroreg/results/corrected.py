"""A copy of an NDData with its WCS corrected, and all else that it had."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from astropy.io import fits

from astroreg.exceptions import CorrectionError

if TYPE_CHECKING:
    from astroreg.sky import SkyCorrection

__all__ = ["correct_nddata"]


def correct_nddata(
    image: Any,
    correction: SkyCorrection,
    *,
    kind: str = "pointing",
    roll: str = "zero",
    history: Sequence[str] = (),
) -> Any:
    """Return a copy of an image with its WCS corrected.

    Parameters
    ----------
    image : NDData, CCDData or alike
        The image; it is not changed.
    correction : SkyCorrection
        What to add to its coordinates.
    kind, roll : str
        As for `astroreg.sky.correct_wcs`.
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
    from astroreg.sky import correct_wcs

    corrected = copy.deepcopy(image)
    _correct_meta(corrected, correction, kind, roll, history)
    new_wcs = correct_wcs(wcs, correction, kind=kind, roll=roll)
    try:
        # NDData accepts a new WCS only where there is none
        corrected.wcs = None
        corrected.wcs = new_wcs
    except AttributeError as error:
        raise CorrectionError(
            f"the WCS of a {type(image).__name__} cannot be replaced; correct its header with `update_header`"
        ) from error
    return corrected


def _correct_meta(
    image: Any, correction: SkyCorrection, kind: str, roll: str, history: Sequence[str]
) -> None:
    """Correct the WCS keywords of a hand-made CCDData; CCDData.read leaves none in the meta."""
    meta = getattr(image, "meta", None)
    if not isinstance(meta, fits.Header):
        return
    if "CTYPE1" in meta and "CRVAL1" in meta:
        from astroreg.sky import correct_header

        image.meta = correct_header(meta, correction, kind=kind, roll=roll, history=history)
        return
    for line in history:
        meta.add_history(line)
