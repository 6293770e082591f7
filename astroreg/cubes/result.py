"""`CubeShift`: one shift for all channels of a cube."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u

from astroreg.inputs import is_celestial
from astroreg.results import ShiftResult
from astroreg.sky import SkyCorrection, correct_wcs

__all__ = ["CubeShift"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class CubeShift(ShiftResult):
    """The shift of a spectral cube relative to a reference, the same for all its channels.

    All that a `ShiftResult` has, in pixels of the image planes; ``wcs`` is the celestial part of the cube's
    WCS. The corrected WCS has all axes of the cube; the spectral one stays as it is.

    Attributes
    ----------
    cube_wcs : APE-14 WCS or None
        Of the cube, with all its axes, as given.
    n_channels : int
        Channels of the cube.
    channel_weights : ndarray
        Share of each channel in the images that were compared, with a sum of 1: near 0 without signal.
    n_components : int
        Number of independent images into which the channels were combined.
    grid_offset : Quantity
        (2,) in pixel: where the image's WCS puts the reference's pixel (0, 0), if the two share a grid up to
        a translation; the sky correction accounts for it. 0 where either has no celestial WCS.
    """

    cube_wcs: Any = None
    n_channels: int = 0
    channel_weights: np.ndarray | None = None
    n_components: int = 0
    grid_offset: u.Quantity = (0.0, 0.0) * u.pixel

    @cached_property
    def sky_correction(self) -> SkyCorrection | None:
        """What to add to the celestial coordinates that the cube's WCS now gives.

        None where the cube has no celestial WCS or the shift is not determined.
        """
        if not (is_celestial(self.wcs) and self.determined):
            return None
        rows, columns = self.image_shape
        pivot = ((columns - 1) / 2, (rows - 1) / 2)
        covariance = self.covariance if np.isfinite(self.covariance.value).all() else None
        shift = self.shift - self.grid_offset
        return SkyCorrection.from_shift(self.wcs, shift, pivot_pixel=pivot, covariance=covariance)

    def corrected_wcs(self, *, kind: str = "pointing", roll: str | u.Quantity = "zero") -> Any:
        """Return a corrected copy of the cube's WCS, with all its axes.

        Parameters
        ----------
        kind : {"pointing", "detector"}, default "pointing"
            What moved: the telescope (a rotation of the sky) or the pixels.
        roll : {"zero", "keep-pa"} or Quantity, default "zero"
            How the roll, which a shift does not measure, is chosen.

        Returns
        -------
        APE-14 WCS
            Of the same type as ``cube_wcs``.

        Raises
        ------
        ValueError
            If there is no correction to apply.
        """
        return correct_wcs(self.cube_wcs, self._correction(), kind=kind, roll=roll)
