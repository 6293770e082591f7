"""One registration from two planes to a shift: coarse search, fine step, and what makes it doubtful."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from astroreg.estimators.alignment import Aligner
from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.correlation import Coarse, coarse_shift, delta_chi2_of, search_block, summit
from astroreg.estimators.decimation import CLEAN, fill_bad
from astroreg.estimators.detection import false_alarm_probability
from astroreg.estimators.equations import Fit
from astroreg.estimators.fixed_pattern import may_share_pattern, shared_outliers
from astroreg.estimators.levels import Pyramid
from astroreg.estimators.overlap import MARGIN, Overlap, Plane, make_overlap, overlap_extent
from astroreg.estimators.survey import border, complete_block, survey

_FEWEST_PIXELS = 16  # fewer usable pixels than this determine nothing
_RECENTRE = 0.55  # beyond this fraction of a pixel the whole-pixel shift is chosen anew
# Blocks a side of the first search, and of the next where one is not beyond doubt.
_SIDES = (64, 128, 256)
_CLEAR = 0.7  # correlation of the blocks
_CLEAR_DELTA_CHI2 = 100.0
_LARGE = 400  # pixels a side from which it pays to look whether coarser pixels tell as much
_RECENTRINGS = 5
_MIDDLE = 256  # pixels a side of the window in which a pattern of the detector is looked for
_FINE = 3  # a search on blocks larger than this needs a fit before one of the pixels may begin
_NEAR = 0.03  # blocks: a start near enough to go on with at a finer resolution
_ARRAYS, _ARRAYS_OF_NOISE = (
    25,
    15,
)  # at the peak of a fit; besides, where variances differ from pixel to pixel
_COARSER = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)  # pixels a side, tried in turn where memory is short
_SMALLEST = 128  # coarser pixels a side: an image is not made smaller than this for want of memory
_FARTHEST = 12  # pixels: a fit that walks this far from the coarse peak follows noise


@dataclass(frozen=True)
class Search:
    """How the shift is looked for, whatever the fine step.

    Attributes
    ----------
    max_shift : float or None
        Longest shift, pixels.
    min_overlap : float
        Least overlap, as a fraction of the smaller image's good pixels.
    periodic : bool
        Whether both images wrap around.
    fit_scale, fit_background : bool
        Whether flux scale and background are free, else 1 and 0.
    """

    max_shift: float | None = None
    min_overlap: float = 0.1
    periodic: bool = False
    fit_scale: bool = True
    fit_background: bool = True


@dataclass(frozen=True)
class Outcome:
    """What a registration found.

    Attributes
    ----------
    fit : Fit or None
        None where the images have nothing in common to fit.
    coarse : Coarse
        The search.
    overlap : Overlap or None
        The canvas of the fit.
    false_alarm : float
        Probability that unrelated images would match as well.
    block : float
        Pixels a side of the blocks on which the fit was made: its lengths are in blocks.
    complete : float
        Pixels a side of the largest blocks that hold all that the images tell; less than `block` for want of
        memory.
    """

    fit: Fit | None
    coarse: Coarse
    overlap: Overlap | None = field(default=None, repr=False)
    false_alarm: float = float("nan")
    block: float = 1
    complete: float = 1


# Aligner -> an object with fit(empirical=...)
Refiner = Callable[[Aligner], object]


def search(reference: Pyramid, image: Pyramid, how: Search) -> Coarse:
    """Find the shift to the pixel, or to a small part of a block where the search is made on blocks.

    Parameters
    ----------
    reference, image : Pyramid
        The images.
    how : Search
        The bounds.

    Returns
    -------
    Coarse
        With shifts in pixels of the images.
    """
    blocks = [search_block((reference.shape, image.shape), side, periodic=how.periodic) for side in _SIDES]
    if how.max_shift is not None:
        # Where a shift of one block is beyond the limit, all of them are at the bound.
        blocks = [b for b in blocks if how.max_shift >= b] or blocks[-1:]
    if blocks[0] > blocks[-1] and _may_share_pattern(reference, image):
        blocks = blocks[-1:]
    for block in dict.fromkeys(blocks):
        coarse = _search_on_blocks(reference, image, block, how)
        if _clear(coarse):
            break
    return coarse


def _may_share_pattern(reference, image):
    """Return whether the middles of both images hint at a pattern of the detector."""
    if reference.shape != image.shape:
        return False
    middle = tuple(slice(max(0, (n - _MIDDLE) // 2), (n + _MIDDLE) // 2) for n in image.shape)
    windows = [pyramid.window(*middle) for pyramid in (reference, image)]
    for plane in windows:
        if plane.good is not None:
            fill_bad(plane.data, ~plane.good)
            np.copyto(plane.data, 0, where=~np.isfinite(plane.data))
    return may_share_pattern(*(plane.data for plane in windows))


def _clear(coarse):
    """Return whether there is no doubt about the peak of a search on blocks."""
    peak, rival = coarse.peak, coarse.rival
    if peak is None or coarse.at_bound or coarse.fixed_pattern or peak.correlation < _CLEAR:
        return False
    return rival is None or delta_chi2_of(peak, rival) > _CLEAR_DELTA_CHI2


def _search_on_blocks(reference, image, block, how):
    """Return the search made on blocks of one size, in pixels of the images."""
    small = [pyramid.coarse(block) for pyramid in (reference, image)]
    # The block nearest to an allowed shift is half a block away at the most, along both axes.
    limit = None if how.max_shift is None else how.max_shift / block + np.sqrt(0.5)
    bounds = {"max_shift": limit, "min_overlap": how.min_overlap, "periodic": how.periodic}
    coarse = coarse_shift(*small, **bounds)
    if coarse.set_aside:
        # The pattern's hot pixels blur the search: once more without them.
        coarse = replace(
            coarse_shift(*without_shared_outliers(*small), **bounds), fixed_pattern=True, set_aside=True
        )
    if block == 1 or coarse.peak is None:
        return coarse
    rival = coarse.rival and replace(coarse.rival, shift=coarse.rival.shift * block)
    surface = replace(coarse.surface, x=coarse.surface.x * block, y=coarse.surface.y * block)
    peak = replace(coarse.peak, shift=block * summit(coarse))
    trials = coarse.trials * block**2
    return replace(coarse, peak=peak, rival=rival, trials=trials, surface=surface, block=block)


def _fitted_on_blocks(reference, image, coarse, how):
    """Return the shift that a fit on the blocks of the search finds near its peak."""
    small = [pyramid.coarse(coarse.block) for pyramid in (reference, image)]
    peak = coarse.peak.shift / coarse.block
    whole = np.rint(peak).astype(int)
    overlap = make_overlap(*small, whole, periodic=how.periodic)
    if overlap.n_pixels < _FEWEST_PIXELS or not _varies(overlap):
        return coarse.peak.shift
    aligner = Aligner(overlap, fit_scale=how.fit_scale, fit_background=how.fit_background)
    aligner.fraction = peak - whole
    ChiSquaredStep(aligner).solve(shortest=_NEAR)
    found = whole + aligner.fraction
    return coarse.block * found if np.abs(found - peak).max() < 1.5 else coarse.peak.shift


@dataclass(frozen=True)
class Level:
    """Where the fit begins.

    Attributes
    ----------
    block : float
        Pixels a side of the coarser pixels of the fit, a multiple of one half.
    start : `numpy.ndarray`
        (x, y) in pixels of the images.
    profile : tuple of `numpy.ndarray` or None
        Low-pass of the template there, where it is known.
    clarity : float
        Mean of the low-pass where the images' information is.
    """

    block: float
    start: np.ndarray
    profile: tuple[np.ndarray, np.ndarray] | None = None
    clarity: float = 0.0


def _level(reference: Pyramid, image: Pyramid, coarse: Coarse, how: Search) -> Level:
    """Choose the resolution of the fit, and where it begins."""
    sides = tuple(map(min, reference.shape, image.shape))
    start = summit(coarse) if coarse.block == 1 else coarse.peak.shift
    if min(sides) < _LARGE or coarse.set_aside:
        return Level(1, start)
    found = survey(reference, image, start, coarse.block)
    if found is None:
        return Level(1, _fitted_on_blocks(reference, image, coarse, how) if coarse.block > _FINE else start)
    beside = border((reference, image), periodic=how.periodic)
    block = complete_block(found, sides, beside, periodic=how.periodic)
    k, h, _ = found.spectra.rings()
    return Level(block, found.shift, (block * k, h), found.spectra.clarity)


def without_shared_outliers(reference: Plane, image: Plane) -> tuple[Plane, Plane]:
    """Return both images with the hot pixels that they share marked bad; as they are where shapes differ."""
    if reference.shape != image.shape:
        return reference, image
    good = np.ones(image.shape, bool)
    for plane in (reference, image):
        if plane.good is not None:
            good &= plane.good
    hot = shared_outliers(reference.data, image.data, good)
    return tuple(replace(p, good=~hot if p.good is None else p.good & ~hot) for p in (reference, image))


def _fit_at(reference, image, level, refiner, how, *, empirical=False):
    """Return the fit that starts at a level's shift, and its canvas; no fit where it leads nowhere."""
    start = np.asarray(level.start, float) / level.block
    at, first = start, None
    for _ in range(_RECENTRINGS):
        overlap = make_overlap(reference, image, np.rint(at).astype(int), periodic=how.periodic)
        first = first or overlap
        if overlap.n_pixels < _FEWEST_PIXELS or not _varies(overlap):
            return None, first
        aligner = Aligner(overlap, fit_scale=how.fit_scale, fit_background=how.fit_background)
        aligner.fraction = at - overlap.whole
        aligner.highest = CLEAN if level.block > 1 else None
        if level.profile is not None:
            aligner.set_profile(*level.profile, level.clarity)
        fit = refiner(aligner).fit(empirical=empirical)
        if not np.isfinite(fit.shift).all() or np.abs(fit.shift - start).max() > _FARTHEST:
            return None, first
        if np.abs(fit.shift - overlap.whole).max() <= _RECENTRE:
            break
        at = fit.shift
    return fit, overlap


def bytes_needed(reference: Pyramid, image: Pyramid, level: Level) -> float:
    """Return the bytes at the peak of a fit."""
    shapes = [tuple(int(n // level.block) for n in p.shape) for p in (reference, image)]
    extent = overlap_extent(*shapes, np.rint(level.start / level.block).astype(int))
    arrays = _ARRAYS + _ARRAYS_OF_NOISE * any(np.ndim(p.plane.variance) for p in (reference, image))
    item = np.result_type(reference.dtype, image.dtype).itemsize
    return arrays * item * float(np.prod([float(max(0, high - low) + 2 * MARGIN) for low, high in extent]))


def _affordable(reference, image, level, memory, how):
    """Return the level, or the next coarser one whose fit needs no more than `memory` bytes."""
    sides = min(*reference.shape, *image.shape)
    for block in (level.block, *(b for b in _COARSER if b > level.block and b * _SMALLEST <= sides)):
        if how.periodic and any(n % block for n in image.shape):
            continue
        ratio = block / level.block
        profile = level.profile and (ratio * level.profile[0], level.profile[1])
        coarser = replace(level, block=block, profile=profile)
        if bytes_needed(reference, image, coarser) <= memory:
            return coarser
    return level


def _varies(overlap):
    """Return whether both images have any structure on the pixels that count."""
    box = overlap.box
    for x in (overlap.reference[box], overlap.image[box]):
        values = x[overlap.usable[box]] if overlap.has_holes else x
        if not float(values.max()) > float(values.min()):
            return False
    return True


def register(
    reference: Plane,
    image: Plane,
    refiner: Refiner,
    how: Search,
    *,
    empirical: bool = False,
    coarse: Coarse | None = None,
    memory: float = float("inf"),
    permit: Callable[[float], None] | None = None,
) -> Outcome:
    """Measure the shift of `image` relative to `reference`.

    Parameters
    ----------
    reference, image : Pyramid
        The images, finite on their good pixels.
    refiner : callable
        Makes the fine step from an `Aligner`.
    how : Search
        The coarse search.
    empirical : bool
        Whether the errors come from the residuals rather than from the variances.
    coarse : Coarse, optional
        A search made before on the same pair.
    memory : float
        Bytes that the fit may need: it is made on coarser pixels where it would need more.
    permit : callable, optional
        Called with the bytes that the fit needs before anything of it is allocated; may raise.

    Returns
    -------
    Outcome
        Without a fit where the search found no peak or the overlap holds nothing.
    """
    coarse = coarse or search(reference, image, how)
    if coarse.peak is None:
        return Outcome(None, coarse)
    complete = _level(reference, image, coarse, how)
    level = _affordable(reference, image, complete, memory, how)
    if permit is not None:
        permit(bytes_needed(reference, image, level))
    planes = reference.fine(level.block), image.fine(level.block)
    if coarse.set_aside:
        planes = without_shared_outliers(*planes)
    fit, overlap = _fit_at(*planes, level, refiner, how, empirical=empirical)
    if fit is None:
        return Outcome(None, coarse, overlap)
    false_alarm = false_alarm_probability(fit, overlap.box, coarse.trials)
    return Outcome(fit, coarse, overlap, false_alarm, level.block, complete.block)
