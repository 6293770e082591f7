"""From measured pairs to the corrections of images: linear equations, their solution, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.table import QTable

from astroreg.sky import SkyCorrection
from astroreg.sky.frames import realize
from astroreg.sky.rotations import local_basis, lonlat_to_vector, rotation_vector_to_matrix, vector_to_lonlat
from astroreg.stack.correlations import faintness, shared_correlation
from astroreg.stack.geometry import Layout
from astroreg.stack.graph import component_of, triangles
from astroreg.stack.network import Fit, Network
from astroreg.stack.pairs import PairShift

__all__ = ["Solution", "solve_stack"]

ARCSEC = u.arcsec.to(u.rad)
LINEARISATIONS = 3
MOST_TRIANGLES = 10_000


@dataclass(frozen=True, eq=False)
class Solution:
    """The corrections of the groups of a stack.

    Attributes
    ----------
    groups : ndarray of int
        Those that have one, in ascending order.
    fit : Fit
        In arcsec, two parameters a group: (lon, lat) at the common pivot.
    pairs : ndarray of int
        Which of the pairs given belong to the fit, in its order.
    layout : Layout
        Of the images.
    closures : QTable
        One row a triangle.
    """

    groups: np.ndarray
    fit: Fit
    pairs: np.ndarray
    layout: Layout
    closures: QTable

    def correction(self, image: int, group: int) -> SkyCorrection:
        """Return the correction of an image, told at its middle.

        Parameters
        ----------
        image : int
            Its place in the layout.
        group : int
            Its group, one of those solved.

        Returns
        -------
        SkyCorrection
        """
        one = self.layout.surveys[image]
        at = 2 * int(np.searchsorted(self.groups, group))
        rotation = _rotation(self.layout, self.fit.x[at : at + 2])
        basis = local_basis(*vector_to_lonlat(one.centre))
        # From (lon, lat) at the common pivot to those at the middle of the image.
        turn = basis[1:] @ self.layout.displacement(one.centre)
        covariance = turn @ self.fit.covariance[at : at + 2, at : at + 2] @ turn.T * u.arcsec**2
        return SkyCorrection(rotation, realize(one.frame, *vector_to_lonlat(one.centre)), covariance)


def _rotation(layout: Layout, offsets: np.ndarray) -> np.ndarray:
    """Return the rotation vector of offsets (lon, lat) in arcsec at the common pivot."""
    _, east, north = layout.basis
    return (offsets[0] * north - offsets[1] * east) * ARCSEC


def solve_stack(
    layout: Layout,
    groups: np.ndarray,
    pairs: Sequence[PairShift],
    *,
    reference: int | None,
    weights: np.ndarray,
) -> Solution | None:
    """Solve for the corrections of all groups that hang together.

    Parameters
    ----------
    layout : Layout
        Of the images.
    groups : ndarray of int
        The group of each image.
    pairs : sequence of PairShift
        Usable ones; their places are those in the layout.
    reference : int or None
        The group that stands still; None: the weighted mean does.
    weights : ndarray
        Of each group in that mean.

    Returns
    -------
    Solution or None
        None where no pair ties anything together.
    """
    ends = np.array([(one.reference, one.image) for one in pairs], int).reshape(-1, 2)
    if not len(ends):
        return None
    solved = component_of(int(groups.max()) + 1, groups[ends], reference)
    nodes = np.flatnonzero(solved)
    chosen = np.flatnonzero(solved[groups[ends[:, 0]]])
    if len(nodes) < 2:
        return None
    edges = np.searchsorted(nodes, groups[ends[chosen]])
    gauge = weights[nodes] / weights[nodes].sum() if reference is None else (nodes == reference).astype(float)
    equations = [_Equation.of(layout, pairs[k]) for k in chosen]
    covariances = np.array([one.covariance for one in equations])
    errors = shared_correlation(layout, ends[chosen]), faintness(layout, ends[chosen])

    def network(x: np.ndarray) -> Network:
        return Network(edges, _linearised(layout, equations, edges, x), covariances, *errors, gauge)

    x = np.zeros(2 * len(nodes))
    for _ in range(LINEARISATIONS):
        x = _simple_solution(network(x), len(nodes))
    fit = network(x).solve()
    # Once more about the solution itself, with the same pairs.
    last = network(fit.x)
    fit = last.final(fit.used, fit.independent, fit.test, fit.unresolved)
    closures = _closures(last, fit, ends[chosen])
    return Solution(nodes, fit, chosen, layout, closures)


@dataclass(frozen=True, eq=False)
class _Equation:
    """A pair: the place p in the coordinates of the image is q in those of the reference."""

    image_place: np.ndarray
    reference_place: np.ndarray
    to_offsets: np.ndarray  # (2, 3): a small displacement there, as (lon, lat) at the pivot in arcsec
    covariance: np.ndarray

    @classmethod
    def of(cls, layout: Layout, pair: PairShift) -> _Equation:
        place = lonlat_to_vector(np.radians(pair.pivot_lon), np.radians(pair.pivot_lat))
        local = local_basis(*vector_to_lonlat(place))[1:]
        inverse = np.linalg.inv(local @ layout.displacement(place))
        reference = rotation_vector_to_matrix(pair.rotation_vector) @ place
        return cls(place, reference, inverse @ local / ARCSEC, inverse @ pair.covariance @ inverse.T)


def _linearised(layout: Layout, equations: list[_Equation], edges: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return y of ``y = x_image - x_reference``, exact to second order about x, shape (pairs, 2)."""
    offsets = x.reshape(-1, 2)
    turns = [rotation_vector_to_matrix(_rotation(layout, one)) for one in offsets]
    y = np.empty((len(equations), 2))
    for row, (one, (reference, image)) in enumerate(zip(equations, edges, strict=True)):
        # Both rotated, the two places should be one.
        left = turns[reference] @ one.reference_place - turns[image] @ one.image_place
        y[row] = one.to_offsets @ left + offsets[image] - offsets[reference]
    return y


def _simple_solution(network: Network, n_nodes: int) -> np.ndarray:
    """Return the unweighted least-squares solution: near enough to linearise about."""
    design = np.zeros((len(network.edges), n_nodes))
    rows = np.arange(len(network.edges))
    design[rows, network.edges[:, 1]] = 1.0
    design[rows, network.edges[:, 0]] = -1.0
    x = np.linalg.lstsq(design, network.shifts, rcond=None)[0]
    return (x - network.gauge @ x).ravel()


def _closures(network: Network, fit: Fit, ends: np.ndarray) -> QTable:
    """Return the sums of the shifts around triangles, as (lon, lat) at the common pivot, with errors."""
    used = np.flatnonzero(fit.used)
    row_of = {tuple(sorted(ends[row].tolist())): row for row in used}
    names = ["first", "second", "third", "lon", "lat", "lon_error", "lat_error", "chi2"]
    lines = []
    for first, second, third in triangles(list(row_of), MOST_TRIANGLES):
        around = [(first, second), (second, third), (third, first)]
        rows = [row_of[tuple(sorted(step))] for step in around]
        signs = [1.0 if tuple(ends[row]) == step else -1.0 for row, step in zip(rows, around, strict=True)]
        total = sum(sign * network.shifts[row] for sign, row in zip(signs, rows, strict=True))
        covariance = network.covariance_of(rows, signs, fit.independent)
        error = np.sqrt(np.diag(covariance))
        chi2 = total @ np.linalg.solve(covariance, total)
        lines.append([first, second, third, *total, *error, chi2])
    columns = list(zip(*lines, strict=True)) if lines else [[] for _ in names]
    table = QTable(dict(zip(names, columns, strict=True)))
    for name in ("lon", "lat", "lon_error", "lat_error"):
        table[name] = np.asarray(table[name], float) * u.arcsec
    return table
