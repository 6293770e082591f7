"""`StackResult`: the corrections of all images of a stack, and how well their pairs agree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from astroreg.results import ShiftResult
from astroreg.sky import SkyCorrection, correct_wcs
from astroreg.stack.flags import StackFlag, describe_stack
from astroreg.stack.journal import pairs_table
from astroreg.stack.pairs import PairShift
from astroreg.stack.summary import to_html, to_text

__all__ = ["StackImage", "StackResult"]

_NAMED = 12  # images whose names a legend holds


@dataclass(frozen=True, eq=False)
class StackImage:
    """What was found about one image of a stack.

    Attributes
    ----------
    label : str
        Its path, or its number in the stack.
    group : int
        Number of its group: images of one group have one correction.
    correction : SkyCorrection or None
        What to add to the coordinates that its WCS gives, told at its middle; None where the image was
        left out.
    flags : StackFlag
        What is doubtful; 0 = all well.
    n_pairs : int
        Pairs that its correction rests on.
    n_rejected : int
        Pairs that were not used: without a trusted shift, or in contradiction to the others.
    wcs : APE-14 WCS or None
        As given.
    shape : tuple of int
        Rows and columns.
    error : str
        Why the image could not be used; empty if it could.
    reference : str
        What the correction is relative to, as of the `StackResult`.
    """

    label: str
    group: int
    correction: SkyCorrection | None = None
    flags: StackFlag = StackFlag(0)
    n_pairs: int = 0
    n_rejected: int = 0
    wcs: Any = None
    shape: tuple[int, int] = (0, 0)
    error: str = ""
    reference: str = "joint"

    @property
    def ok(self) -> bool:
        """Whether there is a correction that can be used as it is."""
        return self.correction is not None and self.flags.trusted

    @cached_property
    def shift(self) -> ShiftResult:
        """The correction as a shift in pixels of the image at its middle, for tables and plots."""
        shift, covariance = np.full(2, np.nan), np.full((2, 2), np.nan)
        if self.correction is not None:
            shift, covariance = self._in_pixels()
        return ShiftResult(
            shift=shift,
            covariance=covariance,
            wcs=self.wcs,
            image_shape=self.shape,
            image_label=self.label,
            reference_label="the mean of the stack" if self.reference == "joint" else self.reference,
            method="align_stack",
        )

    def _in_pixels(self) -> tuple[np.ndarray, np.ndarray]:
        """Return p0 - W^-1(true place of p0), and its covariance."""
        middle = np.array([(n - 1) / 2 for n in self.shape[::-1]])
        pivot = self.correction.pivot

        def pixel(place: SkyCoord) -> np.ndarray:
            return np.array([float(value) for value in self.wcs.world_to_pixel(place)])

        step = 0.1 * u.arcsec
        east, north = (
            (pixel(pivot.spherical_offsets_by(*way)) - pixel(pivot)) / step.value
            for way in ((step, 0 * step), (0 * step, step))
        )
        jacobian = np.stack([east, north], axis=1)
        covariance = jacobian @ self.correction.covariance.to_value(u.arcsec**2) @ jacobian.T
        return middle - pixel(self.correction.true_pivot), covariance

    def corrected_wcs(self, *, kind: str = "pointing", roll: str | u.Quantity = "zero") -> Any:
        """Return a corrected copy of the WCS of the image.

        Parameters
        ----------
        kind : {"pointing", "detector"}, default "pointing"
            What moved: the telescope (a rotation of the sky) or the pixels.
        roll : {"zero", "keep-pa"} or Quantity, default "zero"
            How the roll, which shifts do not measure, is chosen.

        Returns
        -------
        APE-14 WCS
            Of the same type as ``wcs``.

        Raises
        ------
        ValueError
            If the image has no correction.
        """
        if self.correction is None:
            words = "; ".join(describe_stack(self.flags))
            raise ValueError(f"there is no correction for {self.label} ({words})")
        return correct_wcs(self.wcs, self.correction, kind=kind, roll=roll)


@dataclass(frozen=True, eq=False)
class StackResult:
    """The corrections of all images of a stack.

    A sequence of its images: ``len(result)``, ``result[0]``, ``for image in result``.

    Attributes
    ----------
    images : tuple of StackImage
        In the order in which they were given.
    pairs : tuple of PairShift
        All pairs measured.
    used : tuple of bool
        Which of them the solution rests on.
    reference : str
        What the corrections are relative to: a label, or "joint", the mean of the images.
    pivot : SkyCoord or None
        Where `covariance` is told; None where there is no solution.
    solved_groups : tuple of int
        The groups that have a solution, in the order of `covariance`.
    covariance : Quantity
        Shape (2 n, 2 n), in arcsec2: of (lon, lat) of all solved groups together, at the common pivot.
    chi2 : float
        Of the pairs used, with their correlations.
    dof : int
        Degrees of freedom; 0 where nothing is redundant.
    independent : float
        Which part of the variance of a typical pair is not due to the images that it shares with other pairs,
        from 0 to 1: what averages down with the number of pairs.
    closures : QTable
        One row a triangle of images, with the sum of its shifts, which should be zero; see
        `to_closures_table`.
    """

    images: tuple[StackImage, ...]
    pairs: tuple[PairShift, ...] = ()
    used: tuple[bool, ...] = ()
    reference: str = "joint"
    pivot: SkyCoord | None = None
    solved_groups: tuple[int, ...] = ()
    covariance: u.Quantity = field(default_factory=lambda: np.zeros((0, 0)) * u.arcsec**2)
    chi2: float = np.nan
    dof: int = 0
    independent: float = np.nan
    closures: QTable = field(default_factory=QTable)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> StackImage:
        return self.images[index]

    def __iter__(self) -> Iterator[StackImage]:
        return iter(self.images)

    @property
    def reduced_chi2(self) -> float:
        """Chi-squared per degree of freedom; NaN where there are none."""
        return self.chi2 / self.dof if self.dof else np.nan

    @property
    def ok(self) -> bool:
        """Whether every image has a correction that can be used as it is."""
        return all(image.ok for image in self.images)

    @property
    def flagged(self) -> tuple[StackImage, ...]:
        """The images without a trusted correction."""
        return tuple(image for image in self.images if not image.ok)

    @property
    def shifts(self) -> dict[str, ShiftResult]:
        """The corrections as shifts in pixels, by label: what `astroreg.plotting.plot_shifts` draws."""
        return {image.label: image.shift for image in self.images if image.wcs is not None}

    def corrected_wcs(self, *, kind: str = "pointing", roll: str | u.Quantity = "zero") -> list[Any]:
        """Return the corrected WCS of every image.

        Parameters
        ----------
        kind : {"pointing", "detector"}, default "pointing"
            What moved, as for `astroreg.correct_wcs`.
        roll : {"zero", "keep-pa"} or Quantity, default "zero"
            The roll, as for `astroreg.correct_wcs`.

        Returns
        -------
        list
            None for an image without a trusted correction.
        """
        return [image.corrected_wcs(kind=kind, roll=roll) if image.ok else None for image in self.images]

    def to_table(self) -> QTable:
        """Return one row an image, which can be written as ECSV and read back.

        Returns
        -------
        QTable
            ``lon`` and ``lat`` are to be added to the coordinates at ``pivot_lon``, ``pivot_lat``; ``dx`` and
            ``dy`` are the same as a shift in pixels. NaN for images that were left out.
        """
        rows = [_row(image) for image in self.images]
        meta = {"reference": self.reference, "chi2": float(self.chi2), "dof": int(self.dof)}
        meta |= {"independent": float(self.independent)}
        table = QTable(meta=meta)
        for name, unit in _COLUMNS.items():
            values = [row[name] for row in rows]
            table[name] = values if unit is None else np.array(values, float) * unit
        return table

    def to_pairs_table(self) -> QTable:
        """Return one row a pair that was measured.

        Returns
        -------
        QTable
            Its columns are the attributes of a pair, and ``used``.
        """
        table = pairs_table(self.pairs)
        table["used"] = np.array(self.used, bool)
        return table

    def to_closures_table(self) -> QTable:
        """Return one row a triangle of images that are joined by pairs in use.

        Returns
        -------
        QTable
            ``first``, ``second``, ``third``: places of the images; ``lon``, ``lat``: the sum of the three
            shifts around, with errors; ``chi2``, of two degrees of freedom.
        """
        return self.closures.copy()

    def plot(self, ax: Any = None) -> Any:
        """Draw the corrections of all images as shifts with their errors.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; the default is a new figure.

        Returns
        -------
        list of Artist
            What was drawn, see `astroreg.plotting.plot_shifts`.

        Raises
        ------
        ValueError
            If no image has a correction.
        """
        from astroreg.plotting import plot_shifts

        named = {os.path.basename(label): shift for label, shift in self.shifts.items()}
        # A legend has room for so many names, which must differ.
        legible = len(self.shifts) <= _NAMED and len(named) == len(self.shifts)
        return plot_shifts(named if legible else list(self.shifts.values()), ax=ax)

    def __str__(self) -> str:
        return to_text(self)

    def __repr__(self) -> str:
        return f"<StackResult: {str(self).splitlines()[0]}>"

    def _repr_html_(self) -> str:
        return to_html(self)


# Columns of `StackResult.to_table` with their units.
_COLUMNS = {
    "image": None,
    "group": None,
    **dict.fromkeys(("lon", "lat", "lon_error", "lat_error"), u.arcsec),
    "lonlat_covariance": u.arcsec**2,
    **dict.fromkeys(("pivot_lon", "pivot_lat"), u.deg),
    **dict.fromkeys(("dx", "dy", "dx_error", "dy_error"), u.pixel),
    "n_pairs": None,
    "n_rejected": None,
    "flags": None,
    "flag_names": None,
    "ok": None,
    "error": None,
}


def _row(image: StackImage) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(_COLUMNS, np.nan)
    row |= {"image": image.label, "group": image.group, "n_pairs": image.n_pairs}
    row |= {"n_rejected": image.n_rejected, "flags": int(image.flags), "ok": image.ok, "error": image.error}
    row["flag_names"] = ",".join(flag.name for flag in image.flags)
    correction = image.correction
    if correction is None:
        return row
    arcsec2 = correction.covariance.to_value(u.arcsec**2)
    pivot = correction.pivot.spherical
    row |= {"lon": correction.lon.to_value(u.arcsec), "lat": correction.lat.to_value(u.arcsec)}
    row |= {"lon_error": arcsec2[0, 0] ** 0.5, "lat_error": arcsec2[1, 1] ** 0.5}
    row |= {"lonlat_covariance": arcsec2[0, 1], "pivot_lon": pivot.lon.deg, "pivot_lat": pivot.lat.deg}
    shift, error = image.shift.shift.value, image.shift.shift_error.value
    row |= {"dx": shift[0], "dy": shift[1], "dx_error": error[0], "dy_error": error[1]}
    return row
