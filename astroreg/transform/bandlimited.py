"""Trigonometric interpolation of sampled arrays: sub-pixel shifts and zooms, periodic or not.

An array that is sampled well enough is exactly the trigonometric polynomial through its samples.
A window on a larger sky is not periodic: it is then continued smoothly beyond its edges first, so
that its two ends meet.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

__all__ = ["axis_matrix", "continued", "dirichlet", "shift_periodic", "shift_variance_periodic"]


def dirichlet(t: np.ndarray, n: int) -> np.ndarray:
    """Return the weight of a sample at distance `t` in the interpolation of `n` periodic samples.

    Parameters
    ----------
    t : numpy.ndarray
        Distances, in samples.
    n : int
        Number of samples in a period.

    Returns
    -------
    numpy.ndarray
        The Dirichlet kernel; the cosine at the Nyquist frequency of an even `n` is shared between
        its two signs, as zero-padding of the transform has it.
    """
    t = (np.asarray(t, dtype=float) + n / 2) % n - n / 2
    whole = np.abs(t) < 1e-12
    angle = np.where(whole, 0.5, np.pi * t / n)  # 0.5 stands for an angle that is not looked at
    shape = np.tan(angle) if n % 2 == 0 else np.sin(angle)
    with np.errstate(divide="ignore"):
        return np.where(whole, 1.0, np.sin(np.pi * t) / (n * shape))


def axis_matrix(positions: np.ndarray, n: int) -> np.ndarray:
    """Return the matrix that interpolates `n` periodic samples at `positions` (matrix-multiply DFT)."""
    return dirichlet(np.asarray(positions)[:, None] - np.arange(n), n)


def _phase(frequency, n, shift):
    """Return the transfer function of a shift along one axis of length `n`."""
    phase = np.exp(-2j * np.pi * frequency * shift)
    if n % 2 == 0:  # at the Nyquist frequency only the cosine is sampled
        phase = np.where(np.abs(frequency) == 0.5, np.cos(np.pi * shift), phase)
    return phase


def shift_periodic(data: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """Shift a periodic array by a fraction of a pixel, or any number of them.

    Parameters
    ----------
    data : numpy.ndarray, shape (ny, nx)
        Finite values.
    shift : tuple of float
        (x, y) in pixels; the content moves by +shift.

    Returns
    -------
    numpy.ndarray, shape (ny, nx)
        The shifted array, real and signed.
    """
    (ny, nx), (dx, dy) = data.shape, shift
    transfer = _phase(fft.fftfreq(ny), ny, dy)[:, None] * _phase(fft.rfftfreq(nx), nx, dx)
    return fft.irfft2(fft.rfft2(data) * transfer, s=data.shape)


def shift_variance_periodic(variance: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """Return the variance of `shift_periodic` of independent noise: the squared weights times `variance`."""
    (ny, nx), (dx, dy) = variance.shape, shift
    column = fft.fft(dirichlet(np.arange(ny) - dy, ny) ** 2)
    row = fft.rfft(dirichlet(np.arange(nx) - dx, nx) ** 2)
    shifted = fft.irfft2(fft.rfft2(variance) * column[:, None] * row, s=variance.shape)
    # Rounding must not make a variance of zero negative.
    return np.clip(shifted, 0.0, None)


def continued(data: np.ndarray, pad: int, *, point: bool = True) -> tuple[np.ndarray, tuple[int, int]]:
    """Continue an array beyond its edges so that it may be taken as periodic.

    Parameters
    ----------
    data : numpy.ndarray, shape (ny, nx)
        Finite values.
    pad : int
        Least number of pixels to add on each side; fewer where the array is shorter.
    point : bool, optional
        Whether to reflect about the edge's value, which keeps the slope (default), or to repeat
        that value, which keeps the sign.

    Returns
    -------
    padded : numpy.ndarray
        The continued array, of a size that transforms fast; both its ends tend to the mean.
    origin : tuple of int
        (y, x) of the first pixel of `data` in it.
    """
    mean = data.mean()
    widths, tapers = [], []
    for n in data.shape:
        low = min(pad, n - 1)
        high = min(fft.next_fast_len(n + 2 * low, real=True) - n - low, max(n - 1, low))
        widths.append((low, high))
        tapers.append(np.concatenate([_fall(low)[::-1], np.ones(n), _fall(high)]))
    options = {"mode": "reflect", "reflect_type": "odd"} if point else {"mode": "edge"}
    padded = np.pad(data - mean, widths, **options)
    return mean + padded * tapers[0][:, None] * tapers[1], (widths[0][0], widths[1][0])


def _fall(n):
    """Return `n` values that fall smoothly from nearly 1 to nearly 0."""
    return 0.5 + 0.5 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))
