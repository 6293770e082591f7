"""A first look at one image of a stack: where it lies, and where its structure tells of shifts."""

from __future__ import annotations

import os
import warnings
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import scipy  # its parts are loaded where they are first used
from astropy.coordinates import BaseCoordinateFrame

from astroreg.estimators.noise import noise_variance
from astroreg.grids import celestial_wcs
from astroreg.inputs import Frame, as_frame
from astroreg.sky.frames import celestial_frame, pixel_to_lonlat
from astroreg.sky.rotations import lonlat_to_vector

__all__ = ["Survey", "forget_frames", "frame_of", "survey"]

CELLS = 16  # cells along each side of an image
SMOOTHING = 1.5  # pixels, sigma of the Gaussian before the gradient
# Variance that white noise of variance 1 has in a derivative of that Gaussian.
NOISE_IN_GRADIENT = 1 / (8 * np.pi * SMOOTHING**4)
LEAST_INFORMATION = 1e-3  # of the mean of the cells: no part of an image is without any
FRAMES_KEPT = 4  # images that one process holds on to between two pairs


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of one image before anything is measured.

    Attributes
    ----------
    index : int
        Its place in the stack.
    label : str
        Its name.
    identity : str
        Eight hexadecimal digits that tell its pixels and coordinates from those of another image.
    wcs : APE-14 WCS or None
        Of its two celestial axes.
    shape : tuple of int
        Rows and columns.
    frame : BaseCoordinateFrame or None
        In which the vectors are told.
    centre : ndarray, shape (3,)
        Unit vector of its middle.
    corners : ndarray, shape (4, 3)
        Unit vectors, in the order of going around.
    cells : ndarray, shape (n, 3)
        Unit vectors of the middles of its cells.
    information : ndarray, shape (n, 2, 2)
        How much each cell tells about a shift: the sum of g g^T / V, in pixel^-2.
    error : str
        Why the image cannot be used; empty if it can.
    """

    index: int
    label: str
    identity: str = ""
    wcs: Any = None
    shape: tuple[int, int] = (0, 0)
    frame: BaseCoordinateFrame | None = None
    centre: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))
    corners: np.ndarray = field(default_factory=lambda: np.full((4, 3), np.nan))
    cells: np.ndarray = field(default_factory=lambda: np.full((0, 3), np.nan))
    information: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 2)))
    error: str = ""


def survey(image: Any, index: int, label: str, hdu: Any = None) -> Survey:
    """Look at one image; whatever is wrong with it is told, not raised.

    Parameters
    ----------
    image : path or Frame
        The image.
    index : int
        Its place in the stack.
    label : str
        Its name.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    Survey
        With ``error`` where the image cannot be used.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _survey(frame_of(image, hdu), index, label)
    except Exception as error:
        return Survey(index, label, error=f"{type(error).__name__}: {error}")


def _survey(frame: Frame, index: int, label: str) -> Survey:
    wcs = celestial_wcs(frame.wcs, argument="images")
    ny, nx = frame.shape
    edges = [np.linspace(-0.5, n - 0.5, CELLS + 1) for n in (nx, ny)]
    x, y = np.meshgrid(*[(edge[:-1] + edge[1:]) / 2 for edge in edges])
    corners = np.array([[-0.5, -0.5], [nx - 0.5, -0.5], [nx - 0.5, ny - 0.5], [-0.5, ny - 0.5]])
    places = np.vstack([[[(nx - 1) / 2, (ny - 1) / 2]], corners, np.stack([x.ravel(), y.ravel()], axis=1)])
    vectors = lonlat_to_vector(*pixel_to_lonlat(wcs, *places.T))
    if not np.isfinite(vectors[:5]).all():
        raise ValueError("the middle or a corner of the image is not on the sky; cut the image to what is")
    return Survey(
        index,
        label,
        identity=_identity(frame, vectors[:5]),
        wcs=wcs,
        shape=frame.shape,
        frame=celestial_frame(wcs),
        centre=vectors[0],
        corners=vectors[1:5],
        cells=vectors[5:],
        information=_information(frame),
    )


def _identity(frame: Frame, vectors: np.ndarray) -> str:
    code = zlib.crc32(np.ascontiguousarray(frame.data))
    for more in (frame.variance, frame.mask, vectors):
        if more is not None:
            code = zlib.crc32(np.ascontiguousarray(more), code)
    return f"{code:08x}"


def _information(frame: Frame) -> np.ndarray:
    """Return the sums of g g^T / V over cells, without what noise adds to them, shape (n, 2, 2)."""
    good = frame.valid
    variance = frame.variance if frame.variance is not None else noise_variance(frame.filled().data, good)
    weight = np.zeros(frame.shape)
    np.divide(1.0, variance, out=weight, where=good & (np.broadcast_to(variance, frame.shape) > 0))
    if not weight.any():  # noiseless: only ratios matter
        weight[good] = 1.0
    filled = np.where(good, frame.data, np.median(frame.data[good])).astype(float)
    gradient = [scipy.ndimage.gaussian_filter(filled, SMOOTHING, order=order) for order in ((0, 1), (1, 0))]
    noise = NOISE_IN_GRADIENT * np.count_nonzero(weight) / CELLS**2
    xx, xy, yy = (
        _sums(gradient[i] * gradient[j] * weight) - (noise if i == j else 0)
        for i, j in ((0, 0), (0, 1), (1, 1))
    )
    return _positive(np.moveaxis(np.array([[xx, xy], [xy, yy]]), [0, 1], [-2, -1]).reshape(-1, 2, 2))


def _sums(plane: np.ndarray) -> np.ndarray:
    """Sum an image over its cells; a pixel counts for the cell that its middle is in."""
    for axis in (0, 1):
        n = plane.shape[axis]
        bins = np.minimum((np.arange(n) + 0.5) / n * CELLS, CELLS - 1).astype(int)
        total = np.zeros([CELLS if a == axis else m for a, m in enumerate(plane.shape)])
        np.add.at(np.moveaxis(total, axis, 0), bins, np.moveaxis(plane, axis, 0))
        plane = total
    return plane


def _positive(tensors: np.ndarray) -> np.ndarray:
    """Return tensors with eigenvalues of at least a small part of their mean."""
    values, vectors = np.linalg.eigh(tensors)
    mean = values[values > 0].mean() if (values > 0).any() else 1.0
    values = np.maximum(values, LEAST_INFORMATION * mean)
    return np.einsum("nij,nj,nkj->nik", vectors, values, vectors)


def frame_of(image: Any, hdu: Any = None) -> Frame:
    """Open an image, or return it from the few that this process has open already.

    Parameters
    ----------
    image : path or Frame
        The image.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    Frame
        Not to be changed: others may use it.
    """
    if isinstance(image, Frame):
        return image
    state = os.stat(image)
    return _opened(os.fspath(image), hdu, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=FRAMES_KEPT)
def _opened(path: str, hdu: Any, modified: int, size: int) -> Frame:
    return as_frame(path, argument="images", hdu=hdu)


def forget_frames() -> None:
    """Let go of the images that `frame_of` holds on to in this process."""
    _opened.cache_clear()
