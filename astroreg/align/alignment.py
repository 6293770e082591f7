"""`Alignment`: a shift measured against a reference on another grid, and the image corrected with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.nddata import NDData

from astroreg.inputs import Frame
from astroreg.resample import resample_to
from astroreg.results import ShiftResult
from astroreg.results.provenance import pixel_checksum
from astroreg.sky import SkyCorrection

if TYPE_CHECKING:
    from astroreg.tiles import ShiftField

__all__ = ["Alignment", "moved_by"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Alignment(ShiftResult):
    """What `align` found: the total shift of the image, and the image with its WCS corrected.

    All that a `ShiftResult` has, with the shift summed over the passes and told at `pivot_pixel`, in pixels
    of the image as it was given.

    Attributes
    ----------
    corrected : object or None
        The image with its new WCS, of the type that was given (a CCDData for a file); None where the
        shift is not to be trusted.
    iterations : int
        Number of passes made.
    passes : tuple of ShiftResult
        What each pass measured, the first perhaps on coarser pixels: shifts in pixels of the image, on top
        of the corrections before it.
    pivot_pixel : tuple of float
        Pixel (x, y) of the image at which the shift and the sky correction are told: the middle of
        what the two images both see.
    kind : str
        What the correction takes to have moved: "pointing" or "detector".
    roll : str or Quantity
        How the free angle of the correction was decided.
    reference : Frame or None
        The reference as it was used, at the image's resolution where the beams were matched.
    geometry : str
        What is corrected: "shift", or a linear model "rshift", "rscale" or "general".
    field : ShiftField or None
        Where a linear model was asked for: the shifts of the tiles, and all models with the errors of all
        their parameters.
    linear_correction : SkyCorrection or None
        The correction of a linear model, with rotation and stretch about the pivot.
    """

    corrected: Any = None
    iterations: int = 0
    passes: tuple[ShiftResult, ...] = ()
    pivot_pixel: tuple[float, float] = (np.nan, np.nan)
    kind: str = "pointing"
    roll: Any = "zero"
    reference: Frame | None = None
    geometry: str = "shift"
    field: ShiftField | None = None
    linear_correction: SkyCorrection | None = None

    @cached_property
    def sky_correction(self) -> SkyCorrection | None:
        """What to add to the coordinates that the image's WCS gave; None where nothing was determined."""
        if not self.determined:
            return None
        if self.linear_correction is not None:
            return self.linear_correction
        covariance = self.covariance if np.isfinite(self.covariance.value).all() else None
        return SkyCorrection.from_shift(
            self.wcs, self.shift, pivot_pixel=self.pivot_pixel, covariance=covariance
        )

    def history(self) -> list[str]:
        """Return what a header should say about this measurement.

        Returns
        -------
        list of str
            Lines for HISTORY, with a checksum of the reference: of its file, or of its pixels where it
            was given in memory.
        """
        lines = super().history()
        if self.field is not None:
            lines += self.field.history()
        if self.reference is not None and not self.reference_label:
            header = self.reference.header or {}
            names = (header.get(key) for key in ("FILENAME", "ROOTNAME", "OBJECT"))
            name = next((str(one) for one in names if one), "an image in memory")
            printable = "".join(c if " " <= c <= "~" else "?" for c in name)
            lines.append(f"astroreg: relative to {printable}")
            checksum = pixel_checksum(self.reference.data)
            lines.append(f"astroreg: SHA-256 of the pixels of the reference begins {checksum}")
        return lines

    def _more_rows(self) -> list[tuple[str, str]]:
        """What is told besides the shift: the linear model."""
        return [] if self.field is None else self.field.rows_of_model()

    @cached_property
    def resampled_reference(self) -> NDData:
        """The reference on the grid of the image, with the WCS as corrected, its mask and its variance.

        The grid is that of the uncorrected WCS where the shift is not to be trusted. Its variance is the
        effective one, see `astroreg.resample.resample_to`.
        """
        wcs = self.wcs if self.corrected is None else self.corrected_wcs(kind=self.kind, roll=self.roll)
        return resample_to(self.reference, wcs, self.image_shape).to_nddata()


def moved_by(result: ShiftResult, offset: u.Quantity) -> ShiftResult:
    """Return the same finding, told from another origin.

    Parameters
    ----------
    result : ShiftResult
        What was measured.
    offset : Quantity
        (x, y) in pixel to add to all its shifts.

    Returns
    -------
    ShiftResult
        With the shift, the map of Delta chi-squared and the rival moved.
    """
    chart, rival = result.delta_chi2, result.rival
    if chart is not None:
        chart = replace(chart, x=chart.x + offset[0], y=chart.y + offset[1])
    if rival is not None:
        rival = replace(rival, shift=rival.shift + offset)
    return replace(result, shift=result.shift + offset, delta_chi2=chart, rival=rival)
