"""`correct_wcs`: one call for every kind of WCS."""

from __future__ import annotations

import astropy.units as u
from astropy.wcs import WCS

from astroreg.sky.correction import SkyCorrection
from astroreg.sky.fits_wcs import correct_fits_wcs

__all__ = ["check_policy", "correct_wcs"]


def correct_wcs(wcs, correction: SkyCorrection, *, kind: str = "pointing", roll: str | u.Quantity = "zero"):
    """Return a corrected copy of a WCS.

    Parameters
    ----------
    wcs : `astropy.wcs.WCS`, `gwcs.WCS` or any APE-14 WCS
        The nominal WCS; it is not changed. A FITS WCS may have further axes, which stay as they are.
    correction : SkyCorrection
        What to add to the nominal coordinates, in any frame that is a rotation of the WCS's own.
    kind : {"pointing", "detector"}, optional
        ``"pointing"`` (default): the telescope pointed elsewhere, the whole sky is rotated.
        ``"detector"``: the pixels moved, e.g. by a trim; ``W'(p) = W(p - d)`` with distortions.
    roll : {"zero", "keep-pa"} or `~astropy.units.Quantity`, optional
        The angle about the pivot, see `SkyCorrection.with_roll`; only with ``kind="pointing"``.

    Returns
    -------
    same type as ``wcs``
        The corrected WCS.

    Raises
    ------
    CorrectionError
        If the WCS is not celestial, its frame is not a rotation of that of the correction, or the
        result does not agree with the correction to 1e-6 pixel (0.01 pixel where it stretches the sky).
    """
    check_policy(correction, kind, roll)
    if isinstance(wcs, WCS):
        return correct_fits_wcs(wcs, correction, kind=kind, roll=roll)
    from astroreg.sky.generalized_wcs import correct_generalized_wcs

    return correct_generalized_wcs(wcs, correction, kind=kind, roll=roll)


def check_policy(correction, kind, roll):
    """Refuse what is not a correction, an unknown kind, and a roll of a shifted detector."""
    if not isinstance(correction, SkyCorrection):
        raise TypeError(f"`correction` must be a SkyCorrection, got {type(correction).__name__}")
    if not isinstance(kind, str) or kind not in ("pointing", "detector"):
        raise ValueError(f"`kind` must be 'pointing' or 'detector', got {kind!r}")
    if kind == "detector" and correction.stretch is not None:
        raise ValueError("`kind` must be 'pointing' where `correction` stretches the sky, got 'detector'")
    if kind == "detector" and not (isinstance(roll, str) and roll == "zero"):
        raise ValueError(f"`roll` has no meaning with kind='detector', got {roll!r}; leave it out")
