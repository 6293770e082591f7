"""Two images ready to be registered, and an estimator's outcome turned into a `ShiftResult`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from astropy import units as u

from astroreg.checks import parse_flag
from astroreg.estimators.correlation import Coarse, Peak, delta_chi2_of
from astroreg.estimators.decimation import Flux
from astroreg.estimators.delta_chi2 import delta_chi2_map
from astroreg.estimators.equations import Fit
from astroreg.estimators.levels import Pyramid
from astroreg.estimators.noise import noise_variance
from astroreg.estimators.overlap import Plane
from astroreg.estimators.registration import Outcome, Refiner, Search, register, search
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag
from astroreg.inputs import Frame, parse_boundary, parse_choice, parse_fraction, parse_max_shift, prepare_pair
from astroreg.memory import memory_limit, memory_share, require_memory
from astroreg.results import DeltaChi2Map, RivalPeak, ShiftResult

__all__ = ["Options", "PreparedPair", "bound_flag", "chi2_flag", "prepare", "rival_flag"]

# A match that unrelated images would give more often than this is no match.
_FALSE_ALARM = 1e-3
# A rival whose likelihood is within exp(-Delta chi2 / 2) of the best, or 9/10 of its height, is as good.
_RIVAL_DELTA_CHI2 = 25.0
_RIVAL_HEIGHT = 0.9
# Reduced chi-squared this far from 1 (and by five of its sampling errors) is not what was promised.
_CHI2_SLACK = 0.2
# A correlation's peak whose curvature is not this many times its noise's may be one of the noise.
_LOW_SNR = 3.0
# A slope that the learnt filter owes to noise by more than this is not known well enough for an error.
_LARGEST_LEARNING = 0.1
_LARGEST_ERROR = 1.0  # pixels: beyond it another summit of the correlation is as near as the right one
_SIDE_FOR_STATISTICS = 256
# Residuals that are nothing but rounding: one image given twice.
_IDENTICAL = 1e-9
_SCATTER_SLACK = 2.0  # in variance: errors wrong by a factor of 1.4
_SMALL_OVERLAP = 1.2  # in units of the least overlap allowed


@dataclass(frozen=True)
class Options:
    """What a user asked for, checked.

    Attributes
    ----------
    search : Search
        Bounds of the search, and what is fitted besides the shift.
    empirical : bool
        Whether the errors come from the residuals.
    """

    search: Search
    empirical: bool


def prepare(
    reference: Any,
    image: Any,
    *,
    max_shift: Any,
    min_overlap: float,
    boundary: str,
    fit_scale: bool,
    fit_background: bool,
    uncertainty: str,
) -> PreparedPair:
    """Take two images and a user's options through the door.

    Parameters
    ----------
    reference, image : NDData or alike
        See `chi2_shift`.
    max_shift, min_overlap, boundary, fit_scale, fit_background, uncertainty
        See `chi2_shift`.

    Returns
    -------
    PreparedPair
        Checked; nothing is computed yet.

    Raises
    ------
    TypeError, ValueError
        Where an image or an option is impossible.
    """
    first, second = prepare_pair(reference, image, fit_scale=fit_scale)
    empirical = parse_choice(uncertainty, ("attached", "empirical"), argument="uncertainty") == "empirical"
    how = Search(
        max_shift=parse_max_shift(max_shift, second.wcs, second.shape),
        min_overlap=parse_fraction(min_overlap, argument="min_overlap"),
        periodic=parse_boundary(boundary, first.shape, second.shape) == "wrap",
        fit_scale=parse_flag(fit_scale, "fit_scale"),
        fit_background=parse_flag(fit_background, "fit_background"),
    )
    return PreparedPair(first, second, Options(how, empirical))


class PreparedPair:
    """Two frames, standardised, with the coarse search that every method shares.

    Parameters
    ----------
    reference, image : Frame
        The two, in one unit where their units convert.
    options : Options
        What was asked for.
    """

    def __init__(self, reference: Frame, image: Frame, options: Options):
        self.reference, self.image, self.options = reference, image, options
        variances = (reference.variance, image.variance)
        # Two images said to be noiseless: what is left between them is the only measure of an error.
        self.noise_estimated = any(v is None for v in variances) or not any(_any_noise(v) for v in variances)
        frames = (reference, image)
        planes = [_kept(frame, "plane", partial(_plane, frame)) for frame in frames]
        pairs = list(zip(frames, planes, strict=True))
        self.flux = self._fluxes(planes, [_kept(f, "spread", partial(_mean_and_spread, p)) for f, p in pairs])
        self.pyramids = tuple(self._pyramid(f, p, x) for (f, p), x in zip(pairs, self.flux, strict=True))

    def _pyramid(self, frame: Frame, plane: Plane, flux: Flux) -> Pyramid:
        """Return the image at its resolutions; a frame that keeps things keeps the last one made."""
        periodic = self.options.search.periodic
        pyramid = None if frame.kept is None else frame.kept.get("pyramid")
        if pyramid is None or (pyramid.flux, pyramid.periodic) != (flux, periodic):
            pyramid = Pyramid(plane, flux, periodic=periodic)
            if frame.kept is not None:
                frame.kept["pyramid"] = pyramid
        return pyramid

    @property
    def empirical(self) -> bool:
        """Whether the errors come from the residuals: asked for, or for want of uncertainties."""
        return self.options.empirical or self.noise_estimated

    def _fluxes(self, planes: list[Plane], stats: list[tuple[float, float]]) -> tuple[Flux, Flux]:
        """Choose the standardisation that leaves what is not fitted as it is."""
        factors = [s for _, s in stats] if self.options.search.fit_scale else [stats[1][1]] * 2
        offsets = [m for m, _ in stats]
        if not self.options.search.fit_background:
            offsets = [0.0, 0.0] if self.options.search.fit_scale else [stats[1][0]] * 2
        # In the data's own precision: what is subtracted must be what is added back.
        kinds = [p.data.dtype.type if p.data.dtype.kind == "f" else float for p in planes]
        return tuple(Flux(float(k(o)), float(k(f))) for k, o, f in zip(kinds, offsets, factors, strict=True))

    @cached_property
    def coarse(self) -> Coarse:
        """The coarse search, made once."""
        return search(*self.pyramids, self.options.search)

    def result(self, refiner: Refiner, *, method: str, delta_chi2: bool) -> ShiftResult:
        """Register with one fine step and return the result.

        Parameters
        ----------
        refiner : callable
            The fine step.
        method : str
            Name of the method.
        delta_chi2 : bool
            Whether the method has a Delta chi-squared map.

        Returns
        -------
        ShiftResult
            With NaN and a flag where nothing was determined.
        """
        outcome = register(
            *self.pyramids,
            refiner,
            self.options.search,
            empirical=self.empirical,
            coarse=self.coarse,
            memory=memory_share(),
            permit=self._permit,
        )
        self._tell_of_memory(outcome)
        denied = outcome.fit is not None and outcome.fit.empirical
        common = {
            "method": method,
            "uncertainty": "empirical" if self.empirical or denied else "attached",
            "wcs": self.image.wcs,
            "image_shape": self.image.shape,
            "reference_label": self.reference.label,
            "image_label": self.image.label,
            "flags": self._flags(outcome),
            "false_alarm_probability": outcome.false_alarm,
            "rival": _rival(self.coarse),
        }
        undetermined = common["flags"] & (ShiftFlag.NO_SIGNAL | ShiftFlag.NO_OVERLAP)
        if outcome.fit is None or undetermined:
            nothing = np.full((2, 2), np.nan)
            return ShiftResult(shift=nothing[0] * u.pixel, covariance=nothing * u.pixel**2, **common)
        chart = _map(outcome) if delta_chi2 else None
        return ShiftResult(**self._numbers(outcome), delta_chi2=chart, **common)

    def _permit(self, needed: float) -> None:
        """Refuse, with the figure, what cannot fit into memory."""
        what = f"registering images of {' x '.join(str(n) for n in self.image.shape[::-1])} pixels"
        require_memory(needed, what, "cut the same part out of both")

    def _tell_of_memory(self, outcome: Outcome) -> None:
        """Warn where the fit was made on coarser pixels than the images deserve."""
        if outcome.block > outcome.complete:
            pixels = " x ".join(str(n) for n in self.image.shape[::-1])
            warnings.warn(
                f"images of {pixels} pixels were fitted on pixels {outcome.block} times coarser, which makes "
                f"the errors larger: on pixels {outcome.complete} times coarser, which hold all, it takes "
                f"more than half of the {memory_limit() / 1e9:.3g} GB of memory",
                AstroregWarning,
                stacklevel=4,
            )

    def _numbers(self, outcome: Outcome) -> dict[str, Any]:
        """Return the fitted numbers in the images' own units."""
        fit, block = outcome.fit, outcome.block
        scale, background, scale_error, background_error = self._flux_of(fit)
        ratio = self.image.unit / self.reference.unit
        smaller = max(1, min(p.count for p in (self.pyramids[0].plane, self.pyramids[1].plane)))
        return {
            "shift": block * fit.shift * u.pixel,
            "covariance": block**2 * fit.covariance * u.pixel**2,
            "scale": scale * ratio,
            "scale_error": scale_error * ratio,
            "background": background * self.image.unit,
            "background_error": background_error * self.image.unit,
            "chi2": fit.chi2,
            "dof": float(fit.n_pixels - fit.n_parameters),
            "correlation": fit.correlation,
            "overlap": block**2 * fit.n_pixels / smaller,
            "n_pixels": round(block**2 * fit.n_pixels),
        }

    def _flux_of(self, fit: Fit) -> tuple[float, float, float, float]:
        """Return scale, background and their errors, undoing the standardisation.

        With A = o_A + f_A a and B = o_B + f_B b, ``b = s a + t`` is ``B = S A + T`` with
        ``S = s f_B / f_A`` and ``T = o_B + f_B t - S o_A``.
        """
        first, second = self.flux
        scale = fit.scale * second.factor / first.factor
        background = second.offset + second.factor * fit.background - scale * first.offset
        flux = fit.parameters[2:, 2:]
        lever = np.array([-scale * first.offset, second.factor])  # d(background)/d(log s, t)
        return (
            scale,
            background,
            scale * float(np.sqrt(flux[0, 0])),
            float(np.sqrt(max(lever @ flux @ lever, 0))),
        )

    def _flags(self, outcome: Outcome) -> ShiftFlag:
        """Return what is doubtful about an outcome."""
        flags = ShiftFlag.NOISE_ESTIMATED if self.noise_estimated else ShiftFlag(0)
        coarse, fit = self.coarse, outcome.fit
        if fit is None:
            empty = coarse.trials == 0 or (outcome.overlap is not None and outcome.overlap.n_pixels == 0)
            return flags | (ShiftFlag.NO_OVERLAP if empty else ShiftFlag.NO_SIGNAL)
        if not outcome.false_alarm < _FALSE_ALARM:
            flags |= ShiftFlag.NO_SIGNAL
        found = outcome.block * fit.shift
        flags |= bound_flag(found, self.options.search.max_shift, at_bound=coarse.at_bound)
        if coarse.fixed_pattern:
            flags |= ShiftFlag.FIXED_PATTERN
        if coarse.peak.overlap < min(_SMALL_OVERLAP * self.options.search.min_overlap, 0.5):
            flags |= ShiftFlag.SMALL_OVERLAP
        if not fit.converged:
            flags |= ShiftFlag.NOT_CONVERGED
        error = outcome.block * np.sqrt(np.diag(fit.covariance).max())
        uncertain = fit.curvature_significance < _LOW_SNR or fit.learning > _LARGEST_LEARNING
        if uncertain or not error < _LARGEST_ERROR:
            flags |= ShiftFlag.LOW_SNR
        if flags & ShiftFlag.NO_SIGNAL:
            return flags
        flags |= rival_flag(coarse.peak, coarse.rival)
        if self.empirical:
            return flags
        return flags | chi2_flag(fit.chi2, fit.n_pixels - fit.n_parameters, fit.scatter_ratio)


def bound_flag(shift: np.ndarray, longest: float | None, *, at_bound: bool) -> ShiftFlag:
    """Return ``AT_SEARCH_BOUND`` where the search ended at its bound, or the fit beyond it, else no flag."""
    beyond = longest is not None and np.hypot(*shift) > longest
    return ShiftFlag.AT_SEARCH_BOUND if at_bound or beyond else ShiftFlag(0)


def rival_flag(peak: Peak, rival: Peak | None) -> ShiftFlag:
    """Return ``RIVAL_PEAK`` where another shift is nearly as likely as the best, else no flag."""
    if rival is None:
        return ShiftFlag(0)
    height = (rival.score / rival.overlap) / (peak.score / peak.overlap)
    close = delta_chi2_of(peak, rival) < _RIVAL_DELTA_CHI2 or height > _RIVAL_HEIGHT
    return ShiftFlag.RIVAL_PEAK if close else ShiftFlag(0)


def chi2_flag(chi2: float, dof: float, scatter_ratio: float) -> ShiftFlag:
    """Return ``BAD_CHI2`` where the residuals are not what the attached noise promises, else no flag."""
    if dof <= 0:
        return ShiftFlag(0)
    excess = abs(chi2 / dof - 1)
    bad = excess > max(_CHI2_SLACK, 5 * np.sqrt(2 / dof))
    # Correlated noise keeps its chi-squared, but not the errors: the residuals' own scatter shows it.
    bad = bad or not 1 / _SCATTER_SLACK < scatter_ratio < _SCATTER_SLACK
    return ShiftFlag.BAD_CHI2 if bad and chi2 > _IDENTICAL * dof else ShiftFlag(0)


def _kept(frame: Frame, key: Any, make: Callable[[], Any]) -> Any:
    """Return what was made of a frame before, where frames keep it, else make it."""
    if frame.kept is None:
        return make()
    if key not in frame.kept:
        frame.kept[key] = make()
    return frame.kept[key]


def _any_noise(variance: np.ndarray) -> bool:
    return bool((variance if any(variance.strides) else variance[:1, :1]).any())


def _mean_and_spread(plane: Plane) -> tuple[float, float]:
    """Return mean and standard deviation of the good pixels, of a part of them where they are many."""
    step = max(1, max(plane.shape) // _SIDE_FOR_STATISTICS)
    data = plane.data[::step, ::step]
    values = data if plane.good is None else data[plane.good[::step, ::step]]
    if values.size == 0:
        values = plane.data if plane.good is None else plane.data[plane.good]
    values = values.astype(float)
    mean = float(values.mean())
    spread = float(np.sqrt(np.mean(np.square(values - mean))))
    return mean, spread if spread > 0 else 1.0


def _plane(frame: Frame) -> Plane:
    """Return the frame's arrays, with an estimated variance where none is attached."""
    good = None if frame.mask is None else ~frame.mask
    variance = frame.variance
    if variance is None:
        variance = noise_variance(frame.data, good)
        variance = variance if np.isfinite(variance) else 0.0
    elif not any(variance.strides):
        variance = float(variance[0, 0])
    return Plane(frame.data, variance, good)


def _rival(coarse: Coarse) -> RivalPeak | None:
    if coarse.rival is None:
        return None
    return RivalPeak(coarse.rival.shift * u.pixel, delta_chi2_of(coarse.peak, coarse.rival))


def _map(outcome: Outcome) -> DeltaChi2Map | None:
    fit = outcome.fit
    found = delta_chi2_map(fit.equations, fit.covariance, outcome.overlap.grid)
    if found is None:
        return None
    delta, x, y = found
    block = outcome.block
    return DeltaChi2Map(delta, block * (fit.shift[0] + x) * u.pixel, block * (fit.shift[1] + y) * u.pixel)
