"""`LinearModel`: one model of a field of shifts, in pixels, with the errors of all its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from astropy import units as u

from astroreg.results.summary import format_measurement
from astroreg.tiles.fitting import Fit
from astroreg.tiles.plane import TangentPlane

__all__ = ["LinearModel", "linear_model"]


@dataclass(frozen=True, eq=False)
class LinearModel:
    """A linear model of the shifts over an image, with the errors of all parameters.

    Attributes
    ----------
    name : str
        "shift", "rshift" (shift and rotation), "rscale" (and one scale) or "general" (any linear map).
    shift : Quantity
        (dx, dy) in pixel: of the image at its pivot, relative to the reference.
    shift_covariance : Quantity
        (2, 2) in pixel2.
    matrix : ndarray
        (2, 2): the step in the image for a step in the reference, in the axes x and y of the pixels.
    matrix_covariance : ndarray
        (4, 4), of the elements of `matrix` by rows.
    rotation, rotation_error : Quantity
        Angle in degree by which the image is turned relative to the reference, from x towards y.
    scale, scale_error : float
        Length in the image over length in the reference; of a general map, the root of its determinant.
    chi2 : float
        Of the shifts of the tiles about the model.
    dof : int
        Degrees of freedom.
    bic : float
        Bayesian information criterion, ``chi2 + k ln(n)`` with k parameters and n numbers.
    """

    name: str
    shift: u.Quantity
    shift_covariance: u.Quantity
    matrix: np.ndarray
    matrix_covariance: np.ndarray
    rotation: u.Quantity
    rotation_error: u.Quantity
    scale: float
    scale_error: float
    chi2: float
    dof: int
    bic: float

    @property
    def shift_error(self) -> u.Quantity:
        """Marginal 1-sigma errors of the shift, (x, y) in pixel."""
        return np.sqrt(np.diagonal(self.shift_covariance.value)) * u.pixel

    @property
    def matrix_error(self) -> np.ndarray:
        """Marginal 1-sigma errors of the elements of `matrix`, (2, 2)."""
        return np.sqrt(np.diagonal(self.matrix_covariance)).reshape(2, 2)

    @property
    def reduced_chi2(self) -> float:
        """Chi-squared per degree of freedom; NaN where there are none."""
        return self.chi2 / self.dof if self.dof > 0 else np.nan

    def parts(self) -> dict[str, str]:
        """Return the parameters that the model has, rounded, by name.

        Returns
        -------
        dict of str
            Shift, rotation, scale, matrix.
        """
        pairs = zip("xy", self.shift.value, self.shift_error.value, strict=True)
        texts = {"shift": ", ".join(f"d{a} = {format_measurement(v, e, 'pixel')}" for a, v, e in pairs)}
        if self.name != "shift":
            texts["rotation"] = format_measurement(self.rotation.value, self.rotation_error.value, "deg")
        if self.name in ("rscale", "general"):
            texts["scale"] = format_measurement(self.scale, self.scale_error)
        if self.name == "general":
            cells = zip(self.matrix.flat, self.matrix_error.flat, strict=True)
            texts["matrix"] = ", ".join(format_measurement(v, e) for v, e in cells)
        return texts

    def __str__(self) -> str:
        words = [text if name == "shift" else f"{name} {text}" for name, text in self.parts().items()]
        return f"{self.name}: " + "; ".join(words)


def linear_model(fit: Fit, plane: TangentPlane, true_pivot: np.ndarray, inflation: float) -> LinearModel:
    """Tell a fit in the pixels of the image.

    Parameters
    ----------
    fit : Fit
        In the plane.
    plane : TangentPlane
        The plane.
    true_pivot : ndarray, shape (3,)
        Where the pivot truly is.
    inflation : float
        Factor for the covariances.

    Returns
    -------
    LinearModel
        The model with the errors of all that is derived.
    """
    to_pixel = np.linalg.inv(plane.pixel_axes)
    spread = inflation * fit.covariance
    inner = spread[2:, 2:]
    derived = {
        name: (function(fit.matrix), _carried(function, fit.matrix, inner))
        for name, function in (("matrix", np.linalg.inv), ("rotation", _rotation), ("scale", _scale))
    }
    return LinearModel(
        name=fit.name,
        shift=(plane.pivot_pixel - plane.pixels(true_pivot[None])[0]) * u.pixel,
        shift_covariance=to_pixel @ spread[:2, :2] @ to_pixel.T * u.pixel**2,
        matrix=derived["matrix"][0],
        matrix_covariance=derived["matrix"][1],
        rotation=np.degrees(derived["rotation"][0]) * u.deg,
        rotation_error=np.degrees(np.sqrt(derived["rotation"][1].item())) * u.deg,
        scale=float(derived["scale"][0]),
        scale_error=float(np.sqrt(derived["scale"][1].item())),
        chi2=fit.chi2,
        dof=fit.dof,
        bic=fit.bic,
    )


def _rotation(matrix: np.ndarray) -> float:
    """Angle of the rotation nearest to the inverse of B."""
    return np.arctan2(matrix[0, 1] - matrix[1, 0], matrix[0, 0] + matrix[1, 1])


def _scale(matrix: np.ndarray) -> float:
    return np.linalg.det(matrix) ** -0.5


def _carried(function: Callable, matrix: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Carry the covariance of the elements of a matrix to what is computed from it, by differences."""
    step = 1e-6
    columns = []
    for index in np.ndindex(2, 2):
        change = np.zeros((2, 2))
        change[index] = step
        columns.append(np.ravel(function(matrix + change) - function(matrix - change)) / (2 * step))
    jacobian = np.array(columns).T
    return np.clip(jacobian @ covariance @ jacobian.T, np.where(np.eye(len(jacobian)) > 0, 0, -np.inf), None)
