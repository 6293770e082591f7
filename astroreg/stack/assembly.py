"""What a solution means for each image: its correction, and what is doubtful about it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy import units as u

from astroreg.sky.frames import realize
from astroreg.sky.rotations import vector_to_lonlat
from astroreg.stack.flags import StackFlag
from astroreg.stack.geometry import Layout
from astroreg.stack.joint import Solution, solve_stack
from astroreg.stack.pairs import PairShift
from astroreg.stack.result import StackImage, StackResult

__all__ = ["assembled"]


def assembled(
    layout: Layout,
    groups: np.ndarray,
    pairs: list[PairShift],
    *,
    fixed: int | None,
    weights: np.ndarray,
    n_images: int,
) -> StackResult:
    """Solve, and put the result together.

    Parameters
    ----------
    layout : Layout
        Of all images, one from outside last.
    groups : ndarray of int
        The group of each.
    pairs : list of PairShift
        All that were measured.
    fixed : int or None
        Place of the reference.
    weights : ndarray
        Of each group, in the mean.
    n_images : int
        How many belong to the stack.

    Returns
    -------
    StackResult
    """
    usable = np.flatnonzero([pair.usable for pair in pairs])
    still = None if fixed is None else int(groups[fixed])
    solution = solve_stack(layout, groups, [pairs[k] for k in usable], reference=still, weights=weights)
    used = np.zeros(len(pairs), bool)
    doubtful = np.zeros(len(pairs), bool)
    refuted = np.zeros(len(pairs), bool)
    if solution is not None:
        places = usable[solution.pairs]
        used[places] = solution.fit.used
        refuted[places] = ~solution.fit.used
        doubtful[places] = solution.fit.unresolved
    label = "joint" if fixed is None else layout.surveys[fixed].label
    verdict = _Verdict(layout, groups, pairs, solution, used, refuted, doubtful, still, label)
    images = tuple(verdict.image(index) for index in range(n_images))
    # A reference from outside has no place in the stack.
    told = [replace(pair, reference=pair.reference if pair.reference < n_images else -1) for pair in pairs]
    head = {"images": images, "pairs": tuple(told), "used": tuple(used.tolist()), "reference": label}
    return StackResult(**head, **_numbers(layout, solution))


def _numbers(layout: Layout, solution: Solution | None) -> dict:
    """Return what a solution says as a whole."""
    if solution is None:
        return {}
    frame = next(one.frame for one in layout.surveys if not one.error)
    return {
        "pivot": realize(frame, *vector_to_lonlat(layout.basis[0])),
        "solved_groups": tuple(solution.groups.tolist()),
        "covariance": solution.fit.covariance * u.arcsec**2,
        "chi2": solution.fit.chi2,
        "dof": solution.fit.dof,
        "independent": solution.fit.independent,
        "closures": solution.closures,
    }


class _Verdict:
    """What is to be said about each image."""

    def __init__(
        self, layout, groups, pairs, solution: Solution | None, used, refuted, doubtful, still, reference
    ):
        self.layout, self.groups, self.solution, self.reference = layout, groups, solution, reference
        self.used, self.still = used, still
        self.ends = np.array([(pair.reference, pair.image) for pair in pairs], int).reshape(-1, 2)
        nodes = groups[self.ends]
        n_groups = int(groups.max()) + 1
        self.n_used, self.n_refuted, self.n_doubtful, self.n_pairs = (
            _counted(nodes[which], n_groups) for which in (used, refuted, doubtful, np.ones(len(pairs), bool))
        )
        count = len(layout.surveys)
        # In a group one image can contradict all the others while the group as a whole does not.
        self.alone = (_counted(self.ends[refuted], count) > 0) & (_counted(self.ends[used], count) == 0)
        self.outcasts = _outcasts(nodes, used, refuted, n_groups, still)

    def image(self, index: int) -> StackImage:
        """Return the verdict on one image."""
        survey, group = self.layout.surveys[index], int(self.groups[index])
        flags = self._flags(index, group)
        correction = None
        if not flags & StackFlag.LEFT_OUT and self.solution is not None:
            correction = self.solution.correction(index, group)
        return StackImage(
            label=survey.label,
            group=group,
            correction=correction,
            flags=flags,
            n_pairs=int(self.n_used[group]),
            n_rejected=int(self.n_pairs[group] - self.n_used[group]),
            wcs=survey.wcs,
            shape=survey.shape,
            error=survey.error,
            reference=self.reference,
        )

    def _flags(self, index: int, group: int) -> StackFlag:
        if self.layout.surveys[index].error:
            return StackFlag.UNREADABLE
        if self.solution is None or group not in self.solution.groups:
            return StackFlag.UNCONNECTED
        flags = StackFlag(0)
        if group in self.outcasts or self.alone[index]:
            flags |= StackFlag.INCONSISTENT
        if self.n_used[group] == 1 and self.still is None:
            flags |= StackFlag.UNCHECKED
        if self.n_refuted[group]:
            flags |= StackFlag.PAIR_REJECTED
        if self.n_doubtful[group]:
            flags |= StackFlag.UNRESOLVED
        return flags


def _counted(nodes: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(nodes.ravel(), minlength=count)


def _outcasts(
    nodes: np.ndarray, used: np.ndarray, refuted: np.ndarray, count: int, still: int | None
) -> set[int]:
    """Return the groups most of whose pairs were refuted, and not because the other one is such a group."""
    refuted, used = refuted.copy(), used.copy()
    outcasts: set[int] = set()
    while True:
        against, pro = _counted(nodes[refuted], count), _counted(nodes[used], count)
        worst = np.where(against > pro, against, 0)
        if still is not None:
            worst[still] = 0
        if worst.max(initial=0) < 2:
            return outcasts
        group = int(worst.argmax())
        outcasts.add(group)
        elsewhere = (nodes != group).all(axis=1)
        refuted &= elsewhere
        used &= elsewhere
