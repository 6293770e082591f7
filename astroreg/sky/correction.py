"""`SkyCorrection`: what to add to the coordinates that a WCS now gives."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import BaseCoordinateFrame, SkyCoord
from astropy.table import QTable

from astroreg.checks import argument_named, parse_angle, require_kind
from astroreg.exceptions import CorrectionError
from astroreg.grids import unbounded
from astroreg.sky import correction_table, sky_covariance
from astroreg.sky.deformation import checked_stretch, stretch_matrix, turned_basis
from astroreg.sky.frames import (
    celestial_frame,
    direction,
    frame_rotation,
    frame_text,
    lonlat,
    realize,
    unit_vector,
)
from astroreg.sky.roll import twist_of_kept_position_angle, with_roll
from astroreg.sky.rotations import (
    angular_distance,
    local_basis,
    matrix_to_rotation_vector,
    minimal_rotation,
    rotation_vector_to_matrix,
    vector_to_lonlat,
)

__all__ = ["SkyCorrection"]


@dataclass(frozen=True, eq=False)
class SkyCorrection:
    """A rotation of the sphere, to be added to the nominal coordinates of an image.

    Build one with `from_coordinates` or `from_shift`. As a rotation it holds for every pixel of
    the image and for every detector of the same exposure.

    Parameters
    ----------
    rotation_vector : ndarray, shape (3,)
        Axis times angle in radian, in the cartesian axes of the frame of ``pivot``.
    pivot : `~astropy.coordinates.SkyCoord`
        The place, in nominal coordinates, at which ``lon``, ``lat`` and ``covariance`` are told.
    covariance : `~astropy.units.Quantity`, shape (2, 2), optional
        Covariance of (lon, lat) in arcsec2; `None` where it is not known.
    stretch : ndarray, shape (2, 2), optional
        Symmetric matrix by which the sky is stretched about the pivot before it is rotated, in the axes
        (lon, lat) of its tangent plane; `None` (default) for a rotation alone.

    Notes
    -----
    ``lon`` and ``lat`` are arcs on the sky towards increasing longitude and latitude of the
    frame, in the sense of `~astropy.coordinates.SkyCoord.spherical_offsets_to`. ``lon`` is not
    a difference of longitudes: that one is larger by 1/cos(lat).

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> from astroreg.sky import SkyCorrection
    >>> nominal = SkyCoord(150 * u.deg, 60 * u.deg)
    >>> correction = SkyCorrection.from_coordinates(
    ...     nominal, nominal.spherical_offsets_by(3 * u.arcsec, -4 * u.arcsec))
    >>> print(correction.separation.round(6), correction.lon.round(6), correction.lat.round(6))
    5.0 arcsec 3.0 arcsec -4.0 arcsec
    """

    rotation_vector: np.ndarray
    pivot: SkyCoord
    covariance: u.Quantity | None = None
    stretch: np.ndarray | None = None

    def __post_init__(self):
        with argument_named("rotation_vector", "give three finite numbers in radian"):
            vector = np.array(self.rotation_vector, dtype=float)
        if vector.shape != (3,) or not np.all(np.isfinite(vector)):
            raise ValueError(f"`rotation_vector` must be three finite numbers in radian, got {vector}")
        vector.flags.writeable = False
        object.__setattr__(self, "rotation_vector", vector)
        object.__setattr__(self, "pivot", direction(self.pivot, "pivot"))
        object.__setattr__(self, "covariance", sky_covariance.checked(self.covariance))
        object.__setattr__(self, "stretch", checked_stretch(self.stretch))

    # -- constructors ---------------------------------------------------------------------------

    @classmethod
    def from_coordinates(
        cls, nominal: SkyCoord, true: SkyCoord, covariance: u.Quantity | None = None
    ) -> SkyCorrection:
        """The rotation without roll that takes a nominal place to the true one.

        Parameters
        ----------
        nominal : `~astropy.coordinates.SkyCoord`
            One position, as the uncorrected WCS gives it; it becomes the pivot and its frame the
            frame of the correction.
        true : `~astropy.coordinates.SkyCoord`
            Where that position truly is, in any frame.
        covariance : `~astropy.units.Quantity`, shape (2, 2), optional
            Covariance of (lon, lat), unit convertible to arcsec2; `None` (default) if not known.

        Returns
        -------
        SkyCorrection
        """
        start = direction(nominal, "nominal")
        end = direction(true, "true", frame=start.frame)
        return cls(minimal_rotation(unit_vector(start), unit_vector(end)), start, covariance)

    @classmethod
    def from_shift(
        cls,
        wcs,
        shift: u.Quantity | np.ndarray,
        *,
        pivot_pixel: tuple[float, float],
        covariance: u.Quantity | np.ndarray | None = None,
    ) -> SkyCorrection:
        """The correction that a measured pixel shift asks for.

        The content seen at pixel ``p0`` belongs to pixel ``p0 - shift`` of the nominal WCS ``W``:
        the correction takes ``W(p0)`` to ``W(p0 - shift)``.

        Parameters
        ----------
        wcs : `astropy.wcs.WCS` or any APE-14 WCS with celestial axes
            The nominal WCS of the image.
        shift : Quantity or array-like, shape (2,)
            Shift (x, y) of the image relative to the reference, in image pixels.
        pivot_pixel : tuple of float
            Pixel (x, y), counted from 0, at which the shift was measured: the middle of the
            overlap.
        covariance : Quantity or array-like, shape (2, 2), optional
            Covariance of the shift in pixel2; `None` (default) if not known.

        Returns
        -------
        SkyCorrection

        Raises
        ------
        CorrectionError
            If the WCS is not celestial, or the pivot is not on the sky.

        Notes
        -----
        The covariance is carried to the sky by the Jacobian of the offsets, by central
        differences through the full WCS with its distortions.
        """
        displacement = sky_covariance.in_pixel(shift, (2,), "shift")
        pivot = sky_covariance.in_pixel(pivot_pixel, (2,), "pivot_pixel")
        frame = celestial_frame(wcs)
        wcs = unbounded(wcs)
        lon, lat = sky_covariance.finite_lonlat(wcs, [pivot, pivot - displacement])
        sky = None
        if covariance is not None:
            pixel = sky_covariance.in_pixel(covariance, (2, 2), "covariance", power=2)
            sky = sky_covariance.from_pixels(wcs, pixel, pivot, displacement)
        return cls.from_coordinates(realize(frame, lon[0], lat[0]), realize(frame, lon[1], lat[1]), sky)

    # -- what it says ---------------------------------------------------------------------------

    @property
    def frame(self) -> BaseCoordinateFrame:
        """The frame of the pivot, without data."""
        return self.pivot.frame.replicate_without_data()

    @property
    def rotation_matrix(self) -> np.ndarray:
        """The 3x3 matrix that takes nominal to true unit vectors, in `frame`."""
        return rotation_vector_to_matrix(self.rotation_vector)

    @property
    def sphere_matrix(self) -> np.ndarray:
        """The 3x3 matrix that takes nominal to true directions, in `frame`; the stretch changes lengths."""
        return self.rotation_matrix @ stretch_matrix(self._basis(), self.stretch)

    @property
    def true_pivot(self) -> SkyCoord:
        """Where the pivot truly is."""
        return realize(self.frame, *vector_to_lonlat(self.rotation_matrix @ unit_vector(self.pivot)))

    @property
    def lon(self) -> u.Quantity:
        """Offset towards increasing longitude at the pivot, an arc on the sky."""
        return self._offsets()[0]

    @property
    def lat(self) -> u.Quantity:
        """Offset towards increasing latitude at the pivot."""
        return self._offsets()[1]

    def _offsets(self):
        radial, east, north = self._basis() @ self.rotation_matrix @ unit_vector(self.pivot)
        return (
            (np.arctan2(east, radial) * u.rad).to(u.arcsec),
            (np.arctan2(north, np.hypot(radial, east)) * u.rad).to(u.arcsec),
        )

    def _basis(self):
        lon, lat = lonlat(self.pivot)
        return local_basis(lon, lat)

    @property
    def error(self) -> u.Quantity:
        """Marginal 1-sigma errors of (lon, lat), shape (2,); NaN where not known."""
        if self.covariance is None:
            return np.full(2, np.nan) * u.arcsec
        return np.sqrt(np.diagonal(self.covariance)).to(u.arcsec)

    @property
    def ellipse(self) -> sky_covariance.ErrorEllipse:
        """The 1-sigma error ellipse; its fields are NaN where the covariance is not known."""
        return sky_covariance.ellipse(self.covariance)

    @property
    def separation(self) -> u.Quantity:
        """Angle on the sky between the nominal and the true pivot."""
        start = unit_vector(self.pivot)
        return (angular_distance(start, self.rotation_matrix @ start) * u.rad).to(u.arcsec)

    @property
    def position_angle(self) -> u.Quantity:
        """Direction of the offset at the pivot, from North through East, in [0, 360) deg."""
        _, east, north = self._basis() @ self.rotation_matrix @ unit_vector(self.pivot)
        return np.mod(np.degrees(np.arctan2(east, north)), 360.0) * u.deg

    @property
    def roll(self) -> u.Quantity:
        """Rotation about the pivot beyond the shortest way, from North through East."""
        start = unit_vector(self.pivot)
        end = self.rotation_matrix @ start
        shortest = rotation_vector_to_matrix(minimal_rotation(start, end))
        rest = matrix_to_rotation_vector(self.rotation_matrix @ shortest.T)
        # A right-handed rotation about the line of sight outwards turns North away from East.
        return (-np.dot(rest, end) * u.rad).to(u.deg)

    @property
    def identity(self) -> str:
        """Twelve hexadecimal digits that name this rotation in its frame."""
        # 1e-14 rad is 2 nano-arcsec; adding 0 makes -0 and 0 the same.
        steps = np.round(self.rotation_vector / 1e-14) + 0.0
        text = frame_text(self.frame) + ":" + ",".join(f"{value:.0f}" for value in steps)
        if self.stretch is not None:
            values = np.append(self.stretch, np.round(unit_vector(self.pivot), 9))
            text += ";" + ",".join(f"{value:.12f}" for value in values)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def roll_ambiguity(self, radius: u.Quantity) -> u.Quantity:
        """How far the two usual roll policies part at a distance from the pivot.

        One shift cannot tell a pointing error without roll (``"zero"``) from one that keeps the
        position angles (``"keep-pa"``); the two differ by a twist of about ``lon * tan(lat)``.

        Parameters
        ----------
        radius : `~astropy.units.Quantity`
            Angular distance from the pivot, e.g. of the farthest corner; the largest displacement
            within it is returned.

        Returns
        -------
        `~astropy.units.Quantity`
            The displacement in arcsec, not negative.
        """
        twist = abs(twist_of_kept_position_angle(self).to_value(u.rad))
        # A turn displaces by its angle times the sine of the distance, most at 90 deg.
        distance = np.minimum(np.abs(parse_angle(radius, "radius", shape=None).to_value(u.rad)), np.pi / 2)
        return (twist * np.sin(distance) * u.rad).to(u.arcsec)

    # -- what it does ---------------------------------------------------------------------------

    def apply(self, coordinate: SkyCoord) -> SkyCoord:
        """Return the true place of nominal coordinates.

        Parameters
        ----------
        coordinate : `~astropy.coordinates.SkyCoord`
            Nominal coordinates of any shape and in any frame.

        Returns
        -------
        `~astropy.coordinates.SkyCoord`
            In the frame of ``coordinate``; directions only, without distance or motion.
        """
        require_kind(coordinate, (SkyCoord, BaseCoordinateFrame), "coordinate", "give a SkyCoord")
        own = SkyCoord(coordinate).transform_to(self.frame)
        turned = realize(self.frame, *vector_to_lonlat(unit_vector(own) @ self.sphere_matrix.T))
        return turned.transform_to(coordinate)

    def inverse(self) -> SkyCorrection:
        """Return the correction that takes this one back; its pivot is the true pivot."""
        target = self.true_pivot
        start = self._basis() @ self.rotation_matrix.T
        end = local_basis(*lonlat(target))
        moved = sky_covariance.transport(self.covariance, start, end)
        back = None if self.stretch is None else turned_basis(np.linalg.inv(self.stretch), start, end)
        return SkyCorrection(-self.rotation_vector, target, moved, back)

    def compose(self, other: SkyCorrection) -> SkyCorrection:
        """Return the one correction that does this one first and then another.

        Parameters
        ----------
        other : SkyCorrection
            The correction that follows, in any frame related by a rotation.

        Returns
        -------
        SkyCorrection
            With the pivot and the frame of this one. The covariances are added, as of independent
            errors; where one is not known, neither is the sum.

        Raises
        ------
        CorrectionError
            If the one that follows has a stretch: about another pivot the two are no single one.
        """
        require_kind(other, SkyCorrection, "other", "give a SkyCorrection")
        if other.stretch is not None:
            raise CorrectionError("`other` stretches the sky; correct with the one and then with the other")
        second = other.transform_to(self.frame)
        total = second.rotation_matrix @ self.rotation_matrix
        covariance = None
        if self.covariance is not None and second.covariance is not None:
            start = second._basis() @ second.rotation_matrix.T
            covariance = self.covariance + sky_covariance.transport(
                second.covariance, start, self._basis() @ total.T
            )
        return SkyCorrection(matrix_to_rotation_vector(total), self.pivot, covariance, self.stretch)

    def transform_to(self, frame: BaseCoordinateFrame) -> SkyCorrection:
        """Return the same rotation told in another frame.

        Parameters
        ----------
        frame : `~astropy.coordinates.BaseCoordinateFrame` or SkyCoord
            The frame wanted.

        Returns
        -------
        SkyCorrection

        Raises
        ------
        CorrectionError
            If the frames are not related by a pure rotation (FK4, frames of an observer).
        """
        wanted = getattr(frame, "frame", frame).replicate_without_data()
        turn = frame_rotation(self.frame, wanted)
        pivot = realize(wanted, *vector_to_lonlat(turn @ unit_vector(self.pivot)))
        start, end = self._basis() @ turn.T, local_basis(*lonlat(pivot))
        moved = sky_covariance.transport(self.covariance, start, end)
        stretch = turned_basis(self.stretch, start, end)
        return SkyCorrection(turn @ self.rotation_vector, pivot, moved, stretch)

    def with_roll(self, roll: str | u.Quantity) -> SkyCorrection:
        """Return the correction with its free angle, the roll about the pivot, decided.

        Parameters
        ----------
        roll : {"zero", "keep-pa"} or `~astropy.units.Quantity`
            ``"zero"`` adds no roll. ``"keep-pa"`` keeps position angles as an equatorial mount
            does: a turn about the celestial pole, then along the meridian. An angle, measured, is
            added to the position angles (from North through East) about the corrected pivot.

        Returns
        -------
        SkyCorrection
        """
        return replace(self, rotation_vector=with_roll(self, roll))

    def apply_to(
        self,
        files: str | os.PathLike | Iterable[str | os.PathLike],
        *,
        out_dir: str | os.PathLike | None = None,
        suffix: str = "_corrected",
        overwrite: bool = False,
        roll: str | u.Quantity = "zero",
        history: Sequence[str] = (),
        systematic: u.Quantity | None = None,
    ) -> list[Path]:
        """Write corrected copies of other exposures or bands of the same visit, whatever their grids.

        Parameters
        ----------
        files : path or iterable of paths
            The FITS files; they are not changed.
        out_dir, suffix, overwrite, roll, history, systematic : optional
            As for `astroreg.apply_correction`.

        Returns
        -------
        list of Path
            The files written, in the order given.
        """
        from astroreg.files import apply_correction

        options = {"out_dir": out_dir, "suffix": suffix, "overwrite": overwrite, "roll": roll}
        return apply_correction(self, files, history=history, systematic=systematic, **options)

    # -- as text and table ----------------------------------------------------------------------

    def __str__(self):
        return correction_table.to_text(self)

    def __repr__(self):
        return f"<SkyCorrection {self.identity}: {self}>"

    def to_table(self) -> QTable:
        """Return a table of one row that `from_table` reads back, also through ECSV.

        The pivot is a SkyCoord column, except in a frame that depends on an observer, which ECSV
        cannot hold: there it is told by ``pivot_lon``, ``pivot_lat`` and the name of the frame.
        """
        return correction_table.to_table(self)

    @classmethod
    def from_table(
        cls, table: QTable, row: int = 0, *, frame: BaseCoordinateFrame | None = None
    ) -> SkyCorrection:
        """Read a correction from a row of a table as `to_table` makes it.

        Parameters
        ----------
        table : `~astropy.table.QTable`
            The table.
        row : int, optional
            Which row; default 0.
        frame : `~astropy.coordinates.BaseCoordinateFrame`, optional
            The frame of the correction, needed only where the table has no ``pivot`` column.

        Returns
        -------
        SkyCorrection
        """
        return cls(*correction_table.from_row(table, row, frame))
