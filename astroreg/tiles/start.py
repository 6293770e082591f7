"""Where to begin: rotation, scale and shift to within what tiles can find themselves, without a prior.

Block averages of both images, of which structure of a few blocks is kept, are correlated over a grid of
rotations and scales. A step of the grid moves the corners by one and a half blocks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.estimators.correlation import correlation_surface
from astroreg.estimators.overlap import Plane
from astroreg.grids import Window, shifted_wcs
from astroreg.inputs import Frame
from astroreg.resample import resample_to
from astroreg.tiles.plane import TangentPlane

__all__ = ["Start", "find_start", "good_part"]

SIDE = 48  # blocks along the longer side of the image
STEP = 1.5  # blocks, at the middle of the sides
REACH = 0.2, 0.15  # radian, and natural logarithm of the scale: 11 degrees and 15 per cent
_HALVINGS = 2
_FINEST, _COARSEST = 1.0, 6.0  # blocks: sigmas of the smoothing that is kept and of that taken off
_LEAST_GOOD = 0.5  # part of a block


@dataclass(frozen=True)
class Start:
    """A rotation with scale, and a shift.

    Attributes
    ----------
    matrix : ndarray, shape (2, 2)
        B, in the plane: what stands at u of the image stands at ``B u - shift`` of the reference.
    shift : ndarray, shape (2,)
        In pixels.
    score : float
        Log-likelihood ratio against no relation.
    """

    matrix: np.ndarray
    shift: np.ndarray
    score: float


def find_start(
    reference: Frame,
    image: Frame,
    plane: TangentPlane,
    *,
    limit: float | None,
    min_overlap: float,
    turning: bool,
) -> Start:
    """Search for the rotation, the scale and the shift of an image.

    Parameters
    ----------
    reference, image : Frame
        The images, with WCS.
    plane : TangentPlane
        Of the image; it is turned about the pivot.
    limit : float or None
        Longest shift of the middle of the image, in pixels.
    min_overlap : float
        Least overlap, as a fraction of the good part of the image.
    turning : bool
        Whether rotation and scale are searched for.

    Returns
    -------
    Start
        The identity, with a score of 0, where nothing matches.
    """
    seen = good_part(image)
    ny, nx = seen.shape
    block = max(1, -(-max(ny, nx) // SIDE))
    reach = max(nx, ny) // 2 if limit is None else min(limit, 2 * max(nx, ny))
    margin = block * int(np.ceil(reach / block + STEP + 1))
    canvas = seen.grown(margin)
    # No interpolation is wanted: half a pixel does not matter here.
    wcs = shifted_wcs(plane.wcs, canvas.x0, canvas.y0)
    resampled = resample_to(reference, wcs, canvas.shape, keep_fraction=True)
    good = np.ones(canvas.shape, bool) if resampled.mask is None else ~resampled.mask
    wide = _blocks(resampled.data, good, block)
    own = _blocks(seen.cut(image.filled().data, 0), seen.cut(image.valid, False), block)
    nothing = Start(np.eye(2), np.zeros(2), 0.0)
    if not (wide[1].any() and own[1].any()):
        return nothing
    fixed = Plane(_filtered(*own), 1.0, own[1] > _LEAST_GOOD)
    middle = (plane.pivot_pixel - [canvas.x0, canvas.y0] + 0.5) / block - 0.5

    def score(angle: float, logarithm: float) -> Start:
        matrix = _similarity(angle, logarithm)
        by_pixel = np.linalg.solve(plane.pixel_axes, matrix @ plane.pixel_axes)
        turned = _warped(wide, by_pixel, middle)
        moving = Plane(_filtered(*turned), 1.0, turned[1] > _LEAST_GOOD)
        return _best(moving, fixed, matrix, block, margin, limit, min_overlap)

    return _searched(score, STEP / (max(nx, ny) / block / 2)) if turning else score(0.0, 0.0)


def good_part(image: Frame) -> Window:
    """Return the smallest window that holds all good pixels.

    Parameters
    ----------
    image : Frame
        With a good pixel at least.

    Returns
    -------
    Window
        In its pixels.
    """
    rows, columns = (np.flatnonzero(image.valid.any(axis=axis)) for axis in (1, 0))
    return Window(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _searched(score, step: float) -> Start:
    """Search a grid of rotations and scales, then about its best node with half the step, and again."""
    turns, scales = (step * np.arange(-n, n + 1) for n in (int(np.ceil(reach / step)) for reach in REACH))
    found: dict[tuple[float, float], Start] = {}
    nodes = [(float(angle), float(logarithm)) for angle in turns for logarithm in scales]
    for _ in range(_HALVINGS + 1):
        found |= {node: score(*node) for node in nodes if node not in found}
        # of equals the one that changes less
        best = max(found, key=lambda node: (found[node].score, -np.hypot(*node)))
        step /= 2
        nodes = [(best[0] + i * step, best[1] + j * step) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return found[best]


def _best(
    moving: Plane, fixed: Plane, matrix, block: int, margin: int, limit: float | None, least: float
) -> Start:
    """Return the shift of the highest likelihood for one matrix."""
    surface = correlation_surface(moving, fixed)
    # The canvas begins `margin` before the image.
    x, y = surface.x + margin / block, surface.y + margin / block
    overlap = surface.overlap * min(moving.count, fixed.count) / max(fixed.count, 1)
    allowed = overlap >= least
    if limit is not None:
        allowed &= np.hypot(x, y[:, None]) <= limit / block + 1
    likelihood = np.where(allowed & np.isfinite(surface.score), surface.score, 0.0)
    row, column = np.unravel_index(np.argmax(likelihood), likelihood.shape)
    if not likelihood[row, column] > 0:
        return Start(np.eye(2), np.zeros(2), 0.0)
    return Start(matrix, block * np.array([x[column], y[row]]), float(likelihood[row, column]))


def _similarity(angle: float, logarithm: float) -> np.ndarray:
    cosine, sine = np.exp(logarithm) * np.array([np.cos(angle), np.sin(angle)])
    return np.array([[cosine, -sine], [sine, cosine]])


def _blocks(data: np.ndarray, good: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Return means over blocks, and which part of each is good."""
    ny, nx = (-(-n // block) * block for n in data.shape)
    sums = []
    for plane in (np.where(good, data, 0), good):
        padded = np.zeros((ny, nx))
        padded[: data.shape[0], : data.shape[1]] = plane
        sums.append(padded.reshape(ny // block, block, nx // block, block).sum(axis=(1, 3)))
    return np.divide(sums[0], sums[1], out=np.zeros_like(sums[0]), where=sums[1] > 0), sums[1] / block**2


def _warped(blocks: tuple[np.ndarray, np.ndarray], matrix: np.ndarray, middle: np.ndarray):
    """Return ``f(middle + matrix (x - middle))`` of block means and of their weights."""
    data, weight = blocks
    by_index, centre = matrix[::-1, ::-1], middle[::-1]
    options = {"offset": centre - by_index @ centre, "order": 1, "mode": "constant", "cval": 0.0}
    total = scipy.ndimage.affine_transform(data * weight, by_index, **options)
    weight = scipy.ndimage.affine_transform(weight, by_index, **options)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-6), weight


def _filtered(data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return structure of a few blocks, with unit variance; bad blocks take no part."""
    good = weight > _LEAST_GOOD
    fine, coarse = (_smoothed(np.where(good, data, 0), good, sigma) for sigma in (_FINEST, _COARSEST))
    structure = fine - coarse
    spread = float(structure[good].std()) if good.any() else 0.0
    return structure / spread if spread > 0 else structure


def _smoothed(data: np.ndarray, good: np.ndarray, sigma: float) -> np.ndarray:
    weight = scipy.ndimage.gaussian_filter(good.astype(float), sigma)
    total = scipy.ndimage.gaussian_filter(data, sigma)
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-3)
