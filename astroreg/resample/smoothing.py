"""Convolution of an image with its mask and variance carried along, and the kernels for it."""

from __future__ import annotations

import numpy as np

from astroreg.checks import argument_named, parse_fraction
from astroreg.inpaint import fill_bad

__all__ = ["BAD_WEIGHT", "gaussian_kernel", "matching_kernel", "smoothed"]

BAD_WEIGHT = 0.15  # share of bad pixels from which a resampled or smoothed pixel is blanked
REACH = 4.0  # sigmas to the edge of a kernel
THINNEST = 1e-4  # pixel2; least second moment of a kernel along its minor axis


def gaussian_kernel(covariance: np.ndarray) -> np.ndarray:
    """Return a Gaussian on whole pixels whose second moments are those wanted.

    A sampled narrow Gaussian is narrower than its parameter, one averaged over pixels wider; the parameter
    is adapted until the moments of the kernel itself are right. Below 0.3 pixel along an oblique axis no
    positive kernel on whole pixels is as narrow; then it is as narrow as can be.

    Parameters
    ----------
    covariance : ndarray, shape (2, 2)
        Second moments in pixel2, in the order (x, y); positive semi-definite.

    Returns
    -------
    ndarray, shape (n, n)
        n odd; the sum is 1.
    """
    size = 2 * int(np.ceil(REACH * np.sqrt(np.linalg.eigvalsh(covariance)[1]) + 1)) + 1
    wanted = np.array(covariance, dtype=float)
    for _ in range(50):
        kernel = _sampled(wanted, size)
        missing = covariance - _moments(kernel)
        if np.abs(missing).max() < 1e-3 * np.abs(covariance).max():
            break
        wanted = wanted + missing
    return kernel


def _sampled(covariance: np.ndarray, size: int) -> np.ndarray:
    """Average a Gaussian over the pixels."""
    from astropy.convolution import Gaussian2DKernel  # here: it loads all of astropy.modeling

    values, vectors = np.linalg.eigh(covariance)
    minor, major = np.sqrt(np.maximum(values, THINNEST))
    angle = np.arctan2(vectors[1, 1], vectors[0, 1])
    kernel = Gaussian2DKernel(
        major, minor, theta=angle, x_size=size, y_size=size, mode="oversample", factor=10
    )
    return kernel.array / kernel.array.sum()


def _moments(kernel: np.ndarray) -> np.ndarray:
    """Return the second moments (x, y) about the middle."""
    y, x = np.indices(kernel.shape) - (np.array(kernel.shape) // 2)[:, None, None]
    cross = np.sum(kernel * x * y)
    return np.array([[np.sum(kernel * x * x), cross], [cross, np.sum(kernel * y * y)]])


def matching_kernel(psf: np.ndarray, target_psf: np.ndarray, *, regularization: float = 1e-4) -> np.ndarray:
    """Return the kernel that turns one point-spread function into another.

    Parameters
    ----------
    psf, target_psf : ndarray, shape (n, n)
        Sampled on the same pixels, n odd, centred; the target must be the wider one.
    regularization : float, optional
        Spatial frequencies at which `psf` has less than this fraction of its peak are left out.

    Returns
    -------
    ndarray, shape (n, n)
        The sum is 1.
    """
    from photutils.psf_matching import make_kernel

    psf, target_psf = _square(psf, "psf"), _square(target_psf, "target_psf")
    if psf.shape != target_psf.shape:
        raise ValueError(f"`target_psf` must have the shape of `psf`, {psf.shape}, got {target_psf.shape}")
    parse_fraction(regularization, argument="regularization")
    kernel = make_kernel(psf, target_psf, regularization=regularization)
    return kernel / kernel.sum()


def require_frame(frame: object, argument: str) -> None:
    """Refuse what is no `Frame`; `astroreg.inputs` is above this room.

    Parameters
    ----------
    frame : Frame
        What the caller gave.
    argument : str
        The name for the message.

    Raises
    ------
    TypeError
        If it is none.
    """
    if not all(hasattr(frame, name) for name in ("data", "variance", "mask", "wcs", "header")):
        kind = type(frame).__name__
        raise TypeError(f"`{argument}` must be a Frame as astroreg.inputs.as_frame makes it, got a {kind}")


def _square(psf: np.ndarray, argument: str) -> np.ndarray:
    """Return a point-spread function as an odd square of finite numbers."""
    with argument_named(argument, "give a 2-D image of a star with an odd side, without sky"):
        values = np.array(psf, dtype=float)
        if values.ndim != 2 or values.shape[0] != values.shape[1] or not values.shape[0] % 2:
            raise ValueError(f"shape {values.shape}")
        if not np.isfinite(values).all() or not values.sum() > 0:
            raise ValueError("not finite, or without light")
    return values


def smoothed(
    data: np.ndarray, variance: np.ndarray | None, mask: np.ndarray | None, kernel: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Convolve an image; what leans on bad pixels or on what is beyond the edge is masked.

    Parameters
    ----------
    data : ndarray, shape (ny, nx)
        Not changed.
    variance : ndarray or None
        Of the same shape.
    mask : ndarray of bool or None
        True = bad.
    kernel : ndarray, shape (n, n)
        n odd, sum 1.

    Returns
    -------
    data : ndarray
        0 where masked.
    variance : ndarray or None
        The effective one: of independent pixels with the same noise on scales larger than the kernel.
    mask : ndarray of bool
        True where bad pixels have 15 per cent of the kernel or more.
    """
    from scipy.signal import oaconvolve  # here: with the statistics behind it, it takes long to load

    pad = [(n // 2, n // 2) for n in kernel.shape]
    bad = np.pad(np.zeros(data.shape, bool) if mask is None else mask, pad, constant_values=True)
    weight = oaconvolve(bad.astype(float), kernel, mode="valid")
    lost = ~(np.abs(weight) < BAD_WEIGHT)
    filled = fill_bad(np.where(bad, 0, np.pad(data, pad)), bad)
    # The mean is taken off: FFTs lose the small differences beside a large constant.
    level = filled[~bad].mean() if not bad.all() else 0.0
    out = oaconvolve(filled - level, kernel, mode="valid") + level
    out = np.where(lost, 0, out).astype(data.dtype, copy=False)
    if variance is None:
        return out, None, lost
    spread = fill_bad(np.where(bad, 0, np.pad(variance, pad)), bad, smooth=False)
    # A positive kernel keeps it positive but for rounding; one from a deconvolution may not.
    least = spread[~bad].min() if not bad.all() else 0.0
    carried = np.maximum(oaconvolve(spread, kernel, mode="valid"), least) / (
        1 - np.clip(weight, 0, BAD_WEIGHT)
    )
    return out, np.where(lost, np.nan, carried), lost
