"""Point sources of one image: detected by photutils, their positions fitted with errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from astropy import units as u
from astropy.stats import gaussian_fwhm_to_sigma, mad_std
from astropy.table import QTable
from scipy import ndimage

from astroreg.estimators.noise import noise_variance
from astroreg.inputs import Frame, as_frame, parse_positive
from astroreg.sources.centroids import fit_sources

__all__ = ["detect", "find_sources"]

MOST = 500  # sources that are fitted: more make the shift no better
_SMOOTHEST = 3.0  # widths of a source over which the emission around it is taken as smooth
_SHARPNESS = (0.2, 1.2)  # of photutils: a single hot pixel lies above, a smooth hill below
_ROUNDNESS = (-1.0, 1.0)


def find_sources(
    image: Any, *, fwhm: float = 3.0, threshold: float = 5.0, hdu: int | str | tuple | None = None
) -> QTable:
    """Find the point sources of an image, with the errors of their positions.

    Parameters
    ----------
    image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The image, as for `astroreg.chi2_shift`.
    fwhm : float, optional
        Full width at half maximum of a point source, in pixels (default 3).
    threshold : float, optional
        Least height, in sigmas of the noise and of the texture of the emission (default 5).
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    QTable
        A row a source, the brightest first, at most 500: ``x``, ``y`` and their 1-sigma errors ``x_error``,
        ``y_error`` in pixel, ``xy_covariance`` in pixel2, the ``peak`` above the emission around it in the
        unit of the image, its ``fwhm`` in pixel, and ``snr``, the peak over the noise. Without rows where
        there are none.

    Raises
    ------
    TypeError, ValueError
        If the image or an option is impossible; the message names it.
    ImportError
        If photutils is not installed.

    Notes
    -----
    Positions are those of a round Gaussian on a plane, fitted by least squares to the pixels within one and
    a half full widths. The errors are those of the noise: what the emission beneath a source does to it
    beyond a plane is the same in every image of it, and shows as scatter where it is not.
    """
    frame = as_frame(image, argument="image", hdu=hdu)
    fwhm = parse_positive(fwhm, argument="fwhm")
    threshold = parse_positive(threshold, argument="threshold")
    return detect(frame, fwhm=fwhm, threshold=threshold)


def detect(frame: Frame, *, fwhm: float, threshold: float) -> QTable:
    """Return the sources of a checked image, as `find_sources`.

    Parameters
    ----------
    frame : Frame
        The image.
    fwhm, threshold : float
        See `find_sources`.

    Returns
    -------
    QTable
        See `find_sources`.
    """
    sigma = noise_of(frame)
    good = frame.valid
    data = _filled(frame, fwhm)
    significance = np.where(good, data / sigma, 0.0)
    # Texture of the emission on the scale of a source is noise to a source.
    texture = significance - ndimage.gaussian_filter(significance, _SMOOTHEST * fwhm * gaussian_fwhm_to_sigma)
    level = max(1.0, float(mad_std(texture[good]))) if good.any() else 1.0
    rows = _peaks(significance, good, fwhm, threshold * level)
    fitted = fit_sources(data, sigma, good, rows, fwhm)
    return _table(fitted, sigma, frame.unit)


def noise_of(frame: Frame) -> np.ndarray:
    """Return the standard deviation of the noise of every pixel, estimated where none is attached.

    Parameters
    ----------
    frame : Frame
        The image.

    Returns
    -------
    ndarray
        Positive everywhere.
    """
    if frame.variance is not None and frame.variance[frame.valid].any():
        variance = np.where(frame.valid, frame.variance, np.inf).astype(float)
        return np.sqrt(np.where(np.isfinite(variance), variance, np.median(variance[frame.valid])))
    variance = noise_variance(frame.data, frame.valid)
    usable = np.isfinite(variance) and variance > 0
    spread = float(np.std(frame.data[frame.valid], dtype=float)) or 1.0
    return np.full(frame.shape, np.sqrt(variance) if usable else 1e-6 * spread)


def _filled(frame: Frame, fwhm: float) -> np.ndarray:
    """Return the data in double precision, bad pixels filled from around them."""
    data = frame.data.astype(float)
    if frame.mask is None:
        return data
    good = frame.valid
    data[~good] = 0
    width = 2 * fwhm
    weight = ndimage.gaussian_filter(good.astype(float), width)
    mean = ndimage.gaussian_filter(data, width) / np.maximum(weight, 1e-12)
    return np.where(good, data, mean)


def _peaks(significance: np.ndarray, good: np.ndarray, fwhm: float, threshold: float) -> np.ndarray:
    """Return the pixel positions (x, y) of what looks like a point source, the brightest first."""
    try:
        from photutils.detection import DAOStarFinder
        from photutils.utils.exceptions import NoDetectionsWarning
    except ImportError as error:
        raise ImportError("point sources need photutils; install it with: pip install photutils") from error
    finder = DAOStarFinder(
        threshold,
        max(fwhm, 1.0),
        sharpness_range=_SHARPNESS,
        roundness_range=_ROUNDNESS,
        n_brightest=MOST,
        exclude_border=True,
        scale_threshold=False,
        # Stars a full width apart are two. By default photutils keeps but the brightest within 2.5 widths,
        # and the others would be neither measured nor masked.
        min_separation=max(fwhm, 1.0),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        found = finder(significance, mask=None if good.all() else ~good)
    if found is None:
        return np.empty((0, 2))
    names = ("x_centroid", "y_centroid") if "x_centroid" in found.colnames else ("xcentroid", "ycentroid")
    order = np.argsort(np.asarray(found["peak"]))[::-1]
    return np.transpose([np.asarray(found[name], float) for name in names])[order]


def _table(fitted: dict[str, np.ndarray], sigma: np.ndarray, unit: u.UnitBase) -> QTable:
    table = QTable()
    for name in ("x", "y", "x_error", "y_error"):
        table[name] = fitted[name] * u.pixel
    table["xy_covariance"] = fitted["xy_covariance"] * u.pixel**2
    table["peak"] = fitted["peak"] * unit
    table["fwhm"] = fitted["fwhm"] * u.pixel
    rows, columns = (np.rint(fitted[name]).astype(int) for name in ("y", "x"))
    table["snr"] = fitted["peak"] / sigma[rows, columns]
    table.sort("snr", reverse=True)
    return table
