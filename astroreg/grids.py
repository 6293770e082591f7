"""How the pixels of one celestial image map onto those of another: windows, Jacobians, translations."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # its parts are loaded where they are first used
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_pixel
from astropy.wcs.wcsapi import BaseHighLevelWCS, BaseLowLevelWCS, HighLevelWCSWrapper
from astropy.wcs.wcsapi.wrappers.base import BaseWCSWrapper

__all__ = [
    "GridMap",
    "Window",
    "binned_wcs",
    "celestial_wcs",
    "map_pixels",
    "pixel_jacobian",
    "shifted_wcs",
    "sky_jacobian",
    "unbounded",
]

NODES = 33  # nodes a side of the grid on which a mapping is examined
SAME_PIXEL = 1e-6  # pixels; two grids closer than this everywhere are one
SMOOTH = 1e-5  # pixels; what a spline through the nodes may be wrong by between them
DEGREE = 5  # of that spline


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels, x0 <= x < x1 and y0 <= y < y1, which may reach outside an array."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def of_shape(cls, shape: tuple[int, int]) -> Window:
        """Return the rectangle that a (ny, nx) array fills."""
        return cls(0, 0, int(shape[1]), int(shape[0]))

    @classmethod
    def around(cls, x: np.ndarray, y: np.ndarray) -> Window:
        """Return the smallest window that holds the finite points, empty where there are none."""
        low, high = _extremes(x, y)
        return cls(*np.floor(low).astype(int).tolist(), *(np.ceil(high).astype(int) + 1).tolist())

    @classmethod
    def within(cls, x: np.ndarray, y: np.ndarray) -> Window:
        """Return the pixels whose centres lie between the extremes of the finite points."""
        low, high = _extremes(x, y)
        return cls(*np.ceil(low).astype(int).tolist(), *(np.floor(high).astype(int) + 1).tolist())

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx), never negative."""
        return max(self.y1 - self.y0, 0), max(self.x1 - self.x0, 0)

    @property
    def empty(self) -> bool:
        """Whether it holds no pixel."""
        return 0 in self.shape

    def grown(self, pixels: float) -> Window:
        """Return the window enlarged on every side."""
        n = int(np.ceil(pixels))
        return Window(self.x0 - n, self.y0 - n, self.x1 + n, self.y1 + n)

    def __and__(self, other: Window) -> Window:
        """Return what both hold."""
        return Window(
            max(self.x0, other.x0), max(self.y0, other.y0), min(self.x1, other.x1), min(self.y1, other.y1)
        )

    def __or__(self, other: Window) -> Window:
        """Return the smallest window that holds both."""
        return Window(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )

    def cut(self, array: np.ndarray, fill) -> np.ndarray:
        """Cut the window out of a 2-D array: a view where it lies inside, else a copy with `fill` outside."""
        inside = self & Window.of_shape(array.shape)
        if inside == self:
            return array[self.y0 : self.y1, self.x0 : self.x1]
        out = np.full(self.shape, fill, dtype=array.dtype)
        if not inside.empty:
            rows = slice(inside.y0 - self.y0, inside.y1 - self.y0)
            columns = slice(inside.x0 - self.x0, inside.x1 - self.x0)
            out[rows, columns] = array[inside.y0 : inside.y1, inside.x0 : inside.x1]
        return out


def _extremes(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest (x, y) of the finite points; an empty range where there are none."""
    points = np.stack([np.ravel(x), np.ravel(y)])
    points = points[:, np.isfinite(points).all(axis=0)]
    if points.size == 0:
        return np.zeros(2), np.full(2, -1.0)
    # Clipped to what a 64-bit index holds: near the horizon of a projection pixels go to infinity.
    return np.clip(points.min(axis=1), -1e15, 1e15), np.clip(points.max(axis=1), -1e15, 1e15)


class _RegriddedWCS(BaseWCSWrapper):
    """Any APE-14 WCS on other pixels of the same plane: new pixel p is old pixel ``origin + step * p``."""

    def __init__(self, wcs: BaseLowLevelWCS, origin: tuple[float, float], step: int = 1):
        super().__init__(wcs)
        self._origin, self._step = origin, step

    def pixel_to_world_values(self, x, y):
        x, y = (first + self._step * np.asarray(v) for v, first in zip((x, y), self._origin, strict=True))
        return self._wcs.pixel_to_world_values(x, y)

    def world_to_pixel_values(self, *world):
        old = self._wcs.world_to_pixel_values(*world)
        return tuple((v - first) / self._step for v, first in zip(old, self._origin, strict=True))

    @property
    def pixel_shape(self):
        return None

    @property
    def pixel_bounds(self):
        return None


def shifted_wcs(wcs, x0: int, y0: int):
    """Return the WCS of the window of an image that starts at pixel (x0, y0), which may be negative.

    Parameters
    ----------
    wcs : APE-14 WCS
        With two pixel axes.
    x0, y0 : int
        First pixel of the window, counted from 0.

    Returns
    -------
    APE-14 WCS
        High level; `wcs` itself where both are 0.
    """
    if x0 == 0 and y0 == 0:
        return wcs
    if isinstance(wcs, WCS):
        return _shifted_fits_wcs(wcs, x0, y0)
    return _regridded(wcs, (x0, y0))


def binned_wcs(wcs, block: int):
    """Return the WCS of blocks of ``block x block`` pixels of an image, counted from a corner of it.

    Parameters
    ----------
    wcs : APE-14 WCS
        With two pixel axes.
    block : int
        Pixels a side.

    Returns
    -------
    APE-14 WCS
        High level.
    """
    return _regridded(wcs, ((block - 1) / 2,) * 2, block)


def _regridded(wcs, origin: tuple[float, float], step: int = 1):
    """Put a WCS on other pixels."""
    low_level = wcs.low_level_wcs if isinstance(wcs, BaseHighLevelWCS) else wcs
    return HighLevelWCSWrapper(_RegriddedWCS(low_level, origin, step))


def _shifted_fits_wcs(wcs: WCS, x0: int, y0: int) -> WCS:
    """Move the origin of a FITS WCS, with that of its SIP polynomial and of its lookup tables."""
    new = wcs.deepcopy()
    new.wcs.crpix = new.wcs.crpix - [x0, y0]
    if wcs.sip is not None:
        sip = wcs.sip
        new.sip = type(sip)(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - [x0, y0])
    for name in ("cpdis1", "cpdis2", "det2im1", "det2im2"):
        table = getattr(new, name)
        if table is not None:
            table.crval = (table.crval[0] - x0, table.crval[1] - y0)
    new.pixel_shape = None
    return new


def celestial_wcs(wcs, *, argument: str):
    """Return the two-dimensional celestial part of a WCS, or say what is missing.

    Parameters
    ----------
    wcs : APE-14 WCS or None
        A FITS WCS of a cube is reduced to its two celestial axes.
    argument : str
        Name of the argument it came from, for the message.

    Returns
    -------
    APE-14 WCS
        High level, two pixel axes.

    Raises
    ------
    ValueError
        Where there is no WCS, or not one of two celestial pixel axes.
    """
    if wcs is None:
        raise ValueError(
            f"`{argument}` has no WCS, so its place on the sky is unknown; attach one, "
            "or measure the shift in pixels with chi2_shift"
        )
    if isinstance(wcs, WCS):
        if not wcs.has_celestial:
            raise ValueError(
                f"the WCS of `{argument}` has no celestial axes; give an image with sky coordinates"
            )
        return wcs if wcs.pixel_n_dim == 2 else wcs.celestial
    if not hasattr(getattr(wcs, "low_level_wcs", wcs), "pixel_n_dim"):
        raise TypeError(
            f"the WCS `{argument}` is a {type(wcs).__name__}; give an astropy, gwcs or APE-14 WCS"
        )
    high_level = HighLevelWCSWrapper(wcs) if not isinstance(wcs, BaseHighLevelWCS) else wcs
    if high_level.low_level_wcs.pixel_n_dim != 2:
        raise ValueError(
            f"the WCS of `{argument}` has {high_level.low_level_wcs.pixel_n_dim} pixel axes, 2 are needed; "
            "slice it to one plane"
        )
    return high_level


def unbounded(wcs):
    """Return a WCS that also answers outside the bounding box that a generalized WCS may have.

    Parameters
    ----------
    wcs : APE-14 WCS
        It is not changed.

    Returns
    -------
    APE-14 WCS
        The WCS itself where it has no bounding box, or needs one since its inverse is found by search.
    """
    inner = _innermost(wcs)
    if getattr(inner, "bounding_box", None) is None:
        return wcs
    try:
        inner.backward_transform  # noqa: B018 - raises where there is none
    except NotImplementedError:
        return wcs
    wcs = copy.deepcopy(wcs)
    _innermost(wcs).bounding_box = None
    return wcs


def _innermost(wcs):
    """The WCS within all wrappers."""
    while True:
        inner = getattr(wcs, "_low_level_wcs", None)
        inner = getattr(wcs, "_wcs", None) if inner is None else inner
        if inner is None or inner is wcs or isinstance(wcs, WCS):
            return wcs
        wcs = inner


def map_pixels(wcs_from, wcs_to, x, y) -> tuple[np.ndarray, np.ndarray]:
    """Give the pixel of `wcs_to` that sees the same point of the sky; NaN where there is none.

    Parameters
    ----------
    wcs_from, wcs_to : APE-14 WCS
        High level, two pixel axes; frames may differ.
    x, y : array_like
        Pixel coordinates in `wcs_from`, centres at integers from 0.

    Returns
    -------
    x, y : ndarray
        Pixel coordinates in `wcs_to`.
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Points that the other projection cannot show come back NaN or unconverged; both are seen below.
        warnings.simplefilter("ignore")
        new_x, new_y = pixel_to_pixel(wcs_from, wcs_to, x, y)
        back_x, back_y = pixel_to_pixel(wcs_to, wcs_from, new_x, new_y)
    new_x, new_y = np.array(new_x, dtype=float), np.array(new_y, dtype=float)
    lost = ~(np.hypot(back_x - x, back_y - y) < 0.5)
    new_x[lost] = np.nan
    new_y[lost] = np.nan
    return new_x, new_y


def pixel_jacobian(wcs_from, wcs_to, x, y) -> np.ndarray:
    """Differentiate `map_pixels` by central differences of one pixel.

    Parameters
    ----------
    wcs_from, wcs_to : APE-14 WCS
        High level, two pixel axes.
    x, y : array_like, shape (n,)
        Where, in pixels of `wcs_from`.

    Returns
    -------
    ndarray, shape (n, 2, 2)
        ``[[dx'/dx, dx'/dy], [dy'/dx, dy'/dy]]``, x' and y' the pixels of `wcs_to`.
    """
    x, y = (np.atleast_1d(np.asarray(v, dtype=float)) for v in np.broadcast_arrays(x, y))
    steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    new_x, new_y = map_pixels(wcs_from, wcs_to, x[:, None] + steps[:, 0], y[:, None] + steps[:, 1])
    rows = [np.stack([v[:, 0] - v[:, 1], v[:, 2] - v[:, 3]], axis=-1) for v in (new_x, new_y)]
    return np.stack(rows, axis=-2)


def sky_jacobian(wcs, x: float, y: float) -> np.ndarray:
    """Differentiate the arcs on the sky by the pixel, by central differences of one pixel.

    Parameters
    ----------
    wcs : APE-14 WCS
        High level, two pixel axes.
    x, y : float
        Where.

    Returns
    -------
    ndarray, shape (2, 2)
        ``[[dlon/dx, dlon/dy], [dlat/dx, dlat/dy]]`` in arcsec a pixel, lon as an arc.
    """
    steps = np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    around = wcs.pixel_to_world(x + steps[:, 0], y + steps[:, 1])
    offsets = wcs.pixel_to_world(x, y).spherical_offsets_to(around)
    return np.array([[v[0] - v[1], v[2] - v[3]] for v in (arc.to_value("arcsec") for arc in offsets)])


class GridMap:
    """The mapping of the pixels of a target window onto those of a source image, known on a grid of nodes.

    Parameters
    ----------
    source_wcs : APE-14 WCS
        Of the image that is to be resampled.
    target_wcs : APE-14 WCS
        Of the wanted grid.
    window : Window
        The part of the target that matters.
    """

    def __init__(self, source_wcs, target_wcs, window: Window):
        self.source_wcs, self.target_wcs = source_wcs, target_wcs
        self.window = window
        self.node_x = np.linspace(window.x0 - 0.5, window.x1 - 0.5, NODES)
        self.node_y = np.linspace(window.y0 - 0.5, window.y1 - 0.5, NODES)
        x, y = np.meshgrid(self.node_x, self.node_y)
        self.target_x, self.target_y = x, y
        self.x, self.y = map_pixels(target_wcs, source_wcs, x, y)
        jacobian = pixel_jacobian(target_wcs, source_wcs, x.ravel(), y.ravel())
        self.jacobian = jacobian.reshape(*x.shape, 2, 2)

    @property
    def complete(self) -> bool:
        """Whether every node has its place in the source."""
        return bool(np.isfinite(self.x).all())

    def places(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return where the pixels of some rows of the target lie in the source.

        Parameters
        ----------
        rows : slice
            Of the window, counted from 0.

        Returns
        -------
        x, y : ndarray, shape (n, nx)
            Source pixels, NaN where there is none. They are those of a spline through the nodes where that is
            right to 1e-5 pixel, since projections are smooth and take long.
        """
        ys, xs = (np.arange(n, dtype=float) for n in self.window.shape)
        ys, xs = ys[rows] + self.window.y0, xs + self.window.x0
        if self.is_smooth:
            return self._by_spline(xs, ys)
        x, y = np.meshgrid(xs, ys)
        if not self.complete:
            return map_pixels(self.target_wcs, self.source_wcs, x, y)
        # The nodes have been checked forth and back; where all are well so is what lies between.
        return tuple(np.asarray(v, float) for v in pixel_to_pixel(self.target_wcs, self.source_wcs, x, y))

    @cached_property
    def is_smooth(self) -> bool:
        """Whether a spline through the nodes is right, to 1e-5 pixel, in the middle of every cell."""
        if not self.complete:
            return False
        xs, ys = ((nodes[1:] + nodes[:-1]) / 2 for nodes in (self.node_x, self.node_y))
        x, y = map_pixels(self.target_wcs, self.source_wcs, *np.meshgrid(xs, ys))
        spline_x, spline_y = self._by_spline(xs, ys)
        return bool(np.all(np.hypot(spline_x - x, spline_y - y) < SMOOTH))

    @cached_property
    def _splines(self) -> list:
        """Functions from x, and from y, to the weights of the nodes along that axis."""
        spline = scipy.interpolate.make_interp_spline
        return [spline(nodes, np.eye(NODES), k=DEGREE) for nodes in (self.node_x, self.node_y)]

    def _by_spline(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the pixels of a grid of columns and rows."""
        columns, rows = (spline(at) for spline, at in zip(self._splines, (x, y), strict=True))
        return tuple(rows @ values @ columns.T for values in (self.x, self.y))

    def translation(self, tolerance: float | None = None) -> tuple[float, float] | None:
        """Return (x, y) of source minus target where it is the same everywhere (to 1e-6 pixel), else None."""
        if not self.complete:
            return None
        dx, dy = self.x - self.target_x, self.y - self.target_y
        same = max(np.ptp(dx), np.ptp(dy)) < 2 * (SAME_PIXEL if tolerance is None else tolerance)
        return (float(dx.mean()), float(dy.mean())) if same else None

    @staticmethod
    def is_whole(offset: tuple[float, float]) -> bool:
        """Whether a translation is one of whole pixels, to 1e-6."""
        return max(abs(v - round(v)) for v in offset) < SAME_PIXEL

    def source_window(self) -> Window:
        """Return the part of the source that the target window covers."""
        return Window.around(self.x, self.y)

    def stretches(self) -> np.ndarray:
        """Return the median singular values, source pixels a target pixel, the larger first."""
        good = np.isfinite(self.jacobian).all(axis=(2, 3))
        if not good.any():
            return np.array([np.nan, np.nan])
        return np.median(np.linalg.svd(self.jacobian[good], compute_uv=False), axis=0)

    def area_ratio(self) -> np.ndarray:
        """Return |det J|, source pixels a target pixel, at the nodes (NODES, NODES)."""
        with np.errstate(invalid="ignore"):  # NaN where a node has no place in the source
            return np.abs(np.linalg.det(self.jacobian))
