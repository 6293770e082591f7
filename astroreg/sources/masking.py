"""`source_mask`: what keeps point sources, or all but them, out of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u

from astroreg.inputs import as_frame, parse_choice, parse_positive
from astroreg.sources.finding import detect

__all__ = ["source_mask"]

_LARGEST = 20  # full widths: saturated stars are wider than that, and not found by their shape


def source_mask(
    image: Any,
    *,
    keep: str = "extended",
    fwhm: float = 3.0,
    threshold: float = 5.0,
    radius: float | None = None,
    hdu: int | str | tuple | None = None,
) -> np.ndarray:
    """Return a mask that keeps the point sources of an image, or everything but them, out of a fit.

    Parameters
    ----------
    image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The image, as for `astroreg.chi2_shift`.
    keep : {"extended", "sources"}, optional
        What shall count: all but the point sources (default), or only they.
    fwhm, threshold : float, optional
        Width of a point source in pixels (default 3), and least height in sigmas (default 5).
    radius : float, optional
        Of the disc around each source, in pixels. Default: twice the radius at which a Gaussian of its width
        and peak falls to half the noise.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    ndarray of bool
        Of the shape of the image; True = keep it out, as in the mask of an NDData. The mask that the image
        has is part of it.

    Raises
    ------
    TypeError, ValueError
        If the image or an option is impossible; the message names it.

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg.sources import source_mask
    >>> y, x = np.mgrid[:50, :60]
    >>> star = 100 * np.exp(-0.5 * ((x - 20) ** 2 + (y - 30) ** 2) / 1.3**2)
    >>> mask = source_mask(star + np.random.default_rng(1).standard_normal((50, 60)))
    >>> mask[30, 20], mask[10, 50]
    (np.True_, np.False_)
    """
    frame = as_frame(image, argument="image", hdu=hdu)
    keep = parse_choice(keep, ("extended", "sources"), argument="keep")
    width = parse_positive(fwhm, argument="fwhm")
    height = parse_positive(threshold, argument="threshold")
    size = None if radius is None else parse_positive(radius, argument="radius")
    found = detect(frame, fwhm=width, threshold=height)
    discs = np.zeros(frame.shape, bool)
    for row in found:
        # A Gaussian falls to 1/(2 snr) of its peak at fwhm / 2 sqrt(log2(2 snr)).
        own = row["fwhm"].to_value(u.pixel) * np.sqrt(np.log2(2 * max(float(row["snr"]), 1.0)))
        _add_disc(discs, row["x"].value, row["y"].value, min(own, _LARGEST * width) if size is None else size)
    chosen = discs if keep == "extended" else ~discs
    return chosen if frame.mask is None else chosen | frame.mask


def _add_disc(mask: np.ndarray, x: float, y: float, radius: float) -> None:
    rows, columns = (
        slice(max(0, int(c - radius)), min(n, int(c + radius) + 2)) for c, n in zip((y, x), mask.shape)
    )
    v, w = np.mgrid[rows, columns]
    mask[rows, columns] |= (v - y) ** 2 + (w - x) ** 2 <= radius**2
