"""The plane in which tiles are compared: tangent to the sky at the pivot, with the axes of the pixels."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.wcs import WCS
from astropy.wcs.wcsapi import BaseHighLevelWCS, HighLevelWCSWrapper

from astroreg.grids import unbounded
from astroreg.sky import SkyCorrection
from astroreg.sky.deformation import polar
from astroreg.sky.frames import celestial_frame, pixel_to_lonlat, realize, unit_vector
from astroreg.sky.rotations import (
    local_basis,
    lonlat_to_vector,
    matrix_to_rotation_vector,
    minimal_rotation,
    rotation_vector_to_matrix,
    vector_to_lonlat,
)
from astroreg.sky.wrapped_wcs import RotatedWCS, celestial_world_axes

__all__ = ["TangentPlane", "pixel_wcs"]

PIXEL = 0.01 / 3600  # degree: so small that the sky is flat over any image
ROUNDING = 1e-12  # a matrix this close to its rotation stretches nothing


def pixel_wcs(shape: tuple[int, int]) -> WCS:
    """Return a WCS for images that are compared pixel by pixel, without regard to the sky."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [180.0, 0.0]
    wcs.wcs.cdelt = [PIXEL, PIXEL]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.set()
    return wcs


class TangentPlane:
    """Places of the sky as coordinates in a plane, in pixels of the image at its pivot.

    Where the pixels are square, x and y of the plane are those of the image; a rotation, a scale or a linear
    map of the plane is one of the sky.

    Parameters
    ----------
    wcs : APE-14 WCS
        The image's, two celestial pixel axes.
    pivot_pixel : tuple of float
        (x, y).
    """

    def __init__(self, wcs, pivot_pixel: tuple[float, float]):
        self.wcs = unbounded(wcs)
        self.pivot_pixel = np.array(pivot_pixel, dtype=float)
        self.frame = celestial_frame(wcs)
        lon, lat = pixel_to_lonlat(self.wcs, *self.pivot_pixel)
        if not np.isfinite(lon + lat):
            raise ValueError("the middle of `image` is not on the sky; give a part of it that is")
        self.pivot = realize(self.frame, float(lon), float(lat))
        self.basis = local_basis(float(lon), float(lat))
        self._axes = np.eye(2)  # (East, North) = axes @ (x, y)
        by_pixel = self.jacobian(self.wcs, self.pivot_pixel[None])[0]
        self._axes = _nearest_similarity(by_pixel)
        self.pixel_axes = np.linalg.solve(self._axes, by_pixel)

    def directions(self, wcs, pixels: np.ndarray) -> np.ndarray:
        """Return the unit vectors, (n, 3), that pixels (n, 2) of a WCS in the image's frame see."""
        return lonlat_to_vector(*pixel_to_lonlat(wcs, *np.asarray(pixels, dtype=float).T))

    def places(self, directions: np.ndarray) -> np.ndarray:
        """Return the coordinates in the plane, (n, 2), of directions."""
        radial, east, north = self.basis @ directions.T
        return np.linalg.solve(self._axes, np.stack([east, north]) / radial).T

    def pixels(self, directions: np.ndarray) -> np.ndarray:
        """Return the pixels, (n, 2), of the image as it is given, that see directions."""
        low_level = getattr(self.wcs, "low_level_wcs", self.wcs)
        world = [None, None]
        angles = np.degrees(vector_to_lonlat(directions)) * u.deg
        for axis, angle in zip(celestial_world_axes(low_level), angles, strict=True):
            world[axis] = angle.to_value(low_level.world_axis_units[axis])
        return np.stack(low_level.world_to_pixel_values(*world), axis=-1).astype(float)

    def jacobian(self, wcs, pixels: np.ndarray, *, rotation: np.ndarray | None = None) -> np.ndarray:
        """Return the derivative of the places by the pixel, (n, 2, 2), after a rotation of the sky."""
        turn = np.eye(3) if rotation is None else rotation
        steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
        right, left, up, down = (self.places(self.directions(wcs, pixels + step) @ turn.T) for step in steps)
        return np.stack([right - left, up - down], axis=-1)

    # -- corrections ----------------------------------------------------------------------------

    def no_correction(self) -> SkyCorrection:
        """Return the correction that changes nothing."""
        return SkyCorrection(np.zeros(3), self.pivot)

    def corrected(self, correction: SkyCorrection):
        """Return the WCS of the image after a correction: for measuring, not for writing."""
        low_level = self.wcs.low_level_wcs if isinstance(self.wcs, BaseHighLevelWCS) else self.wcs
        return HighLevelWCSWrapper(RotatedWCS(low_level, correction.sphere_matrix))

    def moved(self, correction: SkyCorrection) -> np.ndarray:
        """Return the rotation, (3, 3), that takes the pivot the shortest way to its place."""
        start = unit_vector(self.pivot)
        return rotation_vector_to_matrix(minimal_rotation(start, correction.rotation_matrix @ start))

    def correction(
        self, before: SkyCorrection, shift: np.ndarray, matrix: np.ndarray, covariance: np.ndarray
    ) -> SkyCorrection:
        """Return the correction that a linear model of shifts asks for.

        Parameters
        ----------
        before : SkyCorrection
            Whose shortest rotation has been taken off the shifts.
        shift, matrix : ndarray
            t and B: what stands at u truly stands at ``-t + B u``.
        covariance : ndarray, shape (2, 2)
            Of t.

        Returns
        -------
        SkyCorrection
            With the pivot of the plane.
        """
        start = unit_vector(self.pivot)
        true = self.moved(before) @ self.basis.T @ np.append(1.0, -self._axes @ shift)
        turn, stretch = polar(self._axes @ matrix @ np.linalg.inv(self._axes))
        about = np.eye(3)
        about[1:, 1:] = turn
        about = self.basis.T @ about @ self.basis
        shortest = rotation_vector_to_matrix(minimal_rotation(start, true / np.linalg.norm(true)))
        same = np.abs(stretch - np.eye(2)).max() < ROUNDING
        sky = self._axes @ covariance @ self._axes.T * u.rad**2
        known = np.isfinite(sky.value).all()
        return SkyCorrection(
            matrix_to_rotation_vector(shortest @ about),
            self.pivot,
            sky.to(u.arcsec**2) if known else None,
            None if same else stretch,
        )


def _nearest_similarity(matrix: np.ndarray) -> np.ndarray:
    """Return the nearest rotation, mirrored if the matrix mirrors, with the area of the matrix."""
    mirror = np.diag([1.0, np.sign(np.linalg.det(matrix))])
    rotation, _ = polar(matrix @ mirror)
    return rotation @ mirror * np.sqrt(abs(np.linalg.det(matrix)))
