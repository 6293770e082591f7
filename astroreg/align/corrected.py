"""The image that was given, corrected, as the same kind of object."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty

from astroreg.inputs import Frame
from astroreg.results import ShiftResult

__all__ = ["corrected_like"]


def corrected_like(image: Any, frame: Frame, result: ShiftResult, *, kind: str, roll: Any) -> Any:
    """Return a copy of an image with its WCS corrected.

    Parameters
    ----------
    image : NDData, CCDData, HDU, HDUList, path, (array, WCS or Header) or alike
        The image as the user gave it; it is not changed.
    frame : Frame
        The same behind the door.
    result : ShiftResult
        Whose correction is to be applied.
    kind, roll : str
        As for `astroreg.correct_wcs`.

    Returns
    -------
    object
        Of the type of `image`; a CCDData for a path or an HDUList, whose other HDUs
        `astroreg.correct_file` looks after.
    """
    policy = {"kind": kind, "roll": roll}
    if isinstance(image, Frame):
        return replace(image, wcs=result.corrected_wcs(**policy))
    if isinstance(image, (str, os.PathLike, fits.HDUList)):
        return _as_ccddata(frame, result, policy)
    if isinstance(image, (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)):
        return type(image)(data=image.data, header=result.update_header(image.header, **policy))
    if isinstance(image, tuple):
        if isinstance(image[1], fits.Header):
            return image[0], result.update_header(image[1], **policy)
        return image[0], result.corrected_wcs(**policy)
    return result.correct(image, **policy)


def _as_ccddata(frame: Frame, result: ShiftResult, policy: dict[str, Any]) -> CCDData:
    """Hold a file's image in memory, its header corrected as `update_header` does."""
    uncertainty = None if frame.variance is None else VarianceUncertainty(frame.variance)
    meta = None if frame.header is None else result.update_header(frame.header, **policy)
    wcs = result.corrected_wcs(**policy)
    return CCDData(
        frame.data.copy(), unit=frame.unit, uncertainty=uncertainty, mask=frame.mask, wcs=wcs, meta=meta
    )
