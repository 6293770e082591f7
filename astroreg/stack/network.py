"""The joint solution: corrections of all images at once from the shifts of their pairs, by least squares.

Arrays in, arrays out. Each pair gives ``y = x_image - x_reference + e`` with two components; the covariance
of all errors together is ``C^1/2 ((1 - q)^1/2 R (1 - q)^1/2 + q) C^1/2``: C those quoted for the pairs, R
their correlation by shared images, q the independent part of the variance of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts are loaded where they are first used

from astroreg.stack.correlations import symmetric_root

__all__ = ["Fit", "Network"]

INDEPENDENT = 0.15  # expected independent part of the variance of a pair, where the stack does not tell
INDEPENDENT_RANGE = (0.01, 1.0)
INDEPENDENT_SPREAD = 1.0  # of its logarithm, as a prior
TOLERANCE = 0.02  # of the logarithm of q
FALSE_ALARM = 1e-3  # chance that any pair of a stack without blunders is rejected
MEDIAN_CHI2 = 1.386  # of a chi-squared of two degrees of freedom
TIED = 0.98  # of the largest: tests this close cannot tell which of the pairs is wrong
DETERMINED = 1e-6  # least redundancy of a pair that can be tested


@dataclass(frozen=True, eq=False)
class Fit:
    """A solution.

    Attributes
    ----------
    x : ndarray, shape (2 nodes,)
        The parameters.
    covariance : ndarray, shape (2 nodes, 2 nodes)
        Theirs.
    chi2 : float
        Of the pairs used.
    dof : int
        Degrees of freedom.
    independent : float
        Independent part of the variance of a typical pair, q.
    used : ndarray of bool, shape (pairs,)
        False for rejected pairs.
    test : ndarray, shape (pairs,)
        How much chi-squared falls without each pair; NaN where that cannot be told.
    unresolved : ndarray of bool, shape (pairs,)
        Pairs that contradict each other so that none can be told to be the wrong one.
    """

    x: np.ndarray
    covariance: np.ndarray
    chi2: float
    dof: int
    independent: float
    used: np.ndarray
    test: np.ndarray
    unresolved: np.ndarray


@dataclass(frozen=True, eq=False)
class Network:
    """Pairs between nodes that hang together.

    Attributes
    ----------
    edges : ndarray of int, shape (pairs, 2)
        Nodes of (reference, image) of each.
    shifts : ndarray, shape (pairs, 2)
        What was measured.
    covariances : ndarray, shape (pairs, 2, 2)
        As quoted for each.
    correlation : ndarray, shape (2 pairs, 2 pairs)
        By shared images.
    faintness : ndarray, shape (pairs,)
        By which the independent part of a pair differs from that of a typical one, a factor of q / (1 - q).
    gauge : ndarray, shape (nodes,)
        Weights, of sum 1, of the mean of the parameters that is zero; a reference has all.
    """

    edges: np.ndarray
    shifts: np.ndarray
    covariances: np.ndarray
    correlation: np.ndarray
    faintness: np.ndarray
    gauge: np.ndarray

    def solve(self, *, reject: bool = True) -> Fit:
        """Return the solution, without the pairs that contradict the others.

        Parameters
        ----------
        reject : bool, optional
            Whether any pair may be rejected (default True).

        Returns
        -------
        Fit
        """
        used, independent = np.ones(len(self.edges), bool), INDEPENDENT
        if reject:
            # Twice: the blunders hide what is independent, and that decides what is a blunder.
            used, *_ = self._accepted(independent)
            independent = self._independent(used)
            before = used
            used, test, unresolved = self._accepted(independent)
        else:
            before, test, unresolved = None, np.full(len(used), np.nan), np.zeros(len(used), bool)
        if before is None or (used != before).any():
            independent = self._independent(used)
        return self.final(used, independent, test, unresolved)

    def final(self, used: np.ndarray, independent: float, test: np.ndarray, unresolved: np.ndarray) -> Fit:
        """Return the solution with given pairs and a given independent part.

        Parameters
        ----------
        used : ndarray of bool
            The pairs.
        independent : float
            Their q.
        test, unresolved : ndarray
            Put into the result.

        Returns
        -------
        Fit
        """
        y, design, factor = self._whitened(used, independent)
        weighted = scipy.linalg.cho_solve(factor, design)
        x, covariance = self._in_gauge(design.T @ weighted, weighted.T @ y)
        rest = y - design @ x
        dof = 2 * (int(used.sum()) - len(self.gauge) + 1)
        chi2 = float(rest @ scipy.linalg.cho_solve(factor, rest)) if dof else 0.0
        if independent >= 1 and chi2 > dof + 3 * np.sqrt(2 * dof):
            # The pairs disagree by more than all of their quoted errors allow.
            covariance = covariance * (chi2 / dof)
        return Fit(x, covariance, chi2, dof, independent, used, test, unresolved)

    def covariance_of(self, rows: list[int], signs: list[float], independent: float) -> np.ndarray:
        """Return the covariance of a sum of shifts.

        Parameters
        ----------
        rows : list of int
            The pairs.
        signs : list of float
            The sign of each in the sum.
        independent : float
            The independent part of their variance.

        Returns
        -------
        ndarray, shape (2, 2)
        """
        at = np.concatenate([[2 * row, 2 * row + 1] for row in rows])
        errors = self._correlation(at, independent)
        root = np.hstack(np.asarray(signs)[:, None, None] * symmetric_root(self.covariances[rows], 0.5))
        return root @ errors @ root.T

    # ---- parts ------------------------------------------------------------------------------

    def _rows(self, used: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.repeat(used, 2))

    def _design(self) -> np.ndarray:
        """Return the matrix of ``x_image - x_reference``, in units of the quoted errors."""
        n, nodes = len(self.edges), len(self.gauge)
        root = symmetric_root(self.covariances, -0.5)
        design = np.zeros((n, 2, nodes, 2))
        for sign, end in ((-1.0, 0), (1.0, 1)):
            design[np.arange(n), :, self.edges[:, end], :] += sign * root
        return design.reshape(2 * n, 2 * nodes)

    def _correlation(self, rows: np.ndarray, independent: float) -> np.ndarray:
        """Return the correlation of some errors in units of those quoted."""
        odds = independent / max(1 - independent, np.finfo(float).tiny) * self.faintness
        own = np.repeat(odds / (1 + odds), 2)[rows]
        shared = np.sqrt(1 - own)
        correlation = shared[:, None] * self.correlation[np.ix_(rows, rows)] * shared
        correlation[np.diag_indices_from(correlation)] += own
        return correlation

    def _whitened(self, used: np.ndarray, independent: float) -> tuple[np.ndarray, np.ndarray, tuple]:
        """Return shifts and design in units of the quoted errors, and the factors of their correlation."""
        rows = self._rows(used)
        y = np.einsum("pij,pj->pi", symmetric_root(self.covariances, -0.5), self.shifts).ravel()
        factor = scipy.linalg.cho_factor(self._correlation(rows, independent), overwrite_a=True)
        return y[rows], self._design()[rows], factor

    def _in_gauge(self, normal: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Solve normal equations that a common shift of all nodes leaves alone."""
        nodes = len(self.gauge)
        common = np.kron(np.ones((nodes, nodes)), np.eye(2)) * (np.trace(normal) / (2 * nodes) ** 2)
        inverse = scipy.linalg.inv(normal + common)
        project = np.eye(2 * nodes) - np.kron(np.outer(np.ones(nodes), self.gauge), np.eye(2))
        covariance = project @ inverse @ project.T
        return project @ (inverse @ right), (covariance + covariance.T) / 2

    def _accepted(self, independent: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Reject pairs one at a time; return which are left, the tests, and which stay in contradiction."""
        n = len(self.edges)
        limit = -2 * np.log(FALSE_ALARM / n)  # of a chi-squared of two degrees of freedom, exp(-chi2 / 2)
        stages = self._eliminated(independent, limit)
        # Several blunders hide each other: whether the errors are too small as a whole, so that not every
        # pair that is off is a blunder, is judged with a quarter of the pairs more left out.
        scales = [_typical(stage.drop) for stage in stages]
        last = len(stages) - 1
        ahead = [scales[min(k + 1 + n // 4, last)] for k in range(last)]
        rejected = max((k + 1 for k in range(last) if stages[k].largest > limit * ahead[k]), default=0)
        used = stages[rejected].used.copy()
        test = stages[rejected].drop.copy()
        for stage in stages[:rejected]:
            test[stage.worst] = stage.largest
        beyond = stages[rejected].largest > limit * scales[last]
        return used, test, stages[rejected].tied if beyond else np.zeros(n, bool)

    def _eliminated(self, independent: float, limit: float) -> list[_Stage]:
        """Leave out the worst pair, again and again, while it is beyond a limit; return every stage."""
        n = len(self.edges)
        y, design, factor = self._whitened(np.ones(n, bool), independent)
        weight = scipy.linalg.cho_solve(factor, np.eye(2 * n))
        lever = weight @ design
        # What is left of the weights once the parameters follow the data.
        rest = weight - lever @ scipy.linalg.pinvh(design.T @ lever) @ lever.T
        redundant = DETERMINED * np.diag(weight).reshape(n, 2).max(axis=1)
        used = np.ones(n, bool)
        stages = [_Stage(used, _falls(rest, rest @ y, used, redundant))]
        while stages[-1].largest > limit and not stages[-1].tied.any() and len(stages) <= n // 2:
            worst = stages[-1].worst
            block = slice(2 * worst, 2 * worst + 2)
            rest = rest - rest[:, block] @ scipy.linalg.inv(rest[block, block]) @ rest[block]
            used = used & (np.arange(n) != worst)
            stages.append(_Stage(used, _falls(rest, rest @ y, used, redundant)))
        return stages

    def _independent(self, used: np.ndarray) -> float:
        """Return the most probable q: by the likelihood of the residuals, with a broad prior."""
        if used.sum() <= len(self.gauge) - 1:
            return INDEPENDENT
        from scipy.optimize import minimize_scalar  # here: it takes as long to load as all of this package

        def cost(log_q: float) -> float:
            prior = ((log_q - np.log(INDEPENDENT)) / INDEPENDENT_SPREAD) ** 2
            return self._restricted_cost(used, float(np.exp(log_q))) + prior

        bounds = np.log(INDEPENDENT_RANGE)
        best = minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": TOLERANCE}).x
        # The search stays inside of its bounds by about its tolerance.
        return float(np.exp(bounds[1] if best > bounds[1] - 2 * TOLERANCE else best))

    def _restricted_cost(self, used: np.ndarray, independent: float) -> float:
        """Return minus twice the restricted log-likelihood of the shifts (Patterson & Thompson 1971)."""
        y, design, factor = self._whitened(used, independent)
        design = design[:, 2:]  # the first node stands still
        both = scipy.linalg.cho_solve(factor, np.column_stack([design, y]))
        normal = scipy.linalg.cho_factor(design.T @ both[:, :-1])
        right = design.T @ both[:, -1]
        chi2 = y @ both[:, -1] - right @ scipy.linalg.cho_solve(normal, right)
        determinants = sum(2 * np.log(np.diag(one[0])).sum() for one in (factor, normal))
        return float(chi2 + determinants)


@dataclass(frozen=True, eq=False)
class _Stage:
    """The pairs that are left, and how much chi-squared falls without each (NaN: cannot be told)."""

    used: np.ndarray
    drop: np.ndarray

    @property
    def worst(self) -> int:
        """The pair that contradicts the others most."""
        return int(np.argmax(np.nan_to_num(self.drop, nan=-1.0)))

    @property
    def largest(self) -> float:
        """Its test; 0 where there is none."""
        return float(np.nan_to_num(self.drop[self.worst]))

    @property
    def tied(self) -> np.ndarray:
        """The worst pair and those that cannot be told from it; none where it stands alone."""
        tied = np.nan_to_num(self.drop, nan=-1.0) >= TIED * self.largest
        return tied if tied.sum() > 1 else np.zeros(len(tied), bool)


def _falls(rest: np.ndarray, pull: np.ndarray, used: np.ndarray, redundant: np.ndarray) -> np.ndarray:
    """Return how much chi-squared falls when each pair is left out; NaN for pairs without redundancy."""
    n = len(used)
    drop = np.full(n, np.nan)
    index = np.arange(n)
    blocks = rest.reshape(n, 2, n, 2)[index, :, index, :]
    testable = used & (np.linalg.eigvalsh(blocks)[:, 0] > redundant)
    solved = np.linalg.solve(blocks[testable], pull.reshape(n, 2, 1)[testable])
    drop[testable] = np.einsum("pi,pi->p", pull.reshape(n, 2)[testable], solved[..., 0])
    return drop


def _typical(drop: np.ndarray) -> float:
    """Return by how much the tests of the pairs that are left are too large, as a factor of at least 1."""
    known = drop[np.isfinite(drop)]
    return max(1.0, float(np.median(known)) / MEDIAN_CHI2) if len(known) > 3 else 1.0
