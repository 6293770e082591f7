"""`ShiftResult`: the shift of an image with what is known about its error."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy import units as u
from astropy.io import fits

from astroreg.checks import argument_named, as_float
from astroreg.flags import ShiftFlag, describe
from astroreg.inputs import is_celestial
from astroreg.results.corrected import correct_nddata
from astroreg.results.records import ConfidenceEllipse, DeltaChi2Map, RivalPeak
from astroreg.results.summary import history_lines, to_html, to_table, to_text
from astroreg.sky import SkyCorrection, correct_header, correct_wcs

if TYPE_CHECKING:
    from astropy.table import QTable

__all__ = ["ShiftResult"]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class ShiftResult:
    """The shift of an image relative to a reference, with what is known about its error.

    A feature at reference pixel p stands at image pixel p + shift:
    ``image(x) = scale * reference(x - shift) + background``. Unknown is NaN, with a flag.

    Attributes
    ----------
    shift : Quantity
        (dx, dy) in pixel of the image.
    covariance : Quantity
        (2, 2) in pixel2, in the order (x, y).
    scale, scale_error : Quantity
        Fitted flux factor, in image unit per reference unit.
    background, background_error : Quantity
        Fitted offset, in the image's unit.
    chi2 : float
        Chi-squared of the residuals.
    dof : float
        Degrees of freedom.
    correlation : float
        Correlation coefficient of the two over the overlap.
    overlap : float
        Fraction of the image's good pixels that the reference covers with good ones.
    n_pixels : int
        Number of pixels used.
    delta_chi2 : DeltaChi2Map or None
        Around the minimum; None where the method has none.
    flags : ShiftFlag
        What is doubtful; 0 = all well.
    method : str
        Name of the method.
    uncertainty : str
        The noise it used: "attached" or "empirical".
    false_alarm_probability : float
        That noise alone gives a peak as high.
    rival : RivalPeak or None
        The second-best shift, where there is one.
    wcs : APE-14 WCS or None
        The image's, as given.
    image_shape : tuple of int or None
        Rows and columns of the image.
    reference_label, image_label : str
        Names of the two, for messages and HISTORY.

    Examples
    --------
    >>> from astroreg.results import ShiftResult
    >>> result = ShiftResult(shift=[3.37012, -1.2], covariance=[[1e-4, 0], [0, 4e-4]], method="chi2_shift")
    >>> print(result)
    dx = 3.370 +- 0.010 pixel, dy = -1.200 +- 0.020 pixel (chi2_shift)
    >>> result.array_shift
    array([-1.2    ,  3.37012])
    """

    shift: u.Quantity
    covariance: u.Quantity
    scale: u.Quantity = u.Quantity(np.nan)
    scale_error: u.Quantity = u.Quantity(np.nan)
    background: u.Quantity = u.Quantity(np.nan)
    background_error: u.Quantity = u.Quantity(np.nan)
    chi2: float = np.nan
    dof: float = np.nan
    correlation: float = np.nan
    overlap: float = np.nan
    n_pixels: int = 0
    delta_chi2: DeltaChi2Map | None = None
    flags: ShiftFlag = ShiftFlag(0)
    method: str = ""
    uncertainty: str = ""
    false_alarm_probability: float = np.nan
    rival: RivalPeak | None = None
    wcs: Any = None
    image_shape: tuple[int, int] | None = None
    reference_label: str = ""
    image_label: str = ""

    def __post_init__(self) -> None:
        _set_quantity(self, "shift", u.pixel, (2,))
        _set_quantity(self, "covariance", u.pixel**2, (2, 2))
        for name in ("scale", "scale_error", "background", "background_error"):
            with argument_named(name, "give a number or a Quantity"):
                object.__setattr__(self, name, u.Quantity(getattr(self, name)))
        with argument_named("flags", "give a ShiftFlag"):
            object.__setattr__(self, "flags", ShiftFlag(int(self.flags)))
        if self.wcs is not None and self.image_shape is None:
            raise ValueError("`image_shape` is missing; a `wcs` needs it, for the pivot of the correction")

    # ---- derived numbers --------------------------------------------------------------------

    @property
    def shift_error(self) -> u.Quantity:
        """Marginal 1-sigma errors of the shift, (x, y) in pixel."""
        return np.sqrt(np.diagonal(self.covariance.to_value(u.pixel**2))) * u.pixel

    @property
    def array_shift(self) -> np.ndarray:
        """The shift as (dy, dx) in pixels, the order of numpy's axes."""
        return self.shift.to_value(u.pixel)[::-1].copy()

    @property
    def reduced_chi2(self) -> float:
        """Chi-squared per degree of freedom; NaN where there are none."""
        return float(self.chi2 / self.dof) if self.dof > 0 else np.nan

    @property
    def determined(self) -> bool:
        """Whether there is a shift at all."""
        return bool(np.isfinite(self.shift.value).all())

    @property
    def ok(self) -> bool:
        """Whether the shift is determined and no flag forbids to trust it."""
        return self.determined and self.flags.trusted

    def confidence_ellipse(self, level: float = 0.6827) -> ConfidenceEllipse:
        """Return the ellipse that holds the true shift with a joint probability.

        Parameters
        ----------
        level : float, default 0.6827
            The probability, between 0 and 1; not that of one axis alone.

        Returns
        -------
        ConfidenceEllipse
            Its axes are NaN where the covariance is.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1.

        Notes
        -----
        For two parameters the bounding Delta chi-squared is ``-2 ln(1 - level)``.
        """
        if not 0 < as_float(level, "level", "give a probability such as 0.6827") < 1:
            raise ValueError(f"`level` must be > 0 and < 1, got {level}; give a probability such as 0.6827")
        bound = float(-2 * np.log1p(-level))
        covariance = self.covariance.to_value(u.pixel**2)
        if not np.isfinite(covariance).all():
            nothing = np.nan * u.pixel
            return ConfidenceEllipse(nothing, nothing, np.nan * u.deg, level, bound)
        values, vectors = np.linalg.eigh(covariance)
        minor, major = np.sqrt(np.clip(values, 0, None) * bound) * u.pixel
        angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
        # an axis has no direction: 170 degrees is -10
        return ConfidenceEllipse(major, minor, (90 - (90 - angle) % 180) * u.deg, level, bound)

    # ---- the sky ----------------------------------------------------------------------------

    @cached_property
    def sky_correction(self) -> SkyCorrection | None:
        """What to add to the coordinates that the image's WCS now gives.

        None where the image has no celestial WCS or the shift is not determined.
        """
        if not (is_celestial(self.wcs) and self.determined):
            return None
        rows, columns = self.image_shape
        pivot = ((columns - 1) / 2, (rows - 1) / 2)
        covariance = self.covariance if np.isfinite(self.covariance.value).all() else None
        return SkyCorrection.from_shift(self.wcs, self.shift, pivot_pixel=pivot, covariance=covariance)

    def corrected_wcs(self, *, kind: str = "pointing", roll: str | u.Quantity = "zero") -> Any:
        """Return a corrected copy of the image's WCS.

        Parameters
        ----------
        kind : {"pointing", "detector"}, default "pointing"
            What moved: the telescope (a rotation of the sky) or the pixels.
        roll : {"zero", "keep-pa"} or Quantity, default "zero"
            How the roll, which a shift does not measure, is chosen.

        Returns
        -------
        APE-14 WCS
            Of the same type as ``wcs``.

        Raises
        ------
        ValueError
            If there is no correction to apply.
        """
        return correct_wcs(self.wcs, self._correction(), kind=kind, roll=roll)

    def correct(
        self,
        image: Any,
        *,
        kind: str = "pointing",
        roll: str | u.Quantity = "zero",
        systematic: u.Quantity | None = None,
    ) -> Any:
        """Return a copy of an image with its WCS corrected.

        Parameters
        ----------
        image : NDData, CCDData or alike
            The image measured, or another of the same exposure; it is not changed.
        kind : {"pointing", "detector"}, default "pointing"
            What moved, as for `corrected_wcs`.
        roll : {"zero", "keep-pa"} or Quantity, default "zero"
            The roll, as for `corrected_wcs`.
        systematic : Quantity, optional
            As for `update_header`.

        Returns
        -------
        NDData, CCDData or alike
            Data, unit, mask, uncertainty and meta are kept. WCS keywords in the meta are
            corrected with the WCS; where it has none, a FITS header gets only the old WCS under a
            letter, and any meta the identity of the correction.

        Raises
        ------
        ValueError
            If there is no correction to apply, `image` has no WCS, or its meta tells that it has
            had this correction.
        """
        return correct_nddata(
            image, self._correction(), kind=kind, roll=roll, history=self.history(), systematic=systematic
        )

    def update_header(
        self,
        header: fits.Header,
        *,
        kind: str = "pointing",
        roll: str | u.Quantity = "zero",
        key: str = " ",
        archive: str | None = "auto",
        systematic: u.Quantity | None = None,
    ) -> fits.Header:
        """Return a copy of a header with its WCS corrected, the old WCS archived, and HISTORY.

        Parameters
        ----------
        header : Header
            The header of the image; it is not changed.
        kind : {"pointing", "detector"}, default "pointing"
            What moved, as for `corrected_wcs`.
        roll : {"zero", "keep-pa"} or Quantity, default "zero"
            The roll, as for `corrected_wcs`.
        key : str, default " "
            Which WCS of the header, " " or A to Z.
        archive : str or None, default "auto"
            Letter under which to keep the old WCS; None keeps none.
        systematic : Quantity, optional
            Systematic error of the reference's own coordinates, an angle or two (lon, lat), for
            CSYERi; default: none is written.

        Returns
        -------
        Header
            A new one.

        Raises
        ------
        ValueError
            If there is no correction to apply, or the header cannot be corrected exactly.
        """
        return correct_header(
            header,
            self._correction(),
            kind=kind,
            roll=roll,
            key=key,
            archive=archive,
            history=self.history(),
            systematic=systematic,
        )

    def history(self) -> list[str]:
        """Return what a header should say about this measurement.

        Returns
        -------
        list of str
            Lines for HISTORY: the shift with its error, the method, the reference with the checksum of
            its file, the flags.
        """
        return history_lines(self)

    def _correction(self) -> SkyCorrection:
        if self.sky_correction is not None:
            return self.sky_correction
        reason = "the image has no celestial WCS" if self.determined else "no shift was determined"
        words = "; ".join(describe(self.flags))
        raise ValueError(f"there is no correction to apply: {reason}" + (f" ({words})" if words else ""))

    def _more_rows(self) -> list[tuple[str, str]]:
        """What is told besides, in words: pairs of name and text."""
        return []

    # ---- what people see --------------------------------------------------------------------

    def plot(self, ax: Any = None) -> Any:
        """Draw the Delta chi-squared map, or the confidence ellipses where there is none.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the default is a new figure.

        Returns
        -------
        list of Artist
            What was drawn.
        """
        from astroreg.plotting import plot_delta_chi2

        return plot_delta_chi2(self, ax=ax)

    def report(
        self,
        path: str | os.PathLike,
        *,
        reference: Any = None,
        image: Any = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the result as one HTML page that needs no other file and no network.

        Parameters
        ----------
        path : str or path-like
            The page to write.
        reference, image : NDData, CCDData, HDU, path, Quantity or array, optional
            The images as they were given to the method, for the pictures. An `Alignment` knows its
            reference, and its image where that was corrected.
        overwrite : bool, default False
            Whether an existing page may be replaced.

        Returns
        -------
        Path
            The page; see `astroreg.report.write_report`, which can tell more.

        Raises
        ------
        FileExistsError
            If the page exists and may not be replaced.
        """
        from astroreg.report import write_report

        return write_report(self, path, reference=reference, image=image, overwrite=overwrite)

    def to_table(self) -> QTable:
        """Return the numbers as a table of one row, which can be written as ECSV and read back.

        Returns
        -------
        QTable
            Columns with units; NaN for what is unknown.
        """
        return to_table(self)

    def __str__(self) -> str:
        return to_text(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self).splitlines()[0]}>"

    def _repr_html_(self) -> str:
        return to_html(self)


def _set_quantity(result: ShiftResult, name: str, unit: u.UnitBase, shape: tuple[int, ...]) -> None:
    """Own a read-only copy, so that a frozen result stays what it is."""
    with argument_named(name, f"give numbers of shape {shape}, in {unit}"):
        quantity = u.Quantity(getattr(result, name), unit, dtype=float, copy=True)
    if quantity.shape != shape:
        raise ValueError(f"`{name}` must have shape {shape}, got {quantity.shape}")
    quantity.flags.writeable = False
    object.__setattr__(result, name, quantity)
