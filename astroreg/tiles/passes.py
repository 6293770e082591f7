"""The passes over the tiles: start, measure, fit, correct, and again until nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy import units as u

from astroreg.flags import ShiftFlag
from astroreg.grids import Window
from astroreg.inputs import Frame
from astroreg.results import ShiftResult
from astroreg.sky import SkyCorrection
from astroreg.sky.frames import unit_vector
from astroreg.tiles.fitting import MODELS, Fit, choose, fit_model, misfit, without_outliers
from astroreg.tiles.flags import FieldFlag
from astroreg.tiles.measuring import measure_tiles, tile_places
from astroreg.tiles.plane import TangentPlane
from astroreg.tiles.start import find_start

__all__ = ["Field", "Request", "run_passes"]

STILL = 0.1  # of its error: a change of a prediction below this does not matter
STILL_PIXELS = 0.002
RESTLESS = 0.5  # of its error: more than this after the last pass is no convergence
SHORT = 4.0  # pixels by which tiles may be displaced after the first pass
LEAST_OVERLAP = 0.1  # as the methods have it
WHOLE = 1.5  # pixels: a pure shift that changes by less needs no new pass, since nothing is resampled


@dataclass(frozen=True)
class Request:
    """What a user asked for, checked.

    Attributes
    ----------
    windows : list of Window
        The tiles.
    models : tuple of str
        To be fitted.
    choice : str
        The model to take, or "auto".
    method : callable
        That measures a shift.
    options : dict
        Handed to it.
    limit : float or None
        Longest shift of the image, in pixels.
    passes : int
        Most passes.
    known : ShiftFlag
        What is doubtful about every tile from the outset.
    gains : tuple of float
        Of the smoothing of reference and image before, see `astroreg.align.noise.with_gains`.
    """

    windows: list[Window]
    models: tuple[str, ...]
    choice: str
    method: Callable[..., ShiftResult]
    options: dict[str, Any]
    limit: float | None
    passes: int
    known: ShiftFlag = ShiftFlag(0)
    gains: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Field:
    """What the last pass found.

    Attributes
    ----------
    plane : TangentPlane
        In which the models hold.
    places : ndarray, shape (n, 2)
        Pixels (x, y) of the tiles.
    results : tuple of ShiftResult
        Of the tiles, on top of `before`.
    before : SkyCorrection
        With which the last pass was made.
    shifts, covariances : ndarray, shape (n, 2) and (n, 2, 2)
        Of the tiles in pixels, in all.
    used : ndarray of bool, shape (n,)
        Which of them the models rest on.
    fits : dict of Fit
        By name, in the plane, with the shortest rotation of `before` taken off.
    best : str
        The name of the model that was taken; empty where there is none.
    correction : SkyCorrection or None
        Of that model.
    flags : FieldFlag
        What is doubtful.
    iterations : int
        Passes made.
    """

    plane: TangentPlane
    places: np.ndarray
    results: tuple[ShiftResult, ...]
    before: SkyCorrection
    shifts: np.ndarray
    covariances: np.ndarray
    used: np.ndarray
    fits: dict[str, Fit]
    best: str
    correction: SkyCorrection | None
    flags: FieldFlag
    iterations: int


def run_passes(reference: Frame, image: Frame, request: Request) -> Field:
    """Measure a field of shifts and the linear model that it supports.

    Parameters
    ----------
    reference, image : Frame
        With WCS.
    request : Request
        How.

    Returns
    -------
    Field
        Without a model where no tile has a shift.
    """
    plane = TangentPlane(image.wcs, _middle(image))
    places = tile_places(image, request.windows)
    turning = request.choice != "shift" and request.models != ("shift",)
    start = find_start(
        reference,
        image,
        plane,
        limit=request.limit,
        min_overlap=request.options.get("min_overlap", LEAST_OVERLAP),
        turning=turning,
    )
    correction = plane.correction(
        plane.no_correction(), plane.pixel_axes @ start.shift, start.matrix, np.full((2, 2), np.nan)
    )
    smallest = min(min(window.shape) for window in request.windows)
    reach, settled = max(smallest / 4, SHORT), False
    for iteration in range(1, request.passes + 1):
        found = _pass(reference, image, plane, places, correction, request, reach, iteration)
        if found.correction is None:
            return found
        change, error = _change(found, correction)
        settled = change.max() < STILL_PIXELS or np.all(change < STILL * error) or _only_shifted(found)
        if settled:
            break
        correction, reach = found.correction, SHORT
    if not settled and np.any(change > np.maximum(RESTLESS * error, STILL_PIXELS)):
        return _with_flag(found, FieldFlag.NOT_CONVERGED)
    return found


def _middle(image: Frame) -> tuple[float, float]:
    """Return the mean good pixel (x, y)."""
    columns, rows = image.valid.sum(axis=0), image.valid.sum(axis=1)
    x, y = (np.average(np.arange(n.size), weights=n) for n in (columns, rows))
    return float(x), float(y)


def _with_flag(found: Field, flag: FieldFlag) -> Field:
    return replace(found, flags=found.flags | flag)


def _pass(
    reference: Frame,
    image: Frame,
    plane: TangentPlane,
    places: np.ndarray,
    correction: SkyCorrection,
    request: Request,
    reach: float,
    iteration: int,
) -> Field:
    """Measure all tiles with one correction, and fit the models."""
    wcs = plane.corrected(correction)
    results = measure_tiles(
        reference,
        image,
        wcs,
        request.windows,
        method=request.method,
        options=request.options,
        gains=request.gains,
        reach=reach,
        # Later, little is left to come: the row at its edge that a tile loses then is no reason to show
        # it its neighbours' pixels.
        around=int(np.ceil(reach)) if iteration == 1 else 0,
    )
    results = [replace(result, flags=result.flags | request.known) for result in results]
    moves = _Moves(plane, places, results, correction, wcs)
    trusted = np.array([result.ok and np.isfinite(result.covariance.value).all() for result in results])
    trusted &= np.array([_has_error(result) for result in results])
    used, fits, flags = _fitted(moves, trusted, request)
    best = _best(fits, request.choice)
    if not best:
        flags |= FieldFlag.TOO_FEW_TILES if trusted.any() else FieldFlag.NO_TILES
    new = None
    if best:
        fit = fits[best]
        new = plane.correction(correction, fit.shift, fit.matrix, fit.covariance[:2, :2])
    return Field(
        plane=plane,
        places=places,
        results=tuple(results),
        before=correction,
        shifts=moves.pixels,
        covariances=moves.pixel_covariances,
        used=used,
        fits=fits,
        best=best,
        correction=new,
        flags=flags,
        iterations=iteration,
    )


def _has_error(result: ShiftResult) -> bool:
    """Whether the covariance of a tile can be a weight."""
    covariance = result.covariance.to_value(u.pixel**2)
    return bool(np.isfinite(covariance).all() and np.linalg.eigvalsh(covariance)[0] > 0)


class _Moves:
    """The shifts of the tiles, measured with a corrected WCS, in the plane and in pixels of the given one."""

    def __init__(self, plane: TangentPlane, places, results: Sequence[ShiftResult], correction, wcs):
        measured = np.array([result.shift.to_value(u.pixel) for result in results])
        covariance = np.array([result.covariance.to_value(u.pixel**2) for result in results])
        back = plane.moved(correction).T
        nominal = plane.places(plane.directions(plane.wcs, places))
        true = plane.directions(wcs, places - measured)
        jacobian = plane.jacobian(wcs, places - measured, rotation=back)
        self.places = nominal
        self.shifts = nominal - plane.places(true @ back.T)
        self.covariances = jacobian @ covariance @ jacobian.transpose(0, 2, 1)
        self.pixels = places - plane.pixels(true)
        own = np.linalg.inv(plane.jacobian(plane.wcs, places)) @ jacobian
        self.pixel_covariances = own @ covariance @ own.transpose(0, 2, 1)


def _fitted(
    moves: _Moves, trusted: np.ndarray, request: Request
) -> tuple[np.ndarray, dict[str, Fit], FieldFlag]:
    """Fit the models to the tiles that agree, and say whether any holds."""
    flags, used = FieldFlag(0), trusted.copy()
    data = moves.places, moves.shifts, moves.covariances
    keep = without_outliers(request.models, *(values[trusted] for values in data))
    if not keep.all():
        used[np.flatnonzero(trusted)[~keep]] = False
        flags |= FieldFlag.OUTLIERS
    fits = {name: fit_model(name, *(values[used] for values in data)) for name in request.models}
    fits = {name: fit for name, fit in fits.items() if fit is not None}
    if fits and misfit(fits[[name for name in MODELS if name in fits][-1]]):
        flags |= FieldFlag.DISTORTION
    return used, fits, flags


def _best(fits: dict[str, Fit], choice: str) -> str:
    if choice == "auto":
        return choose(fits) if fits else ""
    return choice if choice in fits else ""


def _change(found: Field, correction: SkyCorrection) -> tuple[np.ndarray, np.ndarray]:
    """By how much the newest model moves the tiles, in pixels, and the errors of that."""
    plane = found.plane
    directions = plane.directions(plane.wcs, found.places)
    back = plane.moved(correction).T
    before, after = (
        plane.places(directions @ one.sphere_matrix.T @ back.T) for one in (correction, found.correction)
    )
    change = np.hypot(*(after - before).T)
    derivative = np.zeros((len(found.places), 2, 6))
    derivative[:, 0, 0] = derivative[:, 1, 1] = 1
    derivative[:, 0, 2:4] = derivative[:, 1, 4:6] = -plane.places(directions)
    covariance = derivative @ found.fits[found.best].covariance @ derivative.transpose(0, 2, 1)
    return change, np.sqrt(np.trace(covariance, axis1=1, axis2=2))


def _only_shifted(found: Field) -> bool:
    """Whether a pure shift was found with a pure shift, close to it: no new pass could tell more."""
    before = found.before
    start = unit_vector(found.plane.pivot)
    turned = abs(before.roll.to_value(u.rad)) * float(np.abs(found.places - found.plane.pivot_pixel).max())
    moved = found.plane.places((found.correction.rotation_matrix @ start)[None])
    moved = moved - found.plane.places((before.rotation_matrix @ start)[None])
    pure = found.best == "shift" and before.stretch is None and turned < STILL_PIXELS
    return bool(pure and np.abs(moved).max() < WHOLE)
