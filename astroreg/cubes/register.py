"""`register_cube`: one shift from all channels of a cube together."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import NDData, VarianceUncertainty

from astroreg.cubes.components import Components, channel_noise, make_components, project_image
from astroreg.cubes.joint import JointFit, JointPeaks, fit_jointly, joint_search
from astroreg.cubes.pair import CubePair, on_grid_of, prepare_cubes
from astroreg.cubes.result import CubeShift
from astroreg.estimators.correlation import delta_chi2_of, search_block
from astroreg.estimators.detection import false_alarm_probability
from astroreg.estimators.equations import Fit
from astroreg.estimators.levels import block_average
from astroreg.estimators.overlap import Plane, make_overlap
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag, describe
from astroreg.methods import chi2_shift
from astroreg.prepared import bound_flag, chi2_flag, rival_flag
from astroreg.results import RivalPeak, ShiftResult

__all__ = ["CubeFit", "register_cube", "searched"]

_FALSE_ALARM = 1e-3
_SMALL_OVERLAP = 1.2
_LARGEST_ERROR = 1.0  # pixels
_LONGEST_SIDE = 256  # blocks a side of the search


def register_cube(
    reference: Any,
    image: Any,
    *,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
    reference_hdu: int | str | tuple | None = None,
    image_hdu: int | str | tuple | None = None,
) -> CubeShift:
    """Measure the one shift of a spectral cube from a reference, with all channels together.

    Parameters
    ----------
    reference : NDData, CCDData, HDU, HDUList, path, SpectralCube, NDCube, Quantity or array
        A cube with the channels of `image`, or a 2-D image. Where both have a celestial WCS the grids may
        differ: the reference is then resampled onto that of the image, and the shift is on top of what the
        WCS say. Otherwise both have one pixel size, and the shift is one of pixels.
    image : NDData, CCDData, HDU, HDUList, path, SpectralCube, NDCube, Quantity or array
        A cube of axes (channel, y, x). Mask True = bad; values that are not finite count as masked.
    max_shift : float or Quantity, optional
        Longest shift to search for: pixels, a Quantity in pixel, or an angle. Default: whatever
        `min_overlap` allows.
    min_overlap : float, optional
        Least overlap of the good pixels, as for `chi2_shift` (default 0.1).
    boundary : {"overlap", "wrap"}, optional
        Whether the planes are windows on a larger sky (default) or periodic.
    fit_scale, fit_background : bool, optional
        Whether one flux scale for all channels and a background for each are fitted (default) or 1 and 0.
    uncertainty : {"attached", "empirical"}, optional
        Whence the error bars, as for `chi2_shift`. "empirical" includes noise that is correlated between
        pixels and between channels.
    reference_hdu, image_hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    CubeShift
        The shift with its covariance, and the corrected WCS of all axes. NaN, with a flag, where the cubes
        do not determine a shift.

    Raises
    ------
    TypeError, ValueError
        If a cube or an option is impossible; the message names it.

    Warns
    -----
    AstroregWarning
        Where a flag says that the shift or its error should not be trusted as it is, or the WCS say that the
        two have other channels.

    Notes
    -----
    The channels, divided by their noise, are projected onto the leading eigenvectors of their covariance: a
    few images which hold all structure of the cube, with independent noise. The equations of `chi2_shift`
    are solved for all of them together, with one shift and one flux scale, and a low-pass and a background
    for each. Channels without signal have no part in these images, and images without signal none in the
    equations.

    With a 2-D reference the scale of every channel is another one: the images are added up with the weights
    with which they resemble the reference, and `chi2_shift` does the rest.
    """
    pair = prepare_cubes(
        reference,
        image,
        max_shift=max_shift,
        min_overlap=min_overlap,
        boundary=boundary,
        fit_scale=fit_scale,
        fit_background=fit_background,
        uncertainty=uncertainty,
        reference_hdu=reference_hdu,
        image_hdu=image_hdu,
    )
    result = _of_image(pair) if pair.reference.data.ndim == 2 else CubeFit(pair).result()
    serious = result.flags & (ShiftFlag.UNTRUSTED | ShiftFlag.BAD_CHI2)
    if serious:
        warnings.warn("; ".join(describe(serious)), AstroregWarning, stacklevel=2)
    return result


def _common(pair: CubePair, weights: np.ndarray, number: int) -> dict[str, Any]:
    """Return what a result has whatever was found."""
    return {
        "method": "register_cube",
        "wcs": pair.wcs,
        "cube_wcs": pair.image.wcs,
        "image_shape": pair.image.data.shape[1:],
        "reference_label": pair.reference.label,
        "image_label": pair.image.label,
        "n_channels": len(pair.image.data),
        "channel_weights": weights,
        "n_components": number,
        "grid_offset": (pair.grid_offset or (0.0, 0.0)) * u.pixel,
    }


class CubeFit:
    """Two cubes, their components, the search and the fit, each made once.

    Parameters
    ----------
    pair : CubePair
        The cubes.
    """

    def __init__(self, pair: CubePair):
        self.pair = pair
        noises = [channel_noise(cube) for cube in (pair.reference, pair.image)]
        self.noise_estimated = any(estimated for _, estimated in noises) or not any(
            np.nansum(variance) > 0 for variance, _ in noises
        )

    @property
    def empirical(self) -> bool:
        """Whether the errors come from the residuals: asked for, or for want of uncertainties."""
        return self.pair.empirical or self.noise_estimated

    @cached_property
    def components(self) -> Components:
        """The images that the cubes are made of."""
        how = self.pair.search
        made = make_components(
            self.pair.reference, self.pair.image, fit_scale=how.fit_scale, fit_background=how.fit_background
        )
        return replace(made, reference=on_grid_of(self.pair, made.reference))

    @cached_property
    def peaks(self) -> JointPeaks:
        """The search over whole-pixel shifts, on block averages of large planes."""
        return searched(self.components.reference, self.components.image, self.pair.search)

    @cached_property
    def fit(self) -> JointFit | None:
        """The joint fit."""
        return self._fitted[0]

    @cached_property
    def _fitted(self):
        how = self.pair.search
        if self.peaks.peak is None:
            return None, None
        return fit_jointly(
            self.components.reference,
            self.components.image,
            np.rint(self.peaks.peak.shift),
            periodic=how.periodic,
            fit_scale=how.fit_scale,
            fit_background=how.fit_background,
            empirical=self.empirical,
        )

    @cached_property
    def false_alarm(self) -> float:
        """Probability that unrelated cubes would match as well: the best component's, times their number."""
        if self.fit is None:
            return np.nan
        joint = self._fitted[1]
        chances = [
            false_alarm_probability(self.as_fit(self.fit, j), aligner.overlap.box, self.peaks.trials)
            for j, aligner in enumerate(joint.aligners)
        ]
        return float(min(1.0, np.nanmin(chances, initial=1.0) * len(chances)))

    @staticmethod
    def as_fit(fit: JointFit, j: int) -> Fit:
        """Return the part of one pair of images of a joint fit."""
        return Fit(
            shift=fit.shift,
            parameters=np.zeros((4, 4)),
            scale=fit.scale,
            background=0.0,
            chi2=float(fit.chi2[j]),
            n_pixels=int(fit.n_pixels[j]),
            n_parameters=4,
            correlation=float(fit.correlations[j]),
            converged=fit.converged,
            scatter_ratio=fit.scatter_ratio,
            equations=fit.equations[j],
        )

    def result(self) -> CubeShift:
        """Return the result, with NaN and a flag where nothing was determined."""
        weights, number = (self.components.weights**2) @ self._information(), len(self.components.reference)
        rival = self.peaks.rival
        common = _common(self.pair, weights, number) | {
            "uncertainty": "empirical" if self.empirical else "attached",
            "flags": self._flags(),
            "false_alarm_probability": self.false_alarm,
            "rival": rival and RivalPeak(rival.shift * u.pixel, delta_chi2_of(self.peaks.peak, rival)),
        }
        if self.fit is None or common["flags"] & (ShiftFlag.NO_SIGNAL | ShiftFlag.NO_OVERLAP):
            return CubeShift(shift=np.full(2, np.nan), covariance=np.full((2, 2), np.nan), **common)
        fit, ratio = self.fit, self.pair.image.unit / self.pair.reference.unit
        planes = self.components.reference + self.components.image
        return CubeShift(
            shift=fit.shift,
            covariance=fit.covariance,
            scale=fit.scale * self.components.scale * ratio,
            scale_error=fit.scale * self.components.scale * np.sqrt(fit.parameters[2, 2]) * ratio,
            chi2=float(fit.chi2.sum()),
            dof=float(fit.n_pixels.sum() - fit.n_parameters),
            correlation=float(fit.correlations[0]),
            overlap=float(fit.n_pixels.min() / max(1, min(plane.count for plane in planes))),
            n_pixels=int(fit.n_pixels.max()),
            **common,
        )

    def _information(self) -> np.ndarray:
        """Return the share of each component in the mean square signal."""
        strength = np.maximum(self.components.strength, 0)
        total = strength.sum()
        return strength / total if total > 0 else np.full(strength.size, 1 / strength.size)

    def _flags(self) -> ShiftFlag:
        flags = ShiftFlag.NOISE_ESTIMATED if self.noise_estimated else ShiftFlag(0)
        fit, peaks, how = self.fit, self.peaks, self.pair.search
        if fit is None:
            return flags | (ShiftFlag.NO_OVERLAP if peaks.trials == 0 else ShiftFlag.NO_SIGNAL)
        if not self.false_alarm < _FALSE_ALARM:
            return flags | ShiftFlag.NO_SIGNAL
        flags |= bound_flag(fit.shift, how.max_shift, at_bound=peaks.at_bound)
        if peaks.peak.overlap < min(_SMALL_OVERLAP * how.min_overlap, 0.5):
            flags |= ShiftFlag.SMALL_OVERLAP
        if not fit.converged:
            flags |= ShiftFlag.NOT_CONVERGED
        if not np.sqrt(np.diag(fit.covariance).max()) < _LARGEST_ERROR:
            flags |= ShiftFlag.LOW_SNR
        flags |= rival_flag(peaks.peak, peaks.rival)
        if self.empirical:
            return flags
        return flags | chi2_flag(fit.chi2.sum(), fit.n_pixels.sum() - fit.n_parameters, fit.scatter_ratio)


def searched(references: list, images: list, how: Any, *, either_sign: bool = False) -> JointPeaks:
    """Search over whole-pixel shifts, on block averages where the planes are large.

    Parameters
    ----------
    references, images : list of Plane
        The pairs.
    how : Search
        The bounds.
    either_sign : bool, optional
        Whether a negative correlation counts as well.

    Returns
    -------
    JointPeaks
        With shifts in pixels.
    """
    block = search_block((references[0].shape, images[0].shape), _LONGEST_SIDE, periodic=how.periodic)
    small = [[block_average(plane, block) for plane in planes] for planes in (references, images)]
    limit = None if how.max_shift is None else how.max_shift / block + (0.5 if block > 1 else 0)
    found = joint_search(
        *small, max_shift=limit, min_overlap=how.min_overlap, periodic=how.periodic, either_sign=either_sign
    )
    if block == 1 or found.peak is None:
        return found
    peak = found.peak
    if not either_sign:
        # To a small part of a block: the fit of the pixels starts from there.
        fit, _ = fit_jointly(
            *small, peak.shift, periodic=how.periodic, fit_scale=True, fit_background=True, empirical=False
        )
        if fit is not None and np.abs(fit.shift - peak.shift).max() < 1.5:
            peak = replace(peak, shift=fit.shift)
    rival = found.rival and replace(found.rival, shift=block * found.rival.shift)
    return replace(
        found, peak=replace(peak, shift=block * peak.shift), rival=rival, trials=found.trials * block**2
    )


def _of_image(pair: CubePair) -> CubeShift:
    """Register a cube to one image: its components added up as they resemble the image."""
    how = pair.search
    made = project_image(pair.reference, pair.image, fit_background=how.fit_background)
    seen = on_grid_of(pair, made.reference[:1])[0]
    components = replace(made, reference=[seen] * len(made.image))
    peaks = searched(components.reference, components.image, how, either_sign=True)
    likeness = _likeness(components, peaks)
    collapsed = _collapsed(components, likeness)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstroregWarning)
        found = chi2_shift(
            _nddata(seen, known=pair.reference.variance is not None),
            collapsed,
            max_shift=how.max_shift,
            min_overlap=how.min_overlap,
            boundary="wrap" if how.periodic else "overlap",
            uncertainty="empirical" if pair.empirical else "attached",
        )
    weights = (components.weights @ likeness) ** 2
    total = weights.sum()
    estimated = pair.image.variance is None or pair.reference.variance is None
    common = _common(pair, weights / total if total > 0 else weights, len(components.image))
    values = {field.name: getattr(found, field.name) for field in fields(ShiftResult)}
    # Those of the sum of the components, which mean nothing to a user.
    names = ("scale", "scale_error", "background", "background_error")
    unknown = dict.fromkeys(names, u.Quantity(np.nan))
    flags = found.flags | (ShiftFlag.NOISE_ESTIMATED if estimated else ShiftFlag(0))
    return CubeShift(**values | unknown | common | {"flags": flags})


def _likeness(components: Components, peaks: JointPeaks) -> np.ndarray:
    """Return the weights with which the components, added up, resemble the reference most, noise and all."""
    shift = np.zeros(2) if peaks.peak is None else np.rint(peaks.peak.shift).astype(int)
    overlaps = [make_overlap(components.reference[0], plane, shift) for plane in components.image]
    usable = np.logical_and.reduce([overlap.usable for overlap in overlaps])
    first = np.eye(len(overlaps))[0]
    if np.count_nonzero(usable) <= len(overlaps) + 1:
        return first
    wanted = overlaps[0].reference[usable].astype(float)
    images = np.array([overlap.image[usable] for overlap in overlaps], float)
    images -= images.mean(axis=1, keepdims=True)
    weights = np.linalg.lstsq(images.T, wanted - wanted.mean(), rcond=None)[0]
    return weights if np.abs(weights).max() > 0 else first


def _collapsed(components: Components, likeness: np.ndarray) -> NDData:
    planes = components.image
    data = sum(w * plane.data for w, plane in zip(likeness, planes, strict=True))
    variance = sum(w**2 * plane.variance for w, plane in zip(likeness, planes, strict=True))
    return _nddata(Plane(data, variance, planes[0].good), known=True)


def _nddata(plane: Plane, *, known: bool) -> NDData:
    """Return a plane as an image, with its variance where that is known."""
    uncertainty = VarianceUncertainty(plane.variance) if known else None
    return NDData(plane.data, uncertainty=uncertainty, mask=None if plane.good is None else ~plane.good)
