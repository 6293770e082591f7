"""The three methods: the same parts in the same order, and one fine step each."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

from astropy import units as u

from astroreg.estimators.chi_squared import ChiSquaredStep
from astroreg.estimators.peak import PeakStep
from astroreg.estimators.taylor import taylor_peak
from astroreg.estimators.upsampled import upsampled_peak
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag, describe
from astroreg.inputs import parse_positive
from astroreg.prepared import PreparedPair, prepare
from astroreg.results import ShiftResult
from astroreg.spectra import SpectralShift, are_spectra, spectra_shift

__all__ = ["chi2_shift", "cross_correlation_shift", "register_images"]

_TAYLOR_TOLERANCE = 3e-6  # pixels
_FINER = 20  # samples of the repetitions for one of the user's


def chi2_shift(
    reference: Any,
    image: Any,
    *,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
) -> ShiftResult | SpectralShift:
    """Measure the shift between two images by chi-squared, with the noise of both as weight.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        Two 2-D images of the same sky, of the same pixel size, at least 5 x 5 pixels each; their shapes may
        differ. Mask True = bad; pixels that are not finite count as masked. Neither is changed. Or two 1-D
        spectra of at least 8 channels each.
    max_shift : float or Quantity, optional
        Longest shift to search for: pixels, a Quantity in pixel, or an angle, which the WCS of `image` turns
        into pixels. Default: whatever `min_overlap` allows.
    min_overlap : float, optional
        Least overlap of the good pixels, as a fraction of those of the image that has fewer (default 0.1).
    boundary : {"overlap", "wrap"}, optional
        Whether the images are windows on a larger sky (default) or periodic, as in some simulations.
    fit_scale, fit_background : bool, optional
        Whether the flux scale and the background between the images are fitted (default) or 1 and 0.
    uncertainty : {"attached", "empirical"}, optional
        Whence the error bars: the uncertainties of both images (default), or the residuals, which includes
        correlated noise and wrong uncertainties. Where one has none, its noise is estimated from the pixels
        and the errors are empirical.

    Returns
    -------
    ShiftResult or SpectralShift
        The shift of `image` relative to `reference` in pixels, its covariance, flux scale and background,
        the Delta chi-squared map, flags, and the correction of the WCS of `image`. The shift is NaN, with a
        flag, where the images do not determine one. For spectra a `SpectralShift`, with the shift along the
        spectral axis too.

    Raises
    ------
    TypeError, ValueError
        If an image or an option is impossible; the message names it.

    Warns
    -----
    AstroregWarning
        Where a flag says that the shift or its error should not be trusted as it is.

    Notes
    -----
    The model is ``image(x) = scale * reference(x - shift) + background`` with independent noise in both. The
    shift solves an estimating equation whose template is the best mean sky, low-passed by its Wiener filter;
    for white noise it is as accurate as any method can be (Hannan & Thomson 1973). The errors are those of
    the equation, not of a parabola through noisy samples.

    References
    ----------
    Hannan, E. J. & Thomson, P. J. 1973, Biometrika 60, 241, doi:10.1093/biomet/60.2.241

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg import chi2_shift
    >>> from astroreg.simulation import simulate_pair
    >>> pair = simulate_pair(shift=(3.37, -5.81), rng=np.random.default_rng(1))
    >>> result = chi2_shift(pair.reference, pair.image)
    >>> bool(abs(result.shift - pair.shift).max() < 5 * result.shift_error.max())
    True
    """
    if are_spectra(reference, image):
        return spectra_shift(
            reference,
            image,
            max_shift=max_shift,
            min_overlap=min_overlap,
            boundary=boundary,
            fit_scale=fit_scale,
            fit_background=fit_background,
            uncertainty=uncertainty,
        )
    pair = prepare(
        reference,
        image,
        max_shift=max_shift,
        min_overlap=min_overlap,
        boundary=boundary,
        fit_scale=fit_scale,
        fit_background=fit_background,
        uncertainty=uncertainty,
    )
    return _told(solve_chi2(pair))


def register_images(
    reference: Any,
    image: Any,
    *,
    upsample_factor: int = 100,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
) -> ShiftResult:
    """Measure the shift between two images by DFT upsampling of their correlation.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The two images, as for `chi2_shift`.
    upsample_factor : int, optional
        Samples a pixel of the correlation about its peak (default 100). The images are brought together again
        on samples twenty times finer: the rounding of the shift is a twentieth of ``1 / upsample_factor``.
    max_shift : float or Quantity, optional
        Longest shift to search for, as for `chi2_shift`.
    min_overlap : float, optional
        Least overlap, as for `chi2_shift` (default 0.1).
    boundary : {"overlap", "wrap"}, optional
        Windows on a larger sky (default) or periodic images.
    fit_scale, fit_background : bool, optional
        Whether flux scale and background are fitted (default); the shift does not depend on them.
    uncertainty : {"attached", "empirical"}, optional
        Whence the error bars, as for `chi2_shift`. The shift itself is unweighted; where the variance of the
        residuals is twice what the attached uncertainties promise, its errors are empirical in any case, and
        ``BAD_CHI2`` says why.

    Returns
    -------
    ShiftResult
        As of `chi2_shift`, without a Delta chi-squared map. The error includes the rounding:
        the spacing of the finest samples over ``sqrt(12)``.

    Raises
    ------
    TypeError, ValueError
        If an image or an option is impossible; the message names it.

    Warns
    -----
    AstroregWarning
        Where a flag says that the shift or its error should not be trusted as it is.

    Notes
    -----
    A matrix-multiply Fourier transform samples the correlation finely around its peak, in two stages. The
    images are brought together and correlated again until the peak stands at zero, where the finite windows
    do not pull it. Noise is not filtered: below a signal-to-noise ratio of a few per pixel `chi2_shift` is
    better.

    References
    ----------
    Guizar-Sicairos, M., Thurman, S. T. & Fienup, J. R. 2008, Optics Letters 33, 156, doi:10.1364/OL.33.000156
    """
    factor = parse_positive(upsample_factor, argument="upsample_factor", integer=True)
    pair = prepare(
        reference,
        image,
        max_shift=max_shift,
        min_overlap=min_overlap,
        boundary=boundary,
        fit_scale=fit_scale,
        fit_background=fit_background,
        uncertainty=uncertainty,
    )
    return _told(solve_upsampled(pair, upsample_factor=factor))


def cross_correlation_shift(
    reference: Any,
    image: Any,
    *,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float = 0.1,
    boundary: str = "overlap",
    fit_scale: bool = True,
    fit_background: bool = True,
    uncertainty: str = "attached",
) -> ShiftResult:
    """Measure the shift between two images from the peak of their correlation, by Taylor expansion.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The two images, as for `chi2_shift`.
    max_shift : float or Quantity, optional
        Longest shift to search for, as for `chi2_shift`.
    min_overlap : float, optional
        Least overlap, as for `chi2_shift` (default 0.1).
    boundary : {"overlap", "wrap"}, optional
        Windows on a larger sky (default) or periodic images.
    fit_scale, fit_background : bool, optional
        Whether flux scale and background are fitted (default); the shift does not depend on them.
    uncertainty : {"attached", "empirical"}, optional
        Whence the error bars, as for `chi2_shift`. The shift itself is unweighted; where the variance of the
        residuals is twice what the attached uncertainties promise, its errors are empirical in any case, and
        ``BAD_CHI2`` says why.

    Returns
    -------
    ShiftResult
        As of `chi2_shift`, without a Delta chi-squared map.

    Raises
    ------
    TypeError, ValueError
        If an image or an option is impossible; the message names it.

    Warns
    -----
    AstroregWarning
        Where a flag says that the shift or its error should not be trusted as it is.

    Notes
    -----
    The summit of the paraboloid that touches the correlation, with derivatives taken exactly in the Fourier
    domain, repeated about the new point: Newton's method, which has not the bias of 0.1 pixel of a single
    expansion on samples a pixel apart. Noise is not filtered, as in `register_images`.
    """
    pair = prepare(
        reference,
        image,
        max_shift=max_shift,
        min_overlap=min_overlap,
        boundary=boundary,
        fit_scale=fit_scale,
        fit_background=fit_background,
        uncertainty=uncertainty,
    )
    return _told(solve_taylor(pair))


def solve_chi2(pair: PreparedPair) -> ShiftResult:
    """Return the result of `chi2_shift` for a prepared pair, without warnings."""
    return pair.result(ChiSquaredStep, method="chi2_shift", delta_chi2=True)


def solve_upsampled(pair: PreparedPair, *, upsample_factor: int = 100) -> ShiftResult:
    """Return the result of `register_images` for a prepared pair, without warnings."""
    # A first sampling finds the peak; the repetitions, about zero, are sampled finer, so that a pull of less
    # than a sample is still followed.
    samples = _FINER * upsample_factor
    finder = partial(upsampled_peak, upsample_factor=samples)
    refiner = partial(PeakStep, find_peak=finder, tolerance=0.5 / samples, resolution=1 / samples)
    return pair.result(refiner, method="register_images", delta_chi2=False)


def solve_taylor(pair: PreparedPair) -> ShiftResult:
    """Return the result of `cross_correlation_shift` for a prepared pair, without warnings."""
    refiner = partial(PeakStep, find_peak=taylor_peak, tolerance=_TAYLOR_TOLERANCE)
    return pair.result(refiner, method="cross_correlation_shift", delta_chi2=False)


def _told(result: ShiftResult) -> ShiftResult:
    """Warn, once, of what forbids to trust a result; return the result."""
    serious = result.flags & (ShiftFlag.UNTRUSTED | ShiftFlag.BAD_CHI2)
    if serious:
        warnings.warn("; ".join(describe(serious)), AstroregWarning, stacklevel=3)
    return result
