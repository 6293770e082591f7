"""Corrections of any WCS of the shared interface (APE 14), by wrapping it."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.wcs.wcsapi import BaseLowLevelWCS
from astropy.wcs.wcsapi.wrappers.base import BaseWCSWrapper

from astroreg.exceptions import CorrectionError
from astroreg.sky.rotations import lonlat_to_vector, vector_to_lonlat

__all__ = ["RotatedWCS", "ShiftedWCS", "celestial_world_axes"]


def celestial_world_axes(wcs: BaseLowLevelWCS) -> tuple[int, int]:
    """The numbers of the world axes that hold longitude and latitude.

    Parameters
    ----------
    wcs : `~astropy.wcs.wcsapi.BaseLowLevelWCS`
        The WCS; it may have further axes.

    Returns
    -------
    lon, lat : int

    Raises
    ------
    CorrectionError
        If there is no such pair, or more than one.
    """
    classes = wcs.world_axis_object_classes
    found: dict[int, int] = {}
    for axis, (name, position, *_) in enumerate(wcs.world_axis_object_components):
        if issubclass(classes[name][0], SkyCoord):
            place = {"lon": 0, "lat": 1}.get(position, position)
            if place in found:
                raise CorrectionError(
                    "`wcs` has more than one pair of celestial axes; give the WCS of one image"
                )
            found[place] = axis
    if set(found) != {0, 1}:
        raise CorrectionError("`wcs` has no pair of celestial axes; give the WCS of an image of the sky")
    return found[0], found[1]


class RotatedWCS(BaseWCSWrapper):
    """Another WCS with its celestial coordinates rotated.

    Exact for every WCS, but made of arrays alone: it cannot be written to a header or to ASDF
    (``serializable`` is False).

    Parameters
    ----------
    wcs : `~astropy.wcs.wcsapi.BaseLowLevelWCS`
        The nominal WCS.
    rotation : ndarray, shape (3, 3)
        What takes nominal to true directions, in the celestial frame of ``wcs``; it may stretch.
    """

    serializable = False

    def __init__(self, wcs: BaseLowLevelWCS, rotation: np.ndarray):
        if isinstance(wcs, RotatedWCS):  # two rotations are one
            wcs, rotation = wcs._wcs, rotation @ wcs.rotation
        super().__init__(wcs)
        self.rotation = np.array(rotation, dtype=float)
        self._axes = celestial_world_axes(wcs)
        self._radians = [u.Unit(wcs.world_axis_units[axis]).to(u.rad) for axis in self._axes]

    @property
    def axis_correlation_matrix(self) -> np.ndarray:
        """Which world axis depends on which pixel axis; a rotation mixes the celestial two."""
        matrix = np.array(self._wcs.axis_correlation_matrix)
        matrix[list(self._axes)] = matrix[list(self._axes)].any(axis=0)
        return matrix

    def pixel_to_world_values(self, *pixel_arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Nominal world values of the pixels, rotated.

        Parameters
        ----------
        *pixel_arrays : ndarray
            Pixel coordinates, one array an axis.

        Returns
        -------
        tuple of ndarray
        """
        return self._turned(self._wcs.pixel_to_world_values(*pixel_arrays), self.rotation)

    def world_to_pixel_values(self, *world_arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Pixels of the world values, which are rotated back first.

        Parameters
        ----------
        *world_arrays : ndarray
            World coordinates, one array an axis.

        Returns
        -------
        tuple of ndarray
        """
        return self._wcs.world_to_pixel_values(*self._turned(world_arrays, np.linalg.inv(self.rotation)))

    def _turned(self, world, rotation):
        values = list(world)
        lon, lat = (np.asarray(values[axis]) * scale for axis, scale in zip(self._axes, self._radians))
        new_lon, new_lat = vector_to_lonlat(lonlat_to_vector(lon, lat) @ rotation.T)
        # the longitude stays in the turn that the WCS counts in: 0 to 360 or -180 to 180
        new_lon = lon + (new_lon - lon + np.pi) % (2 * np.pi) - np.pi
        for axis, scale, value in zip(self._axes, self._radians, (new_lon, new_lat)):
            values[axis] = value / scale
        return tuple(values)

    def __str__(self):
        return f"{self._wcs}\nrotated on the sky (cannot be written to a file)"


class ShiftedWCS(BaseWCSWrapper):
    """Another WCS whose pixels have moved: ``W'(p) = W(p - shift)``; it cannot be written to a file.

    Parameters
    ----------
    wcs : `~astropy.wcs.wcsapi.BaseLowLevelWCS`
        The nominal WCS.
    shift : ndarray, shape (n,)
        Pixels, one number a pixel axis.
    """

    serializable = False

    def __init__(self, wcs: BaseLowLevelWCS, shift: np.ndarray):
        super().__init__(wcs)
        self.shift = np.array(shift, dtype=float)

    def pixel_to_world_values(self, *pixel_arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """World values of the pixels before they moved.

        Parameters
        ----------
        *pixel_arrays : ndarray
            Pixel coordinates, one array an axis.

        Returns
        -------
        tuple of ndarray
        """
        return self._wcs.pixel_to_world_values(
            *(pixel - step for pixel, step in zip(pixel_arrays, self.shift))
        )

    def world_to_pixel_values(self, *world_arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """Pixels of the world values, moved.

        Parameters
        ----------
        *world_arrays : ndarray
            World coordinates, one array an axis.

        Returns
        -------
        tuple of ndarray
        """
        pixels = self._wcs.world_to_pixel_values(*world_arrays)
        return tuple(pixel + step for pixel, step in zip(pixels, self.shift))

    def __str__(self):
        return f"{self._wcs}\nmoved by {self.shift} pixels (cannot be written to a file)"
