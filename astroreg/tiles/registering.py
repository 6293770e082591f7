"""`register_tiles`: a field of shifts over an image, and the linear model that it supports."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any

from astropy import units as u

from astroreg.align.noise import with_noise
from astroreg.checks import parse_callable, parse_choice, parse_flag, parse_fraction, parse_positive
from astroreg.exceptions import AstroregWarning
from astroreg.flags import ShiftFlag
from astroreg.grids import celestial_wcs
from astroreg.inputs import Frame, parse_max_shift, prepare_pair
from astroreg.methods import chi2_shift
from astroreg.results import ShiftResult
from astroreg.tiles.assembly import shift_field
from astroreg.tiles.fitting import MODELS
from astroreg.tiles.flags import FieldFlag, describe_field
from astroreg.tiles.layout import tile_windows
from astroreg.tiles.passes import Request, run_passes
from astroreg.tiles.plane import pixel_wcs
from astroreg.tiles.result import ShiftField

__all__ = ["GEOMETRIES", "measuring_options", "models_for", "register_tiles"]

#: what may be asked for
GEOMETRIES = (*MODELS, "auto")


def register_tiles(
    reference: Any,
    image: Any,
    *,
    tiles: int | Sequence[int] | None = None,
    tile_size: int | Sequence[int] | None = None,
    geometry: str = "auto",
    grid: str = "pixels",
    method: Callable[..., ShiftResult] = chi2_shift,
    iterations: int = 4,
    max_shift: float | u.Quantity | None = None,
    min_overlap: float | None = None,
    uncertainty: str | None = None,
    fit_scale: bool | None = None,
    fit_background: bool | None = None,
    reference_hdu: int | str | tuple | None = None,
    image_hdu: int | str | tuple | None = None,
) -> ShiftField:
    """Measure a field of shifts over an image, and test which linear model it supports.

    Parameters
    ----------
    reference, image : NDData, CCDData, HDU, HDUList, path, Quantity or array
        Two 2-D images of the same sky, as for `chi2_shift`. Neither is changed.
    tiles : int or (int, int), optional
        Number of tiles along x and y. Default: tiles of some 48 pixels, 2 to 8 of them along each axis.
    tile_size : int or (int, int), optional
        Pixels of a tile along x and y instead, about: all tiles are made equal.
    geometry : {"auto", "shift", "rshift", "rscale", "general"}, optional
        The model to take: what the data support (default), a shift, a shift and a rotation, these and one
        scale, or any linear map (6 parameters). All models up to it are fitted.
    grid : {"pixels", "sky"}, optional
        Whether the shifts are those of equal pixels of the two images (default), or of equal coordinates by
        their WCS: then any grids, projections and frames will do.
    method : callable, optional
        What measures the shift of a tile, as for `align` (default `chi2_shift`).
    iterations : int, optional
        Largest number of passes (default 4). After each the reference is resampled with the model found.
    max_shift : float or Quantity, optional
        Longest shift of the middle of the image: pixels, a Quantity in pixel, or an angle. Default: half the
        image.
    min_overlap, uncertainty, fit_scale, fit_background : optional
        Handed to `method` where given; default: its own.
    reference_hdu, image_hdu : int, str or tuple, optional
        Which HDU of a file.

    Returns
    -------
    ShiftField
        The shift of every tile with its covariance and flags, the models with the errors of all their
        parameters, and which of them was taken. A tile without signal carries NaN and a flag.

    Raises
    ------
    TypeError, ValueError
        If an image or an option is impossible; the message names it.

    Warns
    -----
    AstroregWarning
        Where a flag says that there is no model to be trusted, or that the field is distorted.

    Notes
    -----
    Rotations up to some 10 degrees and scales up to some 15 per cent are found without a prior: block
    averages of the two images are correlated over a grid of both. Then the reference is resampled with the
    best linear map known, the tiles are measured, the models fitted by generalised least squares, and again
    until nothing moves. Tiles share no pixels, so that their errors are independent. A wider model is taken
    where the Bayesian information criterion prefers it and chance would do as well in less than 1 % of the
    cases.

    Examples
    --------
    >>> import numpy as np
    >>> from astroreg import register_tiles
    >>> from astroreg.simulation import simulate_pair
    >>> pair = simulate_pair((96, 96), shift=(3.4, -1.6), snr=20, rng=np.random.default_rng(1))
    >>> field = register_tiles(pair.reference, pair.image, tiles=3)
    >>> field.geometry
    'shift'
    """
    parse_choice(geometry, GEOMETRIES, argument="geometry")
    parse_choice(grid, ("pixels", "sky"), argument="grid")
    parse_callable(method, "method", mend="give a method such as chi2_shift")
    passes = parse_positive(iterations, argument="iterations", integer=True)
    for flag, argument in ((fit_scale, "fit_scale"), (fit_background, "fit_background")):
        parse_flag(True if flag is None else flag, argument)
    if min_overlap is not None:
        min_overlap = parse_fraction(min_overlap, argument="min_overlap")
    first, second = prepare_pair(
        reference, image, fit_scale=fit_scale is not False, reference_hdu=reference_hdu, image_hdu=image_hdu
    )
    options = {"min_overlap": min_overlap, "uncertainty": uncertainty}
    options |= {"fit_scale": fit_scale, "fit_background": fit_background}
    limit = parse_max_shift(max_shift, second.wcs, second.shape)
    first, second, options, known = measuring_options(*_on_grid(first, second, grid), method, options)
    request = Request(
        windows=tile_windows(second.shape, tiles=tiles, tile_size=tile_size),
        models=models_for(geometry),
        choice=geometry,
        method=method,
        options=options,
        limit=limit,
        passes=passes,
        known=known,
    )
    field = shift_field(run_passes(first, second, request), request, first, second)
    serious = field.flags & (FieldFlag.UNTRUSTED | FieldFlag.DISTORTION)
    if serious:
        warnings.warn("; ".join(describe_field(serious)), AstroregWarning, stacklevel=2)
    return field


def models_for(geometry: str) -> tuple[str, ...]:
    """Return the models to fit for a geometry: all up to it."""
    names = tuple(MODELS)
    return names if geometry == "auto" else names[: names.index(geometry) + 1]


def _on_grid(reference: Frame, image: Frame, grid: str) -> tuple[Frame, Frame]:
    """Return the frames with the WCS by which they are compared."""
    if grid == "pixels":
        wcs = pixel_wcs(image.shape)
        return replace(reference, wcs=wcs), replace(image, wcs=wcs)
    pairs = ((reference, "reference"), (image, "image"))
    first, second = (replace(one, wcs=celestial_wcs(one.wcs, argument=name)) for one, name in pairs)
    return first, second


def measuring_options(
    reference: Frame, image: Frame, method: Callable[..., ShiftResult], options: dict[str, Any]
) -> tuple[Frame, Frame, dict[str, Any], ShiftFlag]:
    """Give both frames a variance, and choose the options for the method.

    Parameters
    ----------
    reference, image : Frame
        The images.
    method : callable
        That measures a shift.
    options : dict
        What the user gave; None is left out.

    Returns
    -------
    reference, image : Frame
        With the noise estimated over the whole image where none is attached: a tile is too small for it.
    options : dict
        Errors are empirical where the noise was estimated and nothing else is asked for.
    known : ShiftFlag
        Whether it was estimated.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    (first, guessed), (second, guessed_too) = with_noise(reference), with_noise(image)
    if (guessed or guessed_too) and "uncertainty" in signature(method).parameters:
        chosen.setdefault("uncertainty", "empirical")
    known = ShiftFlag.NOISE_ESTIMATED if guessed or guessed_too else ShiftFlag(0)
    return first, second, chosen, known
