"""Linear models of a field of shifts, fitted by generalised least squares: arrays in, arrays out.

With u the place of a tile relative to the pivot and d its shift, ``d(u) = t + (1 - B) u``: what stands at u
in the image stands at ``u - d = -t + B u`` in the reference. B is 1 (shift), a rotation (rshift), a rotation
times a scale (rscale) or any 2x2 matrix (general).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded where they are first used

__all__ = ["MODELS", "Fit", "choose", "fit_model", "misfit", "probability_by_chance", "without_outliers"]

#: number of parameters of each model, the simplest first
MODELS = {"shift": 2, "rshift": 3, "rscale": 4, "general": 6}

CHANCE = 0.01  # that a simpler model is the true one all the same, with which a wider one is taken
FEWEST_LEFT = 4  # degrees of freedom that a wider model must leave
MISFIT = 1e-3  # chi-squared would exceed that of a model that holds this often
LARGEST_SHARE = 0.1  # of the tiles, that may be left out as outliers
_STEPS = 5  # of Gauss and Newton for the angle, each squares the error


@dataclass(frozen=True)
class Fit:
    """One model fitted.

    Attributes
    ----------
    name : str
        Of the model.
    shift : ndarray, shape (2,)
        t.
    matrix : ndarray, shape (2, 2)
        B.
    covariance : ndarray, shape (6, 6)
        Of t and B (by rows) together.
    chi2 : float
        Of the residuals.
    dof : int
        Degrees of freedom.
    bic : float
        ``chi2 + k ln(n)`` with k parameters and n numbers.
    residuals : ndarray, shape (n, 2)
        Of the shifts.
    each : ndarray, shape (n,)
        What each tile adds to chi-squared.
    """

    name: str
    shift: np.ndarray
    matrix: np.ndarray
    covariance: np.ndarray
    chi2: float
    dof: int
    bic: float
    residuals: np.ndarray
    each: np.ndarray

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return the shifts at places, shape (n, 2)."""
        return self.shift + places - places @ self.matrix.T


def fit_model(name: str, places: np.ndarray, shifts: np.ndarray, covariances: np.ndarray) -> Fit | None:
    """Fit one model.

    Parameters
    ----------
    name : str
        Of `MODELS`.
    places : ndarray, shape (n, 2)
        u, relative to the pivot.
    shifts : ndarray, shape (n, 2)
        d, finite.
    covariances : ndarray, shape (n, 2, 2)
        Of each shift; shifts of different tiles are independent.

    Returns
    -------
    Fit or None
        None where the tiles do not determine the parameters.
    """
    if 2 * len(places) < MODELS[name]:
        return None
    # The inverse of the Cholesky factor makes the two numbers of a tile independent, with unit variance.
    white = np.linalg.inv(np.linalg.cholesky(covariances))
    scale = max(float(np.abs(places).max()), 1.0)
    angle = 0.0
    for _ in range(_STEPS if name == "rshift" else 1):
        start, columns = _design(name, places, angle)
        design = np.einsum("nij,njk->nik", white, columns)
        left = np.einsum("nij,nj->ni", white, shifts - start).ravel()
        design = design.reshape(len(left), -1)
        weights = np.where(np.arange(design.shape[1]) < 2, 1.0, scale)
        if np.linalg.matrix_rank(design / weights, tol=None) < MODELS[name]:
            return None
        values = np.linalg.lstsq(design / weights, left, rcond=None)[0] / weights
        angle += values[2] if name == "rshift" else 0.0
    inverse = np.linalg.pinv(design / weights)
    covariance = inverse @ inverse.T / np.outer(weights, weights)
    shift, matrix, spread = _parameters(name, values, angle)
    fit = Fit(name, shift, matrix, spread @ covariance @ spread.T, 0, 0, 0, places, places)
    residuals = shifts - fit.at(places)
    each = (np.einsum("nij,nj->ni", white, residuals) ** 2).sum(axis=1)
    chi2, number = float(each.sum()), 2 * len(places)
    bic = chi2 + MODELS[name] * float(np.log(number))
    return Fit(name, shift, matrix, fit.covariance, chi2, number - MODELS[name], bic, residuals, each)


def _design(name: str, places: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the shifts at the start, (n, 2), and their derivatives by the parameters, (n, 2, k)."""
    x, y = places.T
    one, nought = np.ones_like(x), np.zeros_like(x)
    columns = [[one, nought], [nought, one]]
    start = np.zeros_like(places)
    if name == "rshift":
        rotation, derivative = _rotation(angle), _rotation(angle + np.pi / 2)
        start = places - places @ rotation.T
        columns.append(list(-(places @ derivative.T).T))
    elif name == "rscale":  # B = 1 + [[a, -b], [b, a]]
        columns += [[-x, -y], [y, -x]]
    elif name == "general":
        columns += [[-x, nought], [-y, nought], [nought, -x], [nought, -y]]
    return start, np.moveaxis(np.array(columns), (0, 1, 2), (2, 1, 0))


def _rotation(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def _parameters(name: str, values: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return t, B, and the derivatives of (t, B by rows) by the parameters, (6, k)."""
    spread = np.zeros((6, MODELS[name]))
    spread[:2, :2] = np.eye(2)
    matrix = np.eye(2)
    if name == "rshift":
        matrix = _rotation(angle)
        spread[2:, 2] = _rotation(angle + np.pi / 2).ravel()
    elif name == "rscale":
        spread[2:, 2:] = [[1, 0], [0, -1], [0, 1], [1, 0]]
        matrix = matrix + (spread[2:, 2:] @ values[2:]).reshape(2, 2)
    elif name == "general":
        spread[2:, 2:] = np.eye(4)
        matrix = matrix + values[2:].reshape(2, 2)
    return values[:2], matrix, spread


def probability_by_chance(simple: Fit, wide: Fit, excess: float = 1.0) -> float:
    """Return how often the wider of two models would gain as much if the simpler one held.

    Parameters
    ----------
    simple, wide : Fit
        The one is a special case of the other.
    excess : float, default 1
        By which the variances are too small, as the residuals of the widest model tell.

    Returns
    -------
    float
        From the distribution of chi-squared.
    """
    return float(scipy.special.chdtrc(simple.dof - wide.dof, max((simple.chi2 - wide.chi2) / excess, 0.0)))


def choose(fits: Mapping[str, Fit]) -> str:
    """Return the name of the model that the tiles support.

    Parameters
    ----------
    fits : mapping of Fit
        By name.

    Returns
    -------
    str
        That of the least BIC; a wider model must beat every simpler one by more than chance does in 1 %, and
        leave some degrees of freedom that can contradict it.

    Notes
    -----
    With few tiles the BIC alone takes one parameter too many more often than that. Where no model holds,
    chi-squared is measured in units of that of the widest one.
    """
    ordered = [name for name in MODELS if name in fits]
    widest = fits[ordered[-1]]
    excess = max(1.0, widest.chi2 / widest.dof) if widest.dof > 0 else 1.0
    penalty = {name: fits[name].bic - fits[name].chi2 for name in ordered}
    best = ordered[0]
    for name in ordered[1:]:
        simpler = ordered[: ordered.index(name)]
        if fits[name].dof < FEWEST_LEFT:
            continue
        sure = all(probability_by_chance(fits[one], fits[name], excess) < CHANCE for one in simpler)
        gain = (fits[best].chi2 - fits[name].chi2) / excess
        if sure and gain > penalty[name] - penalty[best]:
            best = name
    return best


def misfit(fit: Fit) -> bool:
    """Whether chi-squared is far too large for a model that holds."""
    return fit.dof > 0 and bool(scipy.special.chdtrc(fit.dof, fit.chi2) < MISFIT)


def without_outliers(
    names: Sequence[str], places: np.ndarray, shifts: np.ndarray, covariances: np.ndarray
) -> np.ndarray:
    """Find the few tiles that alone make the widest model fail.

    Parameters
    ----------
    names : sequence of str
        The models.
    places, shifts, covariances : ndarray
        As for `fit_model`.

    Returns
    -------
    ndarray of bool, shape (n,)
        True for the tiles to keep: all of them where leaving out a tenth does not help, as in a distorted
        field.
    """
    everything = np.ones(len(places), dtype=bool)
    name = [one for one in MODELS if one in names][-1]
    keep = everything.copy()
    for _ in range(int(LARGEST_SHARE * len(places)) + 1):
        fit = fit_model(name, places[keep], shifts[keep], covariances[keep])
        if fit is None or fit.dof <= 0:
            return everything
        if not misfit(fit):
            return keep
        keep[np.flatnonzero(keep)[np.argmax(fit.each)]] = False
    return everything
