"""The smallest error that any unbiased estimate of a shift can have."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from numpy.typing import ArrayLike
from scipy import fft, interpolate

from astroreg.checks import argument_named, parse_flag, parse_number
from astroreg.simulation._checks import check_number

__all__ = ["shift_limit", "unknown_sky_factor"]


def shift_limit(
    sky: np.ndarray,
    *,
    sigma_image: ArrayLike,
    sigma_reference: ArrayLike = 0.0,
    scale: float = 1.0,
    gradient: tuple[np.ndarray, np.ndarray] | None = None,
    power: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    fit_scale: bool = True,
    fit_background: bool = True,
    known_sky: bool = False,
) -> u.Quantity:
    """Return the Cramer-Rao limit of the shift between two images with white noise.

    Parameters
    ----------
    sky : numpy.ndarray
        The noiseless sky in the reference's unit, at the pixels of the image.
    sigma_image, sigma_reference : float or numpy.ndarray, optional
        Standard deviation of the noise of each image, in its own unit, at the pixels of the
        image. 0 (the default for the reference) is no noise.
    scale : float, optional
        Image units per reference unit.
    gradient : tuple of numpy.ndarray, optional
        Derivatives of `sky` along x and y, per pixel. By default those of a quintic spline.
    power : numpy.ndarray, optional
        Power spectrum of `sky` on the grid of `scipy.fft.fft2`, up to a factor. By default
        estimated from the gradient.
    mask : numpy.ndarray, optional
        True where either image is bad or does not see the sky.
    fit_scale, fit_background : bool, optional
        Whether scale and background are fitted too; what they take is lost to the shift.
    known_sky : bool, optional
        If True, the limit for somebody who knows the sky: lower, and out of reach where both
        images are noisy.

    Returns
    -------
    astropy.units.Quantity
        The 1-sigma limits (x, y), in pixel; infinite where the images do not determine a shift.

    Raises
    ------
    ValueError
        If no pixel is left, or a pixel that is used has no noise in either image.

    Notes
    -----
    With the weight ``w = 1 / (V_image + scale**2 V_reference)`` and the columns
    ``g = (scale dS/dx, scale dS/dy, S, 1)``, the Fisher matrix is ``F = sum w g g^T``, and the
    limit is the (x, y) part of its inverse. The sky itself must be learnt from two noisy images:
    a Fourier mode of power P then counts only ``P / (P + Na Nb / (Na + Nb))`` of what it would,
    with the noise powers Na and Nb [1]_.

    References
    ----------
    .. [1] Hannan, E. J. & Thomson, P. J. 1973, "Estimating group delay", Biometrika 60, 241.
    """
    sky = _plane(sky, "sky")
    scale = check_number(parse_number(scale, "scale", low=0, strict=True), "scale")
    flags = {"fit_scale": fit_scale, "fit_background": fit_background, "known_sky": known_sky}
    for argument, flag in flags.items():
        parse_flag(flag, argument)
    variance_image = _plane(sigma_image, "sigma_image", sky.shape) ** 2
    variance_reference = scale**2 * _plane(sigma_reference, "sigma_reference", sky.shape) ** 2
    good = np.ones(sky.shape, bool)
    if mask is not None:
        with argument_named("mask", f"give booleans of shape {sky.shape}, True = bad"):
            good = ~np.broadcast_to(np.asarray(mask, dtype=bool), sky.shape)
    variance = np.broadcast_to(variance_image + variance_reference, sky.shape)
    if not good.any():
        raise ValueError("`mask` leaves no pixel that both images see; unmask some")
    if not (variance[good] > 0).all():
        raise ValueError("`sigma_image` and `sigma_reference` are both 0 at some pixels: their limit is 0")
    gx, gy = _spline_gradient(sky) if gradient is None else _two_planes(gradient, sky.shape)
    root = np.sqrt(1 / variance[good])
    gradients = np.array([root * scale * g[good] for g in (gx, gy)])
    nuisances = np.array([root * sky[good]] * fit_scale + [root] * fit_background)
    known = _marginal_sigma(gradients, nuisances, 1e-12 * scale * np.linalg.norm(root * sky[good]))
    if known_sky:
        return known * u.pixel
    noise = [np.broadcast_to(v, sky.shape)[good].mean() for v in (variance_reference, variance_image)]
    power = _isotropic_power(gx, gy) if power is None else _plane(power, "power", sky.shape)
    factor = unknown_sky_factor(power, scale**2 * (gx**2 + gy**2)[good].mean(), *noise)
    return known * np.sqrt(factor) * u.pixel


def _plane(value, argument, shape=None):
    """Return real numbers as an image: of six by six pixels at least, or of `shape`."""
    mend = "give a 2-D image of at least 6 x 6 real numbers"
    mend = mend if shape is None else f"give real numbers of shape {shape}"
    with argument_named(argument, mend):
        plane = np.asarray(value)
        if plane.dtype.kind not in "iuf" or isinstance(value, u.Quantity):
            raise TypeError(f"{type(value).__name__} of the kind {plane.dtype}")
        if shape is None and (plane.ndim != 2 or min(plane.shape) < 6):
            raise ValueError(f"shape {plane.shape}")
        if not (np.abs(plane) < 1e100).all():
            raise ValueError("not finite, or beyond 1e100")
        return plane.astype(float) if shape is None else np.broadcast_to(plane, shape).astype(float)


def _two_planes(gradient, shape):
    """Return the derivatives along x and y."""
    if not isinstance(gradient, (tuple, list)) or len(gradient) != 2:
        raise TypeError("`gradient` must be two images, the derivatives along x and y")
    return [_plane(one, "gradient", shape) for one in gradient]


def _marginal_sigma(gradients, nuisances, floor):
    """Return the sigmas of two parameters of a linear model; infinite where it does not hold them.

    Columns of a norm below `floor`, or 1e-10 of the whole, are rounding errors of the derivatives.
    """
    floor = max(floor, 1e-10 * np.linalg.norm(gradients))
    if len(nuisances):  # what the nuisances can imitate is lost
        unit = nuisances / np.maximum(np.linalg.norm(nuisances, axis=1), np.finfo(float).tiny)[:, None]
        gradients = gradients - np.linalg.lstsq(unit.T, gradients.T, rcond=None)[0].T @ unit
    values, vectors = np.linalg.eigh(gradients @ gradients.T)
    variance = np.zeros(2)
    for value, square in zip(values, vectors.T**2, strict=True):
        variance += square / value if value > floor**2 else np.where(square > 1e-10, np.inf, 0.0)
    return np.sqrt(variance)


def unknown_sky_factor(power, mean_square_gradient, noise_reference, noise_image):
    """Return by how much the variance of a shift grows because the sky must be learnt too (>= 1).

    Parameters
    ----------
    power : numpy.ndarray
        Power spectrum on the grid of `scipy.fft.fft2`, up to a factor.
    mean_square_gradient : float
        Mean of ``|grad sky|**2`` in image units: it fixes that factor.
    noise_reference, noise_image : float
        Mean variances in image units.

    Returns
    -------
    float
        The factor of the variance.
    """
    if noise_reference <= 0 or noise_image <= 0:
        return 1.0  # one image is the sky itself
    ky, kx = fft.fftfreq(power.shape[0])[:, None], fft.fftfreq(power.shape[1])
    gradient = (2 * np.pi) ** 2 * (kx**2 + ky**2) * power
    norm = mean_square_gradient / gradient.mean()
    effective = noise_reference * noise_image / (noise_reference + noise_image)
    gain = norm * power / (norm * power + effective)
    return float(gradient.sum() / (gradient * gain).sum())


def _spline_gradient(sky):
    """Return the derivatives of `sky` along x and y from a quintic spline through its pixels."""
    y, x = (np.arange(n, dtype=float) for n in sky.shape)
    spline = interpolate.RectBivariateSpline(y, x, sky, kx=5, ky=5, s=0)
    return spline(y, x, dy=1), spline(y, x, dx=1)


def _isotropic_power(gx, gy):
    """Estimate the power spectrum of a sky from its gradient, averaged in rings of frequency.

    The gradient is much less red than the sky, so that a Hann window suffices against leakage;
    the rings take out the scatter of single modes, which would bias the factor above.
    """
    taper = np.hanning(gx.shape[0] + 2)[1:-1, None] * np.hanning(gx.shape[1] + 2)[1:-1]
    square = sum(np.abs(fft.fft2(taper * (g - g.mean()))) ** 2 for g in (gx, gy))
    ky, kx = fft.fftfreq(gx.shape[0])[:, None], fft.fftfreq(gx.shape[1])
    k = np.hypot(ky, kx)
    ring = np.rint(k * max(gx.shape)).astype(int)
    mean = np.bincount(ring.ravel(), square.ravel()) / np.maximum(np.bincount(ring.ravel()), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(k > 0, mean[ring] / k**2, 0.0)
