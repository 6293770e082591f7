"""An image on another image's grid, its mask and its variance with it.

reproject drops the mask and the uncertainty of what it is given, and one NaN spoils a whole spline
interpolation. So bad pixels are filled first, the data, the weight of the bad pixels and the variance
are resampled with the same weights, and what leans on bad pixels is blanked afterwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import scipy  # its parts are loaded where they are first used
from astropy.nddata import NDData, VarianceUncertainty

from astroreg.checks import parse_flag, parse_positive
from astroreg.grids import NODES, GridMap, Window, celestial_wcs, map_pixels, shifted_wcs
from astroreg.inpaint import fill_bad
from astroreg.memory import require_memory
from astroreg.resample.smoothing import BAD_WEIGHT, require_frame
from astroreg.resample.spline import ORDER, interpolated

if TYPE_CHECKING:
    from astropy import units as u

    from astroreg.inputs import Frame

__all__ = ["Resampled", "resample_to"]

COARSEST = 1.5  # source pixels a target pixel up to which a spline neither aliases nor wastes noise
PIXEL_SIGMA = 1 / math.sqrt(4 * math.pi)  # 0.282: the Gaussian whose noise equals that of a square pixel
SAMPLED_SIGMA = 0.75  # source pixels; a narrower Gaussian is too coarsely sampled to keep its centroid
REACH = 3.25  # sigmas at which the Gaussian is cut
BYTES = 100  # a pixel of the target: three planes with their splines, weights and masks
FRACTION = 1e-4  # pixels; a mapping this close to a translation is one


@dataclass(frozen=True)
class Resampled:
    """An image on another grid.

    Attributes
    ----------
    data : ndarray, shape (ny, nx)
        In the unit of the source, as surface brightness: not rescaled by the pixel area. 0 where masked.
    variance : ndarray, shape (ny, nx), or None
        Effective variance, see the Notes of `resample_to`; None where the source has none.
    mask : ndarray of bool, shape (ny, nx), or None
        True = bad or not covered by the source. None = all good.
    wcs : APE-14 WCS
        Of `data`.
    unit : Unit
        Of the source.
    algorithm : str
        ``"none"`` (pixels copied), ``"interpolation"`` or ``"adaptive"``.
    fraction : tuple of float
        (x, y) pixels to add to the positions in `data` to have those in the target: within half a pixel, and
        not 0 only where ``keep_fraction=True`` left a translation of a fraction of a pixel undone.
    area_ratio : float
        Target pixel area over source pixel area, median.
    noise_gain : float
        Marginal variance of one resampled pixel over its effective variance; below 1 where neighbours are
        correlated. The noise adds on average this much of its effective variance to a chi-squared.
    """

    data: np.ndarray
    variance: np.ndarray | None
    mask: np.ndarray | None
    wcs: object
    unit: u.UnitBase
    algorithm: str
    fraction: tuple[float, float]
    area_ratio: float
    noise_gain: float

    @property
    def covered(self) -> bool:
        """Whether any pixel is good."""
        return self.mask is None or not self.mask.all()

    def to_nddata(self) -> NDData:
        """Return the same as an `~astropy.nddata.NDData`."""
        uncertainty = None if self.variance is None else VarianceUncertainty(self.variance)
        return NDData(self.data, uncertainty=uncertainty, mask=self.mask, unit=self.unit, wcs=self.wcs)


def resample_to(
    frame: Frame,
    target_wcs,
    target_shape: tuple[int, int],
    *,
    algorithm: str = "auto",
    keep_fraction: bool = False,
) -> Resampled:
    """Resample an image onto another grid with its mask and its variance.

    Parameters
    ----------
    frame : Frame
        The source, with a celestial WCS.
    target_wcs : APE-14 WCS
        The wanted grid; any projection, celestial frame, parity, rotation and pixel size.
    target_shape : tuple of int
        (ny, nx) of the wanted grid.
    algorithm : {"auto", "interpolation", "adaptive"}, optional
        ``"auto"`` (default) copies pixels where the grids differ by whole pixels, interpolates with a spline
        of order 5 where the source's pixels are no smaller than 2/3 of the target's, and else averages
        the source under a Gaussian (DeForest's adaptive resampling), which does not alias.
    keep_fraction : bool, optional
        Whether a pure translation by a fraction of a pixel is left undone and given in ``fraction``
        (default False): what measures shifts below a pixel does it better than any resampling.

    Returns
    -------
    Resampled
        Masked everywhere where the two do not overlap on the sky.

    Raises
    ------
    ValueError
        Without a celestial WCS, or where `algorithm` is none of the three.

    Notes
    -----
    Resampled pixels are not independent, so their marginal variance ``sum_k w_jk^2 V_k`` says too little:
    a reference of ten times larger pixels appears a hundred times in the image's pixels. What decides
    the error of a shift is the noise in sums over smooth templates T, ``sum_j T_j R_j`` with
    ``R_j = sum_k w_jk r_k``. Any resampling that keeps surface brightness (``sum_k w_jk = 1``) and does not
    alias has ``sum_j w_jk = 1 / a``, a the target's pixel area over the source's, so

        Var(sum_j T_j R_j) = sum_k T_k^2 V_k / a^2 = sum_j T_j^2 V_j / a.

    ``variance = V / a`` is therefore the variance of independent pixels with the same noise on large
    scales, for finer and coarser sources alike, and it is what is returned (times 1.17 at most, for the
    noise that the narrow Gaussian still aliases); ``noise_gain`` is the ratio of the marginal variance to it.

    References
    ----------
    DeForest, C. E. 2004, Solar Physics, 219, 3 (the adaptive algorithm, in `reproject.reproject_adaptive`).
    """
    if not isinstance(algorithm, str) or algorithm not in ("auto", "interpolation", "adaptive"):
        raise ValueError(f'`algorithm` must be "auto", "interpolation" or "adaptive", got {algorithm!r}')
    parse_flag(keep_fraction, "keep_fraction")
    require_frame(frame, "frame")
    target_shape = _two_sizes(target_shape)
    source_wcs = celestial_wcs(frame.wcs, argument="frame")
    target_wcs = celestial_wcs(target_wcs, argument="target_wcs")
    target = Window.of_shape(target_shape)
    grid = GridMap(source_wcs, target_wcs, target)
    if algorithm == "auto":
        copied = _copied(frame, grid, target_wcs, keep_fraction)
        if copied is not None:
            return copied
    cut, width = _source_cut(frame, grid, algorithm)
    if cut.empty:
        return _uncovered(frame, target_wcs, target.shape)
    return _resampled(frame, grid, cut, width)


def _two_sizes(shape: tuple[int, int]) -> tuple[int, int]:
    """Return (ny, nx) of a grid that fits into memory."""
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise TypeError(f"`target_shape` must be two whole numbers (ny, nx), got {shape!r}")
    ny, nx = (parse_positive(n, argument="target_shape", integer=True) for n in shape)
    require_memory(BYTES * ny * nx, f"`target_shape` {(ny, nx)}", "take a part of that grid")
    return ny, nx


def _copied(frame: Frame, grid: GridMap, target_wcs, keep_fraction: bool) -> Resampled | None:
    """Copy pixels where the grids differ by a translation that needs no resampling, else return None."""
    offset = grid.translation(FRACTION if keep_fraction else None)
    if offset is None:
        return None
    whole = round(offset[0]), round(offset[1])
    fraction = offset[0] - whole[0], offset[1] - whole[1]
    if not keep_fraction and not grid.is_whole(offset):
        return None
    source = Window(whole[0], whole[1], whole[0] + grid.window.x1, whole[1] + grid.window.y1)
    outside = (source & Window.of_shape(frame.data.shape)) != source
    mask = frame.mask
    if outside and mask is None:
        mask = np.zeros(frame.data.shape, dtype=bool)
    data = source.cut(frame.data, 0)
    mask = None if mask is None else source.cut(mask, True)
    variance = None if frame.variance is None else source.cut(frame.variance, np.nan)
    wcs = target_wcs if grid.is_whole(offset) else shifted_wcs(frame.wcs, *whole)
    exact = (0.0, 0.0) if grid.is_whole(offset) else (-fraction[0], -fraction[1])
    return Resampled(data, variance, mask, wcs, frame.unit, "none", exact, 1.0, 1.0)


def _uncovered(frame: Frame, target_wcs, shape: tuple[int, int]) -> Resampled:
    """Return an image without a good pixel."""
    variance = None if frame.variance is None else np.full(shape, np.nan)
    return Resampled(
        np.zeros(shape), variance, np.ones(shape, bool), target_wcs, frame.unit, "none", (0.0, 0.0), 1.0, 1.0
    )


def _source_cut(frame: Frame, grid: GridMap, algorithm: str) -> tuple[Window, float]:
    """Return the part of the source that the target needs, and the Gaussian's sigma in target pixels."""
    largest, smallest = grid.stretches()
    if not np.isfinite(largest):
        return Window(0, 0, 0, 0), 0.0
    # sigma = 0 stands for the spline.
    fine = largest > COARSEST if algorithm == "auto" else algorithm == "adaptive"
    # Splines are recursive filters: their memory falls by 0.43 a pixel at order 5.
    sigma = max(PIXEL_SIGMA, SAMPLED_SIGMA / max(smallest, 1.0)) if fine else 0.0
    reach = math.ceil(REACH * sigma * max(largest, 1.0)) + 2 if fine else 16
    array = Window.of_shape(frame.data.shape)
    needed = grid.source_window() if grid.complete else array
    if (needed & array).empty:
        return Window(0, 0, 0, 0), sigma
    # A frame of bad pixels around the array makes its edge fade like any other hole.
    border = reach if fine else 3
    return needed.grown(reach) & array.grown(border), sigma


def _resampled(frame: Frame, grid: GridMap, cut: Window, sigma: float) -> Resampled:
    """Fill, resample data, bad weight and variance with the same weights, and blank."""
    bad = cut.cut(np.zeros(frame.data.shape, bool) if frame.mask is None else frame.mask, True)
    planes = [fill_bad(np.where(bad, 0, cut.cut(frame.data, 0)), bad)]
    variance = None if frame.variance is None else cut.cut(frame.variance, np.nan)
    level = _constant(variance, bad)
    if variance is not None and level is None:
        planes.append(fill_bad(np.where(bad, 0, variance), bad, smooth=False))
    if sigma:
        out, weight = _averaged(planes, bad, grid, cut, sigma)
    else:
        out, weight = interpolated(planes, bad, grid, cut)
    data = out[0]
    mask = ~(weight < BAD_WEIGHT) | ~np.isfinite(data)
    per_area = _inverse_area(grid) * (_aliased(sigma) if sigma else 1.0)
    if variance is not None:
        smallest = level if level is not None else planes[-1].min()
        resampled = level if level is not None else np.maximum(out[-1], smallest)
        variance = np.where(mask, np.nan, resampled * per_area / (1 - np.minimum(weight, BAD_WEIGHT)))
    data = np.where(mask, 0, data).astype(frame.data.dtype, copy=False)
    ratio = float(np.nanmedian(grid.area_ratio()))
    gain = _gaussian_gain(sigma) if sigma else _spline_gain(grid) * ratio
    name = "adaptive" if sigma else "interpolation"
    return Resampled(data, variance, mask, grid.target_wcs, frame.unit, name, (0.0, 0.0), ratio, gain)


def _constant(variance: np.ndarray | None, bad: np.ndarray) -> float | None:
    """Return the variance where it is the same in all good pixels, else None."""
    if variance is None or bad.all():
        return None
    good = variance[~bad]
    return float(good[0]) if (good == good[0]).all() else None


def _averaged(
    planes: list[np.ndarray], bad: np.ndarray, grid: GridMap, cut: Window, sigma: float
) -> tuple[list[np.ndarray], np.ndarray]:
    """Average the planes under a Gaussian; return them and the weight that bad pixels have."""
    # reproject brings dask along, which is slow to import.
    from reproject import reproject_adaptive

    if bad.any():
        planes = [*planes, bad.astype(planes[0].dtype)]
    # One call, so that the coordinates are computed once.
    out = reproject_adaptive(
        (np.stack(planes), shifted_wcs(grid.source_wcs, cut.x0, cut.y0)),
        grid.target_wcs,
        shape_out=(len(planes), *grid.window.shape),
        return_footprint=False,
        # The nodes have been checked forth and back; where all are well so is what lies between.
        roundtrip_coords=not grid.complete,
        kernel="gaussian",
        kernel_width=2 * sigma,  # reproject's width is from -1 to +1 sigma
        sample_region_width=2 * REACH * sigma,
        conserve_flux=False,
        boundary_mode="ignore",
        despike_jacobian=not grid.complete,
    )
    if not bad.any():
        return list(out), np.zeros(grid.window.shape)
    return list(out[:-1]), np.abs(out[-1])


def _inverse_area(grid: GridMap) -> np.ndarray | float:
    """Return the source's pixel area over the target's, as a number where it varies by less than 1e-3."""
    ratio = grid.area_ratio()
    ratio = fill_bad(np.nan_to_num(ratio), ~np.isfinite(ratio), smooth=False)
    # A median over 3 x 3 nodes replaces the spikes where a longitude jumps by 360 degrees.
    usual = scipy.ndimage.median_filter(ratio, 3)
    ratio = np.where(np.abs(ratio - usual) > 0.3 * usual, usual, ratio)
    middle = np.median(ratio)
    if np.ptp(ratio) < 1e-3 * middle:
        return 1 / float(middle)
    ny, nx = grid.window.shape
    rows, columns = (np.linspace(0, NODES - 1, 2 * n + 1)[1::2] for n in (ny, nx))
    return 1 / scipy.ndimage.map_coordinates(ratio, np.meshgrid(rows, columns, indexing="ij"), order=1)


def _aliased(sigma: float) -> float:
    """Return the noise power on large scales over that of a resampling without aliasing.

    Sampled at whole target pixels, the noise at all whole frequencies m adds to that at 0, with the squared
    transform of the Gaussian, ``exp(-4 pi^2 sigma^2 m^2)``, as weight; two of them along each axis matter.
    """
    return (1 + 2 * math.exp(-4 * math.pi**2 * sigma**2)) ** 2


def _gaussian_gain(sigma: float) -> float:
    """Return the sum of the squared weights of a Gaussian over its noise power on large scales."""
    return 1 / (4 * math.pi * sigma**2) / _aliased(sigma)


@cache
def _squared_weights() -> np.ndarray:
    """Tabulate the sum of the squared spline weights against the phase, 0 to 1 in 101 steps."""
    impulse = np.zeros(81)
    impulse[40] = 1
    phase = np.linspace(0, 1, 101)
    at = phase[:, None] + np.arange(10, 71)
    return np.sum(
        scipy.ndimage.map_coordinates(impulse, [at.ravel()], order=ORDER).reshape(at.shape) ** 2, axis=1
    )


def _spline_gain(grid: GridMap) -> float:
    """Return the mean of sum_k w_jk^2 over a sample of whole target pixels."""
    x, y = np.meshgrid(*(np.unique(np.rint(np.linspace(0, n - 1, 24))) for n in grid.window.shape[::-1]))
    table = _squared_weights()
    phases = np.linspace(0, 1, table.size)
    gains = [np.interp(v % 1, phases, table) for v in map_pixels(grid.target_wcs, grid.source_wcs, x, y)]
    return float(np.nanmean(gains[0] * gains[1]))
