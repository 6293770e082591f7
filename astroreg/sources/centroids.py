"""The position of each source: a round Gaussian on a plane, by weighted least squares."""

from __future__ import annotations

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma

__all__ = ["fit_sources"]

_REACH = 2.0  # full widths around the peak that are fitted
_ITERATIONS = 30
_TOLERANCE = 1e-3  # of the error of a position: where the iteration stops
_WIDTHS = (0.4, 2.5)  # of the width that is expected: what is not in between is no point source
_GOOD_SHARE = 0.6  # of the pixels around a source that must be good
_PARAMETERS = 7  # peak, x, y, log width, level, two slopes
_WINDOW = 1.5  # widths (sigma) of the source at which the weight of a pixel has fallen by a sigma
_LONGEST = 0.7, 0.3  # steps of the position (pixels) and of the log width


def fit_sources(
    data: np.ndarray, sigma: np.ndarray, good: np.ndarray, places: np.ndarray, fwhm: float
) -> dict[str, np.ndarray]:
    """Fit all sources of an image.

    Parameters
    ----------
    data, sigma : ndarray
        The image and the standard deviation of its noise.
    good : ndarray of bool
        True where a pixel is good.
    places : ndarray, shape (n, 2)
        First guesses (x, y), pixels, the brightest first.
    fwhm : float
        The width that is expected, pixels.

    Returns
    -------
    dict of str to ndarray
        Columns x, y, x_error, y_error, xy_covariance, peak and fwhm of those that fit as a point source does.
    """
    names = ("x", "y", "x_error", "y_error", "xy_covariance", "peak", "fwhm")
    rows = []
    for x, y in places:
        row = _fit_one(data, sigma, good, x, y, fwhm)
        # Of two peaks that blend, one fit may end at the other source: that is one source, not two.
        if row is not None and all(np.hypot(row[0] - one[0], row[1] - one[1]) > fwhm / 2 for one in rows):
            rows.append(row)
    columns = np.array(rows, float).reshape(-1, len(names)).T
    return dict(zip(names, columns, strict=True))


def _fit_one(data, sigma, good, x, y, fwhm) -> tuple[float, ...] | None:
    """Return one row, or None where the fit fails, walks away or finds another width."""
    reach = max(2, int(np.ceil(_REACH * fwhm)))
    column, row = round(x), round(y)
    if not (reach <= column < data.shape[1] - reach and reach <= row < data.shape[0] - reach):
        return None
    cut = slice(row - reach, row + reach + 1), slice(column - reach, column + reach + 1)
    v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(float)
    usable = good[cut] & (u**2 + v**2 <= (reach + 0.5) ** 2)
    if usable.sum() < max(_PARAMETERS + 3, _GOOD_SHARE * np.pi * reach**2) or not good[row, column]:
        return None
    u, v, values, weight = u[usable], v[usable], data[cut][usable], 1 / sigma[cut][usable]
    found = _gauss_newton(u, v, values, weight, fwhm * gaussian_fwhm_to_sigma)
    if found is None:
        return None
    p, covariance = found
    width = np.exp(p[3]) / gaussian_fwhm_to_sigma
    near = np.hypot(p[1], p[2]) <= fwhm and _WIDTHS[0] * fwhm < width < _WIDTHS[1] * fwhm
    if not (near and p[0] > 0 and (np.diag(covariance)[:3] > 0).all()):
        return None
    errors = np.sqrt(np.diag(covariance))
    return column + p[1], row + p[2], errors[1], errors[2], covariance[1, 2], p[0], width


def _gauss_newton(u, v, values, weight, width) -> tuple[np.ndarray, np.ndarray] | None:
    """Return parameters and their covariance, that of the noise alone.

    The window fades from the fitted position outwards: a source that has moved by a part of a pixel is seen
    with the same emission around it, through the same window.
    """
    level = np.median(values)
    p = np.array([values.max() - level, 0.0, 0.0, np.log(width), level, 0.0, 0.0])
    for _ in range(_ITERATIONS):
        model, slopes = _model(p, u, v)
        window = np.exp(-0.5 * ((u - p[1]) ** 2 + (v - p[2]) ** 2) / (_WINDOW * width) ** 2)
        design = (window * weight) * slopes
        normal = design @ (weight * slopes).T
        try:
            inverse = np.linalg.inv(normal)
        except np.linalg.LinAlgError:
            return None
        covariance = inverse @ (design @ design.T) @ inverse.T
        step = inverse @ (design @ (weight * (values - model)))
        step /= max(1.0, np.abs(step[1:3]).max() / _LONGEST[0], abs(step[3]) / _LONGEST[1])
        p = p + step
        if not (np.isfinite(p).all() and np.isfinite(covariance).all()):
            return None
        if np.abs(step[1:3]).max() <= _TOLERANCE * np.sqrt(np.abs(np.diag(covariance)[1:3])).max():
            return p, covariance
    return None


def _model(p, u, v):
    """Return the model and its derivatives with respect to the parameters, shape (7, n)."""
    peak, x, y, log_width, level, slope_x, slope_y = p
    width = np.exp(np.clip(log_width, -5, 5))
    s, t = (u - x) / width, (v - y) / width
    g = np.exp(-0.5 * (s**2 + t**2))
    model = peak * g + level + slope_x * u + slope_y * v
    one = np.ones_like(u)
    return model, np.array(
        [g, peak * g * s / width, peak * g * t / width, peak * g * (s**2 + t**2), one, u, v]
    )
