"""Two spectra through the door, registered, and told as a `SpectralShift`."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from astropy import constants
from astropy import units as u

from astroreg.estimators.correlation import Coarse
from astroreg.estimators.detection import false_alarm_probability
from astroreg.estimators.registration import Search
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag, describe
from astroreg.inputs import Frame, parse_boundary, parse_choice, parse_fraction, parse_max_shift
from astroreg.inputs.many_axes import as_spectrum, axes_of, in_one_unit
from astroreg.prepared import Options, PreparedPair, chi2_flag, rival_flag
from astroreg.results import RivalPeak
from astroreg.spectra.axis import SpectralAxis, spectral_axis
from astroreg.spectra.fit import SpectralFit, delta_chi2_curve, fit_at
from astroreg.spectra.result import DeltaChi2Curve, SpectralShift
from astroreg.spectra.search import coarse_lag, filtered, spectral_noise_variance

__all__ = ["are_spectra", "spectra_shift"]

_FEWEST = 8  # channels
_FALSE_ALARM = 1e-3  # a match that unrelated spectra would give more often is none
_SMALL_OVERLAP = 1.2  # in units of the least overlap allowed
_SAME = 1.5  # channels: a second search that ends nearer than that to the fit confirms it
_GRIDS_AGREE = 0.1  # pixels by which a shift may vary along the axis because the two sample it differently


def are_spectra(reference: Any, image: Any) -> bool:
    """Whether both of what a user gave as images have one axis only.

    Parameters
    ----------
    reference, image : NDData or alike
        See `chi2_shift`.

    Returns
    -------
    bool
        False also where it cannot be told.
    """
    return axes_of(reference) == 1 and axes_of(image) == 1


def spectra_shift(
    reference: Any,
    image: Any,
    *,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
) -> SpectralShift:
    """Measure the shift between two spectra by chi-squared; what `chi2_shift` does for 1-D data.

    Parameters
    ----------
    reference, image : NDData, HDU, path, Quantity or array
        The two spectra.
    max_shift, min_overlap, boundary, fit_scale, fit_background, uncertainty
        As for `chi2_shift`; `max_shift` may also be a length of the spectral axis or a velocity.

    Returns
    -------
    SpectralShift
        With NaN and a flag where the spectra do not determine a shift.
    """
    first = _long_enough(as_spectrum(reference, argument="reference"), "reference")
    second = _long_enough(as_spectrum(image, argument="image"), "image")
    first, second = in_one_unit(first, second, fit_scale=fit_scale)
    axes = _axes(first, second)
    pixels = _pixels(max_shift, axes[1])
    how = Search(
        max_shift=parse_max_shift(pixels, None, second.shape),
        min_overlap=parse_fraction(min_overlap, argument="min_overlap"),
        periodic=parse_boundary(boundary, first.shape, second.shape) == "wrap",
        fit_scale=bool(fit_scale),
        fit_background=bool(fit_background),
    )
    empirical = parse_choice(uncertainty, ("attached", "empirical"), argument="uncertainty") == "empirical"
    result = SpectralPair(first, second, Options(how, empirical), axes).result()
    serious = result.flags & (ShiftFlag.UNTRUSTED | ShiftFlag.BAD_CHI2)
    if serious:
        warnings.warn("; ".join(describe(serious)), AstroregWarning, stacklevel=3)
    return result


def _long_enough(frame: Frame, argument: str) -> Frame:
    if frame.shape[1] < _FEWEST:
        raise ValueError(
            f"`{argument}` has {frame.shape[1]} channel(s); a shift needs at least {_FEWEST}: "
            "give more of the spectrum"
        )
    return frame


def _axes(reference: Frame, image: Frame) -> tuple[SpectralAxis | None, SpectralAxis | None]:
    """Return both spectral axes; that of the reference only where it can be told in terms of the image's."""
    first, second = (spectral_axis(frame.wcs, frame.shape[1]) for frame in (reference, image))
    if first is None or second is None:
        return None, second
    try:
        second.of_other(first, first.middle)
    except ValueError as error:
        warnings.warn(
            f"the spectral axes of `reference` and `image` cannot be compared ({error}); the shift is "
            "told as if both had that of `image`",
            AstroregWarning,
            stacklevel=4,
        )
        return None, second
    return first, second


def _pixels(max_shift: Any, axis: SpectralAxis | None) -> Any:
    """Turn a length along the spectral axis, or a velocity, into pixels; leave all else to the checks."""
    if not isinstance(max_shift, u.Quantity) or axis is None or max_shift.size != 1:
        return max_shift
    step = np.abs(np.diff(axis.at(axis.middle + np.array([-0.5, 0.5])).value))[0] * axis.unit
    if axis.unit != u.dimensionless_unscaled and max_shift.unit.is_equivalent(axis.unit):
        return float((max_shift / step).to_value(u.dimensionless_unscaled))
    if axis.kind.startswith("em.") and max_shift.unit.is_equivalent(u.km / u.s):
        beta = (max_shift / constants.c).to_value(u.dimensionless_unscaled)
        return float(beta * (axis.at(axis.middle) / step).to_value(u.dimensionless_unscaled))
    return max_shift


class SpectralPair(PreparedPair):
    """Two spectra, standardised, with the search along their one axis.

    Parameters
    ----------
    reference, image : Frame
        Arrays of shape (1, n).
    options : Options
        What was asked for.
    axes : tuple of SpectralAxis or None
        The spectral axes of both.
    """

    def __init__(self, reference: Frame, image: Frame, options: Options, axes: tuple):
        missing = any(frame.variance is None for frame in (reference, image))
        super().__init__(_with_noise(reference), _with_noise(image), options)
        self.noise_estimated = self.noise_estimated or missing
        self.axes = axes

    @cached_property
    def planes(self) -> list:
        """Both spectra in standard units."""
        return [pyramid.fine(1) for pyramid in self.pyramids]

    @cached_property
    def coarse(self) -> Coarse:
        """The search, made once."""
        return self._search(self.planes)

    def _search(self, planes: list) -> Coarse:
        how = self.options.search
        return coarse_lag(
            *planes, max_shift=how.max_shift, min_overlap=how.min_overlap, periodic=how.periodic
        )

    def result(self) -> SpectralShift:
        """Register and return the result, with NaN and a flag where nothing was determined."""
        found = None if self.coarse.peak is None else self._fit()
        chance = np.nan
        if found is not None:
            chance = false_alarm_probability(found.fit, found.overlap.box, self.coarse.trials)
        flags = self._spectral_flags(found, chance)
        rival, peak = self.coarse.rival, self.coarse.peak
        common = {
            "uncertainty": "empirical" if self.empirical else "attached",
            "flags": flags,
            "false_alarm_probability": chance,
            "rival": rival and RivalPeak(rival.shift[0] * u.pixel, 2 * (peak.score - rival.score)),
            "wcs": self.image.wcs,
            "reference_wcs": None if self.axes[0] is None else self.reference.wcs,
            "length": self.image.shape[1],
            "reference_length": self.reference.shape[1],
            "reference_label": self.reference.label,
            "image_label": self.image.label,
        }
        if found is None or flags & (ShiftFlag.NO_SIGNAL | ShiftFlag.NO_OVERLAP):
            return SpectralShift(shift=np.nan * u.pixel, shift_error=np.nan * u.pixel, **common)
        result = SpectralShift(**self._of_fit(found), **common)
        self._compare_grids(result)
        return result

    def _fit(self) -> SpectralFit | None:
        """Fit from the best of the search, and from that of a second one on filtered spectra."""
        found = self._fit_from(self.coarse)
        if found is None:
            return None
        again = self._search([filtered(plane, found.profile) for plane in self.planes])
        if again.peak is None or abs(again.peak.shift[0] - found.fit.shift[0]) < _SAME:
            return found
        other = self._fit_from(again)
        better = other is not None and _per_channel(other) < _per_channel(found)
        return other if better else found

    def _fit_from(self, coarse: Coarse) -> SpectralFit | None:
        how = self.options.search
        return fit_at(
            *self.planes,
            int(np.rint(coarse.peak.shift[0])),
            periodic=how.periodic,
            fit_scale=how.fit_scale,
            fit_background=how.fit_background,
            empirical=self.empirical,
        )

    def _of_fit(self, found: SpectralFit) -> dict[str, Any]:
        """Return the fitted numbers in the spectra's own units."""
        fit = found.fit
        scale, background, scale_error, background_error = self._flux_of(fit)
        ratio = self.image.unit / self.reference.unit
        curve = delta_chi2_curve(found)
        shift = fit.shift[0] * u.pixel
        return {
            "shift": shift,
            "shift_error": np.sqrt(fit.parameters[0, 0]) * u.pixel,
            "scale": scale * ratio,
            "scale_error": scale_error * ratio,
            "background": background * self.image.unit,
            "background_error": background_error * self.image.unit,
            "chi2": fit.chi2,
            "dof": float(fit.n_pixels - fit.n_parameters),
            "correlation": fit.correlation,
            "overlap": fit.n_pixels / max(1, min(plane.count for plane in self.planes)),
            "n_pixels": fit.n_pixels,
            "delta_chi2": curve and DeltaChi2Curve(shift + curve[0] * u.pixel, curve[1]),
        }

    def _spectral_flags(self, found: SpectralFit | None, chance: float) -> ShiftFlag:
        flags = ShiftFlag.NOISE_ESTIMATED if self.noise_estimated else ShiftFlag(0)
        if found is None:
            return flags | (ShiftFlag.NO_OVERLAP if self.coarse.trials == 0 else ShiftFlag.NO_SIGNAL)
        if not chance < _FALSE_ALARM:
            return flags | ShiftFlag.NO_SIGNAL
        how = self.options.search
        beyond = how.max_shift is not None and abs(found.fit.shift[0]) > how.max_shift + 0.5
        if self.coarse.at_bound or beyond:
            flags |= ShiftFlag.AT_SEARCH_BOUND
        if self.coarse.peak.overlap < min(_SMALL_OVERLAP * how.min_overlap, 0.5):
            flags |= ShiftFlag.SMALL_OVERLAP
        if not found.fit.converged:
            flags |= ShiftFlag.NOT_CONVERGED
        flags |= rival_flag(self.coarse.peak, self.coarse.rival)
        if self.empirical:
            return flags
        fit = found.fit
        return flags | chi2_flag(fit.chi2, fit.n_pixels - fit.n_parameters, fit.scatter_ratio)

    def _compare_grids(self, result: SpectralShift) -> None:
        """Warn where one shift of pixels does not hold along the whole axis."""
        first, second = self.axes
        if first is None:
            return
        ends = np.array([0.0, second.length - 1.0])
        there = second.of_other(first, ends - result.shift.value)
        offset = [end - second.pixel(coordinate) for end, coordinate in zip(ends, there, strict=True)]
        if abs(offset[1] - offset[0]) > _GRIDS_AGREE:  # NaN beyond the end of a look-up table
            warnings.warn(
                f"`reference` and `image` sample the spectrum differently: over the image the correction "
                f"varies by {abs(offset[1] - offset[0]):.2g} pixel; resample the reference onto the channels "
                "of the image",
                AstroregWarning,
                stacklevel=4,
            )


def _per_channel(found: SpectralFit) -> float:
    return found.fit.chi2 / max(found.fit.n_pixels, 1)


def _with_noise(frame: Frame) -> Frame:
    """Return the spectrum with a variance, estimated where none is attached."""
    if frame.variance is not None:
        return frame
    variance = spectral_noise_variance(frame.data[0], frame.valid[0])
    return replace(frame, variance=np.full(frame.shape, variance if np.isfinite(variance) else 0.0))
