"""`align`: resample the reference, measure, correct, and again until the image stands still."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from inspect import signature
from typing import Any

import numpy as np
from astropy import log
from astropy import units as u
from astropy.wcs import WCS

from astroreg.align.alignment import Alignment, moved_by
from astroreg.align.coarse import coarse_frames, in_pixels, is_a_start
from astroreg.align.corrected import corrected_like
from astroreg.align.linear import check_geometry, linear_alignment
from astroreg.align.noise import with_gains, with_noise
from astroreg.align.pairs import Pair, prepare_pass
from astroreg.align.roll import with_roll_judged
from astroreg.checks import parse_callable, parse_choice, parse_flag, parse_fraction
from astroreg.estimators.fixed_pattern import shared_outliers
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag, describe
from astroreg.grids import celestial_wcs, map_pixels, unbounded
from astroreg.inputs import Frame, as_frame, parse_max_shift, parse_positive
from astroreg.methods import chi2_shift, cross_correlation_shift, register_images
from astroreg.resample import match_beams as at_one_resolution
from astroreg.resample import match_psfs
from astroreg.results import ShiftResult
from astroreg.sky import SkyCorrection, correct_wcs
from astroreg.sky.roll import check_roll
from astroreg.tiles.flags import FieldFlag, describe_field

__all__ = ["align"]

STILL = 0.1  # of its error: a residual shift below this does not matter
LEFT = 0.05  # of what a pass finds that it leaves to the next one, where stars are 1.5 pixels wide or wider
COARSE_PASSES = 2  # coarser pixels do not sample well, which the second mends
STILL_PIXELS = 0.001
REMAINDER = 4.0  # pixels: as far as the passes after the first look
BESIDE = 2.0  # pixels from a sharp peak within which a broad one is of the same origin
OWN = chi2_shift, register_images, cross_correlation_shift  # no option of these is told in pixels but one
RESTLESS = 0.5  # of its error: more than this left to come after the last pass is no convergence


def align(
    reference: Any,
    image: Any,
    *,
    method: Callable[..., ShiftResult] = chi2_shift,
    iterations: int = 3,
    kind: str = "pointing",
    roll: str | u.Quantity = "zero",
    geometry: str = "shift",
    tiles: int | Sequence[int] | None = None,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float | None = None,
    uncertainty: str | None = None,
    fit_scale: bool | None = None,
    fit_background: bool | None = None,
    match_beams: bool = False,
    reference_beam: Any = None,
    image_beam: Any = None,
    reference_psf: np.ndarray | None = None,
    image_psf: np.ndarray | None = None,
    reference_hdu: int | str | tuple | None = None,
    image_hdu: int | str | tuple | None = None,
) -> Alignment:
    """Measure the offset of an image from a reference on any grid, and correct the image's WCS.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path or (array, WCS or Header)
        The two images, each with a celestial WCS; grids, projections, celestial frames, pixel sizes,
        parities and units may differ. Neither is changed.
    method : callable, optional
        What measures the shift: `chi2_shift` (default), `register_images`, `cross_correlation_shift`, or
        any ``method(reference, image, *, max_shift=None, ...)`` that takes two NDData and returns a
        `ShiftResult`; use `functools.partial` for options that are not listed here.
    iterations : int, optional
        Largest number of passes (default 3). They end when another one would find less than a tenth of the
        error or 0.001 pixel: a twentieth of what the last one found. With one of our three methods the first
        pass over wide images on different grids is made on coarser pixels; with 1 on all pixels at once.
    kind : {"pointing", "detector"}, optional
        What moved: the telescope (default, a rotation of the sky) or the pixels.
    roll : {"zero", "keep-pa"} or Quantity, optional
        How the roll of the pointing, which a shift does not tell, is decided; see `correct_wcs`. Where it
        matters more than the error of the shift, the flag ``ROLL_AMBIGUOUS`` says so.
    geometry : {"shift", "rshift", "rscale", "general", "auto"}, optional
        What is measured and corrected: a shift (default), a shift and a rotation, these and one scale, any
        linear map (6 parameters), or the one of them that the data support; the last four in tiles, as
        `register_tiles` does. ``field.model`` of the result has the errors of all parameters.
    tiles : int or (int, int), optional
        Number of tiles along x and y, where `geometry` is not "shift"; see `register_tiles`.
    max_shift : float or Quantity, optional
        Largest error to search for: pixels of the image, a Quantity in pixel, or an angle. The reference is
        looked at that far around the image. Default: whatever the overlap allows.
    min_overlap, uncertainty, fit_scale, fit_background : optional
        Handed to `method` where given; default: its own.
    match_beams : bool, optional
        Whether the sharper of the two is smoothed to the beam of the other before they are compared
        (default False, unless a beam is given). The corrected image is the unsmoothed one.
    reference_beam, image_beam : Quantity, sequence of Quantity or Header, optional
        The beams: a full width at half maximum, or (major, minor, position angle). Default: BMAJ, BMIN and
        BPA of the headers.
    reference_psf, image_psf : ndarray, optional
        The point-spread functions instead, each on the pixels of its own image, both or none; see
        `astroreg.resample.match_psfs`.
    reference_hdu, image_hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    Alignment
        The total shift in pixels of `image`, the sky correction, and the corrected image; `corrected` is
        None where a flag forbids to trust the shift, and an `AstroregWarning` says so.

    Raises
    ------
    TypeError, ValueError
        If an image cannot be used or has no celestial WCS, or an argument is out of its range.
    CorrectionError
        If the WCS of the image cannot express the scale or the linear map that was measured.

    Notes
    -----
    The reference is resampled onto the pixels of the image, not the reverse, so that the shift is one of
    the image as it was taken; where the grids are translations of each other nothing is resampled. After
    each pass the correction is the rotation that takes the pivot to where it was seen; the next pass measures
    with the WCS so corrected, so that distortions and curvature are taken into account to all orders.
    The noise of resampled pixels is correlated; see `resample_to` for how the errors stay true.
    """
    iterations = parse_positive(iterations, argument="iterations", integer=True)
    _check(method, kind, roll, match_beams, min_overlap, uncertainty)
    check_geometry(geometry, tiles, kind, roll)
    for flag, argument in ((fit_scale, "fit_scale"), (fit_background, "fit_background")):
        parse_flag(True if flag is None else flag, argument)
    user_image = image
    reference = _celestial(as_frame(reference, argument="reference", hdu=reference_hdu), "reference")
    image = _within_bounds(_celestial(as_frame(image, argument="image", hdu=image_hdu), "image"))
    radius = parse_max_shift(max_shift, image.wcs, image.shape)
    options = {
        "max_shift": radius,
        "min_overlap": min_overlap,
        "uncertainty": uncertainty,
        "fit_scale": fit_scale,
        "fit_background": fit_background,
    }
    options = {name: value for name, value in options.items() if value is not None}
    seen, estimated = with_noise(reference)
    gains = 1.0, 1.0
    used = image
    if reference_psf is not None or image_psf is not None:
        seen, used, *gains = match_psfs(seen, image, reference_psf=reference_psf, image_psf=image_psf)
    elif match_beams or reference_beam is not None or image_beam is not None:
        seen, used, *gains = at_one_resolution(
            seen, image, reference_beam=reference_beam, image_beam=image_beam
        )
    if estimated and uncertainty is None and "uncertainty" in signature(method).parameters:
        # As the methods do themselves where no noise is attached.
        options["uncertainty"] = "empirical"
    found = None
    if geometry != "shift":
        how = {"geometry": geometry, "tiles": tiles, "iterations": iterations, "gains": tuple(gains)}
        found = linear_alignment(seen, used, method=method, options=options, **how)
    if found is None or found.geometry == "shift":
        # The whole image tells a shift better than its tiles.
        run = _Run(seen, used, method, options, kind, roll, gains)
        if not (iterations > 1 and run.measure_coarsely() and run.go_on(iterations)):
            run = _Run(seen, used, method, options, kind, roll, gains)
            run.go_on(iterations)
        whole = run.result(ShiftFlag.NOISE_ESTIMATED if estimated else ShiftFlag(0))
        found = whole if found is None else replace(whole, field=found.field)
    if found.ok:
        found = with_roll_judged(found)
        found = replace(found, corrected=corrected_like(user_image, image, found, kind=kind, roll=roll))
    serious = found.flags & (ShiftFlag.UNTRUSTED | ShiftFlag.BAD_CHI2)
    words = describe(serious)
    if found.field is not None and found.field.distorted:
        words += describe_field(FieldFlag.DISTORTION)
    if words or not found.ok:
        outcome = "" if found.ok else "the WCS was not corrected: "
        warnings.warn(outcome + "; ".join(words), AstroregWarning, stacklevel=2)
    return found


def _check(method, kind, roll, match_beams, min_overlap, uncertainty) -> None:
    """Refuse what cannot be, before anything is resampled."""
    parse_callable(method, "method", mend="give a method such as chi2_shift")
    parse_choice(kind, ("pointing", "detector"), argument="kind")
    check_roll(roll)
    parse_flag(match_beams, "match_beams")
    parse_fraction(1 if min_overlap is None else min_overlap, argument="min_overlap")
    if uncertainty is not None:
        parse_choice(uncertainty, ("attached", "empirical"), argument="uncertainty")


def _celestial(frame: Frame, argument: str) -> Frame:
    """Return the frame with a WCS of two celestial pixel axes."""
    return replace(frame, wcs=celestial_wcs(frame.wcs, argument=argument))


def _within_bounds(frame: Frame) -> Frame:
    """Return the frame with what lies outside the bounding box of its WCS masked."""
    bounds = getattr(getattr(frame.wcs, "low_level_wcs", frame.wcs), "pixel_bounds", None)
    if not bounds or isinstance(frame.wcs, WCS):
        return frame
    inside = np.ones(frame.shape, dtype=bool)
    for axis, pair in enumerate(bounds[::-1]):
        if pair is not None:
            low, high = sorted(float(getattr(limit, "value", limit)) for limit in pair)
            at = np.arange(frame.shape[axis])
            inside &= np.expand_dims((at >= low) & (at <= high), 1 - axis)
    return frame if inside.all() else replace(frame, mask=~(inside & frame.valid))


class _Run:
    """The passes of one alignment, and what is known after each."""

    def __init__(self, reference: Frame, image: Frame, method, options, kind, roll, gains):
        # Around the image the reference is wanted, too, and a pivot may have been there.
        self.given = image.wcs
        self.reference, self.image = reference, replace(image, wcs=unbounded(image.wcs))
        self.method, self.options = method, options
        self.kind, self.roll, self.gains = kind, roll, gains
        self.wcs = self.image.wcs
        self.passes: tuple[ShiftResult, ...] = ()
        self.coarse_passes, self.still = 0, False
        self.pivot = ((image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2)
        self.total = np.zeros(2) * u.pixel

    def go_on(self, iterations: int) -> bool:
        """Make passes until the image stands still; return whether the last one can be trusted."""
        while len(self.passes) < iterations and self.measure():
            pass
        return self.passes[-1].flags.trusted

    def measure_coarsely(self) -> bool:
        """Make a first pass on coarser pixels, if that is worth it; return whether it tells the shift."""
        coarse = coarse_frames(self.reference, self.image) if self.method in OWN else None
        if coarse is None:
            return False
        reference, image, block = coarse
        options = dict(self.options)
        if "max_shift" in options:
            options["max_shift"] /= block
        run = _Run(reference, image, self.method, options, self.kind, self.roll, self.gains)
        run.go_on(COARSE_PASSES)
        result = in_pixels(run.passes[-1], run.total, block)
        log.debug("align, on pixels %d times coarser: %r", block, result)
        if not is_a_start(result):
            return False
        self.passes, self.coarse_passes = (result,), 1
        self.pivot = tuple(float(v) for v in map_pixels(image.wcs, self.image.wcs, *run.pivot))
        self._correct(result.shift.to_value(u.pixel))
        return True

    def measure(self) -> bool:
        """Make one pass; return whether another one is needed."""
        first = not self.passes
        radius = self.options.get("max_shift", 0.0) if first else 0.0
        pair = prepare_pass(self.reference, self.image, self.wcs, radius, first=first)
        if pair is None:
            nothing = ShiftResult(shift=[np.nan] * 2, covariance=np.full((2, 2), np.nan), overlap=0.0)
            self.passes += (replace(nothing, flags=ShiftFlag.NO_OVERLAP),)
            return False
        result = self._measured(pair)
        if ShiftFlag.FIXED_PATTERN in result.flags and np.abs(result.shift.value).max() < BESIDE:
            # What is not the sharp peak at zero says zero as well: then the peak is the sky's own.
            pair = prepare_pass(self.reference, self.image, self.wcs, radius, first=False)
            result = self._measured(pair)
        elif first and ShiftFlag.FIXED_PATTERN in result.flags:
            self._mask_pattern()
        self.passes += (result,)
        log.debug("align, pass %d: %r", len(self.passes), result)
        if not result.ok:
            return False
        self.pivot = pair.pivot
        self._correct(result.shift.to_value(u.pixel))
        self.still = _still(result, STILL, STILL_PIXELS, LEFT)
        return not self.still

    def _mask_pattern(self) -> None:
        """Mask the hot pixels that both frames share, before the resampling moves those of the reference."""
        if self.reference.shape != self.image.shape:
            return
        good = self.reference.valid & self.image.valid
        hot = shared_outliers(self.reference.data, self.image.data, good)
        self.reference, self.image = (replace(f, mask=~f.valid | hot) for f in (self.reference, self.image))

    def _measured(self, pair: Pair) -> ShiftResult:
        """Run the method on a pair; its warnings wait, since `align` gives one at the end."""
        options = dict(self.options)
        if self.passes:
            # What is left is near; a detector's pattern lies where the resampling has moved it.
            options["max_shift"] = min(options.get("max_shift", np.inf), REMAINDER)
        if "max_shift" in options:
            options["max_shift"] += float(np.hypot(*pair.offset))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstroregWarning)
            result = self.method(pair.reference, pair.image, **options)
        if not isinstance(result, ShiftResult):
            raise TypeError(f"`method` must return a ShiftResult, got a {type(result).__name__}")
        overlap = result.n_pixels / int(self.image.valid.sum()) if result.n_pixels else result.overlap
        moved = moved_by(result, pair.offset * u.pixel)
        return with_gains(replace(moved, overlap=overlap), pair, self.gains)

    def _correct(self, shift: np.ndarray) -> None:
        """Correct the image's WCS so that the pivot lies where its content was found."""
        place = self.wcs.pixel_to_world(*(np.array(self.pivot) - shift))
        x, y = self.image.wcs.world_to_pixel(place)
        self.total = (np.array(self.pivot) - [float(x), float(y)]) * u.pixel
        correction = SkyCorrection.from_shift(self.image.wcs, self.total, pivot_pixel=self.pivot)
        self.wcs = correct_wcs(self.image.wcs, correction, kind=self.kind, roll=self.roll)

    def _settled(self) -> bool:
        """Whether passes that were not let end by themselves have left little to come, as far as is known."""
        whole = self.passes[self.coarse_passes :]
        if len(whole) > 1:
            return _converging(*whole[-2:])
        return not self.coarse_passes or _still(whole[-1], RESTLESS, STILL_PIXELS, LEFT)

    def result(self, flags: ShiftFlag) -> Alignment:
        """Put the passes together."""
        last = self.passes[-1]
        flags |= last.flags
        if last.ok and not self.still and not self._settled():
            flags |= ShiftFlag.NOT_CONVERGED
        if np.hypot(*self.total.value) > self.options.get("max_shift", np.inf):
            flags |= ShiftFlag.AT_SEARCH_BOUND
        # The last shift is already part of the total where it was trusted.
        before = self.total - last.shift if last.ok else self.total
        found = moved_by(last, before)
        found = replace(found, flags=flags, wcs=self.given, image_shape=self.image.shape)
        found = replace(found, reference_label=self.reference.label, image_label=self.image.label)
        return Alignment(
            **{field.name: getattr(found, field.name) for field in fields(ShiftResult)},
            iterations=len(self.passes),
            passes=self.passes,
            pivot_pixel=self.pivot,
            kind=self.kind,
            roll=self.roll,
            reference=self.reference,
        )


def _converging(before: ShiftResult, last: ShiftResult) -> bool:
    """Whether further passes would move the image by less than half an error.

    Resampling a reference of stars a pixel wide changes its sharp features, so that a pass finds some five
    sixths of what is left: the passes shrink like a geometric series, of which ``q / (1 - q)`` of the last is
    to come.
    """
    ratio = float(np.linalg.norm(last.shift.value) / max(np.linalg.norm(before.shift.value), 1e-300))
    return _still(last, RESTLESS, STILL_PIXELS, ratio / (1 - ratio) if ratio < 1 else 1.0)


def _still(result: ShiftResult, sigmas: float, pixels: float, share: float) -> bool:
    """Whether a share of a residual shift is below so many sigmas or so many pixels, along both axes."""
    shift = share * np.abs(result.shift.to_value(u.pixel))
    error = result.shift_error.to_value(u.pixel)
    return bool(np.all(shift <= np.maximum(sigmas * np.nan_to_num(error), pixels)))
