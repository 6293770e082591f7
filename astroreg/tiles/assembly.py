"""What the passes found, told in the pixels of the image."""

from __future__ import annotations

import numpy as np
from astropy import units as u

from astroreg.inputs import Frame
from astroreg.sky.frames import unit_vector
from astroreg.tiles.flags import FieldFlag
from astroreg.tiles.models import LinearModel, linear_model
from astroreg.tiles.passes import Field, Request
from astroreg.tiles.result import ShiftField, TileShift

__all__ = ["shift_field"]


def shift_field(found: Field, request: Request, reference: Frame, image: Frame) -> ShiftField:
    """Return the public result of the passes.

    Parameters
    ----------
    found : Field
        Of the last pass.
    request : Request
        What was asked for.
    reference, image : Frame
        The images.

    Returns
    -------
    ShiftField
        With all models and tiles.
    """
    models = {name: _model(found, name) for name in found.fits}
    residuals = _residuals(found)
    tiles = tuple(
        TileShift(
            x=float(found.places[i, 0]),
            y=float(found.places[i, 1]),
            bounds=(window.x0, window.y0, window.x1, window.y1),
            shift=found.shifts[i] * u.pixel,
            covariance=found.covariances[i] * u.pixel**2,
            residual=residuals[i] * u.pixel,
            flags=result.flags,
            used=bool(found.used[i]),
            n_pixels=int(result.n_pixels),
            reduced_chi2=result.reduced_chi2,
        )
        for i, (window, result) in enumerate(zip(request.windows, found.results, strict=True))
    )
    return ShiftField(
        tiles=tiles,
        models=models,
        geometry=found.best,
        flags=found.flags,
        pivot_pixel=tuple(float(value) for value in found.plane.pivot_pixel),
        method=next((result.method for result in found.results if result.method), ""),
        iterations=found.iterations,
        image_shape=image.shape,
        reference_label=reference.label,
        image_label=image.label,
    )


def _model(found: Field, name: str) -> LinearModel:
    """Return one model; where the field is distorted, its errors are those that the scatter tells."""
    fit = found.fits[name]
    inflation = max(1.0, fit.chi2 / fit.dof) if FieldFlag.DISTORTION in found.flags and fit.dof else 1.0
    correction = found.plane.correction(found.before, fit.shift, fit.matrix, fit.covariance[:2, :2])
    true = correction.rotation_matrix @ unit_vector(correction.pivot)
    return linear_model(fit, found.plane, true, inflation)


def _residuals(found: Field) -> np.ndarray:
    """Return what the chosen model leaves of each shift, in pixels; NaN without a model."""
    if found.correction is None:
        return np.full_like(found.shifts, np.nan)
    plane = found.plane
    directions = plane.directions(plane.wcs, found.places)
    modelled = plane.pixels(directions @ found.correction.sphere_matrix.T)
    return found.shifts - (found.places - modelled)
