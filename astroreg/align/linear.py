"""`align` with rotation, scale or a general linear map: from the tiles of the image instead of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy import units as u

from astroreg.align.alignment import Alignment
from astroreg.checks import parse_choice
from astroreg.flags import ShiftFlag
from astroreg.inputs import Frame
from astroreg.results import ShiftResult
from astroreg.tiles.assembly import shift_field
from astroreg.tiles.flags import FieldFlag
from astroreg.tiles.layout import tile_windows
from astroreg.tiles.passes import Field, Request, run_passes
from astroreg.tiles.registering import GEOMETRIES, measuring_options, models_for

__all__ = ["check_geometry", "linear_alignment"]

# More passes than for a shift: the first ones only bring the tiles together.
_PASSES = 2


def check_geometry(geometry: str, tiles: Any, kind: str, roll: Any) -> None:
    """Refuse an unknown geometry, and what has no meaning beside one that measures the roll."""
    parse_choice(geometry, GEOMETRIES, argument="geometry")
    if geometry == "shift":
        if tiles is not None:
            raise ValueError('`tiles` has no meaning with geometry="shift"; leave it out')
        return
    if kind != "pointing":
        raise ValueError(f'`kind` must be "pointing" with geometry="{geometry}", got {kind!r}')
    if not (isinstance(roll, str) and roll == "zero"):
        raise ValueError(f'`roll` is measured with geometry="{geometry}", got {roll!r}; leave it out')


def linear_alignment(
    reference: Frame,
    image: Frame,
    *,
    method,
    options: dict[str, Any],
    geometry: str,
    tiles: Any,
    iterations: int,
    gains: tuple[float, float],
) -> Alignment:
    """Measure the linear map between two images on the sky.

    Parameters
    ----------
    reference, image : Frame
        With celestial WCS.
    method : callable
        That measures the shift of a tile.
    options : dict
        For it; ``max_shift`` limits the shift of the whole image.
    geometry, tiles, iterations
        As for `align`.
    gains : tuple of float
        Of the smoothing of reference and image before.

    Returns
    -------
    Alignment
        Not yet with the corrected image.
    """
    options = dict(options)
    limit = options.pop("max_shift", None)
    first, second, options, known = measuring_options(reference, image, method, options)
    request = Request(
        windows=tile_windows(image.shape, tiles=tiles),
        models=models_for(geometry),
        choice=geometry,
        method=method,
        options=options,
        limit=limit,
        passes=iterations + _PASSES,
        known=known,
        gains=gains,
    )
    found = run_passes(first, second, request)
    return _alignment(found, request, first, second)


def _alignment(found: Field, request: Request, reference: Frame, image: Frame) -> Alignment:
    field = shift_field(found, request, reference, image)
    used = [result for result, is_used in zip(found.results, found.used, strict=True) if is_used]
    pixels = sum(result.n_pixels for result in used)
    nothing = field.model is None
    shift = np.full(2, np.nan) if nothing else field.model.shift
    covariance = np.full((2, 2), np.nan) if nothing else field.model.shift_covariance
    scale, error = _flux_scale(used)
    return Alignment(
        shift=shift,
        covariance=covariance,
        scale=scale,
        scale_error=error,
        chi2=float(sum(result.chi2 for result in used)),
        dof=float(sum(result.dof for result in used)),
        overlap=pixels / max(int(image.valid.sum()), 1),
        n_pixels=pixels,
        flags=_flags(found, request),
        method=field.method,
        uncertainty=next((result.uncertainty for result in used), ""),
        wcs=image.wcs,
        image_shape=image.shape,
        reference_label=reference.label,
        image_label=image.label,
        iterations=found.iterations,
        pivot_pixel=field.pivot_pixel,
        reference=reference,
        geometry=field.geometry or ("shift" if request.choice == "auto" else request.choice),
        field=field,
        linear_correction=found.correction,
    )


def _flags(found: Field, request: Request) -> ShiftFlag:
    """Return the flags of the field in the words of a shift."""
    flags = request.known
    if found.flags & (FieldFlag.NO_TILES | FieldFlag.TOO_FEW_TILES):
        empty = all(ShiftFlag.NO_OVERLAP in result.flags for result in found.results)
        flags |= ShiftFlag.NO_OVERLAP if empty else ShiftFlag.NO_SIGNAL
    if FieldFlag.NOT_CONVERGED in found.flags:
        flags |= ShiftFlag.NOT_CONVERGED
    return flags


def _flux_scale(used: list[ShiftResult]) -> tuple[u.Quantity, u.Quantity]:
    """Return the weighted mean of the flux scales of the tiles, with its error."""
    known = [
        r for r in used if np.isfinite(r.scale) and np.isfinite(r.scale_error) and r.scale_error.value > 0
    ]
    if not known:
        return u.Quantity(np.nan), u.Quantity(np.nan)
    unit = known[0].scale.unit
    values = np.array([result.scale.to_value(unit) for result in known])
    weights = np.array([result.scale_error.to_value(unit) for result in known]) ** -2.0
    return np.average(values, weights=weights) * unit, weights.sum() ** -0.5 * unit
