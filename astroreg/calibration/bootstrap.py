"""A simulated pair around a user's own images: parametric bootstrap from the fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.table import QTable
from numpy.typing import ArrayLike

from astroreg.calibration.canvas import Canvas
from astroreg.calibration.comparison import compare_methods
from astroreg.checks import parse_callable, parse_number, require_kind
from astroreg.estimators.noise import noise_variance
from astroreg.inputs import Frame, parse_boundary, prepare_pair
from astroreg.methods import chi2_shift
from astroreg.results import ShiftResult
from astroreg.simulation import SimulatedPair
from astroreg.simulation.noise import Detector

__all__ = ["calibrate", "fitted_pair"]


def calibrate(
    reference: Any,
    image: Any,
    *,
    methods: Sequence[Callable] | Mapping[str, Callable] | None = None,
    method: Callable = chi2_shift,
    boundary: str = "overlap",
    correlation: float = 0.0,
    n_draws: int = 100,
    gross: float = 1.0,
    progress: bool = False,
    rng: int | ArrayLike | np.random.Generator | None = None,
) -> QTable:
    """Find how true the quoted errors are for two given images.

    The shift is fitted, the sky that both images show is estimated, and the methods are run over
    simulated draws of noise on that sky: a parametric bootstrap.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The two images, on grids of the same pixel size and orientation.
    methods : sequence or mapping of callable, optional
        What to calibrate; see `compare_methods`. By default all three methods.
    method : callable, optional
        What to fit with.
    boundary : {"overlap", "wrap"}, optional
        Whether the images are windows on a larger sky (default) or periodic.
    correlation : float, optional
        Correlation of the noise, in pixels; see `astroreg.simulation.correlated_noise`.
    n_draws : int, optional
        Number of draws of the noise.
    gross : float, optional
        An answer that is off by more pixels than this is a gross failure.
    progress : bool, optional
        Whether to show a progress bar on stderr.
    rng : int, array-like, numpy.random.Generator or None, optional
        Seed or generator of the noise.

    Returns
    -------
    astropy.table.QTable
        As `compare_methods` returns it, with the fitted shift as the truth.

    Raises
    ------
    ValueError
        If the fit gives no shift.

    See Also
    --------
    fitted_pair : The simulated pair that is drawn from.
    """
    parse_callable(method, "method", mend="give a method such as chi2_shift")
    fit = method(reference, image, boundary=boundary)
    require_kind(fit, ShiftResult, "method", "it must return a ShiftResult")
    pair = fitted_pair(reference, image, fit, boundary=boundary, correlation=correlation)
    return compare_methods(pair, methods=methods, n_draws=n_draws, gross=gross, progress=progress, rng=rng)


def fitted_pair(
    reference: Any, image: Any, fit: Any, *, boundary: str = "overlap", correlation: float = 0.0
) -> SimulatedPair:
    """Make the simulated pair that two given images and a fit of their shift describe.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The two images.
    fit : ShiftResult
        What a method found for them: its shift, scale and background are the truth of the pair.
    boundary : {"overlap", "wrap"}, optional
        Whether the images are windows on a larger sky (default) or periodic.
    correlation : float, optional
        Correlation of the noise that will be drawn, in pixels; 0 is white noise.

    Returns
    -------
    SimulatedPair
        Without noise of its own: call `SimulatedPair.redraw` or `SimulatedPair.draws`.

    Raises
    ------
    ValueError
        If `fit` has no finite shift.

    Notes
    -----
    The sky is the inverse-variance mean of both images in the frame of the reference, filtered in
    Fourier space so that its power spectrum is that of the data less that of the noise. The noise is
    that of the attached uncertainties, or white of the level that a high-pass finds.
    """
    require_kind(fit, ShiftResult, "fit", "give what a method returned")
    first, second = prepare_pair(reference, image)
    parse_boundary(boundary, first.shape, second.shape)
    correlation = parse_number(correlation, "correlation", low=0)
    shift = np.asarray(fit.shift.to_value(u.pixel), dtype=float)
    if not np.isfinite(shift).all():
        raise ValueError("`fit` has no finite shift: there is nothing to simulate; see its flags")
    scale = _number(fit.scale, second.unit / first.unit, 1.0)
    background = _number(fit.background, second.unit, 0.0)
    sigmas = _sigma(first), _sigma(second)
    canvas = Canvas(first.shape, second.shape, shift, wrap=boundary == "wrap")
    sky = canvas.sky(first, second, sigmas, scale, background)
    seen = canvas.on_image(sky)
    sky_image = scale * seen + background
    detectors = tuple(
        Detector(sigma, ~frame.valid, np.zeros(frame.shape), correlation)
        for sigma, frame in zip(sigmas, (first, second), strict=True)
    )
    sky_reference = canvas.on_reference(sky)
    return SimulatedPair(
        reference=_ccd(first, sky_reference, sigmas[0]),
        image=_ccd(second, sky_image, sigmas[1]),
        shift=shift * u.pixel,
        scale=scale,
        background=background,
        sky_reference=sky_reference,
        sky_image=sky_image,
        true_wcs=None,
        limit=canvas.limit(seen, first, second, sigmas, scale),
        boundary=boundary,
        _detectors=detectors,
    )


def _number(value, unit, default):
    """Return a fitted number in `unit`, or `default` where it was not fitted."""
    value = u.Quantity(value)
    if value.unit == u.dimensionless_unscaled:  # of images without units
        unit = value.unit
    return float(value.to_value(unit)) if np.isfinite(value) else default


def _sigma(frame: Frame):
    """Return the noise of every pixel, measured where none is attached."""
    if frame.variance is not None:
        return np.sqrt(np.where(frame.valid, frame.variance, 0.0).astype(float))
    return np.full(frame.shape, np.sqrt(noise_variance(frame.data, frame.valid)))


def _ccd(frame, data, sigma):
    return CCDData(
        data,
        unit=frame.unit,
        uncertainty=StdDevUncertainty(sigma.copy()),
        mask=~frame.valid,
        wcs=frame.wcs,
    )
