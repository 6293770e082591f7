"""`check_sources`: how far the shift of the point sources is from one measured otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy import units as u
from scipy import special

from astroreg.inputs import as_frame, parse_max_shift, parse_positive, prepare_pair
from astroreg.results import ShiftResult, format_measurement
from astroreg.sources.register import SourceShift, measured_from_sources

__all__ = ["SourceCheck", "check_sources"]

_AGREE = 4.0  # sigmas: 6e-5 by chance


@dataclass(frozen=True, eq=False)
class SourceCheck:
    """The shift of the point sources beside one measured otherwise.

    Attributes
    ----------
    sources : SourceShift
        What the sources say, in the same pixels and in the same sense.
    difference : Quantity
        (2,) in pixel: the shift of the sources less the other; NaN where either is not determined.
    covariance : Quantity
        (2, 2) in pixel2: the sum of both. The two share the noise of the sources' own pixels, so that it is
        rather too large than too small.
    """

    sources: SourceShift
    difference: u.Quantity
    covariance: u.Quantity

    @property
    def sigmas(self) -> float:
        """The difference as a deviation that a normal variable exceeds, in either sense, equally often.

        NaN where there is no difference to tell.
        """
        difference = self.difference.to_value(u.pixel)
        covariance = self.covariance.to_value(u.pixel**2)
        if not (np.isfinite(difference).all() and np.isfinite(covariance).all()):
            return np.nan
        square = float(difference @ np.linalg.pinv(covariance) @ difference)
        # Two degrees of freedom: exceeded with probability exp(-square / 2).
        return float(abs(special.ndtri(np.exp(-square / 2) / 2))) if square < 1000 else np.sqrt(square)

    @property
    def agrees(self) -> bool | None:
        """Whether the two are within 4 sigmas; None where it cannot be told."""
        return None if np.isnan(self.sigmas) else bool(self.sigmas < _AGREE)

    def __str__(self) -> str:
        found = self.sources
        counts = f"{found.n_reference} and {found.n_image} point sources found"
        if not found.determined:
            return f"sources: no check: {counts}, fewer than three in common"
        error = np.sqrt(np.diagonal(self.covariance.to_value(u.pixel**2)))
        parts = [
            f"d{axis} {format_measurement(value, one, 'pixel')}"
            for axis, value, one in zip("xy", self.difference.to_value(u.pixel), error, strict=True)
        ]
        matched = f"{found.n_matched} matched of {counts}"
        if np.isnan(self.sigmas):
            return f"sources: {matched}; nothing to compare with"
        return f"sources: {matched}; they differ by {', '.join(parts)}: {self.sigmas:.1f} sigma"


def check_sources(
    reference: Any,
    image: Any,
    result: ShiftResult,
    *,
    fwhm: float = 3.0,
    threshold: float = 5.0,
    max_shift: float | u.Quantity | None = None,
    reference_hdu: int | str | tuple | None = None,
    image_hdu: int | str | tuple | None = None,
) -> SourceCheck:
    """Measure the shift of the point sources of two images, and compare it with one measured otherwise.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The two images from which `result` was made, as they were given.
    result : ShiftResult
        Of `astroreg.chi2_shift` or another method; or the `astroreg.Alignment` of `astroreg.align`, whose
        images may be on any grids.
    fwhm, threshold : float, optional
        Width of a point source in pixels of its image (default 3), and least height in sigmas (default 5).
    max_shift : float or Quantity, optional
        Longest shift to search for: pixels, a Quantity in pixel, or an angle.
    reference_hdu, image_hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    SourceCheck
        The shift of the sources, the difference and its sigmas; NaN where there are too few sources.

    Raises
    ------
    TypeError, ValueError
        If an image or an option is impossible; the message names it.
    ImportError
        If photutils is not installed.
    """
    if not isinstance(result, ShiftResult):
        raise TypeError(
            f"`result` must be a ShiftResult or an Alignment, got a {type(result).__name__}; "
            "give what chi2_shift or align returned"
        )
    options = {
        "fwhm": parse_positive(fwhm, argument="fwhm"),
        "threshold": parse_positive(threshold, argument="threshold"),
    }
    if hasattr(result, "pivot_pixel"):
        first = as_frame(reference, argument="reference", hdu=reference_hdu)
        second = as_frame(image, argument="image", hdu=image_hdu)
        options["radius"] = parse_max_shift(max_shift, second.wcs, second.shape)
        found = _through_sky(first, second, result, options)
    else:
        first, second = prepare_pair(reference, image, reference_hdu=reference_hdu, image_hdu=image_hdu)
        options["radius"] = parse_max_shift(max_shift, second.wcs, second.shape)
        found = measured_from_sources(first, second, **options)
    return SourceCheck(found, found.shift - result.shift, found.covariance + result.covariance)


def _through_sky(reference, image, result, options) -> SourceShift:
    """Return the sources' shift in terms of an alignment: what they leave over of it, and it."""
    known = result.determined
    wcs = result.corrected_wcs(kind=result.kind, roll=result.roll) if known else result.wcs
    found = measured_from_sources(reference, image, through=wcs, **options)
    found = replace(found, wcs=result.wcs)
    return replace(found, shift=found.shift + result.shift) if known else found
