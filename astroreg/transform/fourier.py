"""`shift_image` and `zoom_image`: prepare the arrays, interpolate them, and wrap the result."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from numpy.typing import ArrayLike

from astroreg.checks import argument_named
from astroreg.grids import shifted_wcs
from astroreg.inpaint import fill_bad
from astroreg.inputs import as_frame, parse_boundary, parse_positive
from astroreg.memory import require_memory
from astroreg.transform.bandlimited import axis_matrix, continued, shift_periodic, shift_variance_periodic
from astroreg.transform.outputs import wrapped_like
from astroreg.transform.zoomed_wcs import zoomed_wcs

__all__ = ["shift_image", "zoom_image"]

_MOST = 1e5
PAD = 16  # pixels of continuation beyond each edge; more changes nothing that can be measured
ON_PIXEL = 1e-9  # pixels; a position closer than this to a pixel's centre is that pixel


def shift_image(
    image: Any,
    shift: ArrayLike,
    *,
    boundary: str = "overlap",
    hdu: int | str | tuple | None = None,
) -> Any:
    """Move the content of an image by any fraction of a pixel; the sky stays where it is.

    Parameters
    ----------
    image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The image; pixels that are masked or not finite are bad.
    shift : array_like or astropy.units.Quantity
        (x, y) in pixels: a feature at pixel p comes to stand at ``p + shift``. To lay an image
        over its reference, give minus the shift that was measured.
    boundary : {"overlap", "wrap"}, optional
        "overlap" (default): the image is a window on a larger sky; what comes in from outside is
        not known, and masked. "wrap": what leaves on one side comes in on the other.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    NDData, CCDData, Quantity or array
        Of the kind of `image` (a CCDData for a file or HDU) and of its shape, with new mask,
        uncertainty and WCS: the WCS gives each feature the coordinates that it had. Pixels that
        are not known are NaN, and masked where there is a mask.

    Raises
    ------
    TypeError, ValueError
        If `shift` is not two finite numbers or `image` is not a 2-D image.

    See Also
    --------
    zoom_image : Interpolate a region on a finer grid.

    Notes
    -----
    A shift by whole pixels copies values. The fractional rest is a phase in Fourier space: exact for
    a periodic image that is sampled well enough. A window is continued beyond its edges first, with
    value and slope; a few pixels from the edges the error is then 1e-4 of the image's rms for a beam
    of 2.5 pixels (FWHM). Bad pixels are bridged smoothly for the transform, and each makes bad
    the pixels that lie less than one pixel from where it comes to stand. The variance is carried
    through the squared weights, for noise that is independent from pixel to pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg.transform import shift_image
    >>> image = np.zeros((5, 5))
    >>> image[2, 2] = 1
    >>> moved = shift_image(image, (1, 0))
    >>> float(moved[2, 3]), float(moved[2, 0])
    (1.0, nan)
    """
    frame = as_frame(image, argument="image", hdu=hdu)
    parse_boundary(boundary, frame.shape, frame.shape)
    shift = _pair(shift, "shift")
    whole = np.rint(shift)
    rest = np.where(np.abs(shift - whole) < ON_PIXEL, 0.0, shift - whole)
    wrap = boundary == "wrap"
    bad = ~frame.valid
    data, variance = _filled(frame, bad)
    if rest.any():
        data = _shift_fraction(data, rest, wrap, shift_periodic, point=True)
        if variance is not None:
            variance = _shift_fraction(variance, rest, wrap, shift_variance_periodic, point=False)
    positions = [np.arange(n) - d for n, d in zip(frame.shape, shift[::-1], strict=True)]
    bad = _bad_at(bad, positions, wrap)
    data, variance = (None if a is None else _roll(a, whole) for a in (data, variance))
    wcs = None if frame.wcs is None else shifted_wcs(frame.wcs, *(-shift))
    return wrapped_like(image, frame, data, variance, bad, _with_shape(wcs, frame.shape))


def zoom_image(
    image: Any,
    *,
    factor: float,
    center: SkyCoord | ArrayLike | None = None,
    shape: tuple[int, int] | None = None,
    boundary: str = "overlap",
    hdu: int | str | tuple | None = None,
) -> Any:
    """Interpolate a region of an image on a finer grid, by a matrix-multiply Fourier transform.

    Parameters
    ----------
    image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        The image; pixels that are masked or not finite are bad.
    factor : float
        Output pixels per input pixel along each axis, any number of at least 1.
    center : astropy.coordinates.SkyCoord or array_like, optional
        What stands in the middle of the output: coordinates, or (x, y) in pixels. By default the
        middle of the image.
    shape : tuple of int, optional
        Shape (ny, nx) of the output, in output pixels. By default as large as the whole image.
    boundary : {"overlap", "wrap"}, optional
        Whether the image is a window on a larger sky (default) or periodic.
    hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    NDData, CCDData, Quantity or array
        Of the kind of `image` (a CCDData for a file or HDU), with new mask, uncertainty and WCS.
        The values are surface brightnesses: they are not divided by ``factor**2``. Pixels
        outside the image or next to a bad pixel are NaN, and masked where there is a mask.

    Raises
    ------
    TypeError, ValueError
        If a number is impossible, or `center` is a SkyCoord and `image` has no celestial WCS.

    See Also
    --------
    shift_image : Move an image by a fraction of a pixel.

    Notes
    -----
    Only the region is computed, so that its cost does not grow with ``factor * image.shape``. For
    a periodic image the result is that of zero-padding its Fourier transform. The noise of
    neighbouring output pixels is correlated, which no uncertainty can tell.

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg.transform import zoom_image
    >>> zoom_image(np.ones((8, 8)), factor=3, center=(4, 4), shape=(5, 7)).shape
    (5, 7)
    """
    frame = as_frame(image, argument="image", hdu=hdu)
    parse_boundary(boundary, frame.shape, frame.shape)
    factor = parse_positive(factor, argument="factor")
    if factor < 1:
        raise ValueError(f"`factor` must be >= 1, got {factor}; average pixels for a coarser grid")
    if shape is None:
        if factor > _MOST:
            raise ValueError(f"`factor` must be at most {_MOST:g} where `shape` is not given, got {factor:g}")
        shape = tuple(round(n * factor) for n in frame.shape)
    shape = _two_sizes(shape)
    # matrices of the interpolation, and three planes of the output
    needed = 8 * (3 * shape[0] * shape[1] + sum(a * b for a, b in zip(shape, frame.shape, strict=True)))
    require_memory(needed, f"an image of shape {shape}", "give a smaller `factor` or `shape`")
    center = _center(center, frame)
    positions = [c + (np.arange(n) - (n - 1) / 2) / factor for c, n in zip(center[::-1], shape, strict=True)]
    wrap = boundary == "wrap"
    bad = ~frame.valid
    data, variance = _interpolated(*_filled(frame, bad), positions, wrap)
    bad = _bad_at(bad, positions, wrap)
    wcs = None if frame.wcs is None else zoomed_wcs(frame.wcs, positions[1][0], positions[0][0], factor)
    return wrapped_like(image, frame, data, variance, bad, _with_shape(wcs, shape))


def _pair(value, argument):
    """Return two finite pixel numbers as an array."""
    with argument_named(argument, "give (x, y) in pixels"):
        pair = np.asarray(u.Quantity(value, u.pixel).value)
        if pair.dtype.kind not in "iuf":
            raise TypeError(f"numbers of the kind {pair.dtype}")
        pair = pair.astype(float)
    if pair.shape != (2,) or not np.isfinite(pair).all():
        raise ValueError(f"`{argument}` must be two finite numbers (x, y) in pixels, got {value!r}")
    return pair


def _two_sizes(shape):
    """Return the shape (ny, nx) of an output."""
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise TypeError(f"`shape` must be two whole numbers (ny, nx), got {shape!r}")
    return tuple(parse_positive(n, argument="shape", integer=True) for n in shape)


def _center(center, frame):
    """Return the pixel (x, y) in the middle of the zoom."""
    if center is None:
        return (np.array(frame.shape[::-1]) - 1) / 2
    if not isinstance(center, SkyCoord):
        return _pair(center, "center")
    if frame.wcs is None:
        raise ValueError("`center` is a SkyCoord, but `image` has no WCS; give pixels (x, y)")
    if not center.isscalar:
        raise ValueError(f"`center` must be one place, got {center.size}")
    return _pair(np.array(frame.wcs.world_to_pixel(center), dtype=float), "center")


def _filled(frame, bad):
    """Return data and variance in double precision, without holes."""
    variance = frame.variance
    if variance is not None:
        variance = fill_bad(variance.astype(float), bad, smooth=False)
    return fill_bad(frame.data.astype(float), bad), variance


def _shift_fraction(array, rest, wrap, shift, *, point):
    """Shift by less than a pixel with the function `shift` for periodic arrays."""
    if wrap:
        return shift(array, rest)
    padded, (y, x) = continued(array, PAD, point=point)
    return shift(padded, rest)[y : y + array.shape[0], x : x + array.shape[1]]


def _roll(array, whole):
    """Move an array by whole pixels; what wraps around is bad unless it may (see `_bad_at`)."""
    return np.roll(array, [int(d) for d in whole[::-1]], axis=(0, 1))


def _interpolated(data, variance, positions, wrap):
    """Interpolate data and variance at the rows and columns `positions`."""
    if not wrap:
        data, variance, positions = _cropped(data, variance, positions)
    rows, columns = (axis_matrix(p, n) for p, n in zip(positions, data.shape, strict=True))
    if variance is not None:
        variance = rows**2 @ variance @ (columns**2).T
    return rows @ data @ columns.T, variance


def _cropped(data, variance, positions):
    """Cut out what the positions need, continued beyond its edges, and count the positions from there."""
    spans = []
    for p, n in zip(positions, data.shape, strict=True):
        low = int(np.clip(np.floor(p[0]) - PAD, 0, max(n - 2 * PAD, 0)))
        spans.append((low, int(np.clip(np.ceil(p[-1]) + PAD + 1, min(low + 2 * PAD, n), n))))
    cut = tuple(slice(*span) for span in spans)
    padded, origin = continued(data[cut], PAD)
    if variance is not None:
        variance = continued(variance[cut], PAD, point=False)[0]
    return padded, variance, [p - low + o for p, (low, _), o in zip(positions, spans, origin, strict=True)]


def _bad_at(bad, positions, wrap):
    """Return True where a position is outside, or less than a pixel along both axes from a bad pixel."""
    indices = []
    for p, n in zip(positions, bad.shape, strict=True):
        p = np.where(np.abs(p - np.rint(p)) < ON_PIXEL, np.rint(p), p)
        around = np.floor(p), np.ceil(p)
        # A border of bad pixels stands for the outside.
        indices.append([(a % n if wrap else np.clip(a, -1, n) + 1).astype(int) for a in around])
    framed = bad if wrap else np.pad(bad, 1, constant_values=True)
    rows = framed[indices[0][0]] | framed[indices[0][1]]
    return rows[:, indices[1][0]] | rows[:, indices[1][1]]


def _with_shape(wcs, shape):
    """Set the array's shape of a FITS WCS, which others have no place for."""
    if hasattr(wcs, "wcs"):
        wcs.array_shape = shape
    return wcs
