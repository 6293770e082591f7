"""Where the images of a stack lie on one sphere, and which parts of them others cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.coordinates import BaseCoordinateFrame

from astroreg.exceptions import CorrectionError
from astroreg.sky.frames import frame_rotation
from astroreg.sky.rotations import local_basis, vector_to_lonlat
from astroreg.stack.survey import Survey

__all__ = ["Layout", "common_frame"]

WIDEST = np.cos(np.radians(60.0))  # of the angle between an image and the common pivot


def common_frame(surveys: Sequence[Survey]) -> tuple[BaseCoordinateFrame | None, list[Survey]]:
    """Tell all images in the frame of the first that can be used.

    Parameters
    ----------
    surveys : sequence of Survey
        The images.

    Returns
    -------
    frame : BaseCoordinateFrame or None
        None where no image can be used.
    surveys : list of Survey
        The same images; one whose frame is not a rotation of the common one has an ``error``.
    """
    frame = next((one.frame for one in surveys if not one.error), None)
    return frame, [one if one.error else _in_frame(one, frame) for one in surveys]


def _in_frame(one: Survey, frame: BaseCoordinateFrame) -> Survey:
    try:
        turn = frame_rotation(one.frame, frame)
    except CorrectionError as error:
        return replace(one, error=f"{type(error).__name__}: {error}")
    vectors = {name: getattr(one, name) @ turn.T for name in ("centre", "corners", "cells")}
    return replace(one, frame=frame, **vectors)


@dataclass(frozen=True, eq=False)
class Layout:
    """The images of a stack on one sphere.

    Attributes
    ----------
    surveys : list of Survey
        All in one frame.
    basis : ndarray, shape (3, 3)
        Rows: the common pivot, East and North there.
    normals : ndarray, shape (n, 4, 3)
        Of the great circles along the edges of each image, pointing inwards; NaN for images that cannot
        be used.
    reach : ndarray, shape (n,)
        Angle in radian from the middle of each image to its farthest corner.
    """

    surveys: list[Survey]
    basis: np.ndarray
    normals: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, surveys: Sequence[Survey]) -> Layout:
        """Lay out images that are told in one frame.

        Parameters
        ----------
        surveys : sequence of Survey
            The images.

        Returns
        -------
        Layout
            Its pivot is the mean direction of the images.

        Raises
        ------
        ValueError
            If they are spread over more than a third of the sphere.
        """
        centres = np.array([one.centre for one in surveys])
        pivot = np.nansum(centres, axis=0)
        length = np.linalg.norm(pivot)
        pivot = pivot / length if length > 0 else np.array([1.0, 0.0, 0.0])
        if np.any(centres @ pivot < WIDEST):
            raise ValueError(
                "`images` reach farther than 60 degrees from their mean direction; give those of one region "
                "of the sky at a time"
            )
        corners = np.array([one.corners for one in surveys])
        normals = np.cross(corners, np.roll(corners, -1, axis=1))
        # Going around the other way, for images of the other parity, points them outwards.
        normals *= np.sign(np.einsum("nki,ni->nk", normals, centres))[:, :, None]
        reach = np.arccos(np.clip(np.einsum("nki,ni->nk", corners, centres), -1, 1)).max(axis=1)
        return cls(list(surveys), local_basis(*vector_to_lonlat(pivot)), normals, reach)

    def covered(self, image: int, other: int) -> np.ndarray:
        """Return which cells of an image lie within another one, shape (cells,)."""
        return (self.surveys[image].cells @ self.normals[other].T > 0).all(axis=1)

    def overlap(self, first: int, second: int) -> float:
        """Return the overlap of two images as a fraction of the one of which the larger part is covered."""
        return float(max(self.covered(first, second).mean(), self.covered(second, first).mean()))

    def near(self) -> list[tuple[int, int]]:
        """Return the pairs of images whose surrounding circles touch, in ascending order."""
        centres = np.array([one.centre for one in self.surveys])
        found: list[tuple[int, int]] = []
        for i, centre in enumerate(centres[:-1]):
            later = centres[i + 1 :]
            # By the chord: arccos of nearly 1 has half of the digits only.
            angle = 2 * np.arcsin(np.clip(np.linalg.norm(later - centre, axis=1) / 2, 0, 1))
            near = angle < self.reach[i] + self.reach[i + 1 :]
            found += [(i, i + 1 + int(k)) for k in np.flatnonzero(near)]
        return found

    def displacement(self, place: np.ndarray) -> np.ndarray:
        """Return how a place moves with the two parameters of a correction at the common pivot.

        Parameters
        ----------
        place : ndarray, shape (3,)
            Unit vector.

        Returns
        -------
        ndarray, shape (3, 2)
            Derivative with respect to (lon, lat) at the pivot, of the rotation ``lon N - lat E``.
        """
        _, east, north = self.basis
        return np.stack([np.cross(north, place), -np.cross(east, place)], axis=1)

    def information(self, image: int) -> np.ndarray:
        """Return the information of each cell of an image about (lon, lat) at the pivot, (cells, 2, 2)."""
        one = self.surveys[image]
        side = int(np.sqrt(len(one.cells)))
        grid = one.cells.reshape(side, side, 3)
        ny, nx = one.shape
        along_x = (grid[:, -1] - grid[:, 0]).mean(axis=0) / (nx * (1 - 1 / side))
        along_y = (grid[-1] - grid[0]).mean(axis=0) / (ny * (1 - 1 / side))
        pixels = np.linalg.pinv(np.stack([along_x, along_y], axis=1)) @ self.displacement(one.centre)
        return np.einsum("ia,nij,jb->nab", pixels, one.information, pixels)
